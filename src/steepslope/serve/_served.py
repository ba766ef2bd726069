"""What a model behind the server is: arrays of requests in, rows of decisions out.

An exported gate behind the server, run by ONNX Runtime; nothing here imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from steepslope.errors import SteepslopeError
from steepslope.gate import ACCEPT, REJECT, REVIEW, STOPPED, Gate
from steepslope.nets.export import IMAGES, Arrays, ArraySpec, ExportedGate, GateCard
from steepslope.numerics import Bools, blocks
from steepslope.outputs import CONFIDENCE, rows_may_lack

DECIDING = ("label", "probability", "p_correct", "trust_logit", "accepted")  # what a decision on an image needs
HANDED_OVER, REJECTED = "handed_over", "rejected"
DECISION = "decision"  # accept, review or reject, (n,)
TOP_LABELS, TOP_PROBABILITY = "top_labels", "top_probability"  # of the most probable classes, (n, k)
PIXELS = 1 << 22  # of all images that a file is run on together, unless one has more


@dataclass(frozen=True, eq=False)
class Served:
    """A model behind the server: a gate with its nets, or an exported file.

    ``card`` is what the gate tells of itself, ``inputs`` and ``outputs`` are the arrays that it takes and gives, and
    ``platform`` is what runs it, as the protocol names it. ``run`` returns the rows of each request, with so many of
    the most probable classes, as far as it knows them: its outputs by name, and of what decides also ``decision``,
    ``top_labels`` and ``top_probability``. An error tells what is wrong with one of the requests.
    """

    card: GateCard
    inputs: tuple[ArraySpec, ...]
    outputs: tuple[ArraySpec, ...]
    platform: str
    run: Callable[[Sequence[Arrays], int], list[Arrays]]
    gate: Gate | None = None  # of a file there is none


def served_row_count(arrays: Arrays) -> int:
    """Return the number of rows that all of some arrays have."""
    return len(next(iter(arrays.values())))


def serves_images(served: Served) -> bool:
    """Return whether a model takes images, and nothing else, and decides on them."""
    outputs = {spec.name for spec in served.outputs}
    return [spec.name for spec in served.inputs] == [IMAGES] and outputs.issuperset(DECIDING)


def lacking_rows(rows: Arrays, threshold: float | None) -> Bools:
    """Return which rows lack an opinion that the gate needs, (m,): they go to review, though they reach its threshold.

    Without a threshold for all rows, this cannot be told, and no row is said to.
    """
    lowest = np.inf if threshold is None else threshold
    return np.asarray((rows[DECISION] == REVIEW) & (rows["trust_logit"] >= lowest))


def reviewed_rows(rows: Arrays) -> Arrays:
    """Return decisions (n,) of which all that would be accepted go to review, marked as stopped."""
    if "accepted" not in rows:
        return rows
    accepted = rows["accepted"]
    decision = np.where(accepted, REVIEW, rows[DECISION])
    stopped = rows.get(STOPPED, np.zeros(len(accepted), np.bool_)) | accepted
    return {**rows, "accepted": np.zeros_like(accepted), DECISION: decision, STOPPED: stopped}


def served_channels(served: Served) -> int:
    """Return the channels of the images that a model takes."""
    channels = served.inputs[0].shape[-1]
    assert channels is not None
    return channels


def require_servable(arrays: Arrays) -> None:
    """Raise for numbers that no model can judge: NaN and infinite ones, and images of floats outside [0, 1].

    NaN, or null, in an opinion, a signal or a confidence says that the row lacks it.
    """
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            continue
        may_lack = rows_may_lack(name) or name.startswith(CONFIDENCE)
        if not (np.isfinite(array) | (may_lack & np.isnan(array))).all():
            raise SteepslopeError("expected finite numbers, found NaN or infinite ones", name)
        if name == IMAGES and (array.min() < 0 or array.max() > 1):
            raise SteepslopeError("expected floats in [0, 1], found others", name)


def finite_served_rows(rows: Arrays) -> Arrays:
    """Return the rows with the largest number in place of infinity, which JSON does not have; raise for NaN.

    >>> finite_served_rows({"trust_logit": np.array([np.inf, 1.0])})["trust_logit"].tolist()
    [1.7976931348623157e+308, 1.0]
    """
    numbers = {name: array for name, array in rows.items() if array.dtype.kind == "f"}
    for name, array in numbers.items():
        if np.isnan(array).any():
            raise SteepslopeError("the model gives no number for this input, but NaN", name)
    return {**rows, **{name: np.nan_to_num(array) for name, array in numbers.items()}}


def split_served_rows(rows: Arrays, parts: Sequence[Arrays]) -> list[Arrays]:
    """Return the rows of each of several requests, which were run together in this order."""
    stops = np.cumsum([served_row_count(part) for part in parts])[:-1]
    split = {name: np.split(array, stops) for name, array in rows.items()}
    return [{name: arrays[place] for name, arrays in split.items()} for place in range(len(parts))]


def served_file(exported: ExportedGate, max_batch: int) -> Served:
    """Return an exported gate as a server has it, which runs ``max_batch`` rows at a time."""
    for spec in exported.inputs:
        if spec.name == IMAGES and (len(spec.shape) != 4 or spec.shape[-1] is None):
            expected = "expected images (N, H, W, C) of a known number of channels"
            raise SteepslopeError(f"{expected}, found {spec}", exported.source)
    run = partial(_run_served_file, exported, max_batch)
    return Served(exported.card, exported.inputs, exported.outputs, "onnxruntime_onnx", run)


def _run_served_file(exported: ExportedGate, max_batch: int, parts: Sequence[Arrays], top: int) -> list[Arrays]:
    """Return the rows of each request; those whose arrays have the same sizes are run together."""
    sizes = [tuple(array.shape[1:] for array in part.values()) for part in parts]
    rows: dict[int, Arrays] = {}
    for size in dict.fromkeys(sizes):
        alike = [number for number, one in enumerate(sizes) if one == size]
        some = [parts[number] for number in alike]
        together = {name: np.concatenate([part[name] for part in some]) for name in some[0]}
        rows |= zip(alike, split_served_rows(_decided_by_served_file(exported, max_batch, together), some), strict=True)
    return [rows[number] for number in range(len(parts))]


def _decided_by_served_file(exported: ExportedGate, max_batch: int, arrays: Arrays) -> Arrays:
    pixels = math.prod(arrays[IMAGES].shape[1:3]) if IMAGES in arrays else 0
    most = max(1, min(max_batch, PIXELS // max(1, pixels)))  # a model takes many times its images' memory
    runs = [
        exported.run({name: array[block] for name, array in arrays.items()}, release=pixels > PIXELS)
        for block in blocks(served_row_count(arrays), most)
    ]
    outputs = {name: np.concatenate([one[name] for one in runs]) for name in runs[0]}
    if not outputs.keys() >= set(DECIDING):
        return outputs
    unaccepted = np.where(outputs.get(REJECTED, False), REJECT, REVIEW)
    decision = np.where(outputs["accepted"], ACCEPT, unaccepted)
    top = {TOP_LABELS: outputs["label"][:, None], TOP_PROBABILITY: outputs["probability"][:, None]}
    return {**outputs, DECISION: decision, **top}
