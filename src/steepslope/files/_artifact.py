"""Artifacts: what a command makes in a folder and keeps for others, such as outputs, an oracle, a gate or a report.

An artifact has a card, a JSON file with what made it: the options of its command, and fingerprints of what they name.
One of its files is written last, so its presence means complete. The same command finds it complete. Another command is
refused unless it may replace it. A killed one goes on, and two at a time lock each other out.

The card may also be a seal: it then has the digests of all files that were written with it, and one of itself. A folder
that was damaged, edited or assembled from two is refused.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from steepslope.errors import SteepslopeError, reason_of, without_secrets
from steepslope.files import _folders as folders
from steepslope.files._hub import hub_snapshot, is_hub

MADE = "made"  # what a card calls what made the artifact
FILES, DIGEST = "files", "digest"  # fields of a seal: the digests of the other files, and its own
SIGNATURE = ".sig"  # ending of the file with the signature of a card or of an exported file
AGAIN = "copy the folder as a whole, or make it again"
T = TypeVar("T")
_NOT_DECISIVE = ("out", "rows", "replace", "json")  # options that do not decide what is made
_REPLACE = "choose another folder, or give --replace"
DELETE = "choose another folder, or delete this one"
FORGED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)  # what wrong values in a card lead to
SHORT = 40  # longer values are not shown


@dataclass(frozen=True)
class Artifact:
    """A kind of artifact, by the names of its files in a folder.

    Parameters
    ----------
    what
        What messages call it, such as "a gate".
    card
        JSON file with what made it.
    made
        Field of the card with that, such as training.made; "" where it is the card itself.
    files
        Files of which each shows that there is an artifact; the last is written last. By default the card alone.
    free
        Names in what made it that do not decide it.
    unfinished
        What an unfinished run leaves for the next: a JSON file with what it makes, then the files and folders with
        what it has done. As long as none of these is there, the folder is free for others.
    mendable
        Names that may change before it is finished.
    remedy
        What messages advise where there is another artifact.
    lock
        File that is locked while it is made.
    version
        Version of its format, where its card is a seal; no other version is read.
    varying
        Files and folders that not every such artifact has. Those of an earlier one are removed when it is replaced.
    optional
        Name of a sealed file that a copy may leave out.
    inside
        Path of another artifact's seal in a subfolder, such as oracle/oracle.json. That seal vouches for its subfolder.
    """

    what: str
    card: str
    made: str = MADE
    files: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    mendable: tuple[str, ...] = ()
    remedy: str = _REPLACE
    lock: str = folders.LOCK
    version: int = 1
    varying: tuple[str, ...] = ()
    optional: str = ""
    inside: str = ""

    @contextmanager
    def making(
        self,
        folder: str | Path,
        made: Mapping[str, Any],
        replace: bool = False,
        notice: Callable[[str], None] | None = None,
    ) -> Iterator[bool]:
        """Keep other runs out of a folder for the length of the block, which is told whether all is there already.

        ``notice`` is told if so. See :meth:`is_complete` for errors; another run in the folder is one, too.
        """
        with folders.locked(folder, self.lock):
            complete = self.is_complete(folder, made, replace)
            if complete and notice is not None:
                notice(f"{folder}: already complete")
            try:
                yield complete
            finally:
                if self.unfinished and self._begun(Path(folder)) is None:
                    self.end(folder)  # a run that has done nothing leaves nothing

    def is_complete(self, folder: str | Path, made: Mapping[str, Any], replace: bool = False) -> bool:
        """Return whether a folder holds the artifact that is wanted, and need not go on with it or replace it.

        Raises
        ------
        SteepslopeError
            If the folder holds another artifact, finished or not, that is not to be replaced.
        """
        target, wanted = Path(folder), as_it_comes_from_json(made)
        files = self.files or (self.card,)
        if replace or self._is_begun(target, wanted):
            return False
        if not any((target / name).exists() for name in files):
            begun = self._begun(target) or wanted
            self._require_none(
                target, f"{self.what}, unfinished,", _difference_in_what_made(begun, wanted, self._may_change)
            )
            return False
        made_before = self._made(target / self.card)
        if not made_before:
            raise SteepslopeError(f"holds {self.what} already, made in a way that is not known: {self.remedy}", target)
        self._require_none(target, f"{self.what} already,", _difference_in_what_made(made_before, wanted, self.free))
        if self.unfinished and not (target / self.unfinished[0]).exists():
            self.end(target)  # what a run left that was killed while it tidied up
        return all((target / name).exists() for name in files)

    def staged(self, folder: str | Path) -> AbstractContextManager[Path]:
        """Give a staging folder whose files arrive together: the card first, the one that means complete last.

        The signature of an earlier card is removed.
        """
        replaced = (*self.varying, self.card + SIGNATURE)
        return folders.staged_folder(folder, (self.files or (self.card,))[-1], self.card, replaced)

    def seal(self, staging: Path, card: Mapping[str, Any], made: Mapping[str, Any] | None = None) -> None:
        """Write the card with digests of all files of a staging folder and of itself, without what made it."""
        names = [path.relative_to(staging).as_posix() for path in sorted(staging.rglob("*")) if path.is_file()]
        subfolder = self.inside.rpartition("/")[0]
        answered_for = {name for name in names if subfolder and name.startswith(f"{subfolder}/")} - {self.inside}
        files = {name: folders.fingerprint(staging / name) for name in names if name not in answered_for | {self.card}}
        content = {"version": self.version, **card, FILES: files}
        folders.write_json(staging / self.card, {**content, DIGEST: folders.digest_of(content), MADE: dict(made or {})})

    def sealed_card(self, folder: Path) -> dict[str, Any]:
        """Return the card of a folder; raise unless the folder is as it was sealed.

        Raises
        ------
        SteepslopeError
            If the card or a file is missing, was changed, or is another artifact's.
        """
        path = folder / self.card
        card = folders.read_json(path, self.what)
        if card.get("version") != self.version:
            raise SteepslopeError(f"expected version {self.version} of the format, found {card.get('version')!r}", path)
        content = {key: value for key, value in card.items() if key not in (DIGEST, MADE)}
        if card.get(DIGEST) != folders.digest_of(content):
            raise SteepslopeError(f"was changed after it was written, its digest does not match: {AGAIN}", path)
        for name, digest in folders.field(card, FILES, dict, path).items():
            is_there = (folder / name).is_file()
            is_left_out = name == self.optional and not (folder / name).exists()
            if not is_left_out and not (is_there and folders.fingerprint(folder / name) == digest):
                what = f"expected the file written with {self.card}, found {'another' if is_there else 'none'}"
                raise SteepslopeError(f"{what}: {AGAIN}", folder / name)
        return card

    def read(self, folder: Path, load: Callable[[dict[str, Any]], T]) -> T:
        """Return what ``load`` makes of a sealed card and its files, never of a mixture if they are replaced meanwhile.

        See :meth:`sealed_card` for errors.
        """
        before = self._state(folder)
        staging = folders.staging_of(folder, self.card)
        try:
            loaded = self._loaded(folder, load)
            if self._state(folder) == before:
                return loaded
        except Exception:
            if self._state(folder) == before and not staging.exists():
                raise
        if not staging.exists():  # it was replaced, maybe with an outer folder, in which no lock may be put
            return self.read(folder, load)
        with folders.undisturbed_folder(folder, self.card):
            return self._loaded(folder, load)

    def _loaded(self, folder: Path, load: Callable[[dict[str, Any]], T]) -> T:
        """Return what ``load`` makes of a sealed card; raise one line if the card has wrong values."""
        card = self.sealed_card(folder)
        try:
            return load(card)
        except SteepslopeError:
            raise
        except FORGED as error:
            found = f"found wrong values ({type(error).__name__}: {reason_of(error, 160)})"
            raise SteepslopeError(f"expected {self.what}, {found}: {AGAIN}", folder / self.card) from error

    def _state(self, folder: Path) -> str | None:
        """Return what tells a card from all that come after it; None where there is none."""
        with suppress(SteepslopeError):
            return folders.fingerprint(folder / self.card, contents=False)
        return None

    def begin(self, folder: str | Path, made: Mapping[str, Any]) -> None:
        """Write down what is being made, so that a killed run can go on; what another unfinished run left, goes."""
        target, wanted = Path(folder), as_it_comes_from_json(made)
        if not self._is_begun(target, wanted):
            self.end(target)
        path = target / self.unfinished[0]
        with folders.staged_folder(path.parent, last=path.name) as staging:
            folders.write_json(staging / path.name, wanted)

    def end(self, folder: str | Path) -> None:
        """Remove what only an unfinished run needs."""
        for name in self.unfinished:
            folders.remove(Path(folder) / name)

    def _made(self, path: Path) -> dict[str, Any]:
        content = folders.read_json(path, self.what) if path.exists() else {}
        for name in filter(None, self.made.split(".")):
            content = content.get(name) or {}
        return content

    def _begun(self, folder: Path) -> dict[str, Any] | None:
        """Return what an unfinished run makes; None where there is none, or it has done nothing yet."""
        paths = [folder / name for name in self.unfinished]
        if not paths or not paths[0].exists():
            return None
        # work is a file, or a folder with files next to the key; files without an ending are signs
        inside = [path for folder in paths[1:] for path in (folder, *folder.glob("*"))]
        if len(paths) > 1 and not any(path.is_file() and path.suffix and path != paths[0] for path in inside):
            return None
        return folders.read_json(paths[0], f"{self.what}, unfinished")

    def _is_begun(self, folder: Path, wanted: Mapping[str, Any]) -> bool:
        begun = self._begun(folder)
        return begun is not None and not _difference_in_what_made(begun, wanted, self._may_change)

    @property
    def _may_change(self) -> tuple[str, ...]:
        return *self.free, *self.mendable

    def _require_none(self, folder: Path, what: str, other: str) -> None:
        if other:
            raise SteepslopeError(f"holds {what} with {other}: {self.remedy}", folder)


def require_free_file(path: Path, replace: bool) -> None:
    """Raise if a file is there that may not be replaced."""
    if path.exists() and not replace:
        raise SteepslopeError("there is such a file already: choose another, or give --replace", path)


def as_it_comes_from_json(made: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes an artifact as it comes back from JSON."""
    content: dict[str, Any] = json.loads(json.dumps(made, default=str))
    return content


