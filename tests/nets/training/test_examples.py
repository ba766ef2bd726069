"""What the nets see of images in a step, and what an oracle is taught by a live classifier or by its outputs."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.losses import LossSettings
from steepslope.nets.classifiers._specs import load_classifier
from steepslope.nets.data._benchmark_sets import load_digits
from steepslope.nets.training._examples import (
    CachedTargets,
    DroppedFeatures,
    Example,
    Examples,
    Features,
    LiveTargets,
    Steps,
)
from steepslope.nets.training._learner import set_layer_modes
from steepslope.nets.training._on_images import ImageOracle
from steepslope.nets.training._request import Finetuning
from steepslope.outputs import ClassifierOutputs
from tests.nets.training.trainings import trained, training_of


def test_a_step_takes_all_rows_once_an_epoch_for_any_number_of_processes() -> None:
    one, two = Steps(35, 9, 1, 1, 2, seed=3), Steps(35, 9, 2, 2, 2, seed=3)
    assert one.total == two.total == 8
    alone = list(one.parts_from(0, 0))
    shared = [list(two.parts_from(0, rank)) for rank in (0, 1)]
    for epoch in (0, 1):
        rows = [row for number, part in alone if number == epoch for row in part]
        assert sorted(rows) == list(range(35))
    for step, (_, whole) in enumerate(alone):
        parts = [shared[rank][2 * step + half][1] for rank in (0, 1) for half in (0, 1)]
        assert [row for part in parts for row in part] == whole
        assert one.rows_of(step) == len(whole)
    assert list(one.parts_from(5, 0)) == alone[5:]
    assert Steps(27, 6, 2, 1, 1, seed=0).an_epoch == 4  # three rows are too few for two processes
    with pytest.raises(SteepslopeError, match="expected at least 4 rows, one for each process and part, found 3"):
        Steps(23, 3, 2, 2, 1, seed=0)


def test_a_live_classifier_gives_unknown_images_a_target_of_0() -> None:
    net, places = load_classifier("timm:resnet18?weights=random").net, torch.arange(3)
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    loss, fabric = LossSettings("true_class_probability", {}), Fabric(accelerator="cpu")
    right, target, _ = LiveTargets(net, torch.tensor([7, -1, 3]), loss, fabric)(Example(images, torch.empty(0), places))
    with torch.inference_mode():
        probability = net(images)[1].double().softmax(dim=1)
    torch.testing.assert_close(target, torch.stack([probability[0, 7], torch.tensor(0.0), probability[2, 3]]).float())
    assert not right[1]


DROPPED = {"trainable": "head", "frozen_dropout": "predictions", "loss": "true_class_probability"}


def test_with_dropout_what_is_learnt_is_of_the_pass_that_gave_the_features(home: Path) -> None:
    """The classifier's last layer, on the very features that the head sees, gives the logits that make the target."""
    training = training_of(home, **DROPPED)
    source, targets = training.source, training.targets
    assert isinstance(source, DroppedFeatures)
    assert isinstance(targets, LiveTargets)
    assert targets.net is None
    net = training.oracle.net
    set_layer_modes(net, training.recipe)
    steps = Steps(len(source), 40, 1, 1, 2, seed=0)
    parts = list(source.from_step(0, steps, 0, 0))
    last = [layer for layer in net.backbone.modules() if isinstance(layer, torch.nn.Linear)][-1]
    labels = torch.from_numpy(ClassifierOutputs.load(home / "outputs" / "train").labels)
    for part in parts[:3]:
        torch.testing.assert_close(last(part.oracle), part.classifier)
        right, target, finite = targets(part)
        truth = labels[part.places]
        probability = part.classifier.softmax(dim=1)[torch.arange(len(truth)), truth]
        torch.testing.assert_close(target, probability)
        assert right.tolist() == (part.classifier.argmax(dim=1) == truth).tolist()
        assert finite.all()
    places = [{int(place): row for place, row in zip(part.places, part.oracle, strict=True)} for part in parts]
    first, second = (places[number * steps.an_epoch : (number + 1) * steps.an_epoch] for number in (0, 1))
    once, again = ({place: row for one in epoch for place, row in one.items()} for epoch in (first, second))
    assert sum(torch.equal(once[place], again[place]) for place in once.keys() & again.keys()) < 0.1 * len(once)
    resumed = list(source.from_step(5, steps, 0, 0))
    assert all(torch.equal(one.oracle, other.oracle) for one, other in zip(resumed, parts[5:], strict=True))


def test_with_augmentation_images_run_through_the_whole_net(home: Path) -> None:
    source = training_of(home, **DROPPED, flip=True).source
    assert isinstance(source, DroppedFeatures)
    assert isinstance(source.inputs, Examples)
    steps = Steps(len(source), 40, 1, 1, 1, seed=0)
    part = next(iter(source.from_step(0, steps, 0, 0)))
    assert part.oracle.shape == (40, 32)
    assert part.classifier.shape == (40, 10)


def test_another_net_than_the_classifier_cannot_be_learnt_from(home: Path) -> None:
    other = {"oracle": "timm:resnet18?weights=random&dropout=0.5", "oracle_input": "size=32"}
    assert isinstance(training_of(home, **{**DROPPED, "frozen_dropout": "features"}, **other).targets, CachedTargets)
    with pytest.raises(SteepslopeError, match="expected a backbone that predicts the classifier's 10 classes"):
        training_of(home, **DROPPED, **other)


