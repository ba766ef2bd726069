"""The paper's Table 3 and Table A1 on a small data set: what oracles know of images from domains that they never saw.

Run ``python -m steepslope.experiments.shift_table --help``. It starts from the classifiers and oracles that
``loss_table`` has trained, and from the outputs and fused oracles of ``fused_table``.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from steepslope.classifiers.specs import load_classifier
from steepslope.data.datasets import parse_dataset
from steepslope.data.images import Dataset, Images, Picture
from steepslope.data.shifted import Shifted
from steepslope.evaluation.score import BASELINE, Resources
from steepslope.experiments import common
from steepslope.experiments.common import Row, grouped, mean_cell, metric_cell, outputs_of
from steepslope.experiments.fused_table import (
    AUXILIARY,
    BUDGETS,
    HOLDOUT,
    PLAIN,
    at_budgets,
    fitted,
    small_net,
    split_images,
)
from steepslope.experiments.gate_table import BEST_SINGLE, best_single
from steepslope.experiments.image_table import SMALL, fit_folder, preset_name
from steepslope.extraction.auxiliary import summary_of_features
from steepslope.extraction.extraction import TEST
from steepslope.finetuning.sources import TRAIN
from steepslope.losses import PAPER_LOSSES
from steepslope.metrics import METRICS
from steepslope.outputs import ClassifierOutputs
from steepslope.presets import preset
from steepslope.report.grid import UNDEFINED, Cell, Grid, markdown
from steepslope.report.tables import DELTA
from steepslope.scores import SCORES
from steepslope.shifts.corruptions import PAPER_CORRUPTIONS, Corruption
from steepslope.shifts.recolor_options import RecolorOptions
from steepslope.shifts.recoloring import Recoloring
from steepslope.shifts.stylization import StylizeSpec
from steepslope.utilities.progress import console

STYLIZED, ADVERSARIAL, DEFOCUS = "stylized", "adversarial", "defocus_blur-5"
TITLES = {TEST: "clean", STYLIZED: "stylized", ADVERSARIAL: "adversarial", DEFOCUS: "defocus blur, severity 5"}
TABLE3 = (STYLIZED, ADVERSARIAL, DEFOCUS)
SEVERITIES = (1, 2, 3, 4, 5)
SHOWN = ("auc", "fpr_at_95tpr", "aupr_error", "aupr_success", "tpr", "tnr")  # as in the paper's Table 3
FUSED = tuple(f"fused-{budget}" for budget in BUDGETS)
ON_IMAGES = "SS-images"
CLEAR = "In brackets: in how many seeds the paired 95 % interval of the difference to MCP is above (↑) or below (↓) 0."
DEPENDENT = (
    "Intervals are of the test images alone; those of one kind and seed share their images and are not independent."
)
DELTA_AUC = "delta_auc_vs_mcp"
FIT_ROWS = 20_000  # of the oracle on images
SIDE = 112  # pixels a side at which small images are stylised

Outputs = Mapping[str, ClassifierOutputs]


class Remembered(Shifted):
    """Shifted images that are made once, when the first is asked for: several nets look at them."""

    @cached_property
    def _all(self) -> list[Picture | Exception]:
        return [one for number in range(-(-len(self) // self.shift.block)) for one in self.shifted_block(number)]

    def image(self, row: int) -> Picture:
        """Return one shifted image."""
        found = self._all[row]
        if isinstance(found, Exception):
            raise found
        return found


def shift_table(
    data: str,
    classifiers: str,
    work: str,
    out: str,
    auxiliary: str,
    stylizer: str,
    styles: str,
    auxiliary_size: int = 160,
    auxiliary_mean: float = 0.5,
    auxiliary_std: float = 0.5,
    rows: int = 2_000,
    attacked_rows: int = 2_000,
    seeds: tuple[int, ...] = (0, 1, 2),
) -> None:
    """Shift the test images, extract what is missing, evaluate, and write rows.json, severities.json and table.md.

    Parameters
    ----------
    data
        Data spec that the classifiers were trained on.
    classifiers
        Folder of the classifiers and of the oracles on their features: seed0/classifier, seed0/oracles-train and so on.
    work
        Folder of the outputs and fused oracles; outputs that are there already are not made again.
    out
        Folder for the results.
    auxiliary
        Classifier spec of the auxiliary backbone.
    stylizer
        Folder of a trained stylizer.
    styles
        Folder of the images whose styles are taken.
    auxiliary_size
        Side of the auxiliary backbone's input, in pixels.
    auxiliary_mean
        Mean of the auxiliary backbone's input.
    auxiliary_std
        Standard deviation of the auxiliary backbone's input.
    rows
        Number of test images of each corruption and severity, the first ones; stylised and defocused are all of them.
    attacked_rows
        Number of test images that are attacked, the first ones.
    seeds
        Seeds of the classifiers.
    """
    common.require_seeds(seeds)
    spec, folder = parse_dataset(data), Path(work)
    backbone = load_classifier(auxiliary).with_transform(auxiliary_size, auxiliary_mean, auxiliary_std)
    nets = {seed: small_net(classifiers, seed) for seed in seeds}
    test = spec.load_into_memory(TEST)
    some = test.subset(np.arange(min(attacked_rows, len(test))))
    shared = shared_images(test, rows, StylizeSpec(stylizer, styles, side=SIDE))
    splits = split_images(nets[seeds[0]], spec)
    foreign = outputs_of(backbone, {**splits, **shared}, folder / "auxiliary", AUXILIARY, summary_of_features)
    found: list[Row] = []
    severities: list[Row] = []
    for seed, net in nets.items():
        own, attacked = folder / f"seed{seed}", {ADVERSARIAL: Remembered(some, Recoloring(net, RecolorOptions()))}
        features = foreign | outputs_of(backbone, attacked, own / "auxiliary", AUXILIARY, summary_of_features)
        seen = outputs_of(net, {**splits, **attacked, **shared}, own, PLAIN)
        outputs = {name: one.with_auxiliary(features[name]) for name, one in seen.items()}
        names = all_scores(outputs, Path(classifiers) / f"seed{seed}", own, spec.name, seed)
        worst, others = seed_rows(outputs, {TEST: test, **attacked, **shared}, names, seed)
        found, severities = found + worst, severities + others
        console().print(f"seed {seed}: {', '.join(names)}")
        common.write_results(out, found, tables(found, severities), {"severities.json": severities})


def shared_images(test: Images, rows: int, style: StylizeSpec) -> dict[str, Remembered]:
    """Return what all seeds share, by names such as ``fog-3``: stylised images, and each corruption's."""
    some = test.subset(np.arange(min(rows, len(test))))
    shifts = {f"{kind}-{severity}": Corruption(kind, severity) for kind in PAPER_CORRUPTIONS for severity in SEVERITIES}
    corrupted = {name: Remembered(test if name in TABLE3 else some, shift) for name, shift in shifts.items()}
    return {STYLIZED: Remembered(test, style.load()), **corrupted}


