"""The attack: against nets whose best colour map is known, its promises on any net, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from steepslope.errors import SteepslopeError
from steepslope.nets.classifiers._classifier import Classifier
from steepslope.nets.classifiers._specs import load_classifier
from steepslope.nets.data._shifted import Shifted
from steepslope.nets.data._specs import parse_data
from steepslope.nets.data._transforms import Transform
from steepslope_lab.shifts.colour_map import lightness_of, luv_of
from steepslope_lab.shifts.options import RecolorOptions
from steepslope_lab.shifts.recolor import Recoloring, classifier_margins, recolored

FEW = RecolorOptions(steps=12, learning_rate=0.01)


class Brightness(nn.Module):
    """Two logits: the sum of the pixels, and 0."""

    def forward(self, images: Tensor) -> tuple[None, Tensor]:
        total = images.flatten(1).sum(dim=1)
        return None, torch.stack([total, torch.zeros_like(total)], dim=1)


class Small(nn.Module):
    """A net with all that has a mode: BatchNorm and dropout."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(8 * 36, 3)
        )

    def forward(self, images: Tensor) -> tuple[None, Tensor]:
        return None, 10 * self.body(images)


def classifier_of(net: nn.Module, channels: int, mean: float = 0.0, std: float = 1.0) -> Classifier:
    return Classifier("tests:net", net, Transform((8, 8), (mean,) * channels, (std,) * channels), 3, "digest")


def small(channels: int) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return classifier_of(Small(channels).eval(), channels, 0.4, 0.3)


def pictures(channels: int, count: int = 4, seed: int = 0) -> Tensor:
    images = torch.rand(count, channels, 8, 8, generator=torch.Generator().manual_seed(seed))
    images[:, :, 0, :2], images[:, :, 0, 2:4] = 0, 1
    return images


def colours_of(images: Tensor) -> Tensor:
    return lightness_of(images) if images.shape[1] == 1 else luv_of(images)


@pytest.mark.parametrize(("steps", "moved"), [(3, 0.03), (20, 0.06)])
def test_against_brightness_every_grey_darkens_by_the_rate_a_step_up_to_the_bound(steps: int, moved: float) -> None:
    images = 0.3 + 0.6 * pictures(1)
    options = RecolorOptions(steps=steps, learning_rate=0.01, smoothness=0)
    found = recolored(classifier_of(Brightness(), 1), images, torch.zeros(4, dtype=torch.int64), options)
    darker = lightness_of(images) - lightness_of(found)
    torch.testing.assert_close(darker, torch.full_like(darker, moved), atol=1e-4, rtol=0)


def margins(classifier: Classifier, images: Tensor, labels: Tensor | None = None) -> Tensor:
    """Return the margins of images against some classes, by default those that are predicted of the first pictures."""
    logits = [classifier.net(((one - 0.4) / 0.3).expand(-1, classifier.transform.channels, -1, -1))[1]
              for one in (images, pictures(images.shape[1]))]  # fmt: skip
    return classifier_margins(logits[0], logits[1].argmax(dim=1) if labels is None else labels)


@pytest.mark.parametrize(("channels", "bound"), [(1, 0.02), (3, 0.06)])
def test_margins_fall_and_every_pixel_is_within_both_limits(channels: int, bound: float) -> None:
    """Without labels, they are those of the predicted classes."""
    images, classifier = pictures(channels), small(channels)
    found = recolored(classifier, images, None, replace(FEW, bound=bound, smoothness=0))
    assert bool((margins(classifier, found) < margins(classifier, images) - 0.2).all())
    assert found.shape == images.shape
    assert found.min() >= 0
    assert found.max() <= 1
    change = (colours_of(found) - colours_of(images)).abs().max()
    assert 0.8 * bound < change <= bound + 1e-4


