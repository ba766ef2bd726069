"""`steepslope predict`: rows of images and of outputs, as they come, and what is refused in one line."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from PIL import Image

from steepslope.cli._main import main
from steepslope.gate import Gate
from steepslope.outputs import ClassifierOutputs
from tests.cli.predictions import BACKBONE, ROWS, predict, predicted, refused
from tests.conftest import Captured


@pytest.fixture(scope="module")
def outputs(gates: Path) -> ClassifierOutputs:
    return ClassifierOutputs.load(gates / "outputs" / "test").subset(slice(0, ROWS))


def text(value: object) -> str:
    """Return a cell as text; CSV files do not tell 7 from the name "7", nor an empty cell from none."""
    return "" if value is None or value != value else str(value).removesuffix(".0").lower()


def same(found: Any, expected: Any, ids: bool = True) -> None:
    """Require the same decisions, with numbers that may differ as two batches of one net do."""
    assert found.column_names == expected.column_names
    for name in found.column_names:
        one, other = (table[name].to_numpy(zero_copy_only=False) for table in (found, expected))
        if {one.dtype.kind, other.dtype.kind} == {"f"} and name != "label":
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
        elif ids or name != "id":
            assert [text(value) for value in one] == [text(value) for value in other], name


@pytest.mark.parametrize("kind", ["columns", "free", "predicted"])
def test_images_and_outputs_give_the_same(
    kind: str, gates: Path, photos: Path, outputs: ClassifierOutputs, tmp_path: Path
) -> None:
    expected = pa.table(Gate.load(gates / kind).decide(outputs, top=2).table())
    for spec in (f"images:{photos}/flat", f"idx:{photos}/idx:test"):
        out = tmp_path / f"{spec.partition(':')[0]}.parquet"
        same(predicted(gates / kind, out, "--data", spec, "--top", "2"), expected, ids=False)
    same(
        predicted(gates / kind, tmp_path / "all.parquet", "--data", "digits:test", "--top", "2").slice(0, ROWS),
        expected,
    )


@pytest.mark.parametrize("ending", [".npz", ".csv"])
def test_rows_without_ids_have_names_that_no_other_file_has(
    ending: str, gates: Path, outputs: ClassifierOutputs, tmp_path: Path
) -> None:
    names = []
    for day in ("monday", "tuesday", "monday-again"):
        rows = outputs.changed(ids=None, auxiliary=None).subset(slice(0, 20) if "monday" in day else slice(20, 40))
        rows.save(tmp_path / f"{day}{ending}")
        found = predicted(gates / "mcp", tmp_path / f"{day}.parquet", "--outputs", str(tmp_path / f"{day}{ending}"))
        names.append(found["id"].to_pylist())
    digest = hashlib.sha256((tmp_path / f"monday{ending}").read_bytes()).hexdigest()
    assert names[0] == [f"{digest[:12]}/{row}" for row in range(20)]
    assert not {*names[0]} & {*names[1]}
    assert ending == ".npz" or names[0] == names[2]  # an archive has the time in it


def test_more_classes_and_reasons(gates: Path, outputs: ClassifierOutputs, tmp_path: Path, photos: Path) -> None:
    words = ["--data", f"images:{photos}/flat", "--top", "3", "--explain"]
    found = predicted(gates / "auxiliary", tmp_path / "found.parquet", *words, "--auxiliary", BACKBONE)
    same(found, pa.table(Gate.load(gates / "auxiliary").decide(outputs, top=3, explain=True).table()), ids=False)
    assert "label_3" in found.column_names
    assert "handed_over" in found.column_names
    explained = [name for name in found.column_names if name.startswith("explain_")]
    total = np.sum([found[name].to_numpy() for name in explained], axis=0)
    np.testing.assert_allclose(total, found["trust_logit"].to_numpy(), rtol=1e-4, atol=1e-4)


# groups


def with_groups(outputs: ClassifierOutputs, path: Path, seed: int) -> list[str]:
    """Write outputs with a column of groups, of which some cells are empty; return them."""
    groups = [("day", "night", "")[one] for one in np.random.default_rng(seed).integers(3, size=len(outputs))]
    logits = {f"logit_{k}": outputs.logits[:, k] for k in range(outputs.num_classes)}
    ids = outputs.require("ids").tolist()
    pq.write_table(pa.table({"id": ids, "label": outputs.require_labels(), **logits, "camera": groups}), path)
    return groups


@pytest.fixture
def by_camera(gates: Path, tmp_path: Path) -> Path:
    with_groups(ClassifierOutputs.load(gates / "outputs" / "test"), tmp_path / "labelled.parquet", 0)
    words = f"calibrate --outputs {tmp_path}/labelled.parquet --groups camera --max-risk 0.3 --out {tmp_path}/gate"
    assert main(words.split()) == 0
    return tmp_path / "gate"


def test_groups_of_a_column_and_of_a_file(
    by_camera: Path, outputs: ClassifierOutputs, tmp_path: Path, capsys: Captured
) -> None:
    groups = with_groups(outputs, tmp_path / "new.parquet", 1)
    assert set(Gate.load(by_camera).thresholds) == {"day", "night", "(empty)"}
    words = ["--outputs", str(tmp_path / "new.parquet")]
    expected = pa.table(Gate.load(by_camera).decide(outputs.named(None), [one or "(empty)" for one in groups]).table())
    assert predicted(by_camera, tmp_path / "a.parquet", *words).equals(expected)
    assert predicted(by_camera, tmp_path / "b.parquet", *words, "--groups", "camera").equals(expected)
    ids = outputs.require("ids").tolist()
    order = np.random.default_rng(2).permutation(ROWS)
    pc.write_csv(pa.table({"id": ids, "group": groups}).take(order), tmp_path / "groups.csv")
    by_id = ["--groups", str(tmp_path / "groups.csv")]
    assert predicted(by_camera, tmp_path / "c.parquet", *words, *by_id).equals(expected)
    outputs.save(tmp_path / "folder")
    found = predicted(by_camera, tmp_path / "d.parquet", "--outputs", str(tmp_path / "folder"), *by_id)
    same(found, expected)
    pc.write_csv(pa.table({"id": ids[1:], "group": groups[1:]}), tmp_path / "short.csv")
    for options, message in (
        ([*words, "--groups", str(tmp_path / "short.csv")], "groups: expected a group for each id, found none for "),
        ([*words, "--groups", "camra"], "new.parquet: 'camra': did you mean 'camera'"),
        (["--outputs", str(tmp_path / "folder")], "expected a .csv or .parquet file with a column 'camera'"),
        (["--data", "digits:test", "--groups", "camera"], "groups: expected a .csv or .parquet file with columns id"),
    ):
        capsys.readouterr()
        assert predict(by_camera, tmp_path / "e.csv", *options) == 2
        refused(capsys, message)
    assert not (tmp_path / "e.csv").exists()


# images that cannot be read


@pytest.fixture
def broken(photos: Path, tmp_path: Path) -> Path:
    """Copy the images; three of them are broken, two of which are neighbours."""
    shutil.copytree(photos / "flat", tmp_path / "broken")
    for row in (3, 20, 21):
        (tmp_path / "broken" / f"{row:03d}.png").write_bytes(b"no image")
    return tmp_path / "broken"


def test_a_broken_image_stops_and_goes_on_once_repaired(
    broken: Path, gates: Path, photos: Path, tmp_path: Path, capsys: Captured
) -> None:
    words = ["--data", f"images:{broken}", "--shard-rows", "2"]
    capsys.readouterr()
    for row, parts in ((3, 1), (20, 10), (21, 10)):
        assert predict(gates / "free", tmp_path / "found.csv", *words) == 2
        refused(capsys, f"{row:03d}.png: cannot be read as an image")
        assert not (tmp_path / "found.csv").exists()
        assert len([*(tmp_path / ".found.csv.chunks").glob("*.npz")]) == parts
        shutil.copy(photos / "flat" / f"{row:03d}.png", broken)
    assert predict(gates / "free", tmp_path / "found.csv", *words) == 0
    words[1] = f"images:{photos}/flat"
    assert predict(gates / "free", tmp_path / "whole.csv", *words) == 0
    assert (tmp_path / "found.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.parametrize(("kind", "size"), [("free", 1), ("auxiliary", 2), ("free", 1000)])
def test_broken_images_keep_their_rows(
    kind: str, size: int, broken: Path, gates: Path, photos: Path, tmp_path: Path, capsys: Captured
) -> None:
    """Also where all images of a part are broken, the first as well as a later one."""
    second = ["--auxiliary", BACKBONE] if kind == "auxiliary" else []
    expected = predicted(gates / kind, tmp_path / "whole.parquet", "--data", f"images:{photos}/flat", *second)
    words = ["--data", f"images:{broken}", "--on-error", "keep", "--shard-rows", str(size), *second]
    found = predicted(gates / kind, tmp_path / "found.parquet", *words)
    assert found.column_names == [*expected.column_names, "error"]
    assert found["id"].to_pylist() == expected["id"].to_pylist()
    bad = [3, 20, 21]
    good = np.setdiff1d(np.arange(ROWS), bad)
    same(found.take(good).drop_columns("error"), expected.take(good))
    assert found["error"].take(good).null_count == len(good)
    for row in found.take(bad).to_pylist():
        assert (row["accepted"], row["decision"], row["label"]) == (False, "review", None)
        assert row["error"].startswith("cannot be read as an image")
    assert f"{ROWS} predictions" in capsys.readouterr().err
    card = json.loads((tmp_path / "found.parquet.json").read_text())
    assert (card["rows"], card["failed"]) == (ROWS, 3)
    assert predict(gates / kind, tmp_path / "found.csv", *words) == 0
    same(pc.read_csv(tmp_path / "found.csv").drop_columns("error"), found.drop_columns("error"))
    capsys.readouterr()


def test_an_image_that_one_net_cannot_take_is_kept_too(
    photos: Path, gates: Path, tmp_path: Path, capsys: Captured
) -> None:
    """The digits' net takes 8×8 pixels alone, the second backbone any; rows stay in step."""
    shutil.copytree(photos / "flat", tmp_path / "sizes")
    Image.new("L", (9, 9)).save(tmp_path / "sizes" / "005.png")
    words = ["--data", f"images:{tmp_path}/sizes", "--on-error", "keep", "--auxiliary", BACKBONE]
    found = predicted(gates / "auxiliary", tmp_path / "found.parquet", *words)
    words[1] = f"images:{photos}/flat"
    whole = predicted(gates / "auxiliary", tmp_path / "whole.parquet", *words)
    good = np.setdiff1d(np.arange(ROWS), [5])
    same(found.take(good), whole.take(good))
    assert found["error"].to_pylist()[5] == "expected an image of 8×8 pixels, found 9×9"


# standard output


@pytest.mark.parametrize("words", [["--data", "digits:test"], ["--outputs", "TEST"]])
def test_standard_output_is_the_file(
    words: list[str], gates: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    given = [word.replace("TEST", str(gates / "outputs" / "test")) for word in words] + ["--shard-rows", "200"]
    assert predict(gates / "free", tmp_path / "found.csv", *given) == 0
    capfdbinary.readouterr()
    assert predict(gates / "free", "-", *given) == 0
    shown = capfdbinary.readouterr()
    assert shown.out == (tmp_path / "found.csv").read_bytes()
    assert b"797 predictions: " in shown.err
    assert sorted(path.name for path in tmp_path.glob("f*")) == ["found.csv", "found.csv.json"]
