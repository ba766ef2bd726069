"""Which rows a gallery shows, what it tells of them, and how small its pictures are."""

from __future__ import annotations

import base64
import io
import json
import struct
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from steepslope.outputs import ClassifierOutputs
from steepslope.report._confidences import Scored
from steepslope.report.web import _gallery as module
from steepslope.report.web._gallery import (
    CARDS,
    NO_ROOM,
    NOT_FOUND,
    OF_A_CLASS,
    OVERALL,
    UNREADABLE,
    Gallery,
    Sources,
    _gallery_rows,
    _gallery_thumbnail,
    _gallery_thumbnails,
    gallery,
    report_sources,
)
from steepslope.scores import SCORES
from tests.conftest import make_outputs
from tests.report.samples import with_scores


def scored(outputs: ClassifierOutputs, seed: int = 0) -> Scored:
    noise = np.random.default_rng(seed).normal(size=len(outputs))
    return Scored(f"noise {seed}", None, noise + outputs.is_correct, "logit")


def test_the_extremes_of_every_score_and_of_every_class_are_chosen() -> None:
    outputs = make_outputs(3000, num_classes=5)
    both = [scored(outputs, seed) for seed in (0, 1)]
    chosen, of_each = _gallery_rows(outputs, both, leader=1)
    rows = set(chosen.tolist())
    assert of_each == OVERALL
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
    rows, _ = _gallery_rows(outputs, [scored(outputs)])
    assert len(rows) == len(set(rows.tolist())) == CARDS
    wrong = rows[2 * OVERALL :]
    labels = outputs.require_labels()[wrong[~outputs.is_correct[wrong]]]
    counts = np.unique(labels, return_counts=True)[1]
    assert len(counts) > 250
    assert counts.max() <= 2


def test_many_scores_take_turns_and_each_keeps_as_much_as_there_is_room_for() -> None:
    outputs = make_outputs(4000)
    twelve = [scored(outputs, seed) for seed in range(12)]
    chosen, of_each = _gallery_rows(outputs, twelve, leader=11)
    assert len(chosen) == CARDS
    assert CARDS // 24 <= of_each < OVERALL
    wrong, right = np.flatnonzero(~outputs.is_correct), np.flatnonzero(outputs.is_correct)
    complete = []
    for one in twelve:
        trusted = wrong[np.argsort(-one.confidence[wrong], kind="stable")]
        distrusted = right[np.argsort(one.confidence[right], kind="stable")]
        assert set(chosen.tolist()) >= {*trusted[:of_each].tolist(), *distrusted[:of_each].tolist()}
        complete += [{*trusted[: of_each + 1].tolist(), *distrusted[: of_each + 1].tolist()} <= set(chosen.tolist())]
    assert not all(complete)
    best = wrong[np.argsort(-twelve[11].confidence[wrong], kind="stable")]
    assert chosen[0] == best[0]


def shown_of(outputs: ClassifierOutputs, sources: Sources, *others: Scored) -> Gallery:
    evaluation = with_scores(outputs, *others, bootstrap=0)
    object.__setattr__(evaluation, "ids", lambda rows: outputs.require("ids")[rows].tolist())
    return gallery(evaluation, 0, sources)


def test_a_card_tells_what_is_known() -> None:
    outputs = make_outputs(60).named(("ant", "bee", "cow", "dog"))
    reference = make_outputs(200, seed=1)
    places = {name: row for row, name in enumerate(outputs.require("ids").tolist())}

    def find(ids: Any) -> Any:
        return [partial(Image.new, "L", (8, 8), places[name]) if name in places else None for name in ids]

    extra = scored(outputs)
    found = shown_of(outputs, Sources(images=find, reference=reference, reference_images=find), extra)
    assert len(found.cards) > OVERALL
    assert found.notes == []
    mcp = SCORES["mcp"]().confidence(outputs)
    for card in found.cards:
        row = int(card["id"].removeprefix("row/"))
        assert card["right"] == outputs.is_correct[row]
        assert card["confidence"] == [mcp[row], extra.confidence[row]]
        assert card["label"] == ("ant", "bee", "cow", "dog")[outputs.require_labels()[row]]
        assert opened(card["image"]).getpixel((0, 0)) == row
        nearest = np.argsort(np.linalg.norm(reference.require_features() - outputs.require_features()[row], axis=1))[:3]
        near = [found.references[place] for place in card["near"]]
        assert [one["id"] for one in near] == [f"row/1/{place}" for place in nearest]
        assert [one["label"] for one in near] == [str(reference.require_labels()[i]) for i in nearest]
        probabilities = np.exp(outputs.logits[row]) / np.exp(outputs.logits[row]).sum()
        assert [value for _, value in card["top"]] == pytest.approx(np.sort(probabilities)[:0:-1], abs=1e-4)
    assert len({one["id"] for one in found.references}) == len(found.references)
    assert all(one["no_image"] == NOT_FOUND for one in found.references)


def test_images_that_are_missing_are_counted() -> None:
    outputs = make_outputs(60)

    def find(ids: Any) -> Any:
        return [partial(Image.new, "L", (8, 8)) if int(name.removeprefix("row/")) % 5 else None for name in ids]

    found = shown_of(outputs, Sources(images=find))
    lacking = [int(card["id"].removeprefix("row/")) % 5 == 0 for card in found.cards]
    assert found.notes == [f"{sum(lacking)} of {len(found.cards)} images were not found by their ids."]
    assert 0 < sum(lacking) < len(found.cards)
    for card, missing in zip(found.cards, lacking, strict=True):
        assert ("image" in card, card.get("no_image")) == (not missing, NOT_FOUND if missing else None)


