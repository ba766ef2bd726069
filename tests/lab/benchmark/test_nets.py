"""Outputs of nets on images: the digits from training to rows, and what of a net's classes is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax

from steepslope.errors import SteepslopeError
from steepslope.files._progress import silent
from steepslope.outputs import ClassifierOutputs
from steepslope_lab.benchmark import nets
from steepslope_lab.benchmark.nets import outputs_of_images, restricted_to_classes
from steepslope_lab.benchmark.preset import Preset
from steepslope_lab.benchmark.trial import trial_of
from tests.images import opened

READ = {"train": "digits", "labelled": "digits:test", "reference": "digits:train"}
TRAIN = {"net": "digits-net", "epochs": 2, "holdout": 500}


def digits(**changes: Any) -> Preset:
    settings = {"title": "Digits", "kind": "image", "source": "scikit-learn", "read": READ, "train": TRAIN}
    return Preset(name="digits", **{"seeds": (0,), "resamples": 100, **settings, **changes})


def many(n: int = 60) -> ClassifierOutputs:
    """Return outputs of five classes with arrays of every kind; there are as many copies and features as classes."""
    rng = np.random.default_rng(0)
    labels = rng.integers(5, size=n)
    return ClassifierOutputs(
        rng.normal(size=(n, 5)), labels, rng.normal(size=(n, 5)), [f"r{row}" for row in range(n)],
        views=rng.normal(size=(n, 2, 5)), dropout=rng.normal(size=(n, 2, 5)), auxiliary=rng.normal(size=(n, 5)),
        noise=rng.normal(size=(n, 5)), augmented_logits=rng.normal(size=(n, 5, 5)),
        augmented_features=rng.normal(size=(n, 5, 5)), classes=list("abcde"),
    ).with_opinion("net", rng.normal(size=(n, 5))).with_opinion("people", rng.integers(-1, 5, n))  # fmt: skip


@pytest.mark.parametrize("n", [60, 5])
def test_a_net_that_knows_some_of_its_classes_alone(n: int) -> None:
    """Also where there are as many rows as classes."""
    outputs, known = many(n), np.array([1, 3, 4])
    found = restricted_to_classes(outputs, known)
    rows = [row for row, label in enumerate(outputs.require_labels()) if label in known]
    assert len(found) == len(rows) > 0
    assert found.classes == ("b", "d", "e")
    assert [known[label] for label in found.require_labels()] == [outputs.require_labels()[row] for row in rows]
    assert found.require("ids").tolist() == [f"r{row}" for row in rows]
    for name in ("logits", "views", "dropout", "augmented_logits", "opinion_net"):
        assert_array_equal(found.require(name), outputs.require(name)[rows][..., known])
    for name in ("features", "auxiliary", "noise", "augmented_features"):
        assert_array_equal(found.require(name), outputs.require(name)[rows])
    places = {-1: -1, 0: 3, 1: 0, 2: 3, 3: 1, 4: 2}  # 3: a class that is lacking
    assert found.require("vote_people").tolist() == [places[int(outputs.require("vote_people")[row])] for row in rows]
    assert_array_equal(found.predictions, outputs.logits[rows][:, known].argmax(axis=1))


@pytest.mark.slow
def test_nets_are_trained_and_run_once(tmp_path: Path) -> None:
    """The second net has the next seed; a second call trains and runs nothing, and a seed has nets of its own."""
    preset = digits(opinions={"second": ""}, passes=3, shifted={"noisy": {"labelled": "corrupt:fog:5/digits:test"}})
    told: list[str] = []
    labelled, reference, shifted = outputs_of_images(preset, tmp_path, tmp_path / "work", 0, told.append)
    assert reference is not None
    assert len(labelled) == len(opened("digits:test"))
    assert len(reference) == len(opened("digits:train"))
    assert labelled.opinions == ("second",)
    assert reference.opinions == ()
    assert labelled.arrays.keys() >= {"dropout", "augmented_logits", "noise"}
    assert shifted["noisy"].opinions == ("second",)
    assert ("dropout" in shifted["noisy"].arrays, "dropout" in reference.arrays) == (True, False)
    assert shifted["noisy"].is_correct.mean() < labelled.is_correct.mean()
    assert {path.name for path in (tmp_path / "work" / "nets").iterdir() if path.is_dir()} == {"seed0", "seed1"}
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.npy")}
    again, _, _ = outputs_of_images(preset, tmp_path, tmp_path / "work", 0, told.append)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.npy")} == before
    assert_array_equal(again.logits, labelled.logits)
    other, _, _ = outputs_of_images(preset, tmp_path, tmp_path / "work", 1, silent)
    assert_allclose(softmax(other.logits, axis=1), softmax(labelled.require("opinion_second"), axis=1), atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": TRAIN | {"net": "digits-nte"}}, "unknown net 'digits-nte': did you mean 'digits-net'?"),
        ({"train": TRAIN | {"epoch": 2}}, "train: unknown setting 'epoch': did you mean 'epochs'?"),
        ({"train": TRAIN | {"epochs": 0}}, "epochs: expected a whole number >= 1, found 0"),
        ({"read": READ | {"labelled": "digts"}}, "unknown data scheme in 'digts': 'digts': did you mean 'digits'?"),
        ({"read": READ | {"labelled": "images:FOLDER/a"}}, "/a': no such folder"),
        ({"shifted": {"fog": {"labelled": "corrupt:fgo:3/digits:test"}}}, "unknown corruption 'fgo'"),
        ({"classifier": "module:steepslope_lab.benchmark.cifar_resnets:resnet20?weights=FOLDER/no.th"}, "no.th"),
    ],
)
def test_wrong_specs_are_told_before_any_net_is_trained(changes: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(SteepslopeError) as error:
        outputs_of_images(digits(**changes), tmp_path, tmp_path / "work", 0, silent)
    assert message in str(error.value)
    assert not (tmp_path / "work").exists()


@pytest.mark.slow
def test_a_frozen_net_at_most_so_many_images_and_an_opinion_of_people(tmp_path: Path) -> None:
    """The images are drawn from all, and the same whatever the seed; what stands in a file goes by the ids."""
    preset = digits(
        classifier="module:tests.tiny_nets:ten_classes", train={}, input={"size": 12, "mean": 0.5, "std": 0.5},
        read={"labelled": "digits:test", "reference": "digits:train"}, most_rows=100, references=120,
    )  # fmt: skip
    labelled, reference, shifted = outputs_of_images(preset, tmp_path, tmp_path / "work", 0, silent)
    assert reference is not None
    assert (len(labelled), len(reference), shifted) == (100, 120, {})
    rows = zip(labelled.require("ids"), labelled.require_labels(), strict=True)
    votes = [f"{one},{label}" for one, label in rows][::-1]
    (tmp_path / "votes.csv").write_text("\n".join(["id,vote", *votes]))
    with_people = digits(
        classifier=preset.classifier, train={}, input=preset.input, read=preset.read, most_rows=100, references=120,
        opinions={"people": "FILE:FOLDER/votes.csv"},
    )  # fmt: skip
    found, _, _ = outputs_of_images(with_people, tmp_path, tmp_path / "work", 3, silent)
    assert_array_equal(found.require("vote_people"), labelled.labels)
    assert_array_equal(found.logits, labelled.logits)
    without = outputs_of_images(preset, tmp_path, tmp_path / "work", 0, silent)[0]
    assert without.opinions == ()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::steepslope.errors.FewErrorsWarning")
def test_shifted_images_are_judged_only_if_the_oracle_never_saw_their_originals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nets, "MOST_SHIFTED", 100)
    shifted = {"fog": {"labelled": "corrupt:fog:3/digits:test"}}
    preset = digits(
        classifier="module:tests.tiny_nets:ten_classes", train={}, input={"size": 12, "mean": 0.5, "std": 0.5},
        read={"labelled": "digits:test"}, shifted=shifted,
    )  # fmt: skip
    trial = trial_of(preset, tmp_path, tmp_path / "work", 1, silent)
    judged = trial.judged["fog"].outputs
    assert 40 < len(judged) < 80
    assert not np.isin(judged.require("ids"), trial.known.require("ids")).any()