def seed_rows(
    outputs: Outputs, images: Mapping[str, Dataset], names: Sequence[str], seed: int
) -> tuple[list[Row], list[Row]]:
    """Return one seed's rows: all scores and oracles on each shift at its worst, and the fused ones at all severities.

    The first of the names is the best single score, and the last are the fused oracles.
    """
    worst: list[Row] = []
    all_severities: list[Row] = []
    for shift in images:
        resources = Resources(outputs[HOLDOUT], outputs[TRAIN], lambda _, shift=shift: images[shift])  # type: ignore[misc]
        if shift in (TEST, *TABLE3) or shift.endswith(f"-{SEVERITIES[-1]}"):
            worst += evaluated(outputs[shift], names, resources, {"seed": seed, "shift": shift})
        if shift not in (TEST, STYLIZED, ADVERSARIAL):
            kind, severity = shift.split("-")
            about = {"seed": seed, "kind": kind, "severity": int(severity)}
            all_severities += evaluated(outputs[shift], names[-len(FUSED) :], resources, about, ("auc",))
    return worst, all_severities


def all_scores(outputs: Outputs, classifier: Path, folder: Path, data: str, seed: int) -> list[str]:
    """Return the best single score, and the folders of the oracles: on features, on images, fused.

    Nothing is fitted or chosen on any shifted image, or on a test image.
    """
    for budget, oracle in at_budgets(fitted(outputs, folder, seed)).items():
        oracle.save(folder / f"fused-{budget}")
    on_features = [classifier / "oracles-train" / loss for loss in PAPER_LOSSES]
    on_images = folder / ON_IMAGES
    fit_set = fit_folder(outputs[TRAIN], folder / "fit-images", FIT_ROWS, seed)
    settings = preset(preset_name(SMALL, SMALL))
    net = f"checkpoint:{classifier / 'classifier'}"
    common.train_by_preset(settings, on_images, oracle=net, data=data, outputs=str(fit_set), seed=seed)
    fused = [folder / name for name in FUSED]
    return [best_single(outputs).name, *map(str, [*on_features, on_images, *fused])]


