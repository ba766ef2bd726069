"""Progress on the error stream: bars where a person watches, silence where none does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Notice = Callable[[str], None]  # takes one line for whoever waits


def silent(line: str) -> None:
    """Drop a notice."""


def say(line: str) -> None:
    """Print a notice on standard error; unlike a console, it can be sent to another process."""
    console().print(line)


def console() -> Console:
    """Return the console that writes lines to standard error as they are: ``corrupt:fog:3`` is no emoji."""
    return Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


@contextmanager
def bar(shown: bool = True) -> Iterator[Progress]:
    """Show a progress bar while the block runs, if ``shown`` and a person watches."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    err = console()
    with Progress(*columns, console=err, transient=True, disable=not (shown and err.is_terminal)) as progress:
        yield progress