def test_references_of_another_kind_are_not_looked_up_and_the_page_tells_why() -> None:
    outputs, other = make_outputs(60), make_outputs(90, seed=1)
    wider = ClassifierOutputs(other.logits, other.labels, np.hstack([other.require_features()] * 2), other.ids)
    without = ClassifierOutputs(other.logits, other.labels, None, other.ids)
    unlabelled = ClassifierOutputs(other.logits, None, other.features, other.ids)
    assert {one["label"] for one in shown_of(outputs, Sources(reference=unlabelled)).references} == {"–"}
    for one, reference, why in (
        (outputs, wider, "the reference has 12 features a row, the predictions have 6"),
        (outputs, without, "the reference comes without features"),
        (ClassifierOutputs(outputs.logits, outputs.labels, None, outputs.ids), other, "the predictions come without"),
    ):
        found = shown_of(one, Sources(reference=reference))
        assert len(found.notes) == 1
        assert found.notes[0].startswith(f"Without the nearest training rows: {why}")
        assert found.references == []
        assert not any("near" in card for card in found.cards)


def test_all_pictures_together_have_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROOM", 2**20)
    monkeypatch.setattr(module, "NEAREST_ROOM", 2**18)
    noise = Image.fromarray(np.random.default_rng(0).integers(256, size=(400, 400, 3), dtype=np.uint8))

    def find(ids: Any) -> Any:
        return [lambda: noise for _ in ids]

    outputs, reference = make_outputs(2000, num_classes=30), make_outputs(2500, num_classes=30, seed=1)
    found = shown_of(outputs, Sources(images=find, reference=reference, reference_images=find))
    assert len(found.cards) == CARDS
    assert len(found.references) > CARDS
    for some, room in ((found.cards, 2**20), (found.references, 2**18)):
        assert room - 20_000 < sum(len(one.get("image", "")) for one in some) <= room
        assert "image" in some[0]
        assert some[-1]["no_image"] == NO_ROOM
    assert len(json.dumps(found.data)) < 2e6


def opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_pictures_are_small_and_look_like_the_images() -> None:
    for image, kind in ((Image.new("L", (28, 28), 7), "png"), (Image.new("RGB", (300, 100), (10, 200, 30)), "webp")):
        uri, expected = _gallery_thumbnail(image.copy), np.array(image.getpixel((0, 0)))
        assert uri is not None
        assert uri.startswith(f"data:image/{kind};")
        picture = opened(uri)
        assert picture.size == ((28, 28) if kind == "png" else (96, 32))
        assert np.abs(np.array(picture.getpixel((0, 0))) - expected).max() <= 3


@pytest.mark.parametrize("error", [OSError("gone"), SyntaxError("broken"), struct.error("short")])
def test_what_cannot_be_shown_is_left_out(error: Exception) -> None:
    def read() -> Image.Image:
        raise error

    assert _gallery_thumbnail(read) is None
    assert list(_gallery_thumbnails([read], room=100)) == [{"no_image": UNREADABLE}]


OUTPUTS, REFERENCE = make_outputs(20), make_outputs(30, seed=1)


def sources(open_images: Any, **further: Any) -> Sources:
    return report_sources(open_images, OUTPUTS, Path("here"), lambda rows: [f"row/{row}" for row in rows], **further)


def test_images_of_both_are_opened_by_their_paths_data_and_first_ids() -> None:
    opened = []

    def open_images(path: Path, data: str | None, outputs: ClassifierOutputs, first: Sequence[str]) -> Any:
        opened.append((path, data, outputs, first))
        return lambda ids: [lambda: Image.new("L", (1, 1), len(ids))] * len(ids)

    found = sources(open_images, data="digits", reference=REFERENCE, reference_path="there")
    assert found.images is not None
    assert found.reference_images is not None
    (picture,) = found.images(["a"])
    assert picture is not None
    assert picture().getpixel((0, 0)) == 1
    assert [one[0::3] for one in opened] == [(Path("here"), ["row/0"]), (Path("there"), ["row/1/0"])]
    assert [one[1:3] for one in opened] == [("digits", OUTPUTS), (None, REFERENCE)]


class WordlessError(Exception):
    """What a library raises without a word."""


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (WordlessError(), "WordlessError"),
        (OSError("no such folder: '/home/me/my photos/june'"), "no such folder: 'my photos/june'"),
        (ValueError("x" * 400), "x" * 300),
    ],
)
def test_a_page_tells_why_it_has_no_images(error: Exception, why: str) -> None:
    def fail(*_: object) -> Any:
        raise error

    found = sources(fail, reference=REFERENCE, reference_path="there")
    assert (found.images, found.no_images, found.reference_images) == (None, why, None)
    with pytest.raises(type(error)):
        sources(fail, data="digits")


def test_images_that_are_not_wanted_are_not_opened() -> None:
    assert sources(None).no_images == "they were not wanted"


def test_images_that_cannot_be_looked_up_any_more_do_not_end_the_report() -> None:
    found = sources(lambda *_: lambda ids: 1 // 0)
    assert found.images is not None
    assert found.images(["a", "b"]) == [None, None]
