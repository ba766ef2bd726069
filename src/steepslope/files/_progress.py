"""Progress on the error stream: lines for whoever waits, and bars where a person watches."""

import sys
from collections.abc import Callable
from shutil import get_terminal_size
from typing import Any

from tqdm import tqdm

Notice = Callable[[str], None]  # takes one line for whoever waits


class _Bar(tqdm):  # type: ignore[misc]
    """A bar without tqdm's own thread, whose start can wait forever where memory runs out."""

    monitor_interval = 0


def silent(line: str) -> None:
    """Drop a notice."""


def say(line: str) -> None:
    """Print a notice on standard error as it is, above the bar that may be there."""
    tqdm.write(line, file=sys.stderr)


def bar(what: str, total: int | None, done: int = 0, shown: bool = True, delay: float = 0) -> Any:
    """Return tqdm's bar, for a ``with`` block that tells it by ``update(count)`` what else is done of the ``total``.

    It shows how fast that goes and how long the rest will take, if ``shown`` and a person watches, once ``delay``
    seconds have passed. Its last line stays, with the total and the time.
    """
    columns, rows = get_terminal_size()
    disabled = None if shown else True  # None: where the error stream is no terminal
    return _Bar(
        desc=what, total=total, initial=done, unit="", leave=True, ncols=columns, nrows=rows, disable=disabled,
        delay=delay, miniters=1,
    )  # fmt: skip