@pytest.mark.parametrize("channels", [1, 3])
def test_the_best_is_no_worse_than_of_fewer_steps(channels: int) -> None:
    classifier, images = small(channels), pictures(channels)
    options = replace(FEW, learning_rate=0.05, smoothness=0.0)  # so fast that it overshoots
    best, fewer = (recolored(classifier, images, None, one) for one in (options, replace(options, steps=5)))
    assert bool((margins(classifier, best) <= margins(classifier, fewer) + 1e-4).all())


def test_images_of_none_of_the_classes_are_led_away_from_the_predicted_one() -> None:
    classifier, images = small(1), pictures(1)
    expected, found = (recolored(classifier, images, labels, FEW) for labels in (None, torch.full((4,), -1)))
    torch.testing.assert_close(found, expected)
    other = recolored(classifier, images, torch.tensor([-1, 2, -1, 2]), FEW)
    torch.testing.assert_close(other[::2], expected[::2])


def test_the_best_is_that_of_the_lowest_margin_even_if_its_map_is_rough() -> None:
    labels = torch.ones(4, dtype=torch.int64)  # the margin of class 1 is minus the brightness
    options = RecolorOptions(steps=1, learning_rate=0.05, smoothness=1e5)  # any roughness costs more than it gains
    images, ramp = 0.3 + 0.4 * pictures(1), classifier_of(Ramp(), 1)
    found = recolored(ramp, images, labels, options)
    assert bool(
        (classifier_margins(ramp.net(found)[1], labels) < classifier_margins(ramp.net(images)[1], labels)).all()
    )


class Ramp(Brightness):
    """Bright pixels count for, and dark ones against."""

    def forward(self, images: Tensor) -> tuple[None, Tensor]:
        return super().forward((images - 0.5) ** 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_bound_0_returns_the_images_to_the_bit(channels: int) -> None:
    images = pictures(channels)
    assert torch.equal(recolored(small(channels), images, None, replace(FEW, bound=0)), images)


def test_the_weights_and_the_caller_s_tensors_are_left_as_they_were() -> None:
    """It runs in evaluation mode, and takes tensors that were made in inference mode."""
    classifier, images, labels = small(3), pictures(3), torch.tensor([0, 1, 2, 0])
    first = recolored(classifier, images, labels, FEW)
    net = classifier.net.train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.inference_mode():
        found = recolored(classifier, images.clone(), labels.clone(), FEW)
    assert torch.equal(found, first)
    assert not found.requires_grad
    assert torch.equal(images, pictures(3))
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all(weights.grad is None for weights in net.parameters())


def test_a_net_without_finite_logits_is_refused() -> None:
    broken = small(3)
    with torch.no_grad():
        next(broken.net.parameters()).fill_(torch.nan)
    with pytest.raises(SteepslopeError, match=r"^tests:net: expected finite logits, found others in row 0$"):
        recolored(broken, pictures(3), None, FEW)


def test_a_classifier_that_cannot_be_attacked_is_refused() -> None:
    onnx = small(3)
    onnx.net.runs_on = "onnxruntime"  # type: ignore[assignment]
    for classifier, message in (
        (onnx, "expected a classifier with gradients, found one without"),
        (small(2), "expected grey or colour images, found 2 channels"),
    ):
        with pytest.raises(SteepslopeError, match=f"^tests:net: {message}"):
            Recoloring(classifier, FEW)


def test_the_classifier_and_the_attack_decide_the_fingerprint(home: Path) -> None:
    data = parse_data("digits:test").open()
    plain = load_classifier(f"checkpoint:{home}/classifier")
    shifts = [Recoloring(net, RecolorOptions()) for net in (plain, plain.with_transform(mean=0.4))]
    shifts += [Recoloring(plain, options) for options in (RecolorOptions(bound=0.05), RecolorOptions(steps=9))]
    shifts.append(Recoloring(load_classifier("net:digits-net").with_transform(mean=0.3, std=0.3), RecolorOptions()))
    assert len({Shifted(data, shift).fingerprint() for shift in shifts}) == len(shifts)
