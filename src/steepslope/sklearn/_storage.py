"""A trusted classifier on disk: a folder with all but the classifier itself. Nothing in it is executed.

``trusted.json`` is the sealed card, with the settings and the classes. ``gate`` is a gate's folder, with the oracle.
``state.safetensors`` has what the features learnt, and ``calibration`` the outputs of the calibration rows. A few of
these rows are kept too. ``load`` tries the classifier on them, to tell whether it is the one that was saved.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
from scipy.sparse import csr_matrix, issparse, load_npz, save_npz

from steepslope.checks import read_fields
from steepslope.errors import SteepslopeError, explained
from steepslope.files import Artifact, load_arrays, save_arrays
from steepslope.gate import CARD as GATE_CARD, ConfidenceSource, Gate, reason_to_stop
from steepslope.outputs import ClassifierOutputs, is_opinion_array
from steepslope.promise import Objectives
from steepslope.sklearn._features import Features, word_of

if TYPE_CHECKING:
    from steepslope.sklearn._trusted_classifier import TrustedClassifier

CARD, STATE, GATE, CALIBRATION = "trusted.json", "state.safetensors", "gate", "calibration"
KEPT_ROWS = 16
KEPT = "kept_rows"  # their file's name; a report in the same folder has others
TOLERANCE = 1e-4  # of logits and features: other machines and releases round otherwise
TRUSTED = Artifact(
    "a trusted classifier", CARD, version=5, inside=f"{GATE}/{GATE_CARD}",
    varying=tuple(f"{KEPT}.{ending}" for ending in ("parquet", "npz", "npy", "json")),
)  # fmt: skip
SETTINGS = ("max_risk", "delta", "calibration_size", "groups", "signals", "when_changed")
PARQUET = ("polars", "pyarrow")  # libraries of frames that read and write Parquet by themselves
PANDAS, SPARSE, ARRAY, OBJECTS, LIST = "pandas", "sparse", "array", "objects", "list"


@dataclass(frozen=True)
class OpinionCard:
    """What ``trusted.json`` holds of another classifier: see :class:`~steepslope.sklearn._opinions.Opinion`."""

    classes: tuple[Any, ...] | None
    log_floor: float


@dataclass(frozen=True)
class TrustedCard:
    """What ``trusted.json`` holds of a trusted classifier.

    ``opinions`` has None for an opinion that the oracle leaves out. ``rows`` is the kind of the rows that are kept, and
    None if none are.
    """

    settings: Mapping[str, Any]
    classes: tuple[Any, ...]
    saw: str
    log_floor: float
    features: Mapping[str, Any] | None
    opinions: Mapping[str, OpinionCard | None]
    rows: str | None


@dataclass(frozen=True, eq=False)
class Calibration:
    """The labelled outputs of the calibration rows, and the first of these rows; None if these cannot be stored."""

    outputs: ClassifierOutputs
    rows: Any

    def gate(self, source: ConfidenceSource, objectives: Objectives, **options: Any) -> Gate:
        """Return a gate that is calibrated on these rows, with options of :meth:`Gate.of`.

        Its own risk is the first of several that can be promised, or the one that can be promised to most groups.
        """
        risks, delta = objectives.max_risk, objectives.delta
        gate = Gate.of(source, self.outputs, risks, delta, **options)
        first = max(risks, key=lambda risk: sum(each.is_given for each in gate.certificates if each.max_risk == risk))
        if first == risks[0]:
            return gate
        reordered = tuple(sorted(risks, key=lambda risk: risk != first))
        return replace(Gate.of(source, self.outputs, reordered, delta, **options), objectives=objectives)

    def require_same(self, read: Callable[[Any], ClassifierOutputs]) -> None:
        """Raise unless the outputs that classifiers ``read`` of the kept rows are those that were saved."""
        if self.rows is None:
            unknown = "whether this is the classifier that was saved is not known: no rows were kept to compare"
            warnings.warn(unknown, UserWarning, stacklevel=3)
            return
        with explained("expected the classifier that was saved, found one that refuses the kept rows", "estimator"):
            outputs = read(self.rows)
        for name, array in self.outputs.subset(slice(0, KEPT_ROWS)).changed(ids=None, labels=None).arrays.items():
            other = outputs.arrays.get(name, np.zeros(0))
            if other.shape != array.shape or not np.allclose(
                other, array, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True
            ):
                place = "opinions" if is_opinion_array(name) else "estimator"
                raise SteepslopeError(f"expected the classifier that was saved, found one with other {name}", place)


def saved_settings(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a trusted classifier that JSON can hold unchanged.

    Raises
    ------
    SteepslopeError
        If groups or signals are a function, which JSON cannot hold: without it, the decisions would be others.
    """
    for name in ("groups", "signals"):
        value = params[name]
        if any(map(callable, value.values() if isinstance(value, Mapping) else [value])):
            remedy = f"make the {name} columns of X and give their names"
            raise SteepslopeError(f"expected names of columns, found a function, which cannot be saved: {remedy}", name)
    unknown = params["unknown_label"]
    unknown = unknown.item() if isinstance(unknown, np.generic) else unknown
    settings = {name: params[name] for name in SETTINGS}
    settings |= {name: params[name] for name in ("cv", "n_jobs", "random_state") if isinstance(params[name], int)}
    return settings | ({"unknown_label": unknown} if isinstance(unknown, int | float | str) else {})


