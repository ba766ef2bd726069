"""One split of a data set: what scores may learn from, the rows that are judged, and how fused oracles rank these.

Around a classifier of scikit-learn, the plain :class:`~steepslope.sklearn.TrustedClassifier` makes all of it. Around a
frozen net, and around stored probabilities, it is :meth:`~steepslope.Oracle.fused` on a part of the labelled rows.
"""

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from sklearn.utils import _safe_indexing, check_random_state

from steepslope.errors import NothingPromisedWarning, SteepslopeError, explained, require_known
from steepslope.files import Notice
from steepslope.oracle import FusedOracle
from steepslope.outputs import UNKNOWN_NAME, ClassifierOutputs
from steepslope.sklearn import (
    LARGEST_SEED,
    Learning,
    Reader,
    TrustedClassifier,
    class_codes,
    copies_in_inputs,
    held_out_rows,
)
from steepslope_lab.benchmark.estimators import ESTIMATORS
from steepslope_lab.benchmark.nets import only_opinions, outputs_of_images
from steepslope_lab.benchmark.preset import Preset
from steepslope_lab.benchmark.rows import LONGEST, Rows, read_frame, read_rows, require_frame_columns

FREE, ALL = "fused, free", "fused, all opinions"
FIT_PART = 0.4  # of the rows that a frozen classifier never saw
# The split has a random stream of its own: with that of the seed alone, by which shifted images are drawn, the
# originals of all of these would be in the fit set of seed 0.
SPLIT = 1
TEST = "test"
MOST_NAMED = 5  # classes, in a message
REFUSED = TypeError, ValueError  # what scikit-learn and NumPy raise for rows that they cannot take
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class JudgedRows:
    """Labelled outputs with all opinions, and the trust logits of fused oracles by their names, (n,) each."""

    outputs: ClassifierOutputs
    fused: Mapping[str, Floats]


@dataclass(frozen=True, eq=False)
class Trial:
    """What one split gives: labelled rows that are new to the classifier, its training rows, and rows that are judged.

    ``judged`` has those of the test under ``TEST``, and shifted ones by name. ``learnt`` are the rows that the oracle
    with all opinions learns from, predicted by clones that were fitted without them. ``seconds`` are of CPU, of each
    oracle.
    """

    known: ClassifierOutputs
    reference: ClassifierOutputs | None
    judged: Mapping[str, JudgedRows]
    learnt: ClassifierOutputs
    seconds: Mapping[str, float] = field(default_factory=dict)


def fused_name(opinions: Sequence[str]) -> str:
    """Return the line of a fused oracle with these opinions: none, one, or all of several.

    >>> fused_name([]), fused_name(["forest"]), fused_name(["forest", "people"])
    ('fused, free', 'fused, forest', 'fused, all opinions')
    """
    return ALL if len(opinions) > 1 else f"fused, {opinions[0]}" if opinions else FREE


