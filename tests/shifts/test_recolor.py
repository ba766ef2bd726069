"""The attack: against nets whose best colour map is known, its promises on any net, and what it refuses."""

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steepslope.classifiers.classifier import Classifier
from steepslope.data.transforms import Transform
from steepslope.errors import SteepslopeError
from steepslope.shifts.colour_map import lightness_of, luv_of
from steepslope.shifts.options import RecolorOptions
from steepslope.shifts.recolor import margins_of, random_recolored, recolored

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
    darker = lightness_of(images) - lightness_of(found.images)
    torch.testing.assert_close(darker, torch.full_like(darker, moved), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.margins, found.images.flatten(1).sum(dim=1))


def test_against_brightness_colours_darken_where_srgb_lets_them() -> None:
    images = 0.3 + 0.4 * pictures(3)
    options = RecolorOptions(steps=10, learning_rate=0.01, smoothness=0)
    found = recolored(classifier_of(Brightness(), 3), images, torch.zeros(4, dtype=torch.int64), options)
    darker = luv_of(images)[:, 0] - luv_of(found.images)[:, 0]
    assert darker.mean() > 0.055
    assert bool((found.images.sum(dim=1) < images.sum(dim=1)).all())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bound", [0.02, 0.06])
def test_margins_fall_and_every_pixel_is_within_both_limits(channels: int, bound: float) -> None:
    images = pictures(channels)
    found = recolored(small(channels), images, options=replace(FEW, bound=bound, smoothness=0))
    assert bool((found.margins < found.losses[0] - 0.2).all())
    assert found.images.shape == images.shape
    assert found.images.min() >= 0
    assert found.images.max() <= 1
    change = (colours_of(found.images) - colours_of(images)).abs().max()
    assert 0.8 * bound < change <= bound + 1e-4


