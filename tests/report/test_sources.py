"""What finds the images of a page, and what the page tells where nothing does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from steepslope.outputs import ClassifierOutputs
from steepslope.report.sources import Sources, report_sources
from tests.conftest import make_outputs

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
