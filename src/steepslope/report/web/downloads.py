"""What a page lets its reader keep: metrics and rows, as comma-separated values."""

from __future__ import annotations

import base64
import gzip
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc

from steepslope.metrics.measures import METRICS
from steepslope.report.evaluation import Evaluation
from steepslope.report.row_table import evaluation_columns
from steepslope.report.rows import Row

ROWS_ROOM = 2**20  # bytes of the rows in a page, compressed
MOST_ROWS = 50_000  # of which the size is tried


def metrics_csv(rows: Sequence[Row]) -> str:
    """Return every metric of every score as comma-separated values, a line each, undefined ones empty."""
    lines = [
        (row.name, name, *(None if value != value else value for value in (one["value"], one["low"], one["high"])))
        for row in rows
        for name, one in row.metrics.items()
        if name in METRICS
    ]
    columns = dict(zip(("score", "metric", "value", "low", "high"), zip(*lines, strict=True), strict=True))
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    return as_csv(table).decode()


def packed_rows(evaluation: Evaluation) -> str | None:
    """Return all rows as comma-separated values, gzipped, in base64; None where they are too many for a page.

    Where there is no room for all digits of the confidences, they have seven, which float32 has.
    """
    n = len(evaluation.predictions)
    if n > MOST_ROWS:
        return None
    table = pa.table({"id": pa.array(evaluation.ids(np.arange(n))), **evaluation_columns(evaluation, slice(0, n))})
    fewer = [pa.float32() if field.type == pa.float64() else field.type for field in table.schema]
    for digits in (table, table.cast(pa.schema(zip(table.column_names, fewer, strict=True)), safe=False)):
        packed = gzip.compress(as_csv(digits), 6, mtime=0)
        if len(packed) <= ROWS_ROOM:
            return base64.b64encode(packed).decode()
    return None


def as_csv(table: Any) -> bytes:
    """Return a :class:`pyarrow.Table` as comma-separated values."""
    buffer = io.BytesIO()
    pc.write_csv(table, buffer)
    return buffer.getvalue()
