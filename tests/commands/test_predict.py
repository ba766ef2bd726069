"""`steepslope predict`: rows of images and of outputs, as they come, and what is refused in one line."""

from __future__ import annotations

import io
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
from safetensors.numpy import save_file

from steepslope.cli import main
from steepslope.gate import Gate
from steepslope.outputs import ClassifierOutputs
from steepslope.utilities.locks import locked
from tests.conftest import write_idx
from tests.images import opened

ROWS = 40
BACKBONE = "module:tests.nets:ten_classes"


def predict(gate: Path, out: object, *options: str) -> int:
    return main(["predict", "--gate", str(gate), "--out", str(out), *options])


def predicted(gate: Path, out: Path, *options: str) -> Any:
    assert predict(gate, out, *options) == 0
    return pq.read_table(out) if out.suffix == ".parquet" else pc.read_csv(out)


def refused(capsys: pytest.CaptureFixture[str], *expected: str) -> None:
    """Require one line that says what is expected."""
    error = capsys.readouterr().err
    assert error.startswith("steepslope: error: "), error
    assert error.count("\n") == 1, error
    assert all(one in error for one in expected), error


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write some images of the digits as files, and as IDX files; tests must not write there."""
    home, data = tmp_path_factory.mktemp("photos"), opened("digits:test")
    pixels = np.stack([np.asarray(data.image(row)) for row in range(ROWS)])
    for name in ("flat", "classes/3", "classes/7", "idx"):
        (home / name).mkdir(parents=True)
    for row, one in enumerate(pixels):
        Image.fromarray(one).save(home / "flat" / f"{row:03d}.png")
        Image.fromarray(one).save(home / "classes" / "37"[row % 2] / f"{row:03d}.png")
    for stem in ("train", "t10k"):
        write_idx(home / "idx" / f"{stem}-images-idx3-ubyte", pixels)
        write_idx(home / "idx" / f"{stem}-labels-idx1-ubyte", (np.arange(ROWS) % 10).astype(np.uint8))
    return home


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


@pytest.mark.parametrize("kind", ["mcp", "temperature", "columns", "free", "predicted"])
def test_images_and_outputs_give_the_same(
    kind: str, gates: Path, photos: Path, outputs: ClassifierOutputs, tmp_path: Path
) -> None:
    expected = Gate.load(gates / kind).decide(outputs, top=2).table()
    for spec in (f"images:{photos}/flat", f"idx:{photos}/idx:test"):
        out = tmp_path / f"{spec.partition(':')[0]}.parquet"
        same(predicted(gates / kind, out, "--data", spec, "--top", "2"), expected, ids=False)
    same(
        predicted(gates / kind, tmp_path / "all.parquet", "--data", "digits:test", "--top", "2").slice(0, ROWS),
        expected,
    )


def test_images_in_folders_of_classes(gates: Path, photos: Path, outputs: ClassifierOutputs, tmp_path: Path) -> None:
    found = predicted(gates / "free", tmp_path / "found.parquet", "--data", f"imagefolder:{photos}/classes")
    assert found["id"].to_pylist()[0] == "3/000.png"
    order = [*range(0, ROWS, 2), *range(1, ROWS, 2)]
    same(found, Gate.load(gates / "free").decide(outputs.subset(np.array(order))).table(), ids=False)


@pytest.mark.parametrize("ending", [".npz", ".csv", ".parquet", ""])
def test_every_format_of_outputs(ending: str, gates: Path, outputs: ClassifierOutputs, tmp_path: Path) -> None:
    expected = Gate.load(gates / "free").decide(outputs).table()
    plain = outputs.changed(auxiliary=None)
    for name, given in {"labelled": plain, "bare": plain.changed(labels=None)}.items():
        given.save(tmp_path / f"{name}{ending}")
        options = ("--outputs", str(tmp_path / f"{name}{ending}"))
        found = predicted(gates / "free", tmp_path / f"{name}-found.parquet", *options)
        assert found.equals(expected) or ending == ".csv"  # whose decimals are the nearest floats of 64 bits
        same(found, expected)
        same(predicted(gates / "free", tmp_path / f"{name}-found.csv", *options), expected)


def test_columns_by_the_names_of_others(gates: Path, outputs: ClassifierOutputs, tmp_path: Path) -> None:
    logits = {f"score {label}": outputs.logits[:, label] for label in range(10)}
    names = [f"n{row}" for row in range(ROWS)]
    table = pa.table({"who": names, **logits, "camera": ["a", "b"] * (ROWS // 2)})
    pq.write_table(table, tmp_path / "theirs.parquet")
    pc.write_csv(table, tmp_path / "theirs.csv")
    expected = Gate.load(gates / "mcp").decide(outputs).table()
    for ending in ("parquet", "csv"):
        words = ["--outputs", f"{tmp_path}/theirs.{ending}", "--id-column", "who", "--logit-columns", "score *"]
        found = predicted(gates / "mcp", tmp_path / f"{ending}.parquet", *words)
        same(found, expected, ids=False)
        assert found["id"].to_pylist() == names
    probabilities = np.exp(outputs.logits.astype(np.float64))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    pq.write_table(pa.table({f"p_{k}": probabilities[:, k] for k in range(10)}), tmp_path / "p.parquet")
    words = ["--outputs", f"{tmp_path}/p.parquet", "--logit-columns", "p_*", "--probabilities"]
    found = predicted(gates / "mcp", tmp_path / "of_p.parquet", *words)
    np.testing.assert_allclose(found["trust_logit"], expected["trust_logit"], rtol=1e-6)
    assert found["id"].to_pylist() == [str(row) for row in range(ROWS)]


def test_more_classes_and_reasons(gates: Path, outputs: ClassifierOutputs, tmp_path: Path, photos: Path) -> None:
    words = ["--data", f"images:{photos}/flat", "--top", "3", "--explain"]
    found = predicted(gates / "auxiliary", tmp_path / "found.parquet", *words, "--auxiliary", BACKBONE)
    same(found, Gate.load(gates / "auxiliary").decide(outputs, top=3, explain=True).table(), ids=False)
    assert "label_3" in found.column_names
    assert "handed_over" in found.column_names
    explained = [name for name in found.column_names if name.startswith("explain_")]
    total = np.sum([found[name].to_numpy() for name in explained], axis=0)
    np.testing.assert_allclose(total, found["trust_logit"].to_numpy(), rtol=1e-4, atol=1e-4)


def test_what_cannot_be_explained(gates: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(gates / "mcp", tmp_path / "o.csv", "--data", "digits:test", "--explain") == 2
    refused(capsys, "explain: expected an oracle whose trust logit can be split")


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
    words = f"calibrate --outputs {tmp_path}/labelled.parquet --by camera --max-risk 0.3 --out {tmp_path}/gate"
    assert main(words.split()) == 0
    return tmp_path / "gate"


def test_groups_of_a_column_and_of_a_file(
    by_camera: Path, outputs: ClassifierOutputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    groups = with_groups(outputs, tmp_path / "new.parquet", 1)
    assert set(Gate.load(by_camera).thresholds) == {"day", "night", "(empty)"}
    words = ["--outputs", str(tmp_path / "new.parquet")]
    expected = Gate.load(by_camera).decide(outputs.named(None), [one or "(empty)" for one in groups]).table()
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
    capsys.readouterr()
    pc.write_csv(pa.table({"id": ids[1:], "group": groups[1:]}), tmp_path / "short.csv")
    assert predict(by_camera, tmp_path / "e.csv", *words, "--groups", str(tmp_path / "short.csv")) == 2
    refused(capsys, f"groups: expected a group for each id, found none for {ids[0]!r}")
    pc.write_csv(pa.table({"id": [*ids, ids[3]], "group": [*groups, "day"]}), tmp_path / "twice.csv")
    assert predict(by_camera, tmp_path / "e.csv", *words, "--groups", str(tmp_path / "twice.csv")) == 2
    refused(capsys, f"twice.csv: expected each id once, found {ids[3]!r} more than once")
    assert predict(by_camera, tmp_path / "e.csv", *words, "--groups", "camra") == 2
    refused(capsys, "new.parquet: 'camra': did you mean 'camera'")
    assert predict(by_camera, tmp_path / "e.csv", "--outputs", str(tmp_path / "folder")) == 2
    refused(capsys, "expected a .csv or .parquet file with a column 'camera'")
    assert not (tmp_path / "e.csv").exists()


def test_groups_of_images(home: Path, gates: Path, photos: Path, tmp_path: Path, capsys: Any) -> None:
    ids = ClassifierOutputs.load(gates / "outputs" / "test").require("ids").tolist()
    pc.write_csv(pa.table({"id": ids, "group": ["ab"[row % 2] for row in range(len(ids))]}), tmp_path / "all.csv")
    words = f"calibrate --outputs {gates}/outputs/test --by {tmp_path}/all.csv --max-risk 0.3 --out {tmp_path}/gate"
    assert main(words.split()) == 0
    names = [f"{row:03d}.png" for row in range(ROWS)]
    pc.write_csv(pa.table({"id": names, "group": ["ab"[row % 2] for row in range(ROWS)]}), tmp_path / "new.csv")
    spec = ["--data", f"images:{photos}/flat"]
    found = predicted(tmp_path / "gate", tmp_path / "f.parquet", *spec, "--groups", str(tmp_path / "new.csv"))
    thresholds = Gate.load(tmp_path / "gate").thresholds
    limits = np.array([thresholds["ab"[row % 2]] for row in range(ROWS)])
    np.testing.assert_array_equal(found["accepted"].to_numpy(), found["trust_logit"].to_numpy() >= limits)
    capsys.readouterr()
    assert predict(tmp_path / "gate", tmp_path / "g.csv", *spec, "--groups", "camera") == 2
    refused(capsys, "groups: expected a .csv or .parquet file with columns id and group", "found camera")
    assert predict(gates / "free", tmp_path / "g.csv", *spec, "--groups", "camera") == 2
    refused(capsys, "groups: expected none, since the gate has none")


# images that cannot be read


@pytest.fixture
def broken(photos: Path, tmp_path: Path) -> Path:
    """Copy the images; three of them are broken, two of which are neighbours."""
    shutil.copytree(photos / "flat", tmp_path / "broken")
    for row in (3, 20, 21):
        (tmp_path / "broken" / f"{row:03d}.png").write_bytes(b"no image")
    return tmp_path / "broken"


def test_a_broken_image_stops_and_goes_on_once_repaired(
    broken: Path, gates: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", f"images:{broken}", "--shard-rows", "2"]
    assert predict(gates / "free", tmp_path / "found.csv", *words) == 2
    refused(capsys, "003.png: cannot be read as an image")
    assert not (tmp_path / "found.csv").exists()


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("kind", ["free", "auxiliary"])
def test_broken_images_keep_their_rows(
    kind: str, size: int, broken: Path, gates: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
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
    photos: Path, gates: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
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


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_no_image_at_all_can_be_read(ending: str, gates: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for row in range(5):
        (tmp_path / "photos" / f"{row}.png").write_bytes(b"")
    words = ["--data", f"images:{tmp_path}/photos", "--on-error", "keep", "--shard-rows", "2"]
    found = predicted(gates / "free", tmp_path / f"found{ending}", *words)
    assert found["id"].to_pylist() == [f"{row}.png" for row in range(5)]
    assert found["decision"].to_pylist() == ["review"] * 5


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
    assert sorted(path.name for path in tmp_path.iterdir()) == ["found.csv", "found.csv.json"]


@pytest.mark.parametrize("bad", [(), (0, 1, 2, 3), (3, 20, 21), tuple(range(ROWS))])
def test_broken_images_on_standard_output(
    bad: tuple[int, ...], photos: Path, gates: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    shutil.copytree(photos / "flat", tmp_path / "broken")
    for row in bad:
        (tmp_path / "broken" / f"{row:03d}.png").write_bytes(b"no image")
    words = ["--data", f"images:{tmp_path}/broken", "--on-error", "keep", "--shard-rows", "2"]
    assert predict(gates / "free", tmp_path / "found.csv", *words) == 0
    capfdbinary.readouterr()
    assert predict(gates / "free", "-", *words) == 0
    shown = capfdbinary.readouterr().out
    assert shown == (tmp_path / "found.csv").read_bytes()
    assert pc.read_csv(io.BytesIO(shown))["id"].to_pylist() == [f"{row:03d}.png" for row in range(ROWS)]


# what is refused


CASES: list[tuple[str, str]] = [
    ("--gate GATES/mcp --out OUT.csv", "expected --data or --outputs, found neither"),
    ("--gate GATES/mcp --out OUT.csv --data digits:test --outputs GATES/outputs/test", "found both"),
    ("--gate GATES/none --out OUT.csv --data digits:test", "none: expected a calibrated gate, but it has no gate.json"),
    ("--gate GATES/free-oracle --out OUT.csv --data digits:test", "expected a calibrated gate, but it has no gate.j"),
    ("--gate GATES/mcp --out OUT.txt --data digits:test", "out: expected a file that ends in .csv or .parquet, or -"),
    ("--gate GATES/mcp --out GATES --data digits:test", "expected a file that ends in .csv or .parquet"),
    ("--gate GATES/mcp --out OUT.csv --data digit:test", "unknown data"),
    ("--gate GATES/mcp --out OUT.csv --data digits:tset", "tset"),
    ("--gate GATES/mcp --out OUT.csv --data images:GATES/none", "none"),
    ("--gate GATES/mcp --out OUT.csv --data images:EMPTY", ", found none"),
    ("--gate GATES/mcp --out OUT.csv --data idx:IDX", "split"),
    ("--gate GATES/mcp --out OUT.csv --outputs GATES/none", "none: no such file or folder"),
    ("--gate GATES/mcp --out OUT.csv --outputs GATES/mcp/gate.json", "unknown format of gate.json"),
    ("--gate GATES/mcp --out OUT.csv --outputs EMPTY", "empty: expected a complete folder of classifier outputs"),
    ("--gate GATES/mcp --out OUT.csv --outputs GATES/outputs/test --classifier digits", "expected none with --outputs"),
    ("--gate GATES/mcp --out OUT.csv --outputs GATES/outputs/test --label-column x", "expected a .csv or .parquet"),
    ("--gate GATES/mcp --out OUT.csv --outputs FIVE.csv", "outputs: expected 10 classes, as the gate was calibrated"),
    ("--gate GATES/mcp --out OUT.csv --outputs FIVE.parquet", "outputs: expected 10 classes"),
    ("--gate GATES/mcp --out OUT.csv --outputs TORN.parquet", "TORN.parquet: cannot be read as classifier outputs"),
    ("--gate GATES/mcp --out OUT.csv --outputs TORN.npz", "TORN.npz: cannot be read as classifier outputs"),
    ("--gate GATES/mcp --out OUT.csv --outputs HEADER.csv", "HEADER.csv: expected rows below the header, found none"),
    ("--gate GATES/mcp --out OUT.csv --outputs ALONE.csv", "ALONE.csv: expected logits, found only confidence"),
    ("--gate GATES/mcp --out OUT.csv --outputs ONE.csv", "ONE.csv: logits: expected a column for each class"),
    ("--gate GATES/mcp --out OUT.csv --outputs NAN.csv", "NAN.csv: "),
    ("--gate GATES/mcp --out OUT.csv --outputs P.csv", "P.csv: "),
    ("--gate GATES/free --out OUT.csv --outputs LOGITS.csv", "oracle: neighbors: the outputs hold no features"),
    ("--gate GATES/free --out OUT.csv --data digits:test --classifier module:tests.nets:flat_grey", "classifier: expe"),
    ("--gate GATES/free --out OUT.csv --data digits:test --classifier checkpoint:EMPTY", "empty"),
    ("--gate GATES/free --out OUT.csv --data digits:test --auxiliary net:digits-net", "auxiliary: expected none"),
    ("--gate GATES/auxiliary --out OUT.csv --data digits:test", "is code of your own, which no file gets to run"),
    ("--gate GATES/auxiliary --out OUT.csv --outputs ALL.csv", "auxiliary"),
    ("--gate GATES/free --out OUT.csv --data digits:test --top 0", "top: expected a whole number >= 1"),
    ("--gate GATES/free --out OUT.csv --data digits:test --on-error skip", "--on-error: expected stop or keep, found"),
    ("--gate GATES/free --out OUT.csv --data digits:test --shard-rows 0", "shard_rows: expected a whole number >= 1"),
    ("--gate GATES/free --out ALL.csv/inside/found.csv --data digits:test", "inside"),
    ("--gate GATES/free --out /proc/found.csv --data digits:test", "/proc"),
]  # fmt: skip


@pytest.fixture(scope="module")
def stored(gates: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write files of outputs, good and bad."""
    home = tmp_path_factory.mktemp("stored")
    outputs = ClassifierOutputs.load(gates / "outputs" / "test").subset(slice(0, ROWS))
    five = ClassifierOutputs(outputs.logits[:, :5])
    for ending in ("csv", "parquet"):
        five.save(home / f"FIVE.{ending}")
    ClassifierOutputs(outputs.logits, features=outputs.features).save(home / "ALL.csv")
    ClassifierOutputs(outputs.logits).save(home / "LOGITS.csv")
    for name in ("TORN.parquet", "TORN.npz"):
        (home / name).write_bytes((home / "FIVE.parquet").read_bytes()[:-50])
    header = ",".join(f"logit_{k}" for k in range(10))
    (home / "HEADER.csv").write_text(header + "\n")
    (home / "NAN.csv").write_text(header + "\n" + ",".join(["1.5"] * 9 + ["nan"]) + "\n")
    (home / "P.csv").write_text(header + "\n" + (",".join(["0.55", *["0.05"] * 9]) + "\n") * 20)
    (home / "ONE.csv").write_text("logit_0\n1.5\n")
    (home / "ALONE.csv").write_text("confidence,is_correct\n0.5,1\n")
    (home / "empty").mkdir()
    return home


