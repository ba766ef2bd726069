"""The one exception that users see. Its one line says where, what was expected, what was found, and what to do."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

MANY = 50  # names are too many to list
USER = re.compile(r"(?<=://)[^\s/?#'\"]*@")  # key:secret@ in a URL
_QUERY = re.compile(r"((?i:https?)://[^\s?'\"]*)\?[^\s'\"]*")  # may be a signature
_NO_MEMORY = re.compile(  # of libraries; a thread starts only where its stack has room
    r"(?i)out of memory|bad_alloc|(can't|cannot|failed to|unable to) allocate|can't start new thread|"
    r"could not create a primitive|failed to map segment"
)
Kinds = type[Exception] | tuple[type[Exception], ...]


def without_secrets(text: str) -> str:
    """Return a text without the users and passwords in its URLs, and without their queries, such as signatures.

    >>> without_secrets("images:s3://key:secret@lake/a"), without_secrets("https://host/a.png?sig=1 is gone")
    ('images:s3://lake/a', 'https://host/a.png is gone')
    >>> without_secrets("HTTPS://host/a.png?sig=1")
    'HTTPS://host/a.png'
    """
    return _QUERY.sub(r"\1", USER.sub("", text))


class SteepslopeError(ValueError):
    """Bad input or an undefined result. Its one line says where, what was expected and what was found.

    ``place`` is the file, folder, option or argument with which the message begins, or None. Parts of a URL that could
    be secret are left out (:func:`without_secrets`).

    >>> error = SteepslopeError("expected an image, found text", "photos/cat.png")
    >>> str(error), error.place
    ('photos/cat.png: expected an image, found text', 'photos/cat.png')
    >>> print(error.within("photos"), error.within("step 3"), sep=" | ")
    photos/cat.png: expected an image, found text | step 3: photos/cat.png: expected an image, found text
    """

    def __init__(self, message: str, place: str | Path | None = None) -> None:
        self.place = None if place is None else without_secrets(str(place))
        super().__init__(without_secrets(message if place is None else f"{place}: {message}"))

    def within(self, place: str | Path) -> SteepslopeError:
        """Return the same error with a place around it, or itself if it already names that place or a file inside."""
        outer = without_secrets(str(place))
        inside = self.place is not None and (self.place == outer or self.place.startswith(f"{outer}{os.sep}"))
        if inside:
            return self
        return type(self)(str(self), place)


class UndefinedMetricError(SteepslopeError):
    """A metric that has no value on this input, such as an AUC without a single error."""


class RowsWarning(UserWarning):
    """The rows make results less reliable; commands print why."""


class FewErrorsWarning(RowsWarning):
    """An oracle is fitted on so few errors that its result depends on luck."""


class UnknownLabelsWarning(RowsWarning):
    """Some labels are none of the classifier's classes: their rows are out-of-class, or the labels are misspelt."""


class NoMixError(SteepslopeError):
    """No class mix explains the predictions: something else has changed."""


class ChangedWarning(UserWarning):
    """Inputs are not drawn as the calibration rows were, so a gate's promise cannot be relied on."""


class RepeatedRowsWarning(RowsWarning):
    """Some rows are copies of others, from oversampling, a bootstrap sample or a join. Each row counts once."""


class CautionWarning(RowsWarning):
    """Labels, opinions or columns look too good or too bad, or rows depend on one another."""


class NothingPromisedWarning(UserWarning):
    """A gate accepts nothing, because its calibration rows support no promise."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> SteepslopeError:
    """Return the error for an unknown name, with the closest match first.

    >>> print(unknown_name("loss", "steepslope", ["focal", "steep_slope"]))
    unknown loss 'steepslope': did you mean 'steep_slope'? Known: focal, steep_slope
    """
    names = sorted(known)
    are_few = len(names) <= MANY
    close = [repr(match) for match in get_close_matches(name, names, n=1 if are_few else 3)]
    hints = []
    if close:
        hints.append(f"did you mean {' or '.join(close)}?")
    if are_few:
        hints.append(f"Known: {', '.join(names)}")
    elif not close:
        hints.append(f"{len(names):,} others are known")
    return SteepslopeError(f"unknown {kind} {name!r}: {' '.join(hints)}")


def require_known(kind: str, name: object, known: Collection[str]) -> None:
    """Raise unless the name is known; see :func:`unknown_name`."""
    if name not in known:
        raise unknown_name(kind, str(name), known)


@contextmanager
def located(place: str | Path) -> Iterator[None]:
    """Put a place around the errors that leave the block.

    >>> with located("photos"):
    ...     raise SteepslopeError("expected images, found none")
    Traceback (most recent call last):
    steepslope.errors.SteepslopeError: photos: expected images, found none
    """
    try:
        yield
    except SteepslopeError as error:
        raise error.within(place) from error


def reason_of(error: BaseException, longest: int | None = None) -> str:
    """Return an exception's message on one line, cut to ``longest`` characters, or the exception's name without one."""
    if isinstance(error, RecursionError):  # raised by parsers of JSON and YAML
        return "it is nested too deeply"
    return " ".join(without_secrets(str(error)).split())[:longest] or type(error).__name__


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, Python's own or one of a library.

    >>> is_out_of_memory(RuntimeError("Failed to allocate memory for requested buffer of size 99"))
    True
    """
    return isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)) is not None


@contextmanager
def explained(
    message: str, place: str | Path | None = None, kinds: Kinds = Exception, longest: int | None = None
) -> Iterator[None]:
    """Turn exceptions of some kinds that leave the block into one line: the message and, in brackets, the reason.

    >>> with explained("cannot be read", "photo.png", OSError):
    ...     raise OSError("broken  data stream")
    Traceback (most recent call last):
    steepslope.errors.SteepslopeError: photo.png: cannot be read (broken data stream)
    """
    try:
        yield
    except kinds as error:
        raise SteepslopeError(f"{message} ({reason_of(error, longest)})", place) from error