def evaluated(
    outputs: ClassifierOutputs, names: Sequence[str], resources: Resources, about: Row, metrics: Sequence[str] = SHOWN
) -> list[Row]:
    """Return a row a score with these metrics and the paired difference of its AUC to MCP's; MCP's row is the first.

    The row of the best single score, which may be MCP again, is named so, and has the score's name as ``is``.
    """
    found = {row.name: row.as_json() for row in common.evaluate(outputs, names, about["seed"], resources).rows}
    singles = [(BEST_SINGLE, name) for name in names if name in SCORES]
    chosen = {BASELINE: BASELINE, **dict(singles), **{name: name for name in found if name not in SCORES}}
    return [
        {**about, "score": name, **({"is": one} if name == BEST_SINGLE else {}), "n": row["n"],
         "accuracy": row["accuracy"]["value"], **{metric: _rounded(row[metric]) for metric in metrics},
         DELTA_AUC: _rounded(row[DELTA_AUC])}
        for name, one in chosen.items() for row in [found[one]]
    ]  # fmt: skip


def _rounded(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return an estimate to five digits: there are many, and their intervals are wider by far."""
    return {name: None if value is None else round(value, 5) for name, value in values.items()}


def tables(rows: Sequence[Row], severities: Sequence[Row]) -> str:
    """Return all tables as Markdown."""
    return "\n\n".join([table3(rows), table_a1(rows), severity_table(severities)]) + "\n"


def table3(rows: Sequence[Row]) -> str:
    """Return the shape of the paper's Table 3: each shift's scores, and the clean images' first."""
    lines = []
    for shift, some in grouped(rows, "shift").items():
        if shift not in (TEST, *TABLE3):
            continue
        accuracy = mean_cell([row["accuracy"] for row in some if row["score"] == BASELINE])
        title = f"**{TITLES[shift]}: {some[0]['n']:,} images, accuracy {accuracy}**"
        lines.append([Cell(title), *[Cell("")] * (len(SHOWN) + 1)])
        for score, own in grouped(some, "score").items():
            cells = [metric_cell(own, metric) for metric in SHOWN]
            lines.append([Cell(score), *cells, _delta_cell(own)])
    titles = ["score", *(METRICS[name].heading for name in SHOWN), DELTA]
    singles = ", ".join(row["is"] for row in rows if row["score"] == BEST_SINGLE and row["shift"] == TEST)
    note = (
        f"In percent, mean ± standard deviation over {len({row['seed'] for row in rows})} seeds. {CLEAR} The best "
        f"single score has the least AURC on clean held-out rows ({singles}). CE, Focal, TCP and SS look at the "
        f"classifier's features, {ON_IMAGES} at the image, like the paper's oracles. The attack starts from the true "
        "classes of all images, also of those that are misclassified anyway, and is made for each classifier. The "
        "stylizer was trained on these styles, and on some training images."
    )
    return markdown(Grid("Table 3: unseen domains", titles, lines, note))


def table_a1(rows: Sequence[Row]) -> str:
    """Return the shape of the paper's Table A1, as AUCs: a corruption a row, a score a column."""
    worst = [row for row in rows if row["shift"].endswith(f"-{SEVERITIES[-1]}")]
    scores = list(grouped(worst, "score"))
    lines = []
    for shift, some in grouped(worst, "shift").items():
        own = grouped(some, "score")
        accuracy = mean_cell([row["accuracy"] for row in own[BASELINE]])
        name = f"{shift.split('-')[0]} ({some[0]['n']:,})"
        lines.append([Cell(name), accuracy, *(_auc_cell(own[score]) for score in scores)])
    means = [mean_of([row["auc"] for row in worst if row["score"] == score]) for score in scores]
    lines.append([Cell("**mean**"), Cell(""), *(Cell(f"**{100 * mean:.1f}**") for mean in means)])
    note = f"AUC in percent at severity {SEVERITIES[-1]}, mean over seeds; the number of images in brackets. {CLEAR}"
    return markdown(Grid("Table A1: corruptions at severity 5", ["corruption", "Acc", *scores], lines, note))


def severity_table(severities: Sequence[Row]) -> str:
    """Return the fused oracles' gain in AUC on MCP by corruption and severity, and how it is summed up."""
    lines = []
    for kind, some in grouped(severities, "kind").items():
        for score in FUSED:
            own = grouped([row for row in some if row["score"] == score], "severity")
            lines.append([Cell(kind), Cell(score), *(_delta_cell(own[severity]) for severity in SEVERITIES)])
    summed = " ".join(summary(severities, score) for score in FUSED)
    note = f"AUC of the fused oracle less MCP's, in points, mean over seeds. {CLEAR} {summed} {DEPENDENT}"
    titles = ["corruption", "score", *(f"severity {severity}" for severity in SEVERITIES)]
    return markdown(Grid("Fused against MCP, all severities", titles, lines, note))


def summary(severities: Sequence[Row], score: str) -> str:
    """Return in words how often an oracle is clearly above and below MCP, and where it is worst."""
    own = [row for row in severities if row["score"] == score]
    deltas = [row[DELTA_AUC] for row in own]
    cells = {cell: mean_of([row[DELTA_AUC] for row in some]) for cell, some in grouped(own, "kind", "severity").items()}
    known = {cell: mean for cell, mean in cells.items() if not np.isnan(mean)}
    worst = min(known, key=lambda cell: known[cell])
    above, below = clearly(deltas)
    return (
        f"{score}: mean {100 * np.mean([*known.values()]):+.1f}, worst {worst[0]} {worst[1]} "
        f"{100 * known[worst]:+.1f}; of {len(own)} intervals {above} lie clearly above 0 and {below} below."
    )


def _delta_cell(rows: Sequence[Row]) -> Cell:
    """Return the mean difference of the AUC to MCP's, and in how many seeds it is clear; a dash for MCP itself."""
    deltas = [row[DELTA_AUC] for row in rows]
    mean = mean_of(deltas)
    if rows[0]["score"] == BASELINE or np.isnan(mean):
        return UNDEFINED
    return Cell(f"{100 * mean:+.1f}", _arrows(deltas))


def _auc_cell(rows: Sequence[Row]) -> Cell:
    mean = mean_of([row["auc"] for row in rows])
    if np.isnan(mean):
        return UNDEFINED
    return Cell(f"{100 * mean:.1f}", "" if rows[0]["score"] == BASELINE else _arrows([row[DELTA_AUC] for row in rows]))


def _arrows(deltas: Sequence[Mapping[str, float | None]]) -> str:
    above, below = clearly(deltas)
    return f"({above} ↑ {below} ↓)"


def clearly(deltas: Sequence[Mapping[str, float | None]]) -> tuple[int, int]:
    """Return how many intervals lie above 0, and how many below; undefined ones are neither."""
    ends = [(one["low"], one["high"]) for one in deltas]
    return sum(low is not None and low > 0 for low, _ in ends), sum(high is not None and high < 0 for _, high in ends)


def mean_of(values: Sequence[Mapping[str, float | None]]) -> float:
    """Return the mean of estimates; NaN where one of them is undefined, as an AUC without a single success is."""
    return float(np.mean([np.nan if one["value"] is None else one["value"] for one in values]))


if __name__ == "__main__":
    common.main(shift_table)
