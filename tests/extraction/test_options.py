"""Options of an extraction, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from steepslope.cli.main import main
from tests.images import TINY, words


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--evidence", "view"], "unknown name in evidence: 'view': did you mean 'views'?"),
        (["--evidence", "views", "--views", "flip,left,flip"], "views: expected each name once, found flip 2 times"),
        (["--evidence", "dropout", "--backend", "onnx"], "without dropout passes"),
        (["--evidence", "dropout", "--passes", "1"], "passes: expected a whole number >= 2, found 1"),
        (["--augment", "-1"], "augment: expected a whole number >= 0, found -1"),
        (["--augment", "1", "--augmentations", "none"], "unknown name in augmentations: 'none'"),
        (["--augment", "1", "--augment-seed", "-1"], "expected a whole number from 0 to 2147483647, found -1"),
        (["--devices", "0"], "devices: expected a whole number >= 1, found 0"),
        (["--strategy", "dp2"], "strategy and precision: not available here"),
    ],
)
def test_bad_options_are_named(
    options: list[str], message: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(TINY, images, tmp_path / "out", *options)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