def opinion_choices(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return which opinions are tried: none, each alone, and all of several.

    >>> opinion_choices(["a", "b"]), opinion_choices([])
    ([(), ('a',), ('b',), ('a', 'b')], [()])
    """
    return [(), *((name,) for name in names), *([tuple(names)] if len(names) > 1 else [])]


class Watched(TrustedClassifier):
    """The same, which keeps the rows that its oracle learns from, and what reads all opinions, taken or not."""

    learnt_: ClassifierOutputs
    shown_: Reader

    def _learning(self, seed: int, params: Mapping[str, Any]) -> Learning:
        return _WatchedLearning(**vars(super()._learning(seed, params)), watched=self)


@dataclass(frozen=True, eq=False)
class _WatchedLearning(Learning):
    watched: Watched

    def oracle_of(self, outputs: ClassifierOutputs, reader: Reader) -> FusedOracle | None:
        self.watched.learnt_ = outputs
        self.watched.shown_ = reader
        return super().oracle_of(outputs, reader)


def judged_part(preset: Preset) -> float:
    """Return which part of the labelled rows is judged in a split; another split has this part of them in common."""
    return preset.test if preset.kind in ESTIMATORS else 1 - FIT_PART


@contextmanager
def cpu_timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Keep how many seconds of CPU the block takes."""
    begun = time.process_time()
    yield
    seconds[name] = round(time.process_time() - begun, 2)


def trial_of(preset: Preset, folder: Path, work: Path, seed: int, notice: Notice) -> Trial:
    """Return the trial of a seed, from the files of the data set in a folder; nets are run once, into ``work``.

    Raises
    ------
    SteepslopeError
        If files are missing, or the classifier is unknown.
    """
    if preset.kind == "image":
        outputs, reference, shifted = outputs_of_images(preset, folder, work, seed, notice)
        return _trial_of_frozen_net(outputs, reference, shifted, seed)
    if preset.kind == "probabilities":
        shifted = {
            name: stored_probabilities(folder, replace(preset, read={**preset.read, **change}))
            for name, change in preset.shifted.items()
        }
        return _trial_of_frozen_net(stored_probabilities(folder, preset), None, shifted, seed)
    for name in (preset.classifier, *preset.opinions.values()):
        require_known(f"classifier of the kind {preset.kind}:", name, ESTIMATORS[preset.kind])
    return _trial_of_estimator(preset, folder, seed)


def stored_probabilities(folder: Path, preset: Preset) -> ClassifierOutputs:
    """Return the probabilities that a table has of two outcomes, and which came true.

    Of ``preset.read``, ``first`` and ``second`` name the columns of probabilities, and ``won`` is that of 1 where the
    first came true, 0 where the second did; rows of anything else, such as a draw, are left out.
    """
    first, second, won = (str(preset.read[name]) for name in ("first", "second", "won"))
    settings = {name: value for name, value in preset.read.items() if name not in ("first", "second", "won")}
    frame = read_frame(folder, settings)
    require_frame_columns(frame, [first, second, won], "read")
    frame = frame.dropna(subset=[first, second, won])
    frame = frame[frame[won].isin([0, 1])]
    if frame.empty:
        raise SteepslopeError(f"expected rows of which {won} is 0 or 1, found none", "read.won")
    with explained("expected columns of numbers", "read", REFUSED, LONGEST):
        probabilities = frame[[first, second]].to_numpy(dtype=np.float64)
    labels = 1 - frame[won].to_numpy(dtype=np.int64)
    total = probabilities.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # the outputs refuse rows of zeros
        return ClassifierOutputs.from_probabilities(probabilities / total, labels)


def _trial_of_frozen_net(
    outputs: ClassifierOutputs, reference: ClassifierOutputs | None, shifted: Mapping[str, ClassifierOutputs], seed: int
) -> Trial:
    order = np.random.default_rng([seed, SPLIT]).permutation(len(outputs))
    fit, test = (np.sort(rows) for rows in np.split(order, [round(FIT_PART * len(order))]))
    known = outputs.subset(fit)
    sets = {TEST: outputs.subset(test), **{name: without_originals_in(known, rows) for name, rows in shifted.items()}}
    seconds: dict[str, float] = {}
    fused: dict[str, dict[str, Floats]] = {name: {} for name in sets}
    for opinions in opinion_choices(outputs.opinions):
        line = fused_name(opinions)
        seen = only_opinions(known, opinions)
        with cpu_timed(seconds, line):
            oracle = FusedOracle(budget="opinions" if opinions else "free", seed=seed).fit(seen, reference)
        for name, rows in sets.items():
            if set(opinions) <= {*rows.opinions}:
                fused[name][line] = oracle.trust_logit(only_opinions(rows, opinions))
    judged = {name: JudgedRows(rows, fused[name]) for name, rows in sets.items()}
    return Trial(known, reference, judged, known, seconds)


def without_originals_in(known: ClassifierOutputs, shifted: ClassifierOutputs) -> ClassifierOutputs:
    """Return the shifted rows whose originals, by their ids, are not in the fit set; all if there are no ids.

    >>> known, rows = (ClassifierOutputs(np.zeros((2, 2)), [0, 1], ids=ids) for ids in (["a", "b"], ["b", "c"]))
    >>> without_originals_in(known, rows).ids
    array(['c'], dtype='<U1')
    """
    if known.ids is None or shifted.ids is None:
        return shifted
    return shifted.subset(np.flatnonzero(~np.isin(shifted.ids, known.ids)))


def _trial_of_estimator(preset: Preset, folder: Path, seed: int) -> Trial:
    rows = _at_most_rows(read_rows(folder, preset.read), preset.most_rows)
    estimators = ESTIMATORS[preset.kind]
    strata = _strata_of_labels(rows.y, preset.test)
    train, test = train_test_split(np.arange(len(rows.y)), test_size=preset.test, random_state=seed, stratify=strata)
    X, y = _safe_indexing(rows.X, train), rows.y[train]
    sets = {TEST: Rows(_safe_indexing(rows.X, test), rows.y[test])}
    sets |= {name: read_rows(folder, {**preset.read, **change}, 1) for name, change in preset.shifted.items()}
    seconds: dict[str, float] = {}
    models: dict[str, Watched] = {}
    for opinions in opinion_choices([*preset.opinions]):
        line = fused_name(opinions)
        others = {name: estimators[preset.opinions[name]](seed) for name in opinions}
        model = Watched(estimators[preset.classifier](seed), random_state=seed, opinions=others or None)
        refusing = explained("cannot be fitted", f"classifier {preset.classifier}", REFUSED, LONGEST)
        with cpu_timed(seconds, line), refusing, warnings.catch_warnings():
            warnings.simplefilter("ignore", NothingPromisedWarning)  # of a gate that no table has
            models[line] = model.fit(X, y)
    free = models[FREE]
    inner = int(check_random_state(seed).randint(LARGEST_SEED))
    learnt, _, _ = held_out_rows(y, None, free.calibration_size, inner, copies_in_inputs(X))
    reference = labelled_outputs(free.shown_, Rows(_safe_indexing(X, learnt), y[learnt]))
    known = free.calibration_.outputs
    with_all = models[fused_name([*preset.opinions])]
    judged = {name: _judged_rows(name, one, with_all.shown_, models) for name, one in sets.items()}
    return Trial(known, reference, judged, with_all.learnt_, seconds)


def _judged_rows(name: str, rows: Rows, reader: Reader, models: Mapping[str, Watched]) -> JudgedRows:
    """Return what an oracle with all opinions sees of a set of rows, and how all of them rank it."""
    place = name if name == TEST else f"shifted.{name}"
    if not np.isin(rows.y, [*reader.classes, UNKNOWN_NAME]).any():
        known, found = (", ".join([*map(str, some)][:MOST_NAMED]) for some in (reader.classes, np.unique(rows.y)))
        raise SteepslopeError(f"expected labels among {known}, found {found}", place)
    with explained("cannot be judged", place, REFUSED, LONGEST):
        fused = {line: model.trust_logit(rows.X) for line, model in models.items()}
        return JudgedRows(labelled_outputs(reader, rows), fused)


def labelled_outputs(reader: Reader, rows: Rows) -> ClassifierOutputs:
    """Return what an oracle sees of rows, and their labels."""
    return reader.outputs(rows.X).changed(labels=class_codes(rows.y, reader.classes))


def _at_most_rows(rows: Rows, most: int | None) -> Rows:
    if most is None or len(rows.y) <= most:
        return rows
    drawn = np.sort(np.random.default_rng(0).permutation(len(rows.y))[:most])
    return Rows(_safe_indexing(rows.X, drawn), rows.y[drawn])


def _strata_of_labels(y: NDArray[np.str_], part: float) -> NDArray[np.str_] | None:
    """Return labels to draw by, unless a class is too rare, or a side too small, for each to be on both sides."""
    classes, counts = np.unique(y, return_counts=True)
    smaller = int(min(part, 1 - part) * len(y))
    return y if counts.min() > 1 and smaller >= len(classes) else None
