"""A server under load: its memory is limited, and clients send good and bad requests for minutes.

Run ``python -m benchmarks.results load --help``. Needs Linux, for the limit.
"""

from __future__ import annotations

import http.client
import io
import random
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, groupby, islice
from pathlib import Path
from threading import Lock, Thread

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from tests.serve.live import LiveProcess, running

from benchmarks.results.kept_rows import Row, write_results
from steepslope.report import Cell, Grid, grid_in_markdown

DECIDED_BY = ("promise", "monitor")
GIB = 1 << 30
LARGE = 4000, 3000  # pixels of a picture
SMALL = 320, 240
PARTS = 8  # pieces in which a slow client sends its picture
PART_PAUSE = 0.25  # seconds before each of them
PAUSE = 1.0  # seconds of clients that send no picture to decide on, so that they leave the server to the others
WAIT = 120.0  # seconds after which an answer counts as lost
MOST_PAUSE = 5.0  # seconds that a client waits after a 503, whatever Retry-After says
EVERY = 10.0  # seconds between two looks at the server
MINUTE = 60
LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: [::]\r\n\r\n"
JPEG = {"Content-Type": "image/jpeg"}
NOTE = "Memory is the largest of the minute; times are of the answers with status 200."
CURVE, COLORS = "curve.png", 32
DECISIONS = "decisions.csv"


@dataclass
class Seen:
    """What clients have seen so far, by their kind."""

    statuses: Counter[str] = field(default_factory=Counter)
    times: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    decided: int = 0
    lost: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)


@dataclass(frozen=True)
class Pictures:
    """Pictures of two sizes in the bytes of JPEG; a client sends one at random."""

    small: list[bytes]
    large: list[bytes]


Ask = Callable[[http.client.HTTPConnection, Pictures], None]


def _small(connection: http.client.HTTPConnection, pictures: Pictures) -> None:
    connection.request("POST", "/predict", random.choice(pictures.small), JPEG)


def _large(connection: http.client.HTTPConnection, pictures: Pictures) -> None:
    connection.request("POST", "/predict", random.choice(pictures.large), JPEG)


def _slow(connection: http.client.HTTPConnection, pictures: Pictures) -> None:
    picture = random.choice(pictures.small)
    connection.request("POST", "/predict", _slowly(picture), {**JPEG, "Content-Length": str(len(picture))})


def _slowly(picture: bytes) -> Iterator[bytes]:
    step = len(picture) // PARTS + 1
    for start in range(0, len(picture), step):
        time.sleep(PART_PAUSE)
        yield picture[start : start + step]


