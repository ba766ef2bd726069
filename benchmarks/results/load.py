"""A server under load: clients that send large pictures for minutes, to a server whose memory is limited.

Run ``python -m benchmarks.results.load --help``. Needs Linux, for the limit.
"""

from __future__ import annotations

import http.client
import io
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Thread

import numpy as np
from PIL import Image
from tests.serve.live import LiveProcess, running

from benchmarks.results.kept_rows import Row, write_results
from steepslope.cli.main import run_command
from steepslope.report.grid import Cell, Grid, grid_in_markdown

GIB = 1 << 30
SIZE = 4000, 3000  # pixels of a picture
WAIT = 120.0  # seconds after which an answer counts as lost
MOST_PAUSE = 5.0  # seconds that a client waits after a 503, whatever Retry-After says
EVERY = 10.0  # seconds between two looks at the server
MINUTE = 60
LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: [::]\r\n\r\n"
NOTE = "Memory is the largest of the minute; times are of the answers with status 200."


@dataclass
class Seen:
    """What clients have seen so far."""

    statuses: Counter[int] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)


def load(gate: str, out: str, minutes: float = 10, clients: int = 32, gib: float = 3) -> int:
    """Send pictures of 12 megapixels to a server, and write rows.json and table.md. Exit code 1 if an answer was lost.

    Parameters
    ----------
    gate
        Exported gate of images.
    out
        Folder for the results.
    minutes
        How long pictures are sent.
    clients
        How many send at the same time, each the next picture after an answer.
    gib
        Limit of the server's address space in GiB.
    """
    picture, seen = _picture(), Seen()
    with running(Path(gate), address_space=int(gib * GIB)) as live:
        end = time.monotonic() + minutes * MINUTE
        threads = [Thread(target=_send, args=(live, picture, seen, end)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        rows = list(_looks(live, seen, threads))
        code = live.stopped(90)
    write_results(out, rows, load_table(rows))
    print(f"lost: {len(seen.lost)} {seen.lost[:1]}; the server ended with {code}")
    return int(bool(seen.lost) or code != 0)


def _picture() -> bytes:
    small = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize(SIZE).save(file, "JPEG", quality=85)
    return file.getvalue()


def _send(live: LiveProcess, picture: bytes, seen: Seen, end: float) -> None:
    while (begin := time.monotonic()) < end:
        connection = http.client.HTTPConnection(*live.address, timeout=WAIT)
        try:
            connection.request("POST", "/predict", picture, {"Content-Type": "image/jpeg"})
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            with seen.lock:
                seen.lost.append(repr(error))
            continue
        finally:
            connection.close()
        with seen.lock:
            seen.statuses[answer.status] += 1
            if answer.status == 200:
                seen.times.append(time.monotonic() - begin)
        if answer.status == 503:
            time.sleep(min(float(answer.headers["Retry-After"]), MOST_PAUSE))


def _looks(live: LiveProcess, seen: Seen, threads: list[Thread]) -> Iterator[Row]:
    """Yield what a look at the server shows, every ten seconds while clients send."""
    begin, is_sending = time.monotonic(), True
    while is_sending:
        is_sending = any(thread.is_alive() for thread in threads)  # before the look, so that the last one sees all
        asked = time.monotonic()
        is_live = live.raw(LIVE, wait=WAIT).startswith(b"HTTP/1.1 200")
        with seen.lock:
            row: Row = {
                "seconds": round(asked - begin),
                **_memory(live.process.pid),
                "is live": is_live,
                "live seconds": round(time.monotonic() - asked, 3),
                "statuses": dict(seen.statuses),
                "times": [round(value, 2) for value in seen.times],
                "lost": len(seen.lost),
            }
            seen.statuses.clear()
            seen.times.clear()
        print({**row, "times": len(row["times"])}, flush=True)
        yield row
        if is_sending:
            time.sleep(EVERY)


def _memory(pid: int) -> dict[str, int]:
    """Return the resident memory of a process, and its address space, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    sizes = {name: value.split()[0] for name, _, value in (line.partition(":") for line in lines) if value.split()}
    return {"memory": int(sizes["VmRSS"]) >> 10, "address space": int(sizes["VmSize"]) >> 10}


def load_table(rows: list[Row]) -> str:
    """Return the table of what each minute showed."""
    header = ["minute", "memory, MiB", "address space, MiB", "200", "503", "others", "median, s", "99 %, s"]
    lines = []
    for minute in range(rows[-1]["seconds"] // MINUTE + 1):
        of_minute = [row for row in rows if row["seconds"] // MINUTE == minute]
        statuses: Counter[int] = sum((Counter(row["statuses"]) for row in of_minute), Counter())
        times = [value for row in of_minute for value in row["times"]]
        median, late = np.quantile(times, [0.5, 0.99]) if times else (np.nan, np.nan)
        largest = [max(row[name] for row in of_minute) for name in ("memory", "address space")]
        others = statuses.total() - statuses[200] - statuses[503]
        counts = [minute + 1, *largest, statuses[200], statuses[503], others]
        lines.append([*(Cell(str(value)) for value in counts), Cell(f"{median:.1f}"), Cell(f"{late:.1f}")])
    return grid_in_markdown(Grid("Load", header, lines, NOTE))


if __name__ == "__main__":
    sys.exit(run_command(load, sys.argv[1:], "python -m benchmarks.results.load"))
