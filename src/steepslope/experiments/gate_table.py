"""What a gate promises and keeps: coverage and risk over splits of the test rows, and warnings on shifted images.

Run ``python -m steepslope.experiments.gate_table --help``. It starts from the classifiers of
``steepslope.experiments.loss_table``, and from the outputs and oracles of ``steepslope.experiments.fused_table``.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from steepslope.classifiers.specs import load_classifier
from steepslope.data.datasets import parse_dataset
from steepslope.deploy.verdict import WARNINGS
from steepslope.errors import SteepslopeError
from steepslope.evaluation.score import Resources, fit_set_of
from steepslope.experiments import common
from steepslope.experiments.common import Row, grouped, mean_cell, outputs_of
from steepslope.experiments.distortions import DISTORTIONS
from steepslope.experiments.fused_table import (
    AUXILIARY,
    DISTORTED_ROWS,
    HOLDOUT,
    LEVELS,
    PLAIN,
    all_images,
    fitted,
    small_net,
)
from steepslope.experiments.gate_measures import ALL, BATCH, PREDICTED, Judged, caught, halves, kept, shifted_row
from steepslope.extraction.auxiliary import summary_of_features
from steepslope.finetuning.sources import TRAIN
from steepslope.gate.judge import Judge
from steepslope.metrics import aurc
from steepslope.outputs import ClassifierOutputs
from steepslope.report.grid import UNDEFINED, Cell, Grid, markdown, number_cell
from steepslope.scores import MCP, SCORES
from steepslope.utilities.progress import console

MAX_RISK = 0.02
OTHER_RISKS = (0.01, 0.05)
BEST_SINGLE = "best single"
SHIFTED = ("mcp", "fused-free", "fused-auxiliary")  # those that judge distorted images
CLEAN = "none"  # the distortion of clean batches, the control
Outputs = Mapping[str, ClassifierOutputs]  # by the names of their data


def gate_table(
    data: str,
    classifiers: str,
    work: str,
    out: str,
    auxiliary: str,
    auxiliary_size: int = 160,
    auxiliary_mean: float = 0.5,
    auxiliary_std: float = 0.5,
    seeds: tuple[int, ...] = (0, 1, 2),
) -> None:
    """Extract and fit what is missing, calibrate, count, and write rows.json, shifted.json and table.md.

    Parameters
    ----------
    data
        Data spec that the classifiers were trained on.
    classifiers
        Folder of the classifiers: seed0/classifier and so on.
    work
        Folder for outputs and oracles, that of ``fused_table``; those that are there already are not made again.
    out
        Folder for the results.
    auxiliary
        Classifier spec of the auxiliary backbone.
    auxiliary_size
        Side of the auxiliary backbone's input, in pixels.
    auxiliary_mean
        Mean of the auxiliary backbone's input.
    auxiliary_std
        Standard deviation of the auxiliary backbone's input.
    seeds
        Seeds of the classifiers.
    """
    common.require_seeds(seeds)
    folder, nets = Path(work), {seed: small_net(classifiers, seed) for seed in seeds}
    backbone = load_classifier(auxiliary).with_transform(auxiliary_size, auxiliary_mean, auxiliary_std)
    images = all_images(nets[seeds[0]], parse_dataset(data))
    seen = outputs_of(backbone, images, folder / "auxiliary", AUXILIARY, summary_of_features)
    rows: list[Row] = []
    shifted: list[Row] = []
    for seed, net in nets.items():
        own = outputs_of(net, images, folder / f"seed{seed}", PLAIN)
        outputs = {name: one.with_auxiliary(seen[name]) for name, one in own.items()}
        judges = all_judges(outputs, folder / f"seed{seed}", seed)
        some = [{"seed": seed, **row} for row in clean_rows(judges, outputs["test"])]
        rows += some
        shifted += [{"seed": seed, **row} for row in shifted_rows(judges, outputs)]
        covered = ", ".join(f"{row['score']} {row['coverage']:.3f}" for row in some if row["by"] == ALL)
        console().print(f"seed {seed}: {covered}")
        common.write_results(out, rows, tables(rows, shifted), {"shifted.json": shifted})


def all_judges(outputs: Outputs, folder: Path, seed: int) -> dict[str, Judge]:
    """Return MCP, the best single score, and the fused oracle fitted for each budget.

    Raises
    ------
    SteepslopeError
        If the folder has an oracle of an earlier version, which does not tell where thresholds are to lie.
    """
    held_out = outputs[HOLDOUT]
    free, full = fitted(outputs, folder / "free", seed, "free"), fitted(outputs, folder, seed)
    judges = {"mcp": Judge.of(MCP(), held_out.num_classes, held_out), BEST_SINGLE: best_single(outputs)}
    fused = {f"fused-{one.settings.budget}": Judge.of(one, held_out.num_classes) for one in (free, full)}
    if any(judge.reference is None for judge in fused.values()):
        raise SteepslopeError("expected oracles that keep percentiles of their trust logits: fit them again", folder)
    return judges | fused


def best_single(outputs: Outputs) -> Judge:
    """Return the single score of least AURC on held-out rows, among those whose arrays all outputs hold."""
    held_out, resources = outputs[HOLDOUT], Resources(outputs[HOLDOUT], outputs[TRAIN])
    possible = {name: kind for name, kind in SCORES.items() if {*kind.arrays} <= {*held_out.arrays}}
    scores = {name: kind().fit(fit_set_of(name, outputs["test"], resources)) for name, kind in possible.items()}
    risks = {name: aurc(score.confidence(held_out), held_out.is_correct) for name, score in scores.items()}
    return Judge.of(scores[min(risks, key=lambda name: risks[name])], held_out.num_classes, held_out)


def clean_rows(judges: Mapping[str, Judge], test: ClassifierOutputs) -> list[Row]:
    """Return what each judge's gates keep on the test split, at each risk, by class, and of a batch."""
    wanted = [(MAX_RISK, ALL), *((risk, ALL) for risk in OTHER_RISKS), (MAX_RISK, PREDICTED), (MAX_RISK, BATCH)]
    judged = {name: Judged.of(judge, test) for name, judge in judges.items()}
    return [
        {"score": name, "judge": one.judge.name, **kept(one, risk, by)}
        for risk, by in wanted
        for name, one in judged.items()
    ]


