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

from steepslope.errors import SteepslopeError, explained, read_fields
from steepslope.files import Artifact, load_arrays, save_arrays
from steepslope.gate import CARD as GATE_CARD, ConfidenceSource, Gate, reason_to_stop
from steepslope.outputs import ClassifierOutputs, is_opinion_array
from steepslope.promise import Objectives
from steepslope.sklearn._features import Features, word_of

if TYPE_CHECKING:
    from steepslope.sklearn._trusted_classifier import TrustedClassifier

CARD = "trusted.json"
STATE = "state.safetensors"
GATE = "gate"
CALIBRATION = "calibration"
KEPT_ROWS = 16
_KEPT = "kept_rows"  # their file's name; a report in the same folder has others
_TOLERANCE = 1e-4  # of logits and features: other machines and releases round otherwise
TRUSTED = Artifact(
    "a trusted classifier",
    CARD,
    version=5,
    inside=f"{GATE}/{GATE_CARD}",
    varying=(f"{_KEPT}.parquet", f"{_KEPT}.npz", f"{_KEPT}.npy", f"{_KEPT}.json"),
)
_SETTINGS = ("max_risk", "delta", "calibration_size", "groups", "signals", "when_changed")
_PARQUET = ("polars", "pyarrow")  # libraries of frames that read and write Parquet by themselves
_PANDAS = "pandas"
_SPARSE = "sparse"
_ARRAY = "array"
_OBJECTS = "objects"
_LIST = "list"


@dataclass(frozen=True)
class OpinionCard:
    """What ``trusted.json`` holds of another classifier: see :class:`~steepslope.sklearn._opinions.Opinion`."""

    classes: tuple[Any, ...] | None
    log_floor: float


@dataclass(frozen=True)
class _TrustedCard:
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
        risks = objectives.max_risk
        gate = Gate.of(source, self.outputs, risks, objectives.delta, **options)
        given = [certificate.max_risk for certificate in gate.certificates if certificate.is_given]
        first = max(risks, key=given.count)
        if first == risks[0]:
            return gate
        reordered = tuple(sorted(risks, key=lambda risk: risk != first))
        gate = Gate.of(source, self.outputs, reordered, objectives.delta, **options)
        return replace(gate, objectives=objectives)

    def require_same(self, read: Callable[[Any], ClassifierOutputs]) -> None:
        """Raise unless the outputs that classifiers ``read`` of the kept rows are those that were saved."""
        if self.rows is None:
            unknown = "whether this is the classifier that was saved is not known: no rows were kept to compare"
            warnings.warn(unknown, UserWarning, stacklevel=3)
            return
        with explained("expected the classifier that was saved, found one that refuses the kept rows", "estimator"):
            outputs = read(self.rows)
        saved = self.outputs.subset(slice(0, KEPT_ROWS)).changed(ids=None, labels=None)
        for name, array in saved.arrays.items():
            other = outputs.arrays.get(name, np.zeros(0))
            if other.shape != array.shape or not np.allclose(other, array, _TOLERANCE, _TOLERANCE, equal_nan=True):
                place = "opinions" if is_opinion_array(name) else "estimator"
                raise SteepslopeError(f"expected the classifier that was saved, found one with other {name}", place)


