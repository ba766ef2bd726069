"""What is shared comes back without a difference, whatever its kind, and takes nothing along that is not its own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steepslope.errors import SteepslopeError
from steepslope.files.folders import write_json
from steepslope.gate import Gate
from steepslope.gate.storage import CALIBRATION_ROWS, digest_of_gate
from steepslope.nets.classifiers.specs import load_classifier
from steepslope.nets.data.transforms import Transform
from steepslope.nets.training.loading import load_oracle
from steepslope.nets.training.on_images import ImageOracle, build_net
from steepslope.oracle import FusedOracle, Oracle
from steepslope.oracle.columns import LOADERS
from steepslope.oracle.storage import IMAGES, names_oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.share.sharing import GATE, ORACLE, Shared, local_paths, write_shared
from tests.conftest import make_complete
from tests.images import folder_of, opened

RECIPE: dict[str, Any] = {"loss": "steep_slope", "hidden": [8], "head": "hyperplane", "seed": 0}
GATES = ("temperature", "columns", "free", "auxiliary", "predicted")


def shared_of(name: Path, kind: str, out: Path, for_monitor: bool = False) -> Path:
    out.mkdir()
    Shared.of(str(name), kind, for_monitor=for_monitor).copy(out)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("kind", "for_monitor"), [("mcp", True), *((kind, False) for kind in GATES)])
def test_a_gate_decides_as_before(kind: str, for_monitor: bool, gates: Path, tmp_path: Path) -> None:
    """What it makes of each calibration row stays at home, unless a monitor is to have it."""
    shared = shared_of(gates / kind, GATE, tmp_path / "shared", for_monitor)
    outputs = ClassifierOutputs.load(gates / "outputs" / "test")
    expected = Gate.load(gates / kind).decide(outputs, top=3).table()
    assert Gate.load(shared).decide(outputs, top=3).table().equals(expected)
    assert digest_of_gate(shared) == digest_of_gate(gates / kind)
    found, theirs = contents(shared), contents(gates / kind)
    assert CALIBRATION_ROWS in theirs
    stays = {".lock"} if for_monitor else {".lock", CALIBRATION_ROWS}
    assert found.pop("config.json")
    assert found == {name: content for name, content in theirs.items() if name not in stays}
    assert (Gate.load(shared).calibration_rows is not None) == for_monitor


def columns(tmp_path: Path) -> Path:
    Oracle(epochs=1, inputs="features,neighbors,trust_score").fit(
        make_complete(300, seed=2), make_complete(400, seed=5)
    ).save(tmp_path / "oracle")
    return tmp_path / "oracle"


def fused(tmp_path: Path) -> Path:
    FusedOracle(budget="free").fit(make_complete(300, seed=2)).save(tmp_path / "oracle")
    return tmp_path / "oracle"


def on_images(tmp_path: Path) -> Path:
    backbone = load_classifier("net:digits-net?classes=4")
    transform = Transform(backbone.transform.size, (0.5,), (0.25,), "squash")
    net = build_net(replace(backbone, transform=transform), RECIPE["hidden"], "hyperplane", 0).eval()
    oracle = ImageOracle(net, backbone.spec, transform, 4, RECIPE)
    oracle.save(tmp_path / "oracle", {"made": {"backbone": backbone.spec}})
    return tmp_path / "oracle"


MAKERS = {"columns": columns, "fused": fused, "images": on_images}


@pytest.mark.parametrize("kind", ["columns", pytest.param("fused", marks=pytest.mark.slow), "images"])
@pytest.mark.filterwarnings("ignore::steepslope.errors.FewErrorsWarning")
def test_an_oracle_judges_as_before(kind: str, tmp_path: Path) -> None:
    assert {*MAKERS} == {*LOADERS, IMAGES}
    folder, unseen = MAKERS[kind](tmp_path), make_complete(24, seed=4)
    shared = shared_of(folder, ORACLE, tmp_path / "shared")
    ours, theirs = load_oracle(folder), load_oracle(shared)
    if kind == "images":
        images = opened(f"imagefolder:{folder_of(tmp_path / 'images', 8)}")
        ours, theirs = (ImageOracle.load(path).on(images) for path in (folder, shared))
        unseen = ClassifierOutputs(unseen.logits, ids=images.ids)
    np.testing.assert_array_equal(theirs.trust_logit(unseen), ours.trust_logit(unseen))
    assert {name: one for name, one in contents(shared).items() if name != "config.json"} == contents(folder)
    assert names_oracle(str(shared))


def test_files_that_are_not_its_own_stay_at_home(tmp_path: Path) -> None:
    folder = columns(tmp_path)
    for name in ("history.csv", "secrets.json", "other.safetensors"):
        (folder / name).write_text("{}", encoding="utf-8")
    shared = Shared.of(str(folder), ORACLE)
    assert set(shared.files) == {"oracle.json", "oracle.safetensors", "evidence.safetensors", "fit_rows.safetensors"}


def test_calibration_rows_that_are_not_there_cannot_be_shared(gates: Path, tmp_path: Path) -> None:
    shared = shared_of(gates / "mcp", GATE, tmp_path / "shared")
    with pytest.raises(
        SteepslopeError, match=r"shared: for_monitor: expected a gate with calibration_rows\.safetensors, found"
    ):
        Shared.of(str(shared), GATE, for_monitor=True)
    with pytest.raises(SteepslopeError, match="for_monitor: expected a gate with"):
        Shared.of(str(gates / "columns-oracle"), ORACLE, for_monitor=True)


def test_what_was_shared_can_be_shared_again(gates: Path, tmp_path: Path) -> None:
    first = shared_of(gates / "free", GATE, tmp_path / "first")
    second = shared_of(first, GATE, tmp_path / "second")
    assert contents(first) == contents(second)


def test_code_is_not_run_because_a_file_names_it(tmp_path: Path) -> None:
    """An oracle whose backbone is code of one's own is not even shared unless the code is named."""
    backbone = load_classifier("module:tests.tiny_nets:tiny_convolutions")
    transform = Transform((16, 16), (0.5,) * 3, (0.25,) * 3)
    net = build_net(replace(backbone, transform=transform), RECIPE["hidden"], "hyperplane", 0).eval()
    ImageOracle(net, backbone.spec, transform, 4, RECIPE).save(tmp_path / "oracle")
    with pytest.raises(SteepslopeError, match="its backbone is code of your own: allow it by its spec"):
        Shared.of(str(tmp_path / "oracle"), ORACLE)
    (tmp_path / "shared").mkdir()
    Shared.of(str(tmp_path / "oracle"), ORACLE, [backbone.spec]).copy(tmp_path / "shared")
    with pytest.raises(SteepslopeError, match="its backbone is code of your own"):
        load_oracle(tmp_path / "shared")
    assert isinstance(load_oracle(tmp_path / "shared", [backbone.spec]), ImageOracle)


