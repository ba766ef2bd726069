"""Oracles on images: every pair of two backbones and two classifiers, every loss, over seeds.

Run ``python -m steepslope.experiments.image_table --help``. It starts from the classifiers that
``steepslope.experiments.loss_table`` has trained; a backbone with a linear probe is the other classifier.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from steepslope.checks import require, whole
from steepslope.classifiers.classifier import Classifier
from steepslope.classifiers.specs import load_classifier
from steepslope.data.datasets import DatasetSpec, parse_dataset
from steepslope.data.images import Dataset
from steepslope.errors import SteepslopeError, require_known
from steepslope.evaluation.rows import nan_to_none
from steepslope.evaluation.score import Resources, Scored
from steepslope.experiments import common
from steepslope.experiments.common import Row, grouped, interval_cell, mean_cell, outputs_of
from steepslope.experiments.loss_table import SPLIT_WORDS, mean_table
from steepslope.experiments.probe_table import probe, probe_rows, probed_outputs
from steepslope.extraction.extraction import named_data
from steepslope.extraction.options import ExtractionOptions
from steepslope.finetuning.request import FinetuneRequest
from steepslope.losses import PAPER_LOSSES
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.folder import MANIFEST
from steepslope.presets import preset
from steepslope.report.grid import UNDEFINED, Cell, Grid, markdown
from steepslope.theory import decision_probability

SMALL, LARGE = "net", "lite0"  # as the presets fashion-mnist-… name them
STEEP, PLAIN = "SS", "CE"
PAIR = "oracle", "classifier"


@dataclass(frozen=True)
class Sources:
    """The data, the folders of classifiers and of work, the backbone and its spec, and the split that is reported."""

    data: DatasetSpec
    classifiers: Path
    work: Path
    backbone: Classifier
    spec: str
    fit_rows: int
    split: str


def image_table(
    data: str,
    classifiers: str,
    work: str,
    out: str,
    backbone: str,
    fit_rows: int = 20_000,
    seeds: tuple[int, ...] = (0, 1, 2),
    split: str = "test",
) -> None:
    """Extract what is missing, train, evaluate, and write rows.json and table.md when all is there.

    Parameters
    ----------
    data
        Data spec that the small nets were trained on.
    classifiers
        Folder of the small nets: seed0/classifier and so on.
    work
        Folder for outputs, oracles and their rows; those that are there already are not made again.
    out
        Folder for the results.
    backbone
        Classifier spec of the large net; its input, also as a classifier, is that of its oracle's preset.
    fit_rows
        Number of rows of the classifiers' training split that oracles are trained on: the first of the permutation,
        drawn by the seed, to whose first 80 % the probe is fitted. Both classifiers have seen them, as in the paper.
    seeds
        Seeds of the small nets.
    split
        Split that is reported: test, or holdout to choose the recipe on.
    """
    require_known("split", split, SPLIT_WORDS)
    common.require_seeds(seeds)
    settings = preset(preset_name(LARGE, LARGE))
    changes = (settings.get(f"oracle_{name}") for name in ("size", "mean", "std"))
    net = load_classifier(backbone).with_transform(*changes)
    sources = Sources(parse_dataset(data), Path(classifiers), Path(work), net, backbone, fit_rows, split)
    rows = [row for seed in seeds for row in seed_rows(sources, seed)]
    common.write_results(out, rows, tables(rows))


def preset_name(oracle: str, classifier: str) -> str:
    """Return the name of the preset of a pair."""
    return f"fashion-mnist-{oracle}-{classifier}"


def seed_rows(sources: Sources, seed: int) -> list[Row]:
    """Return the rows of every pair, for one seed."""
    spec = f"checkpoint:{sources.classifiers / f'seed{seed}' / 'classifier'}"
    data = named_data(load_classifier(spec), sources.data, None)
    folder = sources.work / f"seed{seed}"
    small = _extracted(sources, load_classifier(spec).with_transform(), data, folder / "net", 256)
    outputs, split = {SMALL: small, LARGE: _of_probe(sources, data, seed)}, sources.split
    fit_sets = {name: fit_folder(some["train"], folder / f"fit-{name}", sources.fit_rows, seed)
                for name, some in outputs.items()}  # fmt: skip
    rows: list[Row] = []
    for (oracle, backbone), name in product(((LARGE, sources.spec), (SMALL, spec)), outputs):
        given = {"oracle": backbone, "data": sources.data.name, "outputs": str(fit_sets[name]), "seed": seed}
        where, settings = folder / f"{oracle}-{name}", preset(preset_name(oracle, name))
        about = {"seed": seed, "oracle": oracle, "classifier": name, "fit_rows": sources.fit_rows, "split": split}
        rows += [about | row | about for row in pair_rows(settings, given, where, outputs[name][split], data[split])]
    return rows


def fit_folder(train: ClassifierOutputs, folder: Path, fit_rows: int, seed: int) -> Path:
    """Save the first of the probe's rows to a folder, or find them there.

    Raises
    ------
    SteepslopeError
        If the probe has not so many rows, or if the folder holds other ones.
    """
    known = probe_rows(len(train), seed)
    require("fit_rows", fit_rows, whole(1, len(known)))  # those that the probe is fitted to
    drawn = train.subset(np.sort(known[:fit_rows]))
    if not (folder / MANIFEST).exists():
        drawn.save(folder)
    elif not np.array_equal(_ids(ClassifierOutputs.load(folder)), _ids(drawn)):
        raise SteepslopeError(
            f"{folder}: expected the {fit_rows} rows drawn by seed {seed}, found others; choose another work folder"
        )
    return folder


def _ids(outputs: ClassifierOutputs) -> list[str]:
    return [] if outputs.ids is None else [str(one) for one in outputs.ids]


def pair_rows(
    settings: Mapping[str, Any], given: dict[str, Any], folder: Path, seen: ClassifierOutputs, images: Dataset
) -> list[Row]:
    """Train a pair's oracles and evaluate them, or find them and their rows."""
    requests = train_losses(settings, given, folder)
    names, seed = [str(path) for path in requests], given["seed"]
    parameters = next(iter(requests.values())).parameters
    slopes = {name: parameters[name] for name in ("alpha_pos", "alpha_neg")}
    key = common.rows_key(seen, names, seed)
    rows = common.kept_rows(folder, key, lambda: block_rows(names, seen, images, seed))
    return [{**slopes, **row} for row in rows]