def _difference_in_what_made(found: Mapping[str, Any], wanted: Mapping[str, Any], free: Iterable[str] = ()) -> str:
    """Return in words what differs first, but for what is free; "" if nothing does.

    >>> _difference_in_what_made({"net": "a", "training": {"seed": 0}}, {"net": "a", "training": {"seed": 1}})
    'seed 0, not 1'
    """
    for name in {**wanted, **found}:
        old, new = found.get(name), wanted.get(name)
        if name in free or old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            return _difference_in_what_made(old, new)
        short = max(len(repr(old)), len(repr(new))) <= SHORT
        if short:
            return f"{name} {old!r}, not {new!r}"
        return f"other {name}"
    return ""


def made_by_command(command: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides an artifact, as JSON holds it: a command's options, and what the files they name contain.

    Of what lies on the Hub, the commit is kept. URLs are kept without passwords and signatures.

    >>> made_by_command("fit", {"seed": 0, "hidden": (64, 32), "out": "runs/mine", "outputs": "no/such.npz"})
    {'command': 'fit', 'seed': 0, 'hidden': [64, 32], 'outputs': 'no/such.npz'}
    """
    flat = {"command": command, **_flat_options(options)}
    decisive = {name: value for name, value in flat.items() if name not in _NOT_DECISIVE}
    for value in [*decisive.values()]:
        for word in value if isinstance(value, (tuple, list)) else [value]:
            if isinstance(word, str) and is_hub(word):
                decisive[f"commit of {word}"] = hub_snapshot(word).name
            for path in (word, word.partition("=")[2]) if isinstance(word, str) else ():  # also of NAME=FILE
                if not is_hub(path) and _is_path_there(path):
                    decisive[f"content of {path}"] = folders.fingerprint(Path(path))
    made: dict[str, Any] = json.loads(without_secrets(json.dumps(decisive, default=str)))
    return made


def _flat_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with those inside option classes, and in mappings, next to the others."""
    flat: dict[str, Any] = {}
    for name, value in options.items():
        inside = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
        flat |= _flat_options(inside) if isinstance(inside, Mapping) else {name: inside}
    return flat


def _is_path_there(word: str) -> bool:
    with suppress(OSError, ValueError):  # not every word can be a path
        return word != "" and (Path(word).is_file() or Path(word).is_dir())
    return False
