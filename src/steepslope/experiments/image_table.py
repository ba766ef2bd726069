"""Oracles on images: every pair of two backbones and two classifiers, every loss, over seeds.

Run ``python -m steepslope.experiments.image_table --help``. It starts from the classifiers that
``steepslope.experiments.loss_table`` has trained; a backbone with a linear probe is the other classifier.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from lightning_fabric import Fabric

from steepslope.cli import run
from steepslope.data.classifier_specs import load_classifier
from steepslope.data.classifiers import Classifier
from steepslope.data.datasets import DatasetSpec, parse_dataset
from steepslope.data.extraction import named_data
from steepslope.data.images import Dataset
from steepslope.data.options import ExtractionOptions
from steepslope.evaluation import Scored, score_predictions, table_rows
from steepslope.experiments.fused_table import outputs_at
from steepslope.experiments.loss_table import mean_table
from steepslope.experiments.probe_table import judged, probe
from steepslope.files import staged_folder, write_json
from steepslope.losses import PAPER_LOSSES
from steepslope.metrics import compare
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs_io import MANIFEST
from steepslope.presets import preset
from steepslope.report.grid import Cell, Grid, markdown
from steepslope.training.launch import train_stages
from steepslope.training.request import FinetuneRequest

SMALL, LARGE = "net", "lite0"  # as the presets fashion-mnist-… name them


@dataclass(frozen=True)
class Sources:
    """The data, the folders of classifiers and of work, the backbone and its spec, and the split that is reported."""

    data: DatasetSpec
    classifiers: Path
    work: Path
    backbone: Classifier
    spec: str
    rows: int
    split: str


def image_table(
    data: str,
    classifiers: str,
    work: str,
    out: str,
    backbone: str,
    size: int = 64,
    mean: float = 0.5,
    std: float = 0.5,
    rows: int = 20_000,
    seeds: tuple[int, ...] = (0, 1, 2),
    split: str = "test",
) -> None:
    """Extract what is missing, train, evaluate, and write rows.json and table.md as they grow.

    Parameters
    ----------
    data
        A data spec.
    classifiers
        Folder with seed0/classifier and so on: the small nets.
    work
        Folder for outputs and oracles; what is there already is not made again.
    out
        Folder for the results.
    backbone
        Classifier spec of the large net.
    size
        Side of its input.
    mean
        Of its input.
    std
        Of its input.
    rows
        How many rows of the classifiers' training split the oracles are trained on, drawn by the seed.
    seeds
        Which small nets.
    split
        What is reported: test, or holdout to choose the recipe on.
    """
    net = load_classifier(backbone).with_transform(size, mean, std)
    sources = Sources(parse_dataset(data), Path(classifiers), Path(work), net, backbone, rows, split)
    done: list[dict[str, Any]] = []
    for seed in seeds:
        for block in seed_blocks(sources, seed):
            done += block
            with staged_folder(out, last="table.md") as staging:
                write_json(staging / "rows.json", done)
                (staging / "table.md").write_text(tables(done), encoding="utf-8")


def seed_blocks(sources: Sources, seed: int) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of each pair, for one seed."""
    spec = f"checkpoint:{sources.classifiers / f'seed{seed}' / 'classifier'}"
    data = named_data(load_classifier(spec), sources.data, None)
    said = {SMALL: _of_net(sources, spec, data, seed), LARGE: _of_probe(sources, data, seed)}
    for oracle, backbone in ((LARGE, sources.spec), (SMALL, spec)):
        for classifier, outputs in said.items():
            folder = sources.work / f"seed{seed}" / f"{oracle}-{classifier}"
            fit_set = sources.work / f"seed{seed}" / f"fit-{classifier}"
            if not (fit_set / MANIFEST).exists():
                drawn = np.random.default_rng(seed).permutation(len(outputs["train"]))[: sources.rows]
                outputs["train"].subset(np.sort(drawn)).save(fit_set)
            asked = {"oracle": backbone, "data": sources.data.name, "outputs": str(fit_set), "seed": seed}
            losses = train(f"fashion-mnist-{oracle}-{classifier}", asked, folder)
            about = {"seed": seed, "oracle": oracle, "classifier": classifier}
            yield [about | row for row in block_rows(losses, outputs[sources.split], data[sources.split], seed)]


def train(name: str, asked: dict[str, Any], folder: Path) -> list[Path]:
    """Train an oracle a loss after a preset, or find it; return their folders."""
    for short, loss in PAPER_LOSSES.items():
        request = FinetuneRequest(**{**preset(name), **asked, "loss": loss})
        fabric = Fabric(accelerator="auto", devices=1, precision="32-true")
        train_stages(request, folder / short, fabric)
    return [folder / short for short in PAPER_LOSSES]


