"""Frozen outputs: pairs of data and classifier with fixed rows, all in one file of arrays. No inputs are in it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, located, read_fields
from steepslope.files import load_arrays, save_arrays
from steepslope.outputs import ClassifierOutputs

FILE = Path(__file__).parent / "frozen.safetensors"
_CARD = "card"
REFERENCE = "reference"
_EXPECTED = "frozen outputs of a benchmark"
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class About:
    """What a pair is: ``kind`` of input, ``source`` and licence of the data, and the number of rows to fit on."""

    title: str
    kind: str
    source: str
    licence: str
    fit: int


@dataclass(frozen=True, eq=False)
class FrozenPair:
    """Outputs of one classifier on one data set, by fixed rows.

    The first ``about.fit`` rows of ``arrays`` are to fit on; all others are judged, and calibration rows are drawn from
    them. ``ids`` are numbers of rows in the source. ``reference`` are training rows of the classifier, empty where none
    are known. Floats are float16 here and in the file, so that digests are of what is there.
    """

    name: str
    about: About
    arrays: Arrays
    reference: Arrays = field(default_factory=dict)

    @property
    def fit_set(self) -> ClassifierOutputs:
        """The labelled rows that a score may learn from, new to the classifier."""
        return self._outputs(self.arrays, slice(0, self.about.fit))

    @property
    def judged(self) -> ClassifierOutputs:
        """The labelled rows that are judged."""
        return self._outputs(self.arrays, slice(self.about.fit, None))

    @property
    def training(self) -> ClassifierOutputs | None:
        """Training rows of the classifier, if they are known."""
        if self.reference:
            return self._outputs(self.reference, slice(None))
        return None

    def _outputs(self, arrays: Arrays, rows: slice) -> ClassifierOutputs:
        """Return rows as outputs: floats as float32, ids as text; what changes them in place fails."""
        typed: dict[str, NDArray[Any]] = {}
        for name, array in arrays.items():
            kind: type = np.float32 if array.dtype.kind == "f" else np.int64
            if name == "ids":
                kind = np.str_
            typed[name] = array[rows].astype(kind)
            typed[name].flags.writeable = False
        return ClassifierOutputs.of(typed)

    @property
    def digest(self) -> str:
        """What tells the pair from others: the SHA-256 of all arrays, ids and labels among them, and of the card."""
        hashed = hashlib.sha256(json.dumps(asdict(self.about)).encode())
        for arrays in (self.arrays, self.reference):
            for name, array in sorted(arrays.items()):
                hashed.update(f"{name} {array.dtype} {array.shape}".encode())
                hashed.update(array.tobytes())
        return hashed.hexdigest()


def save_frozen_pairs(pairs: Iterable[FrozenPair], path: Path) -> None:
    """Write pairs into one file."""
    arrays: dict[str, NDArray[Any]] = {}
    cards = {}
    for pair in pairs:
        cards[pair.name] = {"about": asdict(pair.about), "digest": pair.digest}
        arrays |= {f"{pair.name}/{name}": array for name, array in pair.arrays.items()}
        arrays |= {f"{pair.name}/{REFERENCE}/{name}": array for name, array in pair.reference.items()}
    text = json.dumps(cards, ensure_ascii=False, indent=1).encode()
    save_arrays({**arrays, _CARD: np.frombuffer(text, np.uint8)}, path)


def load_frozen_pairs(path: str | Path = FILE) -> list[FrozenPair]:
    """Read the pairs of a file, in its order.

    Raises
    ------
    SteepslopeError
        If the file cannot be read, is none of frozen outputs, or was changed after it was made.
    """
    arrays = load_arrays(Path(path))
    with located(path):
        try:
            cards = json.loads(arrays.pop(_CARD).tobytes())
            abouts = {name: read_fields(About, card["about"], name) for name, card in cards.items()}
            digests = {name: card["digest"] for name, card in cards.items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SteepslopeError(f"expected {_EXPECTED}, found another file") from error
        return [_unchanged_pair(name, about, digests[name], arrays) for name, about in abouts.items()]


def _unchanged_pair(name: str, about: About, digest: str, arrays: Arrays) -> FrozenPair:
    of_pair = {}
    reference = {}
    for key, array in arrays.items():
        if key.startswith(f"{name}/{REFERENCE}/"):
            reference[key.removeprefix(f"{name}/{REFERENCE}/")] = array
        elif key.startswith(f"{name}/"):
            of_pair[key.removeprefix(f"{name}/")] = array
    pair = FrozenPair(name, about, of_pair, reference)
    if pair.digest != digest:
        raise SteepslopeError(f"expected pair {name} as it was made, found changed rows, ids or numbers")
    return pair
