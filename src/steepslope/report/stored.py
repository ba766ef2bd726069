"""Reading a report's folder again."""

import json
from pathlib import Path
from typing import Any

from steepslope.errors import SteepslopeError, explained

METRICS_FILE = "metrics.json"


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a report's ``metrics.json``, one a score; what is undefined is None.

    Raises
    ------
    SteepslopeError
        If there is none, or it is no list of rows.
    """
    path = folder / METRICS_FILE
    with explained("expected a report's metrics, but they cannot be read", path, (OSError, ValueError)):
        rows = json.loads(path.read_text(encoding="utf-8"))
    if not (isinstance(rows, list) and rows and all(isinstance(row, dict) and "score" in row for row in rows)):
        raise SteepslopeError("expected a report's metrics, a list with a row for each score", path)
    return rows