def _broken(connection: http.client.HTTPConnection, pictures: Pictures) -> None:
    time.sleep(PAUSE)
    picture = random.choice(pictures.small)
    connection.request("POST", "/predict", picture[: len(picture) // 2], JPEG)


def _metrics(connection: http.client.HTTPConnection, _: Pictures) -> None:
    time.sleep(PAUSE)
    connection.request("GET", "/metrics")


def _leaving(connection: http.client.HTTPConnection, pictures: Pictures) -> None:
    """Promise a whole picture, send half of it, leave, and ask another time whether the server lives."""
    picture = random.choice(pictures.large)
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Length", str(len(picture)))
    connection.endheaders(picture[: len(picture) // 2])
    connection.close()
    time.sleep(PAUSE)
    connection.request("GET", "/v2/health/live")


CLIENTS: dict[str, Ask] = {
    "small": _small,
    "large": _large,
    "slow": _slow,
    "broken": _broken,
    "leaving": _leaving,
    "metrics": _metrics,
}
EXPECTED = {"broken": {422, 503}, "leaving": {200}, "metrics": {200}}
DECIDED = "small", "large", "slow"
TRAFFIC = {"large": ("large",), "mixed": ("small", "large", "small", "slow", "large", "broken", "leaving", "metrics")}


def load(
    gate: str,
    state: str,
    out: str = "results/load",
    minutes: float = 10,
    clients: int = 32,
    gib: float = 3,
    traffic: str = "large",
) -> int:
    """Send requests to a server for minutes, and write rows.json, table.md and curve.png.

    The exit code is 1 if an answer, or the decision of one, was lost, or an answer had another status than it should.

    Parameters
    ----------
    gate
        Exported gate of images.
    out
        Folder for the results.
    state
        State of the gate's monitor, as the command monitor makes it. The server goes on with a copy.
    minutes
        How long clients ask.
    clients
        How many ask at the same time, each its next question after an answer.
    gib
        Limit of the server's address space in GiB.
    traffic
        large: pictures of 12 megapixels. mixed: also small ones, some of which arrive slowly, broken ones, clients
        that leave while they send, and looks at the metrics.
    """
    seen, pictures = Seen(), Pictures(_pictures(64, SMALL), _pictures(16, LARGE))
    Path(out).mkdir(parents=True, exist_ok=True)
    decisions = Path(out) / DECISIONS
    decisions.unlink(missing_ok=True)  # its rows are counted
    monitor = shutil.copy(state, Path(out) / "state.sqlite")
    options = f"--decisions {decisions} --monitor {monitor}"
    with running(Path(gate), options, address_space=int(gib * GIB)) as live:
        kinds = list(islice(cycle(TRAFFIC[traffic]), clients))
        end = time.monotonic() + minutes * MINUTE
        threads = [Thread(target=_client, args=(live, kind, pictures, seen, end)) for kind in kinds]
        for thread in threads:
            thread.start()
        rows = list(_looks(live, seen, threads))
        code = live.stopped(90)
    written = len(decisions.read_text(encoding="utf-8").splitlines()) - 1
    write_results(out, DECIDED_BY, rows, load_table(rows))
    draw_curve(rows, Path(out) / CURVE)
    print(f"lost: {len(seen.lost)} {seen.lost[:1]}; decided: {seen.decided}, written: {written}; ended with {code}")
    return int(bool(seen.lost) or written != seen.decided or code != 0)


def _pictures(count: int, size: tuple[int, int]) -> list[bytes]:
    values = np.random.default_rng(0).integers(0, 256, (count, 60, 80, 3), dtype=np.uint8)
    return [_jpeg(Image.fromarray(of_one).resize(size)) for of_one in values]


def _jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return file.getvalue()


def _client(live: LiveProcess, kind: str, pictures: Pictures, seen: Seen, end: float) -> None:
    while (begin := time.monotonic()) < end:
        connection = http.client.HTTPConnection(*live.address, timeout=WAIT)
        try:
            CLIENTS[kind](connection, pictures)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            with seen.lock:
                seen.lost.append(f"{kind}: {error!r}")
            continue
        finally:
            connection.close()
        with seen.lock:
            _count(seen, kind, answer.status, time.monotonic() - begin)
        if answer.status == 503:
            time.sleep(min(float(answer.headers["Retry-After"]), MOST_PAUSE))


def _count(seen: Seen, kind: str, status: int, seconds: float) -> None:
    if status not in EXPECTED.get(kind, {200, 503}):
        seen.lost.append(f"{kind}: status {status}")
    seen.statuses[f"{kind} {status}"] += 1
    if status == 200 and kind in DECIDED:
        seen.decided += 1
        seen.times[kind].append(seconds)


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
                "times": {kind: [round(value, 3) for value in times] for kind, times in seen.times.items()},
                "lost": len(seen.lost),
            }
            seen.statuses.clear()
            seen.times.clear()
        print({name: value for name, value in row.items() if name != "times"}, flush=True)
        yield row
        if is_sending:
            time.sleep(EVERY)


def _memory(pid: int) -> dict[str, int]:
    """Return the resident memory of a process, and its address space, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    sizes = {name: value.split()[0] for name, _, value in (line.partition(":") for line in lines) if value.split()}
    return {"memory": int(sizes["VmRSS"]) >> 10, "address space": int(sizes["VmSize"]) >> 10}


def load_table(rows: Sequence[Row]) -> str:
    """Return the table of what each minute showed."""
    kinds = [kind for kind in DECIDED if any(kind in row["times"] for row in rows)]
    header = ["minute", "memory, MiB", "address space, MiB", "200", "503", "others"]
    header += [f"{kind}: {name}" for kind in kinds for name in ("median, s", "99 %, s")]
    lines = []
    for minute, of_minute in _minutes(rows):
        statuses = _statuses(of_minute)
        largest = [max(row[name] for row in of_minute) for name in ("memory", "address space")]
        others = statuses.total() - statuses["200"] - statuses["503"]
        counts = [minute + 1, *largest, statuses["200"], statuses["503"], others]
        times = [value for kind in kinds for value in _quantiles(of_minute, kind)]
        lines.append([*(Cell(str(value)) for value in counts), *(Cell(f"{value:.2f}") for value in times)])
    return grid_in_markdown(Grid("Load", header, lines, NOTE))


def _minutes(rows: Sequence[Row]) -> list[tuple[int, list[Row]]]:
    groups = groupby(rows, lambda row: int(row["seconds"]) // MINUTE)
    return [(minute, list(group)) for minute, group in groups]


def _statuses(rows: Sequence[Row]) -> Counter[str]:
    statuses: Counter[str] = Counter()
    for row in rows:
        for name, count in row["statuses"].items():
            statuses[name.split()[-1]] += count
    return statuses


def _quantiles(rows: Sequence[Row], kind: str) -> tuple[float, float]:
    """Return the median and the 99 % quantile of a kind's times."""
    times = [value for row in rows for value in row["times"].get(kind, [])]
    if not times:
        return np.nan, np.nan
    median, late = np.quantile(times, [0.5, 0.99])
    return float(median), float(late)


def draw_curve(rows: Sequence[Row], path: Path) -> None:
    """Draw the memory at each look, and each minute's latency."""
    figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(7, 4), layout="constrained")
    minutes = [row["seconds"] / MINUTE for row in rows]
    above.plot(minutes, [row["memory"] for row in rows], label="resident")
    above.plot(minutes, [row["address space"] for row in rows], label="address space")
    above.set(ylabel="MiB", ylim=(0, None))
    groups = _minutes(rows)
    for kind in DECIDED:
        times = np.array([_quantiles(of_minute, kind) for _, of_minute in groups])
        if np.isfinite(times).any():
            (line,) = below.plot([minute + 0.5 for minute, _ in groups], times[:, 0], label=f"{kind}, median")
            below.plot(
                [minute + 0.5 for minute, _ in groups], times[:, 1], ":", color=line.get_color(), label=f"{kind}, 99 %"
            )
    below.set(xlabel="minute", ylabel="seconds", ylim=(0, None))
    for axes in (above, below):
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    figure.savefig(path, dpi=100)
    with Image.open(path) as picture:
        few = picture.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