def write_trusted(folder: Path, model: TrustedClassifier) -> None:
    """Write all files of a fitted model, or none. The card is last, and an earlier model there is replaced."""
    calibration, reader = model.calibration_, model.reader_
    with TRUSTED.staged(folder) as staging:
        model.gate_.save(staging / GATE)
        calibration.outputs.save(staging / CALIBRATION)
        save_arrays({} if reader.features is None else reader.features.arrays, staging / STATE)
        cards = {name: opinion.card for name, opinion in reader.opinions.items()}
        card = {
            "settings": saved_settings(model.get_params(deep=False)),
            "classes": np.asarray(model.classes_).tolist(),
            "saw": model.saw_,
            "log_floor": reader.log_floor,
            "features": None if reader.features is None else reader.features.card,
            "opinions": {name: cards.get(name) for name in model.opinions_},
            "rows": _write_kept_rows(calibration.rows, staging),
        }
        TRUSTED.seal(staging, card)


def read_trusted(folder: Path) -> tuple[TrustedCard, Features | None, Gate, Calibration]:
    """Read a model's card, what its features learnt, the gate, and the calibration rows.

    Errors name the file and the field.
    """
    card, features, gate, calibration = TRUSTED.read(folder, lambda content: _read_with_card(folder, content))
    reason = reason_to_stop(folder)
    return card, features, gate if reason is None else replace(gate, stopped=reason), calibration


def _read_with_card(folder: Path, content: Any) -> tuple[TrustedCard, Features | None, Gate, Calibration]:
    path, arrays = folder / CARD, load_arrays(folder / STATE)
    card = read_fields(TrustedCard, content, path)
    features = None if card.features is None else read_fields(Features, {**card.features, "arrays": arrays}, path)
    rows = None if card.rows is None else _read_kept_rows(card.rows, folder)
    outputs = ClassifierOutputs.load(folder / CALIBRATION, as_logits=True, labelled=True)
    return card, features, Gate.load(folder / GATE), Calibration(outputs, rows)


def require_saved_classes(estimator: Any, expected: Sequence[Any], place: str) -> None:
    """Raise unless a classifier is fitted to these classes."""
    if np.asarray(getattr(estimator, "classes_", ())).tolist() != list(expected):
        found = "found one with others, or one that is not fitted"
        raise SteepslopeError(f"expected the classifier that was saved, with its classes, {found}", place)


def _write_kept_rows(X: Any, folder: Path) -> str | None:
    """Write some inputs as what they are, and return their kind; None for a kind that cannot be stored."""
    library = type(X).__module__.split(".")[0] if hasattr(X, "columns") else None
    if issparse(X):
        save_npz(folder / f"{KEPT}.npz", csr_matrix(X))
        return SPARSE
    if isinstance(X, np.ndarray) and X.dtype != object:
        np.save(folder / f"{KEPT}.npy", X, allow_pickle=False)
        return ARRAY
    try:
        if library in PARQUET:
            nw.from_native(X).write_parquet(folder / f"{KEPT}.parquet")
            return library
        text = _pandas_as_json(X) if library == PANDAS else json.dumps(np.asarray(X, dtype=object).tolist())
    except Exception:  # a library may raise anything for values that it cannot write
        return None
    (folder / f"{KEPT}.json").write_text(text, encoding="utf-8")
    return PANDAS if library == PANDAS else OBJECTS if isinstance(X, np.ndarray) else LIST


def _read_kept_rows(kind: str, folder: Path) -> Any:
    with explained("the kept rows cannot be read", folder, Exception):
        if kind in PARQUET:
            return nw.read_parquet(folder / f"{KEPT}.parquet", backend=import_module(kind)).to_native()
        if kind == SPARSE:
            return load_npz(folder / f"{KEPT}.npz")
        if kind == ARRAY:
            return np.load(folder / f"{KEPT}.npy", allow_pickle=False)
        text = (folder / f"{KEPT}.json").read_text(encoding="utf-8")
        if kind == PANDAS:
            return _pandas_of_json(text)
        return np.array(json.loads(text), dtype=object) if kind == OBJECTS else json.loads(text)


def _pandas_as_json(frame: Any) -> str:
    """Write a frame of pandas without its index; raise ValueError if it would not be read back the same."""
    columns = [_series_as_json(frame.iloc[:, place]) for place in range(frame.shape[1])]
    text = json.dumps({"names": frame.columns.tolist(), "columns": columns}, default=word_of)
    if not _pandas_of_json(text).astype(object).equals(frame.reset_index(drop=True).astype(object)):
        raise ValueError
    return text


def _series_as_json(series: Any) -> dict[str, Any]:
    if series.dtype.name != "category":
        return {"dtype": str(series.dtype), "values": series.tolist()}
    categories = _series_as_json(series.cat.categories)
    return {"codes": series.cat.codes.tolist(), "ordered": series.cat.ordered, "categories": categories}


def _pandas_of_json(text: str) -> Any:
    pandas, card = import_module("pandas"), json.loads(text)
    names = [tuple(name) if isinstance(name, list) else name for name in card["names"]]
    return pandas.DataFrame(dict(enumerate(map(_series_of_json, card["columns"])))).set_axis(names, axis=1)


def _series_of_json(card: Mapping[str, Any]) -> Any:
    pandas = import_module("pandas")
    if "dtype" in card:
        return pandas.Series(card["values"], dtype=card["dtype"])
    categories = pandas.Index(_series_of_json(card["categories"]))
    return pandas.Series(pandas.Categorical.from_codes(card["codes"], categories, card["ordered"]))
