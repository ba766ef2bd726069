"""The log of a server on standard error: text for people, or for programs one JSON object a line."""

import json
import logging
from datetime import UTC, datetime

LOGGER = logging.getLogger("steepslope.serve")
_REQUEST = "request_id", "route", "status", "seconds"  # what a line on a request also tells


class _JsonLines(logging.Formatter):
    """Turns a record into one JSON object: time (UTC), level, message, the traceback of an error, facts on a request.

    >>> record = logging.makeLogRecord({"msg": "health is changed", "levelname": "WARNING", "created": 0})
    >>> _JsonLines().format(record)
    '{"time": "1970-01-01T00:00:00+00:00", "level": "WARNING", "message": "health is changed"}'
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat()
        line = {"time": time, "level": record.levelname, "message": record.getMessage()}
        line |= {name: vars(record)[name] for name in _REQUEST if name in vars(record)}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def start_server_log(kind: str) -> None:
    """Send all logs to standard error: as text, warnings and errors; as JSON, each request, too."""
    handler = logging.StreamHandler()
    is_json = kind == "json"
    handler.setFormatter(_JsonLines() if is_json else logging.Formatter("%(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO if is_json else logging.WARNING, force=True)
