"""What is shared comes back without a difference, whatever its kind, and takes nothing along that is not its own."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard

from steepslope.errors import SteepslopeError
from steepslope.files.folders import write_json
from steepslope.gate import Gate
from steepslope.gate.storage import CALIBRATION_ROWS, digest_of_gate
from steepslope.nets.classifiers.specs import load_classifier
from steepslope.nets.data.transforms import Transform
from steepslope.nets.training.loading import load_oracle
from steepslope.nets.training.on_images import ImageOracle, build_image_oracle_net
from steepslope.oracle import FusedOracle, Oracle
from steepslope.oracle.columns import LOADERS
from steepslope.oracle.storage import IMAGES, names_oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.promise.certificate import ASSUMES
from steepslope.share.model_card import model_card
from steepslope.share.sharing import GATE, ORACLE, Shared, local_paths_in_shared, shared_tensor_shapes, write_shared
from tests.conftest import contents, make_complete, make_outputs, require_same_table
from tests.images import folder_of, opened
from tests.refusal import refusal

RECIPE: dict[str, Any] = {"loss": "steep_slope", "hidden": [8], "head": "hyperplane", "seed": 0}
GATES = ("temperature", "columns", "free", "auxiliary", "predicted")


def shared_of(name: Path, out: Path, for_monitor: bool = False) -> Path:
    out.mkdir()
    Shared.of(str(name), for_monitor=for_monitor).copy(out)
    return out


@pytest.mark.parametrize(("kind", "for_monitor"), [("mcp", True), *((kind, False) for kind in GATES)])
def test_a_gate_decides_as_before(kind: str, for_monitor: bool, gates: Path, tmp_path: Path) -> None:
    """What it makes of each calibration row stays at home, unless a monitor is to have it."""
    shared = shared_of(gates / kind, tmp_path / "shared", for_monitor)
    outputs = ClassifierOutputs.load(gates / "outputs" / "test")
    expected = Gate.load(gates / kind).decide(outputs, top=3).table()
    require_same_table(Gate.load(shared).decide(outputs, top=3).table(), expected)
    assert digest_of_gate(shared) == digest_of_gate(gates / kind)
    found, theirs = contents(shared), contents(gates / kind)
    assert CALIBRATION_ROWS in theirs
    assert found.pop("config.json")
    assert found == {name: content for name, content in theirs.items() if for_monitor or name != CALIBRATION_ROWS}
    assert (Gate.load(shared).calibration_rows is not None) == for_monitor


def columns(tmp_path: Path) -> Path:
    oracle = Oracle(epochs=1, inputs="features,neighbors,trust_score")
    oracle.fit(make_complete(300, seed=2), make_complete(400, seed=5)).save(tmp_path / "oracle")
    return tmp_path / "oracle"


def fused(tmp_path: Path) -> Path:
    FusedOracle(budget="free").fit(make_complete(300, seed=2)).save(tmp_path / "oracle")
    return tmp_path / "oracle"


def on_images(tmp_path: Path) -> Path:
    backbone = load_classifier("net:digits-net?classes=4")
    transform = Transform(backbone.transform.size, (0.5,), (0.25,), "squash")
    net = build_image_oracle_net(replace(backbone, transform=transform), RECIPE["hidden"], "hyperplane", 0).eval()
    oracle = ImageOracle(net, backbone.spec, transform, 4, RECIPE)
    oracle.save(tmp_path / "oracle", {"made": {"backbone": backbone.spec}})
    return tmp_path / "oracle"


MAKERS = {"columns": columns, "fused": fused, "images": on_images}


@pytest.mark.parametrize("kind", ["columns", pytest.param("fused", marks=pytest.mark.slow), "images"])
@pytest.mark.filterwarnings("ignore::steepslope.errors.FewErrorsWarning")
def test_an_oracle_judges_as_before(kind: str, tmp_path: Path) -> None:
    assert {*MAKERS} == {*LOADERS, IMAGES}
    folder, unseen = MAKERS[kind](tmp_path), make_complete(24, seed=4)
    shared = shared_of(folder, tmp_path / "shared")
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
    shared = Shared.of(str(folder))
    assert set(shared.files) == {"oracle.json", "oracle.safetensors", "evidence.safetensors", "fit_rows.safetensors"}


def test_calibration_rows_that_are_not_there_cannot_be_shared(gates: Path, tmp_path: Path) -> None:
    shared = shared_of(gates / "mcp", tmp_path / "shared")
    for name in (shared, gates / "columns-oracle"):
        told = refusal(Shared.of, str(name), for_monitor=True)
        assert told.startswith(f"{name}: for_monitor: expected a gate with calibration_rows.safetensors, found")


def test_what_was_shared_can_be_shared_again(gates: Path, tmp_path: Path) -> None:
    first = shared_of(gates / "free", tmp_path / "first")
    second = shared_of(first, tmp_path / "second")
    assert contents(first) == contents(second)


def test_code_is_not_run_because_a_file_names_it(tmp_path: Path) -> None:
    """An oracle whose backbone is code of one's own is not even shared unless the code is named."""
    backbone = load_classifier("module:tests.tiny_nets:tiny_convolutions")
    transform = Transform((16, 16), (0.5,) * 3, (0.25,) * 3)
    net = build_image_oracle_net(replace(backbone, transform=transform), RECIPE["hidden"], "hyperplane", 0).eval()
    ImageOracle(net, backbone.spec, transform, 4, RECIPE).save(tmp_path / "oracle")
    with pytest.raises(SteepslopeError, match="its backbone is code of your own: allow it by its spec"):
        Shared.of(str(tmp_path / "oracle"))
    (tmp_path / "shared").mkdir()
    Shared.of(str(tmp_path / "oracle"), [backbone.spec]).copy(tmp_path / "shared")
    with pytest.raises(SteepslopeError, match="its backbone is code of your own"):
        load_oracle(tmp_path / "shared")
    assert isinstance(load_oracle(tmp_path / "shared", [backbone.spec]), ImageOracle)