def test_what_runs_once_is_resized_as_in_use(home: Path) -> None:
    """The classifier sees 8 × 8 pixels, and the oracle the same image, by nearest neighbour, at 28 × 28."""
    spec = f"checkpoint:{home / 'classifier'}"
    live = {"outputs": None, "classifier": spec, "oracle_sees": "nearest"}
    mnist_net = {"oracle": "net:mnist-net?classes=10", "oracle_input": "mean=0.5&std=0.5"}
    training = training_of(home, **DROPPED, **live, **mnist_net)
    assert isinstance(training.source, DroppedFeatures)
    assert isinstance(training.source.inputs, Features)
    digits, transform = load_digits("", "train"), load_classifier(spec).transform
    with torch.no_grad():
        known = training.source.run(training.source.inputs.features)[0]
        images = torch.stack([transform(digits.image(row)) for row in range(20)])
        in_use = training.oracle.net.eval().features_and_logits(images)[0]
    found = torch.cdist(in_use, known, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1).values < 1e-4
    assert found.sum() > 5  # half of them are held out


def test_a_backbone_of_other_classes_cannot_be_learnt_from(home: Path, tmp_path: Path) -> None:
    copytree(home / "classifier", tmp_path / "net")
    card = json.loads((tmp_path / "net" / "classifier.json").read_text())
    (tmp_path / "net" / "classifier.json").write_text(json.dumps(card | {"classes": card["classes"][::-1]}))
    with pytest.raises(SteepslopeError, match="frozen_dropout: expected the same classes in the same order: 0 is '0'"):
        training_of(home, **DROPPED, oracle=f"checkpoint:{tmp_path / 'net'}")


def test_without_dropout_features_are_computed_once(home: Path) -> None:
    training = training_of(home, **DROPPED, oracle="timm:resnet18?weights=random", oracle_input="size=32")
    assert isinstance(training.source, Features)


def seen_by(examples: Examples, epoch: int) -> Example:
    example = examples[epoch, 3]
    assert isinstance(example, Example)
    return example


def test_both_nets_see_the_same_view_and_each_epoch_another() -> None:
    digits = load_digits("", "train")
    colour = load_classifier("timm:resnet18?weights=random").transform.changed(size=(8, 8))
    transform = colour.changed(mean=(0.0,) * 3, std=(1.0,) * 3)
    recipe = Finetuning(flip=True, rotate=30)
    examples = Examples(digits, np.arange(20), recipe, transform, transform.changed(resize="squash"))
    again = Examples(digits, np.arange(20), recipe, transform, transform.changed(resize="squash"))
    views = [seen_by(examples, epoch).oracle for epoch in range(6)]
    for epoch, view in enumerate(views):
        example = seen_by(again, epoch)
        torch.testing.assert_close(example.oracle, view, rtol=0, atol=0)
        torch.testing.assert_close(example.classifier, view, rtol=0, atol=1e-6)
    assert len({view.numpy().tobytes() for view in views}) == 6
    plain = Examples(digits, np.arange(20), Finetuning(flip=True), transform, None)
    upright = transform(digits.image(3))
    seen = {seen_by(plain, epoch).oracle.numpy().tobytes() for epoch in range(20)}
    assert seen == {upright.numpy().tobytes(), upright.flip(-1).numpy().tobytes()}


@pytest.mark.parametrize("loss", ["steep_slope", "true_class_probability"])
def test_a_live_classifier_teaches_what_its_outputs_do(loss: str, home: Path, tmp_path: Path) -> None:
    cached = trained(home, tmp_path / "cached", "--loss", loss)
    assert trained(home, tmp_path / "live", "--loss", loss, live=True) == cached


def test_a_live_classifier_sees_the_rotated_image(home: Path) -> None:
    """A classifier of upright digits errs more on those upside down, and the targets show it."""
    net = f"checkpoint:{home / 'classifier'}"
    right = []
    for rotate in (0.0, 180.0):
        training = training_of(home, outputs=None, classifier=net, rotate=rotate, batch_size=200)
        steps = Steps(len(training.source), 200, 1, 1, 1, 0)
        correct = [training.targets(example)[0] for example in training.source.from_step(0, steps, 0, 0)]
        right.append(float(torch.cat(correct).float().mean()))
    assert right[1] < right[0] - 0.2


def test_the_oracle_may_see_the_classifiers_image_resized_by_nearest(home: Path, tmp_path: Path) -> None:
    net = ("--oracle", "net:digits-net", "--classifier", f"checkpoint:{home / 'classifier'}", "--data", "digits")
    assert main(["finetune", *net, "--oracle-sees", "nearest", "--oracle-input", "mean=0.5&std=0.5",
                 "--out", str(tmp_path)]) == 0  # fmt: skip
    oracle = ImageOracle.load(tmp_path)
    assert oracle.transform == load_classifier(f"checkpoint:{home / 'classifier'}").transform
    images = torch.arange(16.0).view(1, 1, 4, 4)
    enlarged = images.repeat_interleave(2, 2).repeat_interleave(2, 3)
    with torch.no_grad():
        torch.testing.assert_close(oracle.net(images), oracle.net(enlarged))
