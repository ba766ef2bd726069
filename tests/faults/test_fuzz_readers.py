"""Files that were damaged at random are read, or refused in one line: no reader ends with an internal error."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from steepslope import FusedOracle, Gate
from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.nets.data._benchmark_sets import _read_idx
from steepslope.nets.data._image_files import ImageFiles
from steepslope.nets.data._images import _image_as_bytes
from steepslope.nets.data._transforms import decoded_or_reason
from steepslope.scores import MCP
from tests.conftest import make_outputs, write_idx
from tests.serve.models import drawn, encoded, image_gate

ENDS_WELL = (0, 2, 3, 4)
CHANGES = st.lists(
    st.tuples(st.sampled_from(["flip", "cut", "zeros", "twice", "text"]), st.floats(0, 1), st.integers(1, 255)),
    min_size=1,
    max_size=4,
)
Changes = list[tuple[str, float, int]]


def damaged(content: bytes, changes: Changes) -> bytes:
    """Return some bytes after changes, each at a share of their length."""
    changed = bytearray(content)
    for kind, share, number in changes:
        place = int(share * max(0, len(changed) - 1))
        if kind == "flip" and changed:
            changed[place] ^= number
        elif kind == "cut":
            del changed[place:]
        elif kind == "zeros":
            changed[place : place + number] = bytes(min(number, len(changed) - place))
        elif kind == "twice":
            changed[place:place] = changed[place : place + number]
        else:
            changed[place:place] = [b"nan", b"-1e999", b'"', b"\xff\xfe", b",,", b"{", b"\n"][number % 7]
    return bytes(changed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a file of each kind that commands read."""
    folder = tmp_path_factory.mktemp("fuzz")
    outputs = make_outputs(120)
    for name in ("outputs.csv", "outputs.npz"):
        outputs.save(folder / name)
    outputs.save(folder / "outputs")
    Gate.of(MCP(), make_outputs(600, seed=3), max_risk=0.4).save(folder / "gate")
    oracle = FusedOracle(budget="free").fit(make_outputs(300, seed=1))
    oracle.save(folder / "oracle")
    Gate.of(oracle, make_outputs(600, seed=3), max_risk=0.4).save(folder / "judged")
    image_gate(folder).rename(folder / "gate.onnx")
    words = f"predict --gate {folder}/gate --outputs {folder}/outputs.csv --out {folder}/decided.csv"
    assert main(words.split()) == 0
    words = f"monitor --gate {folder}/gate --predictions {folder}/decided.csv --state {folder}/state.sqlite"
    assert main(words.split()) in ENDS_WELL
    assert outputs.ids is not None
    lines = [f"{name},{label}" for name, label in zip(outputs.ids, outputs.require_labels(), strict=True)]
    (folder / "labels.csv").write_text("\n".join(["id,label", *lines, ""]))
    records = [{"id": str(row), "answer": "a", "p": row / 50, "right": row % 3 > 0} for row in range(50)]
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, records)))
    fields = {"id": "id", "answer": "answer", "is_correct": "right", "signals": {"p": "p"}}
    (folder / "mapping.json").write_text(json.dumps(fields))
    return folder


CALIBRATE = "calibrate --oracle {0}/oracle --outputs {0}/outputs --max-risk 0.4 --out {0}/made --replace"
PREDICT = "predict --gate {0}/gate --outputs {0}/{1} --out {0}/out.csv --replace"
READERS = {
    "outputs.csv": PREDICT,
    "outputs.npz": PREDICT,
    "outputs/manifest.json": PREDICT.replace("{1}", "outputs"),
    "outputs/logits.npy": PREDICT.replace("{1}", "outputs"),
    "gate/gate.json": "show {0}/gate",
    "gate/calibration_rows.safetensors": "show {0}/gate",
    "gate.onnx": "show {0}/gate.onnx",
    "judged/oracle/evidence.safetensors": PREDICT.replace("/gate", "/judged").replace("{1}", "outputs"),
    "oracle/oracle.json": CALIBRATE,
    "oracle/oracle.safetensors": CALIBRATE,
    "decided.csv": "monitor --gate {0}/gate --predictions {0}/decided.csv --state {0}/new.sqlite",
    "labels.csv": "monitor --gate {0}/gate --predictions {0}/decided.csv --labels {0}/{1} --state {0}/new.sqlite",
    "state.sqlite": "monitor --gate {0}/gate --state {0}/state.sqlite",
    "log.jsonl": "import jsonl {0}/log.jsonl --mapping {0}/mapping.json --out {0}/imported.csv --replace",
    "mapping.json": "import jsonl {0}/log.jsonl --mapping {0}/mapping.json --out {0}/imported.csv --replace",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
@settings(suppress_health_check=[*HealthCheck], deadline=None)
@given(changes=CHANGES)
def test_commands_read_or_refuse(name: str, folder: Path, capsys: pytest.CaptureFixture[str], changes: Changes) -> None:
    path = folder / name
    content = path.read_bytes()
    path.write_bytes(damaged(content, changes))
    try:
        code = main(READERS[name].format(folder, name).split())
    finally:
        path.write_bytes(content)
        (folder / "new.sqlite").unlink(missing_ok=True)
    said = capsys.readouterr().err
    assert code in ENDS_WELL, said
    assert "internal error" not in said, said


@settings(suppress_health_check=[*HealthCheck], deadline=None)
@given(changes=CHANGES)
def test_idx_files_are_read_or_refused(folder: Path, changes: Changes) -> None:
    path = folder / "images-idx3-ubyte"
    write_idx(path, np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4))
    path.write_bytes(damaged(path.read_bytes(), changes))
    with suppress(SteepslopeError):  # any other is a failure
        assert _read_idx(path, 3).dtype == np.uint8


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"])
@settings(suppress_health_check=[*HealthCheck], deadline=None)
@given(changes=CHANGES)
def test_images_are_decoded_or_refused(kind: str, tmp_path: Path, changes: Changes) -> None:
    path = tmp_path / "image"
    path.write_bytes(damaged(encoded(drawn(1, 9, 12)[0], kind), changes))
    image = decoded_or_reason(ImageFiles([str(path)], ["row"]), 0, _image_as_bytes)
    assert "\n" not in image if isinstance(image, str) else image.dtype == np.uint8


@pytest.mark.parametrize("name", READERS)
def test_what_is_not_damaged_is_read(name: str, folder: Path) -> None:
    assert main(READERS[name].format(folder, name).split()) in (0, 3, 4)
    (folder / "new.sqlite").unlink(missing_ok=True)