def test_local_paths(tmp_path: Path) -> None:
    def paths_of(card: dict[str, Any]) -> list[str]:
        write_json(tmp_path / "oracle.json", card)
        return local_paths(tmp_path)

    made = {
        "outputs": "runs/test",
        "out": "~/x",
        "content of /data/a b": "12",
        "reference": ["C:\\data", "plain", "a/b"],
    }
    card = {"classifier": {"spec": "checkpoint:/home/me/net"}, "made": made}
    assert paths_of(card) == ["/data/a b", "/home/me/net", "C:\\data", "~/x"]
    made = {"outputs": "o", "content of o": "12", "data": "corrupt:fog:3/images:photos", "loss": "focal"}
    card = {"spec": "checkpoint:runs/net", "made": {**made, "reference": "images:s3://lake/a"}}
    assert paths_of(card) == ["o", "photos", "runs/net", "s3://lake/a"]
    assert paths_of({}) == []


def test_nothing_else_is_overwritten(gates: Path, tmp_path: Path) -> None:
    shared = shared_of(gates / "mcp", GATE, tmp_path / "shared")
    (shared / "README.md").write_text("# A gate", encoding="utf-8")
    out = tmp_path / "out"
    assert write_shared(shared, out, replace=False)
    assert contents(out) == contents(shared)
    assert not write_shared(shared, out, replace=False)
    (shared / "README.md").write_text("# Another card", encoding="utf-8")
    with pytest.raises(SteepslopeError, match="holds another shared gate or oracle, or another card: choose another"):
        write_shared(shared, out, replace=False)
    assert write_shared(shared, out, replace=True)
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(SteepslopeError, match=r"out: holds other files, such as notes\.txt"):
        write_shared(shared, out, replace=True)
    with pytest.raises(SteepslopeError, match="holds other files"):
        write_shared(shared, gates / "mcp", replace=True)
    with pytest.raises(SteepslopeError, match="expected a folder to write to, found a file"):
        write_shared(shared, out / "notes.txt", replace=True)
    (out / "notes.txt").unlink()
    other = shared_of(gates / "free", GATE, tmp_path / "other")
    assert write_shared(other, out, replace=True)
    assert write_shared(shared, out, replace=True)
    assert contents(out) == contents(shared)  # nothing of the other stays
    shutil.rmtree(out)
    out.mkdir()
    assert write_shared(shared, out, replace=False)