@pytest.mark.parametrize("channels", [1, 3])
def test_the_best_is_what_the_classifier_sees_and_never_gets_worse(channels: int) -> None:
    classifier, images = small(channels), pictures(channels)
    options = replace(FEW, learning_rate=0.05, smoothness=0.0)  # so fast that it overshoots
    best = recolored(classifier, images, options=options)
    logits = classifier.net((best.images - 0.4) / 0.3)[1]
    torch.testing.assert_close(best.margins, margins_of(logits, best.labels), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(best.losses[-1], best.margins, atol=1e-4, rtol=1e-4)
    assert best.losses.shape == (options.steps + 1, 4)
    assert bool((best.losses.diff(dim=0) <= 0).all())
    last = recolored(classifier, images, options=replace(options, keep="last"))
    assert torch.equal(last.losses, best.losses)
    assert bool((last.margins >= best.margins).all())


def test_the_best_is_that_of_the_lowest_margin_even_if_its_map_is_rough() -> None:
    labels = torch.ones(4, dtype=torch.int64)  # the margin of class 1 is minus the brightness
    options = RecolorOptions(steps=1, learning_rate=0.05, smoothness=1e5)  # any roughness costs more than it gains
    images, ramp = 0.3 + 0.4 * pictures(1), classifier_of(Ramp(), 1)
    found = recolored(ramp, images, labels, options)
    as_it_was = margins_of(ramp.net(images)[1], labels)
    assert bool((found.margins < as_it_was).all())
    torch.testing.assert_close(found.losses[0], found.losses[1])


def test_last_keeps_what_the_last_step_made() -> None:
    """From the side, a step that is too long leads past the valley; the best is then the image as it was."""
    labels = torch.zeros(4, dtype=torch.int64)
    images, valley = torch.full((4, 1, 8, 8), 0.5), classifier_of(Valley(), 1)
    options = RecolorOptions(steps=1, learning_rate=0.06, smoothness=0)
    assert torch.equal(recolored(valley, images, labels, options).images, images)
    assert not torch.equal(recolored(valley, images, labels, replace(options, keep="last")).images, images)


class Valley(Brightness):
    """The margin of class 0 is least slightly below a grey of one half."""

    def forward(self, images: Tensor) -> tuple[None, Tensor]:
        return super().forward((images - 0.49) ** 2)


class Ramp(Brightness):
    """Bright pixels count for, and dark ones against."""

    def forward(self, images: Tensor) -> tuple[None, Tensor]:
        return super().forward((images - 0.5) ** 3)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("keep", ["best", "last"])
def test_bound_0_returns_the_images_to_the_bit(channels: int, keep: Any) -> None:
    images = pictures(channels)
    found = recolored(small(channels), images, options=replace(FEW, bound=0, keep=keep))
    assert torch.equal(found.images, images)
    assert torch.equal(random_recolored(images, replace(FEW, bound=0), torch.Generator()), images)


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_does_not_depend_on_its_batch(channels: int) -> None:
    classifier, images = small(channels), pictures(channels)
    together = recolored(classifier, images, options=FEW)
    alone = recolored(classifier, images[2:3], options=FEW)
    torch.testing.assert_close(alone.images, together.images[2:3], atol=2e-2, rtol=0)  # Adam enlarges rounding
    torch.testing.assert_close(alone.losses, together.losses[:, 2:3], atol=1e-2, rtol=1e-3)


def test_the_net_is_left_as_it_was_and_runs_in_evaluation_mode() -> None:
    classifier, images = small(3), pictures(3)
    first = recolored(classifier, images, options=FEW)
    net = classifier.net.train()
    body: Any = net.body
    body[1].eval()
    body[0].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.inference_mode():
        found = recolored(classifier, images.clone(), first.labels.clone(), FEW)
    assert torch.equal(found.images, first.images)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert [layer.training for layer in body] == [True, False, True, True, True, True]
    assert [weights.requires_grad for weights in body.parameters()] == [False, *[True] * 5]
    assert all(weights.grad is None for weights in net.parameters())


def test_the_net_is_left_as_it_was_after_an_error_too() -> None:
    classifier = small(3)
    classifier.net.train()
    with pytest.raises(SteepslopeError):
        recolored(classifier, pictures(3), torch.full((4,), 3))
    assert all(layer.training for layer in classifier.net.modules())
    assert all(weights.requires_grad for weights in classifier.net.parameters())


def test_the_caller_s_tensors_are_left_alone() -> None:
    images, labels = pictures(1), torch.tensor([0, 1, 2, 0])
    before = images.clone()
    found = recolored(small(1), images, labels, FEW)
    assert torch.equal(images, before)
    assert torch.equal(found.labels, labels)
    assert not found.images.requires_grad
    assert not found.losses.requires_grad


def test_without_labels_it_leads_away_from_the_predicted_class() -> None:
    classifier, images = small(1), pictures(1)
    predicted = classifier.net((images - 0.4) / 0.3)[1].argmax(dim=1)
    found = recolored(classifier, images, options=FEW)
    assert torch.equal(found.labels, predicted)
    assert bool((found.losses[0] > 0).all())


def test_grey_images_stay_grey_for_a_colour_classifier() -> None:
    classifier, images = small(3), pictures(1)
    found = recolored(classifier, images, options=FEW)
    assert found.images.shape == images.shape
    logits = classifier.net((found.images.expand(4, 3, 8, 8) - 0.4) / 0.3)[1]
    torch.testing.assert_close(found.margins, margins_of(logits, found.labels), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_random_maps_keep_both_limits_and_are_drawn_by_the_generator_alone(channels: int) -> None:
    images, options = pictures(channels), RecolorOptions(bound=0.05)
    first, again, other = (random_recolored(images, options, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.min() >= 0
    assert first.max() <= 1
    change = (colours_of(first) - colours_of(images)).abs()
    assert change.max() <= 0.05 + 1e-4
    assert change.mean() > 0.005


def test_margins_by_hand() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.0], [3.0, 3.0, -1.0]])
    assert margins_of(logits, torch.tensor([1, 0])).tolist() == [-2, 0]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (pictures(3).double(), "images: expected float32 images (n, 1 or 3, H, W), n >= 1, found torch.float64 "),
        (pictures(2), "images: expected float32 images (n, 1 or 3, H, W), n >= 1, found torch.float32 (4, 2, 8, 8)"),
        (pictures(3)[:0], "images: expected float32 images (n, 1 or 3, H, W), n >= 1, found torch.float32 (0, "),
        (pictures(3)[0], "images: expected float32 images (n, 1 or 3, H, W), n >= 1, found torch.float32 (3, 8, 8)"),
        (pictures(3) * 2, "images: expected values in [0, 1], found 0…2"),
        (pictures(3) - 0.5, "images: expected values in [0, 1], found -0.5…0.5"),
        (pictures(3) * torch.nan, "images: expected values in [0, 1], found nan…nan"),
        (pictures(3)[..., 1:], "images: expected 8 × 8 pixels, found 8 × 7"),
    ],
)
def test_refuses_other_images(images: Tensor, message: str) -> None:
    with pytest.raises(SteepslopeError) as error:
        recolored(small(3), images, options=FEW)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 1, 2, 3]), "labels: expected 0…2, found 3 in row 3"),
        (torch.tensor([0, -1, 2, 1]), "labels: expected 0…2, found -1 in row 1"),
        (torch.tensor([0, 1]), "labels: expected int64 (4,), one an image, found torch.int64 (2,)"),
        (torch.zeros(4), "labels: expected int64 (4,), one an image, found torch.float32 (4,)"),
    ],
)
def test_refuses_other_labels(labels: Tensor, message: str) -> None:
    with pytest.raises(SteepslopeError) as error:
        recolored(small(3), pictures(3), labels, FEW)
    assert str(error.value) == message


