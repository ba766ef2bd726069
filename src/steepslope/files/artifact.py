"""Whether a folder's finished result may be replaced: not unless it is asked for, and not where it is the one wanted.

A result keeps what made it, as JSON: the options of its command, and a stamp of each file or folder that they name.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from steepslope.errors import SteepslopeError, without_secrets
from steepslope.files.folders import digest_of, read_json
from steepslope.files.hub import commit_of, is_hub

MADE = "made"  # what a result calls what made it
NOT_DECISIVE = ("out", "rows", "replace", "json")  # options that do not decide what is made
READ = ("manifest.json", "oracle.json", "*.npy", "*.parquet", "*.safetensors")  # what is read of a folder
INSIDE = ("", "auxiliary", "foreign", "augmented")  # where in it
REMEDY = "choose another folder, or give --replace"
SHORT = 40  # longer values are not shown


def made_by(command: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides a result, as JSON holds it: a command's options, and stamps of the files that they name.

    A stamp changes with the names, sizes and times of what would be read; a copy made elsewhere is another file.
    Of what lies on the Hub, the commit is kept. URLs are kept without passwords and signatures.

    >>> made_by("fit", {"seed": 0, "hidden": (64, 32), "out": "runs/mine", "outputs": "no/such.npz"})
    {'command': 'fit', 'seed': 0, 'hidden': [64, 32], 'outputs': 'no/such.npz'}
    """
    flat = {"command": command, **_flat(options)}
    decisive = {name: value for name, value in flat.items() if name not in NOT_DECISIVE}
    words = [*_words(decisive.values())]
    stamps = {f"content of {word}": stamp_of(Path(word)) for word in words if _is_there(word)}
    stamps |= {f"commit of {word}": commit_of(word) for word in words if is_hub(word)}
    made: dict[str, Any] = _without_secrets(json.loads(json.dumps(decisive | stamps, default=str)))
    return made


def _without_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, Mapping):
        return {name: _without_secrets(one) for name, one in value.items()}
    return [_without_secrets(one) for one in value] if isinstance(value, list) else value


def _flat(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with those inside option classes, and in mappings, beside the others."""
    flat: dict[str, Any] = {}
    for name, value in options.items():
        inside = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
        flat |= _flat(inside) if isinstance(inside, Mapping) else {name: inside}
    return flat


def _words(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from _words(value)


def _is_there(word: str) -> bool:
    with suppress(OSError, ValueError):  # not every word can be a path
        return word != "" and Path(word).exists()
    return False


def stamp_of(path: Path) -> str:
    """Return what changes with the names, sizes and times of a file, or of what is read of a folder."""
    folders = [path / name for name in INSIDE]
    files = [path] if path.is_file() else [file for folder in folders for kind in READ for file in folder.glob(kind)]
    kept = {str(file.relative_to(path)): file.stat() for file in files}
    return digest_of([[name, one.st_size, one.st_mtime_ns] for name, one in sorted(kept.items())])


@dataclass(frozen=True)
class Result:
    """A kind of result: what it is, in words, its files (the last means finished), and the one with what made it."""

    what: str
    files: tuple[str, ...]
    card: str

    def is_complete(self, folder: str | Path, made: Mapping[str, Any], replace: bool) -> bool:
        """Return whether a folder's finished result is the one that is wanted; not where it is to be replaced.

        Raises
        ------
        SteepslopeError
            If the folder holds another result that is not to be replaced.
        """
        target = Path(folder)
        if replace or not any((target / name).exists() for name in self.files):
            return False
        found = read_json(target / self.card, self.what).get(MADE) if (target / self.card).exists() else None
        if not found:
            raise SteepslopeError(f"holds {self.what} already, made in a way that is not known: {REMEDY}", target)
        require_made(target, found, made, self.what)
        return (target / self.files[-1]).exists()


def require_made(folder: Path, found: Mapping[str, Any], made: Mapping[str, Any], what: str) -> None:
    """Raise unless a folder's result was made as is wanted; the message names what differs first."""
    for name in {**made, **found}:
        old, new = found.get(name), made.get(name)
        if old != new:
            short = max(len(repr(old)), len(repr(new))) <= SHORT
            shown = f"{name} {old!r}, not {new!r}" if short else f"other {name}"
            raise SteepslopeError(f"holds {what} already, with {shown}: {REMEDY}", folder)