def train_losses(settings: Mapping[str, Any], given: dict[str, Any], folder: Path) -> dict[Path, FinetuneRequest]:
    """Train an oracle with each loss by a preset, or find it; return the requests by their folders."""
    losses = {folder / short: loss for short, loss in PAPER_LOSSES.items()}
    return {path: common.train_by_preset(settings, path, **given, loss=loss) for path, loss in losses.items()}


def block_rows(oracles: Sequence[str], seen: ClassifierOutputs, images: Dataset, seed: int) -> list[Row]:
    """Return MCP's row and each oracle's; each oracle's has also its TNR's paired difference to cross entropy's.

    That of steep slope, which trusts where z > 0, has a second one: to cross entropy's where p is above α⁻ / (α⁺ + α⁻),
    which is what z > 0 means for it.
    """
    evaluation = common.evaluate(seen, oracles, seed, Resources(open_images=lambda _: images))
    found = [{**row.as_json(), "cuts": {str(cut): nan_to_none(rates) for cut, rates in row.cuts.items()}}
             for row in evaluation.rows]  # fmt: skip
    plain = next(one for one in evaluation.scored if one.name == PLAIN)
    for row, one in zip(found[1:], evaluation.scored[1:], strict=True):
        row["tnr_minus_ce"] = _difference(one, plain, seen, seed)
        if one.natural_cut is not None:
            row["tnr_minus_ce_at_cut"] = _difference(one, plain, seen, seed, plain.cut(one.natural_cut))
    return found


def _difference(one: Scored, plain: Scored, seen: ClassifierOutputs, seed: int, cut: float = 0.0) -> Row:
    """Compare the TNRs of z > 0 and of the other's z > cut."""
    found = common.compared(one, plain, seen, seed, thresholds_a=(0.0, 0.0), thresholds_b=(cut, cut))
    return nan_to_none(found["tnr"])


