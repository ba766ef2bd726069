"""What `steepslope predict` refuses in one line, and that nothing is lost by it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pandas
import pytest

from steepslope.errors import SteepslopeError
from steepslope.nets.data._specs import parse_data
from steepslope.nets.predict._from_images import images_to_judge
from steepslope.nets.predict._image_gate import ImageGate
from steepslope.outputs import ClassifierOutputs
from tests.cli.predictions import ROWS, of_another_classifier, predict, refuses
from tests.conftest import Captured

CASES: list[tuple[str, str]] = [
    ("--gate GATES/mcp --out OUT.csv", "expected --data or --outputs, found neither"),
    ("--gate GATES/mcp --out OUT.csv --data digits:test --outputs GATES/outputs/test", "found both"),
    ("--gate GATES/none --out OUT.csv --data digits:test", "none: expected a calibrated gate, but it has no gate.json"),
    ("--gate ALONE.csv --out OUT.csv --data digits:test", "expected the folder of a gate, found a file; exported ones"),
    ("--gate GATES/mcp --out OUT.txt --data digits:test", "out: expected a file that ends in .csv or .parquet, or -"),
    ("--gate GATES/mcp --out OUT.csv --outputs GATES/none", "none: no such file or folder"),
    ("--gate GATES/mcp --out OUT.csv --outputs GATES/outputs/test --classifier digits", "expected none with --outputs"),
    ("--gate GATES/mcp --out OUT.csv --outputs GATES/outputs/test --label-column x", "expected a .csv or .parquet"),
    ("--gate GATES/mcp --out OUT.csv --outputs FIVE.csv", "outputs: expected 10 classes, as the gate was calibrated"),
    ("--gate GATES/mcp --out OUT.csv --outputs ALONE.csv", "ALONE.csv: expected a column prediction"),
    ("--gate GATES/free --out OUT.csv --outputs LOGITS.csv", "oracle: neighbors: the outputs hold no features"),
    ("--gate GATES/free --out OUT.csv --data digits:test --classifier module:tests.tiny_nets:flat_grey", "classifier"),
    ("--gate GATES/free --out OUT.csv --data digits:test --auxiliary net:digits-net", "auxiliary: expected none"),
    ("--gate GATES/auxiliary --out OUT.csv --data digits:test", "is code of your own, which no file gets to run"),
    ("--gate GATES/auxiliary --out OUT.csv --outputs ALL.csv", "auxiliary"),
    ("--gate GATES/free --out OUT.csv --data digits:test --actors 2", "actors: expected none without --engine ray"),
    ("--gate GATES/free --out OUT.csv --data digits:test --groups camera", "groups: expected none, since the gate has"),
    ("--gate GATES/mcp --out OUT.csv --data digits:test --explain", "explain: expected an oracle whose trust logit"),
    ("--gate GATES/free --out ALL.csv/inside/found.csv --data digits:test", "inside"),
]  # fmt: skip


@pytest.fixture(scope="module")
def stored(gates: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write files of outputs, good and bad."""
    home = tmp_path_factory.mktemp("stored")
    outputs = ClassifierOutputs.load(gates / "outputs" / "test").subset(slice(0, ROWS))
    ClassifierOutputs(outputs.logits[:, :5]).save(home / "FIVE.csv")
    ClassifierOutputs(outputs.logits, features=outputs.features).save(home / "ALL.csv")
    ClassifierOutputs(outputs.logits).save(home / "LOGITS.csv")
    (home / "ALONE.csv").write_text("confidence,is_correct\n0.5,1\n")
    return home


@pytest.mark.parametrize(("words", "expected"), CASES, ids=[words[7:70] for words, _ in CASES])
def test_one_line_and_nothing_lost(
    words: str, expected: str, gates: Path, stored: Path, tmp_path: Path, capsys: Any
) -> None:
    places = {"GATES": gates, "OUT.": f"{tmp_path}/out."}
    for name, place in places.items():
        words = words.replace(name, str(place))
    given = [str(stored / word) if word.split(".")[0].isupper() and "." in word else word for word in words.split()]
    refuses(["predict", *given], capsys, expected)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


def test_outputs_of_another_classifier(gates: Path, tmp_path: Path, capsys: Captured) -> None:
    other = of_another_classifier(gates / "outputs" / "test", tmp_path / "other")
    for kind in ("mcp", "free"):
        refuses(f"predict --gate {gates}/{kind} --outputs {other} --out {tmp_path}/o.csv", capsys, "digest", "bbbbbb")


def test_workers_and_places_change_nothing(gates: Path, photos: Path, tmp_path: Path, home: Path) -> None:
    words = ["--data", f"images:{photos}/flat", "--shard-rows", "8"]
    assert predict(gates / "free", tmp_path / "a.parquet", *words) == 0
    given = ["--workers", "1", "--classifier", f"checkpoint:{home}/classifier"]
    assert predict(gates / "free", tmp_path / "b.parquet", *words, *given) == 0
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert predict(gates / "free", tmp_path / "a.parquet", *words, *given) == 0  # already complete


@pytest.mark.parametrize("out", ["found.csv", "-"])
def test_ids_that_are_empty_or_there_twice_are_refused_before_anything_is_written(
    out: str, gates: Path, tmp_path: Path, capsys: Captured
) -> None:
    outputs = ClassifierOutputs.load(gates / "outputs" / "test").subset(slice(0, 5))
    for ids, expected in ((list("abcbe"), "found 'b' in 2 rows"), (["a", "b", "", "d", "e"], "found '' in 1 rows")):
        pandas.DataFrame({f"logit_{k}": outputs.logits[:, k] for k in range(10)} | {"id": ids}).to_csv(
            tmp_path / "rows.csv"
        )
        where = "-" if out == "-" else str(tmp_path / "out" / out)
        refuses(
            ["predict", "--gate", f"{gates}/mcp", "--outputs", f"{tmp_path}/rows.csv", "--out", where], capsys,
            f"rows.csv: id: expected unique ids without empty ones, or none at all, {expected}",
        )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_so_are_those_of_images(gates: Path, photos: Path) -> None:
    images = parse_data(f"images:{photos}/flat")
    twice = SimpleNamespace(open=lambda names: replace(cast(Any, images.open(names=names)), ids=["a"] * 999))
    with pytest.raises(
        SteepslopeError, match="expected unique ids without empty ones, or none at all, found 'a' in 999"
    ):
        images_to_judge(ImageGate.load(gates / "mcp"), cast(Any, twice))
