"""What commands with gates have in common: what is judged by, and groups. It imports torch plainly."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steepslope.commands.results import groups_of, require_runnable
from steepslope.errors import SteepslopeError, located, require_known
from steepslope.evaluation.score import Resources, fit_set_of
from steepslope.evidence.fitting import in_both
from steepslope.finetuning.sources import open_images
from steepslope.gate.decisions import PREDICTED
from steepslope.gate.judge import Judge
from steepslope.oracle import Oracle
from steepslope.oracle.storage import CARD
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.reading import ReadingOptions
from steepslope.outputs.row_hashes import shared_rows
from steepslope.scores import SCORES


def judge_for(
    name: str,
    rows: ClassifierOutputs,
    path: Path,
    held_out: ClassifierOutputs | None,
    reference: ClassifierOutputs | None,
    backbones: Sequence[str],
) -> Judge:
    """Return the oracle in a folder, or the score of a name, fitted to other outputs where it learns."""
    if (Path(name) / CARD).exists():
        require_runnable([name], backbones)
        oracle = Oracle.load(name, backbones)
        if oracle.is_image_oracle:
            oracle = oracle.on(open_images(rows, path, None))
        with located(f"oracle {name}"):
            return Judge.of(oracle, rows.num_classes)
    if Path(name).exists() or "/" in name:
        raise SteepslopeError(f"expected the folder of a fitted oracle with {CARD}, found none", name)
    require_known("score", name, SCORES)
    fit_set = fit_set_of(name, rows, Resources(held_out, reference))
    shared = 0 if held_out is None else shared_rows(rows, held_out)
    if shared and held_out is not None:
        raise SteepslopeError(
            f"expected other rows than those to calibrate on, {in_both(shared, rows, held_out)}", "fit"
        )
    with located(name):
        return Judge.of(SCORES[name]().fit(fit_set), rows.num_classes, held_out)


def groups_for(by: str | None, rows: ClassifierOutputs, path: Path, reading: ReadingOptions) -> NDArray[np.str_] | None:
    """Return the group of each prediction, (n,), as the option names it; None where there are none or the predicted."""
    if by is None or by == PREDICTED:
        return None
    if by == "label":
        expected = "expected groups that are known when an image comes, such as predicted or a column"
        raise SteepslopeError(f"{expected}, found the true class", "by")
    found = groups_of(by, rows, path, reading)
    assert found is not None
    codes = np.asarray(found.codes)
    return codes.astype(np.str_) if found.names is None else np.array(found.names, dtype=np.str_)[codes]
