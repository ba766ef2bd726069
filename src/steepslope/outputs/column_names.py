"""Names of columns: in natural order, numbered, and as messages show them."""

import re
from collections.abc import Collection, Sequence

from steepslope.errors import SteepslopeError

SHOWN = 20
SEPARATORS: dict[str, str] = {";": "';'", "\t": "tab", "|": "'|'"}  # by how they are written as an option


def natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts names with their numbers as numbers.

    >>> sorted(["p10", "p9", "p"], key=natural)
    ['p', 'p9', 'p10']
    """
    parts = re.split(r"([0-9]+)", name)
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts if part]


def numbered(names: Collection[str], prefix: str) -> list[str]:
    """Return the columns prefix_0, prefix_1, … in that order; a gap is an error."""
    numbers = sorted({int(match[1]) for name in names if (match := re.fullmatch(rf"{prefix}_([0-9]+)", name))})
    if numbers != list(range(len(numbers))):
        missing = min(set(range(len(numbers))) - set(numbers))
        raise SteepslopeError(f"columns {prefix}_0, {prefix}_1, …: {prefix}_{missing} is missing")
    return [f"{prefix}_{k}" for k in numbers]


def listed(names: Sequence[str]) -> str:
    """Return names on one line, no more than so many; blanks at an end are made visible.

    >>> listed(["a", " b"]), listed(["c"] * 1000)[-16:]
    ("a, ' b'", '… (1,000 in all)')
    """
    shown = [name if name == name.strip() != "" else repr(name) for name in names[:SHOWN]]
    return ", ".join(shown) + (f", … ({len(names):,} in all)" if len(names) > SHOWN else "")


def found_columns(names: Sequence[str]) -> str:
    """Return the end of a message: which columns were found, with a word on the separator if they are but one.

    >>> print(found_columns(["a", "b"]), found_columns(["a;b"]), sep=" | ")
    found the columns a, b | found one column, 'a;b': give --separator ';'
    """
    if len(names) > 1:
        return f"found the columns {listed(names)}"
    other = [f": give --separator {option}" for mark, option in SEPARATORS.items() if mark in "".join(names)]
    return f"found one column, {''.join(names)!r}{''.join(other[:1])}"