def test_local_paths(tmp_path: Path) -> None:
    def paths_of(card: dict[str, Any]) -> list[str]:
        write_json(tmp_path / "oracle.json", card)
        return local_paths_in_shared(tmp_path)

    made = {"out": "~/x", "content of /data/a b": "12", "reference": ["C:\\data", "plain", "a/b"]}
    card = {"classifier": {"spec": "checkpoint:/home/me/net"}, "made": made}
    assert paths_of(card) == ["/data/a b", "/home/me/net", "C:\\data", "~/x"]
    made = {"outputs": "o", "content of o": "12", "data": "corrupt:fog:3/images:photos", "loss": "focal"}
    card = {"spec": "checkpoint:runs/net", "made": {**made, "reference": "images:lake/a"}}
    assert paths_of(card) == ["lake/a", "o", "photos", "runs/net"]
    assert paths_of({}) == []


def test_nothing_else_is_overwritten(gates: Path, tmp_path: Path) -> None:
    shared = shared_of(gates / "mcp", tmp_path / "shared")
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
    other = shared_of(gates / "free", tmp_path / "other")
    assert write_shared(other, out, replace=True)
    assert contents(out) == contents(other)  # nothing of the first stays
    (tmp_path / "empty").mkdir()
    assert write_shared(shared, tmp_path / "empty", replace=False)


Card = Callable[..., Any]  # returns a card as the Hub's library reads it


@pytest.fixture
def card_of(tmp_path: Path) -> Card:
    def made(
        name: Path, kind: str = GATE, place: str = "hub:me/mine", for_monitor: bool = False, **options: Any
    ) -> Any:
        shutil.rmtree(tmp_path / "shared", ignore_errors=True)
        (tmp_path / "shared").mkdir()
        shared = Shared.of(str(name), for_monitor=for_monitor)
        shared.copy(tmp_path / "shared")
        return ModelCard(model_card(shared, tmp_path / "shared", place, **options))

    return made


def section(card: Any, title: str) -> str:
    text: str = card.text
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def code(card: Any, language: str) -> str:
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", card.text, re.DOTALL)
    return blocks[0]


def test_the_hub_reads_what_it_is(gates: Path, card_of: Card) -> None:
    card = card_of(gates / "free", license="mit")
    assert (card.data.license, card.data.library_name, card.data.model_name) == ("mit", "steepslope", "mine")
    assert "pipeline_tag" not in yaml.safe_load(card.content.split("---")[1])  # it classifies nothing