def _saved_settings(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a trusted classifier that JSON can hold unchanged.

    Raises
    ------
    SteepslopeError
        If groups or signals are a function, which JSON cannot hold: without it, the decisions would be others.
    """
    for name in ("groups", "signals"):
        value = params[name]
        values = value.values() if isinstance(value, Mapping) else [value]
        if any(map(callable, values)):
            remedy = f"make the {name} columns of X and give their names"
            raise SteepslopeError(f"expected names of columns, found a function, which cannot be saved: {remedy}", name)
    settings = {name: params[name] for name in _SETTINGS}
    settings |= {name: params[name] for name in ("cv", "n_jobs", "random_state") if isinstance(params[name], int)}
    unknown = params["unknown_label"]
    if isinstance(unknown, np.generic):
        unknown = unknown.item()
    if isinstance(unknown, int | float | str):
        settings["unknown_label"] = unknown
    return settings


def write_trusted(folder: Path, model: TrustedClassifier) -> None:
    """Write all files of a fitted model, or none. The card is last, and an earlier model there is replaced."""
    calibration = model.calibration_
    reader = model.reader_
    features = reader.features
    with TRUSTED.staged(folder) as staging:
        model.gate_.save(staging / GATE)
        calibration.outputs.save(staging / CALIBRATION)
        save_arrays({} if features is None else features.arrays, staging / STATE)
        opinions = {name: opinion.card for name, opinion in reader.opinions.items()}
        card = {
            "settings": _saved_settings(model.get_params(deep=False)),
            "classes": np.asarray(model.classes_).tolist(),
            "saw": model.saw_,
            "log_floor": reader.log_floor,
            "features": None if features is None else features.card,
            "opinions": {name: opinions.get(name) for name in model.opinions_},
            "rows": _write_kept_rows(calibration.rows, staging),
        }
        TRUSTED.seal(staging, card)


def read_trusted(folder: Path) -> tuple[_TrustedCard, Features | None, Gate, Calibration]:
    """Read a model's card, what its features learnt, the gate, and the calibration rows.

    Errors name the file and the field.
    """
    card, features, gate, calibration = TRUSTED.read(folder, lambda content: _read_with_card(folder, content))
    reason = reason_to_stop(folder)
    if reason is not None:
        gate = replace(gate, stopped=reason)
    return card, features, gate, calibration


def _read_with_card(folder: Path, content: Any) -> tuple[_TrustedCard, Features | None, Gate, Calibration]:
    path = folder / CARD
    arrays = load_arrays(folder / STATE)
    card = read_fields(_TrustedCard, content, path)
    features = None
    if card.features is not None:
        features = read_fields(Features, {**card.features, "arrays": arrays}, path)
    rows = None
    if card.rows is not None:
        rows = _read_kept_rows(card.rows, folder)
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
        save_npz(folder / f"{_KEPT}.npz", csr_matrix(X))
        return _SPARSE
    if isinstance(X, np.ndarray) and X.dtype != object:
        np.save(folder / f"{_KEPT}.npy", X, allow_pickle=False)
        return _ARRAY
    try:
        if library in _PARQUET:
            nw.from_native(X).write_parquet(folder / f"{_KEPT}.parquet")
            return library
        text = _pandas_as_json(X) if library == _PANDAS else json.dumps(np.asarray(X, dtype=object).tolist())
    except Exception:  # a library may raise anything for values that it cannot write
        return None
    (folder / f"{_KEPT}.json").write_text(text, encoding="utf-8")
    if library == _PANDAS:
        return _PANDAS
    if isinstance(X, np.ndarray):
        return _OBJECTS
    return _LIST


def _read_kept_rows(kind: str, folder: Path) -> Any:
    with explained("the kept rows cannot be read", folder, Exception):
        if kind in _PARQUET:
            frame = nw.read_parquet(folder / f"{_KEPT}.parquet", backend=import_module(kind))
            return frame.to_native()
        if kind == _SPARSE:
            return load_npz(folder / f"{_KEPT}.npz")
        if kind == _ARRAY:
            return np.load(folder / f"{_KEPT}.npy", allow_pickle=False)
        text = (folder / f"{_KEPT}.json").read_text(encoding="utf-8")
        if kind == _PANDAS:
            return _pandas_of_json(text)
        values = json.loads(text)
        if kind == _OBJECTS:
            return np.array(values, dtype=object)
        return values


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
    card = json.loads(text)
    names = [tuple(name) if isinstance(name, list) else name for name in card["names"]]
    columns = map(_series_of_json, card["columns"])
    return import_module("pandas").DataFrame(dict(enumerate(columns))).set_axis(names, axis=1)


def _series_of_json(card: Mapping[str, Any]) -> Any:
    pandas = import_module("pandas")
    if "dtype" in card:
        return pandas.Series(card["values"], dtype=card["dtype"])
    categories = pandas.Index(_series_of_json(card["categories"]))
    return pandas.Series(pandas.Categorical.from_codes(card["codes"], categories, card["ordered"]))
