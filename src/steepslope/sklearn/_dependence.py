"""Which rows of inputs are copies, and a caution if rows seem to depend on one another."""

from __future__ import annotations

import re
from typing import Any

import narwhals as nw
import numpy as np
from sklearn.model_selection import TimeSeriesSplit

from steepslope.numerics import Counts, Floats, Values
from steepslope.outputs import copies_of, equal_row_codes, rows_that_agree, signs_of_dependence, warn_of_copies
from steepslope.promise import checked_groups
from steepslope.sklearn._features import rows_to_compare

_WHO = (
    "user|customer|client|patient|person|account|subject|session|device|sensor|participant|respondent|speaker|household"
)
_IDENTITY = re.compile(rf"(?i:(^|[^a-z])({_WHO}|id)([ _-]?(id|code|number|nr|no|key|name))?s?)$|[a-z](Id|ID)s?$")
_DATE = re.compile(r"(?i:(^|[^a-z])(date|time|datetime|timestamp|year))$|[a-z](Date|Time)$")
_ADVICE = (
    "If rows belong to persons or things, pass fit(X, y, groups=…), else several of one count as independent; if they "
    "are in order of time, pass cv=TimeSeriesSplit(…)"
)


def rows_together(X: Any, labels: Values, groups: Any, cv: Any) -> tuple[Counts, list[str]]:
    """Return a number for each row of inputs (n, …), the same for rows that belong together, and cautions.

    These are rows of the same group, by ``groups`` (n,); without groups they are copies, and a caution says if rows
    seem to depend on one another in other ways.
    """
    names = checked_groups(groups, len(labels))
    if names is not None:
        return rows_that_agree(names), []
    columns = rows_to_compare(X)
    copies = _copied_rows(X, columns)
    warn_of_copies(copies)
    return copies, _caution_on_dependence(X, labels, columns, copies, cv)


def copies_in_inputs(X: Any) -> Counts:
    """Return a number for each row of inputs (n, …), the same for copies of a row, (n,).

    Equal rows are copies if chance would not make so many, or if a frame's index gives them the same name.
    """
    copies = _copied_rows(X, rows_to_compare(X))
    warn_of_copies(copies)
    return copies


def _copied_rows(X: Any, columns: Floats) -> Counts:
    """Return the numbers of :func:`copies_in_inputs`, given the columns (n, d) of ``rows_to_compare``."""
    index: Any = getattr(X, "index", None)
    codes = [copies_of(columns)]
    if hasattr(index, "factorize") and index.has_duplicates:
        codes.append(equal_row_codes(np.column_stack([columns, index.factorize()[0]])))
    return rows_that_agree(*codes)


def _caution_on_dependence(X: Any, labels: Values, columns: Floats, copies: Counts, cv: Any) -> list[str]:
    """Return a caution if inputs (n, …) with labels (n,) seem to depend on one another; nothing if they do not.

    ``columns`` (n, d) and ``copies`` (n,) are as in :func:`copies_in_inputs`. The order of rows tells nothing if ``cv``
    is a ``TimeSeriesSplit``.
    """
    order = None if isinstance(cv, TimeSeriesSplit) else _rows_by_index(X, len(labels))
    signs = [*_signs_in_columns(X, order), *signs_of_dependence(columns, labels, copies, order)]
    if not signs:
        return []
    return [f"rows may depend on one another: {'; '.join(signs)}. {_ADVICE}"]


def _rows_by_index(X: Any, n: int) -> Counts:
    """Return the n rows in the order of a frame's index, if that is numbers or dates, or else as they stand.

    After ``train_test_split``, the index of pandas still tells how the rows stood in their file.
    """
    index: Any = getattr(X, "index", None)
    if getattr(index, "is_unique", False) and index.dtype.kind in "iuM":
        return np.argsort(index.to_numpy(), kind="stable").astype(np.int64)
    return np.arange(n)


def _signs_in_columns(X: Any, order: Counts | None = None) -> list[str]:
    """Return a clause for each column of a frame whose name says that rows belong together, or are in order of time.

    Columns of identities repeat. Columns of dates rise or fall with the order (n,) of the rows, unless it is None.
    """
    signs = []
    names = [name for name in getattr(X, "columns", ()) if isinstance(name, str)]
    for name in [name for name in names if names.count(name) == 1]:
        column = nw.from_native(X[name], series_only=True)
        is_count = name.endswith("s") and column.dtype.is_numeric()
        if _IDENTITY.search(name) and not is_count:
            values = column.n_unique()
            if 1 < values < len(column):
                signs.append(f"column {name} has {values:,} different values in {len(column):,} rows")
        if order is not None and (_DATE.search(name) or column.dtype.is_temporal()):
            ordered = column[order]
            if ordered.n_unique() > 1 and (ordered.is_sorted() or ordered.is_sorted(descending=True)):
                signs.append(f"rows are sorted by column {name}")
    return signs