def test_it_tells_what_is_shared_and_hides_where_it_was_made(gates: Path, home: Path, card_of: Card) -> None:
    card, gate = card_of(gates / "free"), Gate.load(gates / "free")
    promises = section(card, "What it promises")
    assert gate.certificates[0].sentences() in promises
    assert all(one in promises for one in ASSUMES)
    net = gate.origin.classifier
    assert net is not None
    assert f"`checkpoint:classifier`, digest `{net.digest}`" in section(card, "What it is for")
    assert str(home) not in card.content
    assert "No evaluation is included" in card.text
    text = section(card, "What is inside of the rows it learnt from")
    assert gate.source is not None
    assert gate.source.oracle is not None
    assert gate.source.oracle.record_ is not None
    own = gate.source.oracle.fitted_.states["neighbors"]["points"]  # type: ignore[attr-defined]
    assert len(own) >= len(ClassifierOutputs.load(gates / "outputs" / "train"))
    assert f"**Features of {len(own):,} rows**, {own.shape[1]} numbers each" in text
    assert f"**Sketches** of the {len(gate.source.oracle.record_.rows):,} rows" in text
    assert "**Paths** of the machine" in text


@pytest.mark.parametrize(
    ("kind", "for_monitor"), [("mcp", True), ("temperature", False), ("columns", True), ("auxiliary", False)]
)
def test_each_array_is_on_a_line_of_the_card(
    kind: str, for_monitor: bool, gates: Path, card_of: Card, tmp_path: Path
) -> None:
    """By its name, if it has a number for each of some rows, else by its file."""
    text = section(card_of(gates / kind, for_monitor=for_monitor), "What is inside of the rows it learnt from")
    gate, shapes = Gate.load(gates / kind), shared_tensor_shapes(tmp_path / "shared")
    oracle = None if gate.source is None else gate.source.oracle
    counts = {gate.n, *(shape[0] for name, shape in shapes.items() if name.endswith("points"))}
    counts |= set() if oracle is None or oracle.record_ is None else {len(oracle.record_.rows)}
    assert any(name.startswith("calibration_rows:") for name in shapes) == for_monitor
    for name, shape in shapes.items():
        by_row = any(size in counts for size in shape)
        assert f"`{name}`" in text or (not by_row and f"`{name.partition(':')[0]}:`" in text), (name, shape)
    assert ("Left out is what the gate makes of each" in text) != for_monitor


def test_it_asks_for_each_net_that_lies_elsewhere_and_hides_where(gates: Path, card_of: Card, tmp_path: Path) -> None:
    gate = Gate.load(gates / "auxiliary")
    origin = gate.origin
    assert origin.auxiliary is not None
    second = replace(origin.auxiliary, spec="timm:resnet18?weights=/home/somebody/own.pt")
    replace(gate, origin=replace(origin, auxiliary=second)).save(tmp_path / "gate")
    card = card_of(tmp_path / "gate", place="mine")
    assert "--classifier checkpoint:CLASSIFIER --auxiliary 'timm:resnet18?weights=AUXILIARY' --data" in code(card, "sh")
    assert "`AUXILIARY` is where it lies" in card.text
    assert "`timm:resnet18?weights=own.pt`" in card.text
    assert "somebody" not in card.text


def test_its_commands_are_those_of_what_was_shared(gates: Path, card_of: Card, tmp_path: Path) -> None:
    words = "steepslope predict --gate mine --classifier checkpoint:CLASSIFIER --data images:FOLDER"
    assert words in code(card_of(gates / "free", place="mine"), "sh")
    Oracle(epochs=1).fit(make_outputs(600)).save(tmp_path / "oracle")
    Gate.of(Oracle.load(tmp_path / "oracle"), make_outputs(900, seed=3), 0.3).save(tmp_path / "gate")
    commands = {GATE: "predict --gate mine --outputs", ORACLE: "evaluate --outputs OUTPUTS --scores mine"}
    for kind, command in commands.items():
        card = card_of(tmp_path / kind, kind, "mine")
        assert command in code(card, "sh")
        assert "with logits, features of that classifier" in section(card, "How to use it")
        assert "Classifier: not recorded" in section(card, "What it is for")
    assert section(card, "What it promises").strip().startswith("Nothing: an oracle ranks.")


def test_its_code_runs_on_confidences(tmp_path: Path, card_of: Card) -> None:
    draw = np.random.default_rng(0)
    confidence = draw.random(2_000)
    groups = np.where(confidence < 0.5, "<b>", "ü")
    Gate.calibrate(confidence, draw.random(2_000) < 0.5, 0.01, groups=groups).save(tmp_path / "gate")
    card = card_of(tmp_path / "gate", place=str(tmp_path / "gate"))
    names: dict[str, Any] = {"confidence": confidence, "groups": groups}
    exec(compile(code(card, "python"), "README.md", "exec"), names)
    assert not names["accepted"].any()
    promises = section(card, "What it promises")
    assert "nothing can be promised" in promises
    assert "accepts nothing where nothing is promised" in promises
    assert ASSUMES[0] not in promises
    assert "<b>" not in card.text