@pytest.mark.parametrize(("words", "expected"), CASES, ids=[words[7:70] for words, _ in CASES])
def test_one_line_and_nothing_lost(
    words: str,
    expected: str,
    gates: Path,
    photos: Path,
    stored: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {"GATES": gates, "OUT.": f"{tmp_path}/out.", "EMPTY": stored / "empty", "IDX": photos / "idx"}
    for name, place in places.items():
        words = words.replace(name, str(place))
    given = [str(stored / word) if word.split(".")[0].isupper() and "." in word else word for word in words.split()]
    capsys.readouterr()
    assert main(["predict", *given]) == 2
    refused(capsys, expected.replace("TORN", str(stored / "TORN")))
    assert not [*tmp_path.iterdir()]


def test_outputs_of_another_classifier(gates: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(gates / "outputs" / "test", tmp_path / "other")
    path = tmp_path / "other" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["extraction"]["digest"] = "b" * 64
    path.write_text(json.dumps(manifest))
    capsys.readouterr()
    for kind in ("mcp", "free"):
        assert predict(gates / kind, tmp_path / "found.csv", "--outputs", str(tmp_path / "other")) == 2
        refused(capsys, "digest", "bbbbbbbbbbbb")


def test_another_or_unfinished_file_is_not_replaced_unasked(
    gates: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, words = tmp_path / "found.csv", ["--data", f"images:{photos}/flat"]
    assert predict(gates / "free", out, *words) == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    capsys.readouterr()
    assert predict(gates / "free", out, *words) == 0
    assert "already complete" in capsys.readouterr().err
    others: list[tuple[str, list[str], str]] = [
        ("mcp", words, "gate: expected"),
        ("free", ["--data", "digits:test"], "data: expected digits:test, found images:"),
        ("free", ["--outputs", str(gates / "outputs" / "test")], "found"),
        ("free", [*words, "--top", "2"], "top: expected 2, found 1"),
        ("free", [*words, "--explain"], "explain: expected True, found False"),
    ]
    for kind, given, expected in others:
        assert predict(gates / kind, out, *given) == 2
        refused(capsys, "found.csv: holds predictions of another gate, data or options", expected, "or give --replace")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert predict(gates / "free", out, *words, "--top", "2", "--replace") == 0
    assert "label_2" in pc.read_csv(out).column_names
    assert sorted(path.name for path in tmp_path.iterdir()) == ["found.csv", "found.csv.json"]
    (tmp_path / "found.csv.json").unlink()
    capsys.readouterr()
    assert predict(gates / "free", out, *words, "--top", "2") == 2
    refused(capsys, "found.csv: there is such a file already, made in a way that is not known")


def test_workers_and_places_change_nothing(gates: Path, photos: Path, tmp_path: Path, home: Path) -> None:
    words = ["--data", f"images:{photos}/flat", "--shard-rows", "8"]
    assert predict(gates / "free", tmp_path / "a.parquet", *words) == 0
    given = ["--workers", "1", "--classifier", f"checkpoint:{home}/classifier"]
    assert predict(gates / "free", tmp_path / "b.parquet", *words, *given) == 0
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert predict(gates / "free", tmp_path / "a.parquet", *words, *given) == 0  # already complete


def test_two_runs_at_once(gates: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--data", f"images:{photos}/flat"]
    with locked(tmp_path / ".found.csv.parts"):
        assert predict(gates / "free", tmp_path / "found.csv", *words) == 2
        refused(capsys, "another run works")
        assert predict(gates / "free", tmp_path / "other.csv", *words) == 0
    assert predict(gates / "free", tmp_path / "found.csv", *words) == 0


def test_a_moved_checkpoint_is_given_anew(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here, there, rows = tmp_path / "here", tmp_path / "there", tmp_path / "rows"
    shutil.copytree(home / "classifier", here)
    assert main(f"extract --classifier checkpoint:{here} --data digits:test --out {rows}".split()) == 0
    assert main(f"calibrate --outputs {rows} --out {tmp_path}/gate --max-risk 0.2".split()) == 0
    here.rename(there)
    capsys.readouterr()
    assert predict(tmp_path / "gate", tmp_path / "found.csv", "--data", "digits:test") == 2
    refused(capsys, "here", "where the same net lies elsewhere, give its spec as classifier")
    words = ["--data", "digits:test", "--classifier", f"checkpoint:{there}"]
    assert predict(tmp_path / "gate", tmp_path / "found.csv", *words) == 0


def test_bars_of_two_nets_where_a_person_watches(
    gates: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    words = ["--data", f"images:{photos}/flat", "--auxiliary", BACKBONE, "--shard-rows", "9"]
    assert predict(gates / "auxiliary", tmp_path / "found.csv", *words) == 0


def test_a_file_of_numbers_is_no_gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file({"of_errors": np.zeros(3)}, tmp_path / "errors.safetensors")
    (tmp_path / "gate.json").write_text("[1, 2]")
    assert predict(tmp_path, tmp_path / "found.csv", "--data", "digits:test") == 2
    refused(capsys, "gate.json: expected a calibrated gate, found a JSON list")