def shifted_rows(judges: Mapping[str, Judge], outputs: Outputs) -> list[Row]:
    """Return what the gates of some judges accept of distorted images, and of as many clean ones.

    They are calibrated on a half of the test rows that holds none of the images that were distorted.
    """
    rows, test = [], outputs["test"]
    for name in (one for one in SHIFTED if one in judges):
        judged = Judged.of(judges[name], test)
        known, *clean = _parts(len(test))
        gate = judged.subset(known).gate(MAX_RISK)
        batches = [(CLEAN, level, judged.subset(part)) for level, part in enumerate(clean)]
        batches += [(kind, level, Judged.of(judges[name], outputs[f"{kind}{level}"])) for kind, level in _kinds()]
        for kind, level, batch in batches:
            rows.append({"score": name, "distortion": kind, "level": level, **shifted_row(batch, gate, MAX_RISK)})
    return rows


def _kinds() -> Iterator[tuple[str, int]]:
    return ((name, level) for name in DISTORTIONS for level in LEVELS)


def _parts(n: int) -> Iterator[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Yield the rows to calibrate on, and batches of as many clean rows as are distorted, all of them apart."""
    first, _ = next(halves(n))
    distorted = min(n, DISTORTED_ROWS)
    known = first[first >= distorted] if n > 2 * distorted else first
    others = np.setdiff1d(np.arange(n), known)
    yield known
    yield from np.array_split(np.random.default_rng(0).permutation(others), max(1, len(others) // distorted))


def tables(rows: Sequence[Row], shifted: Sequence[Row]) -> str:
    """Return all tables as Markdown."""
    parts = [kept_table(rows), class_table(rows), batch_table(rows), warnings_table(shifted), kinds_table(shifted)]
    return "\n\n".join(parts) + "\n"


def kept_table(rows: Sequence[Row]) -> str:
    """Return coverage and risk at each promised risk."""
    lines = []
    for (risk, name), own in grouped([row for row in rows if row["by"] == ALL], "max_risk", "score").items():
        above = _per_seed(own, "above")
        cells = [mean_cell([row[key] for row in own]) for key in ("certified", "coverage")]
        risks = mean_cell([row["risk"] for row in own], digits=2)
        lines.append([Cell(f"{100 * risk:g} %: {_named(name, own)}"), *cells, risks, above])
    note = (
        "Promised at delta 5 %: coverage of the calibration half and of the other half, risk of what is accepted of "
        "the other half, in percent; in how many of 20 splits it is above what was promised. Halves of 5,000 test "
        f"rows; mean ± standard deviation over {_seeds(rows)} seeds. A promise is of the risk in the long run: on "
        "5,000 other rows, a risk just within it is above it now and then."
    )
    titles = ["promised, score", "certified coverage", "coverage", "risk", "splits above"]
    return markdown(Grid("One threshold", titles, lines, note))


def class_table(rows: Sequence[Row]) -> str:
    """Return the same with a threshold for each predicted class."""
    lines = []
    for name, own in grouped([row for row in rows if row["by"] == PREDICTED], "score").items():
        promised = mean_cell([row["promised"] for row in own], 1)
        cells = [mean_cell([row["coverage"] for row in own])]
        cells += [mean_cell([row[key] for row in own], digits=2) for key in ("risk", "worst_class")]
        above = mean_cell([row["classes_above"] for row in own], 1)
        lines.append([Cell(_named(name, own)), promised, *cells, above, _per_seed(own, "above")])
    titles = [
        "score",
        "classes promised",
        "coverage",
        "risk",
        "risk of the worst class",
        "classes above",
        "splits above",
    ]
    note = f"At most {100 * MAX_RISK:g} % of each predicted class, delta shared by all classes; means over 20 splits."
    return markdown(Grid("A threshold for each predicted class", titles, lines, note))


def batch_table(rows: Sequence[Row]) -> str:
    """Return what is selected of one batch."""
    lines = []
    for name, own in grouped([row for row in rows if row["by"] == BATCH], "score").items():
        coverage, risk = mean_cell([row["coverage"] for row in own]), mean_cell([row["risk"] for row in own], digits=2)
        lines.append([Cell(_named(name, own)), coverage, risk, _per_seed(own, "above")])
    note = (
        f"The other half is selected at once, such that on average at most {100 * MAX_RISK:g} % are wrong: about half "
        "of single batches may have more, and a mean of 20 is known to about 0.1 points."
    )
    return markdown(Grid("One batch", ["score", "selected", "wrong", "splits above"], lines, note))


def warnings_table(shifted: Sequence[Row]) -> str:
    """Return how many broken promises are warned of, and how many others."""
    lines = []
    for name, own in grouped(shifted, "score").items():
        for what, some in _outcomes(own).items():
            counts = [caught(some, warning) for warning in (*WARNINGS, None)]
            cells = [Cell(f"{given} of {of}") if of else UNDEFINED for given, of in counts]
            lines.append([Cell(f"{name}, {what}"), *cells])
    note = (
        f"Batches of {DISTORTED_ROWS} images, 24 distortions at two severities and {_seeds(shifted)} seeds, judged by "
        f"gates for {100 * MAX_RISK:g} % that are calibrated on clean rows of other images. Broken: the lower 95 % "
        "bound of the risk of what is accepted is above the promise; kept: the risk itself is not. Of how many a "
        "warning is given, without labels. The control are "
        "batches of about as many clean images of the other test rows."
    )
    return markdown(Grid("Warnings", ["", *WARNINGS, "any warning"], lines, note))


def _outcomes(rows: Sequence[Row]) -> dict[str, list[Row]]:
    others = [row for row in rows if row["distortion"] != CLEAN]
    return {
        "broken": [row for row in others if row["is_broken"]],
        "neither": [row for row in others if not row["is_broken"] and not row["is_kept"]],
        "kept": [row for row in others if row["is_kept"]],
        "clean": [row for row in rows if row["distortion"] == CLEAN],
    }


def kinds_table(shifted: Sequence[Row]) -> str:
    """Return what is accepted of each kind of images, and how much of it is wrong."""
    names = list(grouped(shifted, "score"))
    lines = []
    for kind, some in grouped(shifted, "distortion").items():
        by_score = grouped(some, "score")
        accuracy = number_cell(float(np.mean([row["accuracy"] for row in some])))
        lines.append([Cell(kind), accuracy, *(_accepted_cell(by_score[name]) for name in names), _handed_cell(some)])
    usual = [row["usual_handover"] for row in shifted if row["usual_handover"] is not None]
    note = (
        "Mean of two severities and all seeds, in percent: accepted, and in brackets the fraction of errors among all "
        "that is accepted, and how many batches break the promise."
        + (f" Of the fit set, {100 * np.mean(usual):.0f} % are handed over." if usual else "")
    )
    return markdown(Grid("Shifted images", ["distortion", "Acc", *names, "handed over"], lines, note))


def _accepted_cell(rows: Sequence[Row]) -> Cell:
    accepted, errors, n = (sum(row[key] for row in rows) for key in ("accepted", "errors", "n"))
    wrong = f"{100 * errors / accepted:.1f}" if accepted else "–"
    return Cell(f"{100 * accepted / n:.0f}", f"({wrong}; {sum(row['is_broken'] for row in rows)} of {len(rows)})")


def _handed_cell(rows: Sequence[Row]) -> Cell:
    known = [row["handed_over"] for row in rows if row["handed_over"] is not None]
    return number_cell(float(np.mean(known)), digits=0) if known else UNDEFINED


def _named(name: str, rows: Sequence[Row]) -> str:
    judges = list(dict.fromkeys(row["judge"] for row in rows))
    return f"{name} ({', '.join(judges)})" if name == BEST_SINGLE else name


def _per_seed(rows: Sequence[Row], key: str) -> Cell:
    return Cell(", ".join(f"{row[key]:.0f}" for row in rows))


def _seeds(rows: Sequence[Row]) -> int:
    return len({row["seed"] for row in rows})


if __name__ == "__main__":
    common.main(gate_table)
