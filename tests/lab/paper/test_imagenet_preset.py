"""The preset imagenet from a folder of JPEGs to tables, with tiny nets: all four pairs, the classifier run live."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from steepslope.cli.main import main
from steepslope.nets.classifiers.specs import load_classifier
from steepslope.nets.training.loop import HISTORY
from steepslope.numerics import small_net
from steepslope.outputs import ClassifierOutputs
from tests.lab.paper.plans import plan_of
from tests.lab.paper.small_imagenet import SIZES, labels_of, seen, write_images, write_nets

pytestmark = pytest.mark.slow
TRAIN, VAL, HOLDOUT = 160, 240, 100
PAIRS = ["⟨vit, vit⟩", "⟨vit, rsn⟩", "⟨rsn, vit⟩", "⟨rsn, rsn⟩"]
LOSSES = ["CE", "Focal", "TCP", "SS"]
BESIDE = ["MCP", "best single score", "TrustScore", "CE at the cut of SS", "Focal at the cut of SS", "fused, free",
          "fused, auxiliary"]  # fmt: skip


class Run(NamedTuple):
    """Where the images and the results lie, the specs of the nets, and the options that name them all."""

    data: Path
    out: Path
    specs: dict[str, str]
    options: list[str]

    def reproduce(self, experiment: str) -> None:
        """Make an experiment for one seed."""
        assert main(["reproduce", experiment, "--preset", "imagenet", "--seeds", "0", *self.options]) == 0

    def result(self, experiment: str) -> dict[str, Any]:
        """Read what an experiment has written for the page."""
        content: dict[str, Any] = json.loads((self.out / f"{experiment}.json").read_text())
        return content

    def times(self) -> dict[Path, int]:
        """Return when each file of the work folder was changed."""
        work = self.out / "work"
        return {path.relative_to(work): path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()}


def pair_of(row: dict[str, Any]) -> str:
    """Return the pair of a row as plans name it."""
    return f"⟨{row['oracle']}, {row['classifier']}⟩"


@pytest.fixture(scope="module")
def table1(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Make Table 1; tests may go on in its folder."""
    home = tmp_path_factory.mktemp("imagenet")
    data, out = home / "images", home / "out"
    write_images(data, TRAIN // 20, VAL // 20)
    specs = write_nets(data, home)
    changes = [f"nets.{name}.{key}={value}" for name in SIZES
               for key, value in (("spec", specs[name]), ("size", SIZES[name]))]  # fmt: skip
    changes += [f"holdout={HOLDOUT}", "resamples=20", "rows=30", "crop=64", "recolor.steps=2"]
    changes += [f"pairs.{number}.training.warmup_steps=1" for number in range(4)]
    changes += [
        f"stylizer.{key}={value}" for key, value in (("steps", 2), ("crop", 32), ("width", 8), ("reduction", 4))
    ]
    made = Run(data, out, specs, ["--data", f"imagefolder:{data}", "--out", str(out), "--set", ",".join(changes)])
    with pytest.MonkeyPatch.context() as patch:  # the fused oracles' small nets learn for no time
        patch.setattr(small_net, "LEAST_STEPS", 30)
        patch.setattr(small_net, "EPOCHS", 1)
        made.reproduce("table1")
    return made


def test_table_1_is_complete(table1: Run) -> None:
    rows = table1.result("table1")["rows"]
    assert Counter((pair_of(row), row["score"]) for row in rows) == {
        (pair, score): 1 for pair in PAIRS for score in [*LOSSES, *BESIDE]
    }
    assert {row["n"] for row in rows} == {VAL - HOLDOUT}
    text = (table1.out / "table1.md").read_text()
    assert all(f"{pair}, 140 images" in text for pair in PAIRS)
    note = table1.result("table1")["tables"]["table1"]["note"]
    assert "Left out: MCDropout of rsn, which has no dropout; MCDropout of vit, which has no dropout." in note
    assert (table1.out / "index.html").exists()


@pytest.mark.parametrize("name", SIZES)
def test_accuracy_is_that_of_the_net(name: str, table1: Run) -> None:
    """Images that were squashed and standardised here, through the net itself, give the accuracy of the table."""
    outputs = {place: ClassifierOutputs.load(table1.out / "work/outputs" / name / place)
               for place in ("holdout", "test")}  # fmt: skip
    ids = {place: np.asarray(one.ids).tolist() for place, one in outputs.items()}
    assert {place: len(own) for place, own in ids.items()} == {"holdout": HOLDOUT, "test": VAL - HOLDOUT}
    assert {*ids["holdout"], *ids["test"]} == {
        f"{path.parent.name}/{path.name}" for path in (table1.data / "val").glob("*/*")
    }
    files = [table1.data / "val" / one for one in ids["test"]]
    with torch.inference_mode():
        _, logits = load_classifier(table1.specs[name]).net(seen(files, name))
    accuracy = float((logits.argmax(dim=1).numpy() == labels_of(files)).mean())
    assert 0.3 < accuracy < 0.9
    np.testing.assert_allclose(outputs["test"].logits, logits.numpy(), atol=1e-3)
    found = {row["accuracy"][0] for row in table1.result("table1")["rows"] if row["classifier"] == name}
    assert len(found) == 1
    assert found.pop() == pytest.approx(accuracy, abs=1e-5)


def test_oracles_are_trained_as_the_plan_says(table1: Run) -> None:
    """Each sees all training images once, in steps of 40, and the classifier is run on them as they are flipped."""
    cards = sorted((table1.out / "work/oracles").glob("*/*/oracle.json"))
    assert len(cards) == len(PAIRS) * len(LOSSES)
    for card in cards:
        content = json.loads(card.read_text())
        with (card.parent / HISTORY).open() as file:
            history = list(csv.DictReader(file))
        assert len(history) == TRAIN // 40
        assert content["recipe"]["flip"], card
        side = SIZES[card.parts[-3].split("-")[1]]  # where sizes differ, the oracle sees what the classifier does
        assert content["transform"]["size"] == [side, side], card


def test_nothing_is_done_twice(table1: Run) -> None:
    """Neither by a second run nor by other seeds, which share what nets of given weights put out."""
    before = table1.times()
    table1.reproduce("table1")
    assert table1.times() == before
    with (table1.out / "work/times.csv").open() as file:
        done = Counter(place for place, _ in csv.reader(file))
    assert set(done.values()) == {1}
    assert {one for one in done if one.startswith("outputs/")} == {
        f"outputs/{name}/{place}" for name in SIZES for place in ("train", "holdout", "test")
    }
    plan = plan_of("imagenet", *table1.options, experiment="table1")
    counts = {(line.count, line.done) for line in plan.lines if line.about.startswith("extract")}
    assert counts == {(1, 1)}
    assert {(line.count, line.done) for line in plan.oracles().values()} == {(3, 1)}


def test_table_3_follows_from_the_same_work(table1: Run) -> None:
    """Its oracles are those of Table 1; images are stylised in the styles of scikit-learn's two photographs."""
    before = table1.times()
    table1.reproduce("table3")
    after = table1.times()
    assert {path for path in before if after[path] != before[path]} == {Path("times.csv")}
    assert not [path for path in after.keys() - before.keys() if path.parts[0] == "oracles"]
    assert sorted(path.name for path in (table1.out / "work/styles").iterdir()) == ["china.png", "flower.png"]
    rows = table1.result("table3")["rows"]
    assert Counter((row["where"], row["score"]) for row in rows) == {
        (where, score): 1
        for where in ("stylized", "adversarial", "corrupt:defocus_blur:5")
        for score in [*LOSSES, *BESIDE]
    }
    assert {row["n"] for row in rows} == {30}
    assert {pair_of(row) for row in rows} == {"⟨vit, vit⟩"}


def test_appendix_h_counts_the_errors_of_a_live_classifier(table1: Run) -> None:
    table1.reproduce("appendix-h")
    rows = table1.result("appendix-h")["rows"]
    assert Counter(pair_of(row) for row in rows if row["score"] == "class-balanced CE") == dict.fromkeys(PAIRS[:2], 1)