def block_rows(oracles: Sequence[Path], seen: ClassifierOutputs, images: Dataset, seed: int) -> list[dict[str, Any]]:
    """Return MCP's row and each oracle's; each oracle's has also its TNR's paired difference to the first one's."""
    scored = score_predictions([str(path) for path in oracles], seen, images=lambda _: images)
    rows = table_rows(scored, seen.is_correct, seed=seed)
    found = [{**row.as_json(), "cuts": row.cuts} for row in rows]
    for row, one in zip(found[1:], scored[1:], strict=True):
        row["tnr_minus_ce"] = _difference(one, scored[1], seen, seed)
    return found


def _difference(one: Scored, other: Scored, seen: ClassifierOutputs, seed: int) -> dict[str, Any]:
    zero = (0.0, 0.0)
    pair = one.confidence, other.confidence
    return dict(compare(*pair, seen.is_correct, thresholds_a=zero, thresholds_b=zero, seed=seed)["tnr"])


def _of_net(sources: Sources, spec: str, data: dict[str, Dataset], seed: int) -> dict[str, ClassifierOutputs]:
    """Return what the small net says of its training split and of the reported one."""
    net, folder = load_classifier(spec).with_transform(), sources.work / f"seed{seed}" / "net"
    options = ExtractionOptions(batch_size=256)
    return {name: outputs_at(net, data[name], folder / name, options) for name in ("train", sources.split)}


def _of_probe(sources: Sources, data: dict[str, Dataset], seed: int) -> dict[str, ClassifierOutputs]:
    """Return what a linear probe on the backbone says of the same."""
    options = ExtractionOptions(batch_size=64)
    seen = {
        name: outputs_at(sources.backbone, data[name], sources.work / "backbone" / name, options)
        for name in ("train", sources.split)
    }
    weights, bias = probe(seen["train"], seed)
    return {name: replace(judged(outputs, None, weights, bias), features=None) for name, outputs in seen.items()}


def tables(rows: Sequence[dict[str, Any]]) -> str:
    """Return a table of each pair ⟨oracle, classifier⟩, and one of the steep slope loss's gain in TNR."""
    pairs = list(dict.fromkeys((row["oracle"], row["classifier"]) for row in rows))
    blocks = []
    for pair in pairs:
        own = [row for row in rows if (row["oracle"], row["classifier"]) == pair]
        blocks += [f"## ⟨{pair[0]}, {pair[1]}⟩", mean_table(own).strip(), _at_cuts(own)]
    return "\n\n".join([*blocks, _tnr_gains(rows, pairs)]) + "\n"


def _at_cuts(rows: Sequence[dict[str, Any]]) -> str:
    """Return TPR / TNR at one half, and where the steep slope loss cuts."""
    cuts = list(rows[0]["cuts"])
    lines = []
    for name in dict.fromkeys(row["score"] for row in rows):
        own = [row["cuts"] for row in rows if row["score"] == name]
        rates = [[100 * np.mean([cell[cut][rate] for cell in own]) for rate in ("tpr", "tnr")] for cut in cuts]
        lines.append([Cell(name), *(Cell(f"{tpr:.1f} / {tnr:.1f}") for tpr, tnr in rates)])
    titles = [f"TPR / TNR where p > {float(cut):.3g}" for cut in cuts]
    note = "Steep slope's own cut of z at 0 is that of the last column, where p is calibrated."
    return markdown(Grid("", ["score", *titles], lines, note))


def _tnr_gains(rows: Sequence[dict[str, Any]], pairs: Sequence[tuple[str, str]]) -> str:
    lines = []
    for oracle, classifier in pairs:
        own = [row for row in rows if (row["oracle"], row["classifier"], row["score"]) == (oracle, classifier, "SS")]
        cells = [_gain(row["tnr_minus_ce"]) for row in own]
        tprs = ", ".join(f"{100 * row['tpr']['value']:.1f}" for row in own)
        lines.append([Cell(f"⟨{oracle}, {classifier}⟩"), Cell(tprs), *cells])
    seeds = list(dict.fromkeys(row["seed"] for row in rows))
    lines = [line + [Cell("–")] * (2 + len(seeds) - len(line)) for line in lines]
    titles = ["⟨oracle, classifier⟩", "TPR of SS", *(f"TNR of SS − CE, seed {seed}" for seed in seeds)]
    return markdown(Grid("Steep slope against cross entropy", titles, lines, "Paired, with 95 % intervals; points."))


def _gain(value: dict[str, float]) -> Cell:
    low, high = 100 * value["low"], 100 * value["high"]
    return Cell(f"{100 * value['value']:+.1f}", f"({low:+.1f} to {high:+.1f})")


if __name__ == "__main__":
    sys.exit(run(image_table, sys.argv[1:], "python -m steepslope.experiments.image_table"))
