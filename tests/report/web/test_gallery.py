"""Which rows a gallery shows, what it tells of them, and how small its pictures are."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from steepslope.data.images import Images
from steepslope.evaluation.score import Scored
from steepslope.outputs import ClassifierOutputs, Confidences
from steepslope.report.web.gallery import CARDS, OF_A_CLASS, OVERALL, Sources, cards, chosen_rows
from steepslope.report.web.thumbnails import thumbnail, thumbnails
from tests.conftest import make_outputs
from tests.evaluation.samples import with_scores


def scored(outputs: ClassifierOutputs, seed: int = 0) -> Scored:
    noise = np.random.default_rng(seed).normal(size=len(outputs))
    return Scored(f"noise {seed}", None, noise + outputs.is_correct, "logit")


def test_the_extremes_of_every_score_and_of_every_class_are_chosen() -> None:
    outputs = make_outputs(3000, num_classes=5)
    both = [scored(outputs, seed) for seed in (0, 1)]
    rows = set(chosen_rows(outputs, both, leader=1).tolist())
    wrong, right = np.flatnonzero(~outputs.is_correct), np.flatnonzero(outputs.is_correct)
    for one in both:
        by_trust = sorted(wrong, key=lambda row: -one.confidence[row])
        assert rows >= set(by_trust[:OVERALL])
        assert rows >= set(sorted(right, key=lambda row: one.confidence[row])[:OVERALL])
    for label in range(5):
        of_class = [row for row in by_trust if outputs.require_labels()[row] == label]
        assert rows >= set(of_class[:OF_A_CLASS])
        taken_for = [row for row in by_trust if outputs.predictions[row] == label]
        assert rows >= set(taken_for[:OF_A_CLASS])
    assert len(rows) <= CARDS


def test_many_classes_get_their_first_before_any_gets_its_second() -> None:
    outputs = make_outputs(20_000, num_classes=300)
    rows = chosen_rows(outputs, [scored(outputs)])
    assert len(rows) == len(set(rows.tolist())) == CARDS
    wrong = rows[2 * OVERALL :]
    labels = outputs.require_labels()[wrong[~outputs.is_correct[wrong]]]
    counts = np.unique(labels, return_counts=True)[1]
    assert len(counts) > 250
    assert counts.max() <= 2


def test_confidences_alone_have_cards_without_classes() -> None:
    predictions = Confidences(np.linspace(0, 1, 30), np.arange(30) % 3 > 0)
    rows = chosen_rows(predictions, [Scored("confidence", None, predictions.confidence, "probability")])
    assert sorted(rows.tolist()) == list(range(30))


def test_a_card_tells_what_is_known() -> None:
    outputs = make_outputs(60).named(("ant", "bee", "cow", "dog"))
    reference = make_outputs(200, seed=1)
    pixels = np.arange(60, dtype=np.uint8)[:, None, None] * np.ones((60, 8, 8), dtype=np.uint8)
    data = Images(pixels, outputs.require_labels(), outputs.require("ids").astype(np.str_))
    evaluation = with_scores(outputs, scored(outputs))
    object.__setattr__(evaluation, "ids", lambda rows: outputs.require("ids")[rows].tolist())

    def find(ids: Any) -> Any:
        return data, np.array([data.ids.tolist().index(name) for name in ids])

    rows = np.array([7, 3])
    found = cards(evaluation, rows, Sources(images=find, reference=reference))
    for row, card in zip(rows, found, strict=True):
        assert card["id"] == f"row/{row}"
        assert card["right"] == outputs.is_correct[row]
        assert card["confidence"] == [one.confidence[row] for one in evaluation.scored]
        assert card["label"] == ("ant", "bee", "cow", "dog")[outputs.require_labels()[row]]
        assert opened(card["image"]).getpixel((0, 0)) == row
        assert outputs.features is not None
        assert reference.features is not None
        nearest = np.argsort(np.linalg.norm(reference.features - outputs.features[row], axis=1))[:3]
        assert [one["id"] for one in card["near"]] == [f"row/1/{place}" for place in nearest]
        assert [one["label"] for one in card["near"]] == [str(reference.require_labels()[i]) for i in nearest]
        probabilities = np.exp(outputs.logits[row]) / np.exp(outputs.logits[row]).sum()
        assert [value for _, value in card["top"]] == pytest.approx(np.sort(probabilities)[:0:-1], abs=1e-4)


def opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


class One:
    """A data set of one image, whatever that is."""

    def __init__(self, image: Any) -> None:
        self.one = image

    def image(self, row: int) -> Any:
        if isinstance(self.one, Exception):
            raise self.one
        return self.one


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("L", (28, 28), 7), 7),
        (Image.new("1", (8, 8), 1), 255),
        (Image.new("RGB", (300, 100), (10, 200, 30)), (10, 200, 30)),
        (Image.new("RGBA", (8, 8), (0, 0, 0, 0)), (255, 255, 255)),
        (Image.new("P", (8, 8), 0), (0, 0, 0)),
        (Image.new("CMYK", (8, 8), (0, 0, 0, 0)), (255, 255, 255)),
        (Image.fromarray(np.array([[0, 65535]] * 2, dtype=np.uint16)), 0),
        (np.full((9, 9, 3), 0.5, dtype=np.float32), (128, 128, 128)),
    ],
)
def test_images_of_all_modes_are_shown(image: Any, expected: Any) -> None:
    uri = thumbnail(One(image), 0)  # type: ignore[arg-type]
    assert uri is not None
    picture = opened(uri)
    assert max(picture.size) <= 96
    found = np.array(picture.convert("RGB").getpixel((0, 0)))
    assert np.abs(found - np.array(expected)).max() <= 3


@pytest.mark.parametrize("image", [OSError("gone"), SyntaxError("broken"), np.zeros((4, 4, 7), dtype=np.float32)])
def test_what_cannot_be_shown_is_left_out(image: Any) -> None:
    assert thumbnail(One(image), 0) is None  # type: ignore[arg-type]


def test_pictures_end_where_there_is_no_room() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(256, size=(96, 96, 3), dtype=np.uint8))
    found = thumbnails(One(noise), [0] * 10, room=20_000)  # type: ignore[arg-type]
    assert found[0] is not None
    assert found[-1] is None
    assert sum(len(text or "") for text in found) < 20_000 + len(found[0])