def _extracted(
    sources: Sources, classifier: Classifier, data: Mapping[str, Dataset], folder: Path, batch_size: int
) -> dict[str, ClassifierOutputs]:
    """Return a classifier's outputs of its training split and of the reported one."""
    images = {name: data[name] for name in ("train", sources.split)}
    return outputs_of(classifier, images, folder, ExtractionOptions(batch_size=batch_size))


def _of_probe(sources: Sources, data: Mapping[str, Dataset], seed: int) -> dict[str, ClassifierOutputs]:
    """Return the outputs of a linear probe on the backbone."""
    seen = _extracted(sources, sources.backbone, data, sources.work / "backbone", 64)
    weights, bias = probe(seen["train"], seed)
    probed = {name: probed_outputs(outputs, weights, bias) for name, outputs in seen.items()}
    return {name: outputs.changed(features=None) for name, outputs in probed.items()}


def tables(rows: Sequence[Row]) -> str:
    """Return a table of each pair ⟨oracle, classifier⟩, and one of the steep slope loss's gain in TNR."""
    blocks = []
    for (oracle, classifier), own in grouped(rows, *PAIR).items():
        blocks += [f"## ⟨{oracle}, {classifier}⟩", mean_table(own).strip(), _at_cuts(own)]
    return "\n\n".join([*blocks, _tnr_gains(rows)]) + "\n"


def _at_cuts(rows: Sequence[Row]) -> str:
    """Return TPR / TNR at one half, and where the steep slope loss cuts."""
    cuts = list(rows[0]["cuts"])
    lines = []
    for name, own in grouped(rows, "score").items():
        cells = [_rates([row["cuts"][cut] for row in own]) for cut in cuts]
        lines.append([Cell(name), *([cells[0], UNDEFINED] if name == STEEP else cells)])
    titles = [f"TPR / TNR where p > {float(cut):.3g}" for cut in cuts]
    note = (
        f"{STEEP} trusts where z > 0, which is in the first column; compare it there with the others in the last one. "
        "Its sigmoid is no probability, and has no other cut."
    )
    return markdown(Grid("", ["score", *titles], lines, note))


def _rates(cells: Sequence[dict[str, float | None]]) -> Cell:
    tpr, tnr = (mean_cell([cell[rate] for cell in cells]).text.split(" ")[0] for rate in ("tpr", "tnr"))
    return Cell(f"{tpr} / {tnr}")


def _tnr_gains(rows: Sequence[Row]) -> str:
    """Return, pair by pair and seed by seed, steep slope's paired differences to cross entropy."""
    columns = ["⟨oracle, classifier⟩", "TPR of SS", "TNR of SS − CE, both z > 0", "TPR of CE, p > cut",
               "TNR of SS, z > 0, − CE, p > cut"]  # fmt: skip
    lines = []
    for own in grouped(rows, *PAIR).values():
        plain = {row["seed"]: row for row in own if row["score"] == PLAIN}
        lines += [_gain_line(row, plain[row["seed"]]) for row in own if row["score"] == STEEP]
    note = "Points, paired, with 95 % intervals; cut = α⁻ / (α⁺ + α⁻), the p that z > 0 stands for in SS."
    return markdown(Grid("Steep slope against cross entropy", columns, lines, note))


def _gain_line(steep: Row, plain: Row) -> list[Cell]:
    cut = str(decision_probability(steep["alpha_pos"], steep["alpha_neg"]))
    return [
        Cell(f"⟨{steep['oracle']}, {steep['classifier']}⟩, seed {steep['seed']}"),
        mean_cell([steep["tpr"]["value"]]),
        interval_cell(steep["tnr_minus_ce"], sign="+"),
        mean_cell([plain["cuts"][cut]["tpr"]]),
        interval_cell(steep["tnr_minus_ce_at_cut"], sign="+"),
    ]


if __name__ == "__main__":
    common.main(image_table)