def test_refuses_classifiers_that_it_cannot_lead() -> None:
    onnx = small(3)
    onnx.net.runs_on = "onnxruntime"  # type: ignore[assignment]
    broken = small(3)
    with torch.no_grad():
        next(broken.net.parameters()).fill_(torch.nan)
    for classifier, message in (
        (replace(onnx, spec="onnx:FILE"), "onnx:FILE: expected a classifier with gradients, found one of onnxruntime"),
        (broken, "tests:net: expected finite logits, found others in row 0"),
        (small(1), "tests:net: expected a classifier of 3-channel images, found one of 1-channel images"),
    ):
        with pytest.raises(SteepslopeError) as error:
            recolored(classifier, pictures(3), options=FEW)
        assert str(error.value) == message


def test_refuses_images_elsewhere() -> None:
    classifier = small(3)
    classifier.net.to("meta")
    with pytest.raises(SteepslopeError, match=r"^images: expected images on meta, as the classifier is, found cpu$"):
        recolored(classifier, pictures(3), options=FEW)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bound": -0.1}, "bound: expected a number from 0 to 1, found -0.1"),
        ({"bound": float("nan")}, "bound: expected a number from 0 to 1, found nan"),
        ({"steps": 0}, "steps: expected a whole number >= 1, found 0"),
        ({"learning_rate": 0}, "learning_rate: expected a number from 1e-08 to 1, found 0"),
        ({"smoothness": -1.0}, "smoothness: expected a number from 0 to 1000000, found -1.0"),
        ({"keep": "first"}, "keep: expected best or last, found 'first'"),
    ],
)
def test_refuses_other_options(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SteepslopeError) as error:
        RecolorOptions(**changes)
    assert str(error.value) == message


def test_options_are_the_paper_s_and_frozen() -> None:
    options = RecolorOptions()
    assert (options.bound, options.steps, options.learning_rate, options.smoothness) == (0.06, 100, 1e-3, 0.05)
    with pytest.raises(FrozenInstanceError):
        options.bound = 1  # type: ignore[misc]
