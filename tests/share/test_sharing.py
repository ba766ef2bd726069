"""What is shared comes back without a difference, whatever its kind, and takes nothing along that is not its own."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard

from steepslope.errors import SteepslopeError
from steepslope.files._artifact import DIGEST, FILES, MADE
from steepslope.files._folders import digest_of, fingerprint, write_json
from steepslope.gate import Gate
from steepslope.gate._storage import CALIBRATION_ROWS, CARD, digest_of_gate
from steepslope.nets.classifiers._specs import load_classifier
from steepslope.nets.data._transforms import Transform
from steepslope.nets.training._loading import load_oracle
from steepslope.nets.training._on_images import ImageOracle, build_image_oracle_net
from steepslope.oracle import FusedOracle, Oracle
from steepslope.oracle._columns import LOADERS
from steepslope.oracle._storage import IMAGES
from steepslope.outputs import ClassifierOutputs
from steepslope.promise._certificate import ASSUMES
from steepslope.share._sharing import copy_shared, write_shared
from tests.conftest import contents, make_complete, make_outputs, require_same_table
from tests.images import folder_of, opened
from tests.refusal import refusal

RECIPE: dict[str, Any] = {"loss": "steep_slope", "hidden": [8], "head": "hyperplane", "seed": 0}
GATES = ("temperature", "columns", "free", "auxiliary", "predicted")
ADDED = {"config.json", "README.md"}


def shared_of(name: Path, out: Path, for_monitor: bool = False) -> Path:
    out.mkdir(parents=True)
    write_shared(str(name), out, "hub:me/mine", for_monitor=for_monitor)
    return out


def own_contents(shared: Path) -> dict[str, bytes]:
    return {name: content for name, content in contents(shared).items() if name not in ADDED}


@pytest.mark.parametrize(("kind", "for_monitor"), [("mcp", True), *((kind, False) for kind in GATES)])
def test_a_gate_decides_as_before(kind: str, for_monitor: bool, gates: Path, tmp_path: Path) -> None:
    """What it makes of each calibration row stays at home, unless a monitor is to have it."""
    shared = shared_of(gates / kind, tmp_path / "shared", for_monitor)
    outputs = ClassifierOutputs.load(gates / "outputs" / "test")
    expected = Gate.load(gates / kind).decide(outputs, top=3).table()
    require_same_table(Gate.load(shared).decide(outputs, top=3).table(), expected)
    assert digest_of_gate(shared) == digest_of_gate(gates / kind)
    theirs = contents(gates / kind)
    assert CALIBRATION_ROWS in theirs
    assert own_contents(shared) == {name: theirs[name] for name in theirs if for_monitor or name != CALIBRATION_ROWS}
    assert (Gate.load(shared).calibration_rows is not None) == for_monitor
    again = shared_of(shared, tmp_path / "again", for_monitor)
    assert contents(again) == contents(shared)


def columns(tmp_path: Path) -> Path:
    oracle = Oracle(epochs=1, inputs="features,neighbors,trust_score")
    oracle.fit(make_complete(300, seed=2), make_complete(400, seed=5)).save(tmp_path / "oracle")
    return tmp_path / "oracle"


def fused(tmp_path: Path) -> Path:
    FusedOracle(budget="free").fit(make_complete(300, seed=2)).save(tmp_path / "oracle")
    return tmp_path / "oracle"


def on_images(tmp_path: Path, spec: str = "net:digits-net?classes=4", size: int = 8, channels: int = 1) -> Path:
    backbone = load_classifier(spec)
    transform = Transform((size, size), (0.5,) * channels, (0.25,) * channels, "squash")
    net = build_image_oracle_net(replace(backbone, transform=transform), RECIPE["hidden"], "hyperplane", 0).eval()
    ImageOracle(net, backbone.spec, transform, 4, RECIPE).save(tmp_path / "oracle")
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
    assert own_contents(shared) == contents(folder)


def test_files_that_are_not_its_own_stay_at_home(gates: Path, tmp_path: Path) -> None:
    """Not even those that have the name of a file that some gates have."""
    shutil.copytree(gates / "mcp", tmp_path / "gate")
    shutil.copytree(gates / "columns-oracle", tmp_path / "gate" / "oracle")
    for name in ("history.csv", "secrets.json", "score.safetensors"):
        (tmp_path / "gate" / name).write_text("{}", encoding="utf-8")
    shared = shared_of(tmp_path / "gate", tmp_path / "shared")
    assert {*contents(shared)} == {"gate.json", "certificate.md"} | ADDED


def test_a_seal_that_names_other_files_shares_none_of_them(gates: Path, tmp_path: Path) -> None:
    shutil.copytree(gates / "mcp", tmp_path / "gate")
    card = json.loads((tmp_path / "gate" / CARD).read_text(encoding="utf-8"))
    for name in ("../notes.txt", "secrets.json"):
        (tmp_path / "gate" / name).write_text("{}", encoding="utf-8")
        card[FILES][name] = fingerprint(tmp_path / "gate" / name)
    card[DIGEST] = digest_of({key: value for key, value in card.items() if key not in (DIGEST, MADE)})
    write_json(tmp_path / "gate" / CARD, card)
    shared = shared_of(tmp_path / "gate", tmp_path / "out" / "shared")
    assert {*contents(shared.parent)} == {f"shared/{name}" for name in ("gate.json", "certificate.md", *ADDED)}


def test_what_is_damaged_or_not_there_is_not_shared(gates: Path, tmp_path: Path) -> None:
    shared = shared_of(gates / "free", tmp_path / "shared")
    for name in (shared, gates / "columns-oracle"):
        told = refusal(write_shared, str(name), tmp_path, "mine", for_monitor=True)
        assert told.startswith(f"{name}: for_monitor: expected a gate with calibration_rows.safetensors, found none")
    (shared / "oracle" / "evidence.safetensors").write_bytes(b"")
    assert "found another" in refusal(write_shared, str(shared), tmp_path, "mine")


def test_code_is_not_run_because_a_file_names_it(tmp_path: Path) -> None:
    """Neither where an oracle is shared, nor where what was shared is loaded."""
    spec = "module:tests.tiny_nets:tiny_convolutions"
    shared = shared_of(on_images(tmp_path, spec, size=16, channels=3), tmp_path / "shared")
    with pytest.raises(SteepslopeError, match="its backbone is code of your own: allow it by its spec"):
        load_oracle(shared)
    assert isinstance(load_oracle(shared, [spec]), ImageOracle)


def test_nothing_else_is_overwritten(gates: Path, tmp_path: Path) -> None:
    shared, other = (shared_of(gates / kind, tmp_path / kind, True) for kind in ("mcp", "free"))
    out = tmp_path / "out"
    copy_shared(other, out, replace=False)
    assert contents(out) == contents(other)
    with pytest.raises(SteepslopeError, match="out: expected an empty folder, found files: choose another, or give --"):
        copy_shared(shared, out, replace=False)
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    copy_shared(shared, out, replace=True)
    assert contents(out) == {**contents(shared), "notes.txt": b"mine"}  # nothing of the first stays
    before = contents(gates / "mcp")
    with pytest.raises(SteepslopeError, match="expected an empty folder, found files"):
        copy_shared(shared, gates / "mcp", replace=True)
    assert contents(gates / "mcp") == before
    with pytest.raises(SteepslopeError, match="expected a folder to write to, found a file"):
        copy_shared(shared, out / "notes.txt", replace=True)


def test_a_copy_that_was_killed_is_made_again(gates: Path, tmp_path: Path) -> None:
    """Some files have moved, and the last has not; or none has, and a lock is left."""
    shared, out = shared_of(gates / "free", tmp_path / "free", True), tmp_path / "out"
    staging = out / ".partial-config.json"
    staging.mkdir(parents=True)
    (out / "gate.json").write_bytes(b"{}")
    copy_shared(shared, out, replace=False)
    assert contents(out) == contents(shared)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / f"{staging.name}.lock").touch()
    copy_shared(shared, tmp_path / "new", replace=False)
    assert contents(tmp_path / "new") == contents(shared)


Card = Callable[..., Any]  # returns a card as the Hub's library reads it


@pytest.fixture
def card_of(tmp_path: Path) -> Card:
    def made(name: Path, place: str = "hub:me/mine", **options: Any) -> Any:
        folder = tmp_path / "shared"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        write_shared(str(name), folder, place, **options)
        return ModelCard.load(folder / "README.md")

    return made


def section(card: Any, title: str) -> str:
    text: str = card.text
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_card_of_a_gate(gates: Path, home: Path, card_of: Card) -> None:
    card, gate = card_of(gates / "auxiliary", license="mit"), Gate.load(gates / "auxiliary")
    assert (card.data.license, card.data.library_name) == ("mit", "steepslope")
    promises = section(card, "What it promises")
    quoted = [line.removeprefix("> ") for line in promises.splitlines() if line.startswith("> ")]
    assert quoted == gate.sentences().splitlines()
    assert all(one in promises for one in ASSUMES)
    classifier, auxiliary = gate.origin.classifier, gate.origin.auxiliary
    assert classifier is not None
    assert auxiliary is not None
    needs = section(card, "What it needs")
    assert f"- Classifier: `checkpoint:classifier`, digest `{classifier.digest}`" in needs
    assert f"- Second backbone: `{auxiliary.spec}`, digest `{auxiliary.digest}`" in needs
    assert "- For each prediction: logits, features" in needs
    assert str(home) not in card.content
    assert "--gate hub:me/mine --classifier SPEC --data images:FOLDER" in section(card, "How to load it")


def test_the_card_tells_what_it_holds_of_rows(gates: Path, card_of: Card) -> None:
    title = "What it holds of the rows it learnt from"
    features, calibration = "**Features of reference rows**", "**What the gate makes of each calibration row**"
    for kind, for_monitor in (("free", True), ("columns", False), ("mcp", False), ("columns-oracle", False)):
        text = section(card_of(gates / kind, for_monitor=for_monitor), title)
        assert (features in text) == (kind == "free")  # only this one looks up neighbours
        assert ("**Sketches of the rows" in text) == (kind != "mcp")
        assert (calibration in text) == for_monitor
        assert ("is left out" in text) == (not for_monitor and kind != "columns-oracle")


def test_the_card_of_an_oracle(gates: Path, card_of: Card, tmp_path: Path) -> None:
    Oracle(epochs=1).fit(make_outputs(600)).save(tmp_path / "unknown")
    for folder, known in ((gates / "columns-oracle", "recorded as `"), (tmp_path / "unknown", "not recorded, ask")):
        card = card_of(folder)
        assert section(card, "What it promises").strip().startswith("Nothing: an oracle ranks.")
        assert f"- Classifier: {known}" in section(card, "What it needs")
        assert "evaluate --outputs OUTPUTS --scores hub:me/mine" in section(card, "How to load it")


def test_a_gate_of_confidences_is_loaded_as_its_card_says(tmp_path: Path, card_of: Card) -> None:
    draw = np.random.default_rng(0)
    confidence = draw.random(2_000)
    groups = np.where(confidence < 0.5, "<b>", "ü")
    Gate.calibrate(confidence, draw.random(2_000) < 0.5, 0.01, groups=groups).save(tmp_path / "gate")
    card = card_of(tmp_path / "gate", place=str(tmp_path / "gate"))
    assert "computed as it was for the calibration rows" in section(card, "What it needs")
    (code,) = re.findall(r"```python\n(.*?)```", section(card, "How to load it"), re.DOTALL)
    names: dict[str, Any] = {"confidence": confidence, "groups": groups}
    exec(compile(code, "README.md", "exec"), names)
    assert not names["accepted"].any()
    promises = section(card, "What it promises")
    assert "nothing can be promised" in promises
    assert ASSUMES[0] not in promises
    assert "<b>" not in card.text
