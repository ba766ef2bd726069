"""What happens to a command, and what must hold afterwards. Each kind of fault is a function in :data:`FAULTS`."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

import steepslope
from benchmarks.faults.process import TIME_LIMIT, UNDISTURBED, Disturbance, Ending, Running, run
from benchmarks.faults.scenarios import Scenario
from steepslope.errors import SteepslopeError

KIB, MIB = 1024, 1024**2
ROOM = 256 * MIB  # of the small disk, before it is filled
FREE = (0, 4 * KIB, 24 * KIB, 96 * KIB)  # what is left on it
MORE_MEMORY = (0, 2 * MIB, 16 * MIB, 64 * MIB)
FILE_BYTES = (0, 1 * KIB, 16 * KIB)
YEAR = 365 * 86_400.0
DAMAGED_FILES = 6  # of all that a command reads, at most
BY_SIGNAL = -signal.SIGKILL
REFUSED = 2
ENDS_WELL = (0, 3, 4)
NEVER_SAID = re.compile(
    r"Traceback|internal error|Exception ignored|terminate called|Segmentation fault|Fatal Python error"
)
OF_PYTORCH = re.compile(  # said as a loader ends that found no memory for its processes, after our own line
    r"Exception ignored in: <function _MultiProcessingDataLoaderIter.*?AttributeError: [^\n]*", re.DOTALL
)
OF_OPENBLAS = "OpenBLAS error: Memory allocation still failed"  # it ends the process by itself, with code 1
ALREADY_THERE = "there is such a file already"  # said of a result that a run finished just before it was killed
SIDECARS = ("-journal", "-wal", "-shm")  # of a state that a process has open
CACHE = "cache"
HISTORY, SPEED = "history.csv", "images_per_second"
LOCK = ".lock"
FILLER = "filler"
BLOCKING = """
import sys
class Blocking:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
BLOCKED = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Blocking())
from steepslope.cli._main import main
sys.exit(main(sys.argv[2:]))
"""
EXTRAS = {
    "all extras": (
        "torch,torchvision,timm,PIL,onnx,onnxruntime,onnxscript,lightning_fabric,yaml,pyarrow,fastapi,uvicorn,"
        "prometheus_client,huggingface_hub,datasets,kornia,imagecorruptions,matplotlib,ray,cryptography"
    ),
    "pyarrow": "pyarrow",
}
Digests = dict[str, str]


@dataclass(frozen=True)
class Outcome:
    """What a case of a fault came to: ``problem`` is empty if all held."""

    fault: str
    case: str
    code: int
    problem: str
    seconds: float


Outcomes = Generator[Outcome, None, None]


@dataclass(frozen=True)
class Reference:
    """A run that was not disturbed, and what lay there before and after it."""

    ending: Ending
    before: Digests
    after: Digests


class Bench:
    """A scenario with a folder in which it runs, always the same one, and the folder's first contents."""

    def __init__(self, scenario: Scenario, home: Path, work: Path) -> None:
        self.scenario, self.words = scenario, scenario.words.split()
        self.template, self.place = work / "template", work / "place"
        os.environ["STEEPSLOPE_CACHE"] = str(self.place / CACHE)
        self._make_template(home)
        self.reference = self._undisturbed()

    def _make_template(self, home: Path) -> None:
        """Run the earlier commands where all inputs are, and keep what the scenario needs with what they wrote."""
        for folder in (self.template, self.place):
            shutil.rmtree(folder, ignore_errors=True)
        _copy(home, self.place)
        for command in self.scenario.earlier:
            ending = run(command.split(), self.place)
            if ending.code not in ENDS_WELL:
                raise SteepslopeError(f"{command}: exit code {ending.code}: {ending.said}")
        unneeded = {path.name for path in home.iterdir()} - {*self.scenario.needs, *self.scenario.results}
        for name in (*unneeded, CACHE):
            _remove(self.place / name)
        _copy(self.place, self.template)

    def _undisturbed(self) -> Reference:
        """Run twice, so that what was imported on the way counts in no duration."""
        for _ in range(2):
            self.begin()
            before = digests(self.place)
            ending = run(self.words, self.place, until=self.scenario.until)
        if ending.code != self.scenario.code or NEVER_SAID.search(ending.said):
            raise SteepslopeError(f"{self.scenario.words}: exit code {ending.code}: {ending.said}")
        return Reference(ending, before, digests(self.place))

    def begin(self) -> None:
        """Bring the folder to how it was at first."""
        if self.place.exists():
            for path in self.place.iterdir():
                _remove(path)
        _copy(self.template, self.place)
        (self.place / CACHE).mkdir()

    def run(self, disturbance: Disturbance = UNDISTURBED) -> Ending:
        """Run the command in the folder."""
        return run(self.words, self.place, disturbance, self.scenario.until)

    def damaged(self) -> Iterator[Path]:
        """Yield the files to damage: of each need some."""
        draw = np.random.default_rng(zlib.crc32(self.scenario.words.encode()))
        for need in self.scenario.needs:
            path = self.template / need
            files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
            files = [file for file in files if file.stat().st_size > 0 and not file.name.endswith(LOCK)]
            count = max(1, DAMAGED_FILES // len(self.scenario.needs))
            for number in draw.permutation(len(files))[:count]:
                yield files[number].relative_to(self.template)

    def is_sealed(self, path: Path) -> bool:
        """Return whether a file is in a folder with digests of all that it holds."""
        return any(path.is_relative_to(sealed) for sealed in self.scenario.sealed)


def digests(folder: Path) -> Digests:
    """Return the digest of each file below a folder, of a state its contents, but of no lock and not of the cache."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name: _digest(path)
        for name, path in files.items()
        if not name.endswith(LOCK) and not name.startswith(f"{CACHE}/") and name != FILLER
    }


def _digest(path: Path) -> str:
    if path.suffix == ".sqlite":
        return _digest_of_state(path)
    content = path.read_bytes()
    return hashlib.sha256(_without_speed(content) if path.name == HISTORY else content).hexdigest()


def _without_speed(history: bytes) -> bytes:
    """Return the history of a training without the column that tells how fast it was."""
    rows = [*csv.reader(history.decode().splitlines())]
    column = rows[0].index(SPEED) if rows and SPEED in rows[0] else 0
    return json.dumps([row[:column] + row[column + 1 :] for row in rows]).encode()


def _digest_of_state(path: Path) -> str:
    """Return the digest of what a state holds, as the next process finds it: of a copy, with what lies beside it."""
    with tempfile.TemporaryDirectory() as folder:
        for sidecar in ("", *SIDECARS):
            with suppress(FileNotFoundError):
                shutil.copy2(f"{path}{sidecar}", folder)
        try:
            connection = sqlite3.connect(Path(folder, path.name))
            text = "\n".join(connection.iterdump())
            connection.close()
        except sqlite3.DatabaseError as error:
            text = str(error)
    return hashlib.sha256(text.encode()).hexdigest()


def outcome(
    bench: Bench,
    fault: str,
    case: str,
    disturbed: Callable[[], list[Ending]],
    *,
    repair: Callable[[], object] = lambda: None,
    damaged: Path | None = None,
) -> Outcome:
    """Run a disturbed command and check what it left, then run it undisturbed and check what that made.

    Parameters
    ----------
    bench
        The command; its folder is as at first, apart from the damage.
    fault, case
        What happens to it.
    disturbed
        Runs it, or two of it at once.
    repair
        Takes the fault away before it runs again.
    damaged
        The input that was damaged.
    """
    before, begun = digests(bench.place), time.monotonic()
    endings = disturbed()
    after = digests(bench.place)
    found = [ending_problem(ending) for ending in endings]
    found.append(_input_problem(bench, before, after))
    found += [_bench_result_problem(bench, ending, after, damaged) for ending in endings[:1] if len(endings) == 1]
    repair()
    is_taken = damaged is not None and not bench.is_sealed(damaged) and endings[0].code in ENDS_WELL
    found.append("" if is_taken else _next_run_problem(bench, damaged))  # what it was given was another good input
    problem = next(filter(None, found), "")
    return Outcome(fault, case, endings[0].code, problem, round(time.monotonic() - begun, 2))


def ending_problem(ending: Ending) -> str:
    """Return what is wrong with how a command ended; empty if nothing is."""
    if ending.is_late:
        return f"still ran after {TIME_LIMIT:.0f} s"
    if unwanted := NEVER_SAID.search(OF_PYTORCH.sub("", ending.said)):
        return f"said: {_excerpt(ending.said, unwanted[0])}"
    if ending.code not in (*ENDS_WELL, REFUSED, BY_SIGNAL) and OF_OPENBLAS not in ending.said:
        return f"exit code {ending.code}: {_excerpt(ending.said)}"
    return ""


def _excerpt(text: str, from_word: str = "") -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()] or [""]
    chosen = [line for line in lines if from_word in line][-1:] if from_word else lines[-1:]
    return chosen[0][-300:]


def _input_problem(bench: Bench, before: Digests, after: Digests) -> str:
    inputs = (*bench.scenario.needs,)
    changed = [name for name, digest in before.items() if name.split("/")[0] in inputs and after.get(name) != digest]
    return f"changed its input {changed[0]}" if changed else ""


def _bench_result_problem(bench: Bench, ending: Ending, after: Digests, damaged: Path | None) -> str:
    """Check the results of a command, unless what it was given in place of its input was as good."""
    if ending.code in ENDS_WELL and damaged is not None and not bench.is_sealed(damaged):
        return ""
    earlier, new, now = (_results(bench, files) for files in (bench.reference.before, bench.reference.after, after))
    return result_problem(ending, earlier, new, now, bench.scenario.code)


def result_problem(ending: Ending, earlier: Digests, new: Digests, now: Digests, expected_code: int) -> str:
    """Return what is wrong with results: they are the earlier ones, the new ones, or after a kill not complete."""
    if ending.code in ENDS_WELL:
        return "" if now == new and ending.code == expected_code else f"ended with code {ending.code} and other results"
    if not earlier or now in (earlier, new):  # what the first run left unfinished, the next one has to finish
        return ""
    if ending.code != BY_SIGNAL:
        return f"an earlier result changed: {_difference(earlier, now)}"
    mixed = [name for name, digest in now.items() if digest not in (earlier.get(name), new.get(name))]
    if mixed:
        return f"{mixed[0]}: neither the earlier nor the new one"
    is_complete = now.keys() >= earlier.keys() or now.keys() >= new.keys()
    return "a mixture of earlier and new files" if is_complete else ""


def _results(bench: Bench, found: Mapping[str, str]) -> Digests:
    """Return the digests of the results alone, without what begins with a dot, which is unfinished."""
    return {
        name: digest
        for name, digest in found.items()
        if name.split("/")[0] in bench.scenario.results and "/." not in f"/{name}" and not name.endswith(SIDECARS)
    }


def _difference(expected: Digests, found: Digests) -> str:
    names = sorted({*expected, *found})
    return next((name for name in names if expected.get(name) != found.get(name)), "")


def _next_run_problem(bench: Bench, damaged: Path | None) -> str:
    """Run without the fault, and compare all that lies there with what a run that was never disturbed left."""
    ending = bench.run()
    advises = re.search("--replace|another folder|delete", ending.said) is not None
    if damaged is not None and ending.code == REFUSED and advises:
        _remove_results(bench)
        ending = bench.run()
    if ending.code != bench.scenario.code and not (ALREADY_THERE in ending.said and ending.code == REFUSED):
        return f"the next run: exit code {ending.code}: {_excerpt(ending.said)}"
    expected, now = bench.reference.after, digests(bench.place)
    if left := sorted(now.keys() - expected.keys()):
        return f"the next run left {left[0]}"
    return "" if now == expected else f"the next run made another {_difference(expected, now)}"


def _remove_results(bench: Bench) -> None:
    for path in bench.place.iterdir():
        if not (bench.template / path.name).exists() and path.name != CACHE:
            _remove(path)


def killed(bench: Bench, count: int = 20) -> Outcomes:
    """Kill it: half of the times as it changes the file system, half of the times by the clock."""
    halves = count // 2
    changes = bench.reference.ending.changes
    for number in sorted({1 + (2 * moment + 1) * changes // (2 * halves) for moment in range(halves)}):
        yield _disturbed(bench, "killed", f"at change {number}", Disturbance(kill_at_change=number))
    for moment in range(count - halves):
        part = (moment + 0.5) / (count - halves)
        disturbance = Disturbance(kill_after=part * bench.reference.ending.seconds)
        yield _disturbed(bench, "killed", f"after {part:.0%} of its time", disturbance)


def _disturbed(bench: Bench, fault: str, case: str, disturbance: Disturbance) -> Outcome:
    bench.begin()
    return outcome(bench, fault, case, lambda: [bench.run(disturbance)])


def disk_full(bench: Bench) -> Outcomes:
    """Fill the disk, a small one where this user may mount it; and let no file grow beyond a few bytes."""
    with _small_disk(bench.place) as is_there:
        for free in FREE if is_there else ():
            bench.begin()
            _fill(bench.place, free)
            filler = bench.place / FILLER
            run_it = partial(bench.run, Disturbance())
            yield outcome(bench, "disk full", f"{free // KIB} KiB free", lambda: [run_it()], repair=filler.unlink)  # noqa: B023
    largest = max((path.stat().st_size for path in bench.place.rglob("*") if path.is_file()), default=0)
    for size in sorted({*FILE_BYTES, largest // 2}):
        disturbance = Disturbance(file_bytes=size)
        yield _disturbed(bench, "disk full", f"files end at {size} bytes", disturbance)


@contextmanager
def _small_disk(place: Path) -> Iterator[bool]:
    """Mount a small disk over a folder; tell whether that was allowed."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(place)]
    is_there = os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0
    try:
        yield is_there
    finally:
        if is_there:
            subprocess.run(["umount", "--lazy", str(place)], check=True)


def _fill(place: Path, free: int) -> None:
    space = os.statvfs(place)
    count = space.f_bavail * space.f_frsize - free
    with (place / FILLER).open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, count)


def read_only(bench: Bench) -> Outcomes:
    """Run it in a folder, with all in it, that it may not write to."""
    bench.begin()
    _set_writable(bench.place, False)
    repair = partial(_set_writable, bench.place, True)
    yield outcome(bench, "read-only", "all folders", lambda: [bench.run(Disturbance(as_nobody=True))], repair=repair)


def _set_writable(folder: Path, is_writable: bool) -> None:
    for path in (folder, *folder.rglob("*")):
        reading = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH
        entering = (stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH) if path.is_dir() else 0
        path.chmod(reading | entering | (stat.S_IWUSR if is_writable else 0))


def little_memory(bench: Bench) -> Outcomes:
    """Let it take only so much more memory."""
    for more in MORE_MEMORY:
        disturbance = Disturbance(more_memory=more)
        yield _disturbed(bench, "little memory", f"{more // MIB} MiB", disturbance)


def two_at_once(bench: Bench) -> Outcomes:
    """Start two of it at the same time, on one target."""
    bench.begin()

    def both() -> list[Ending]:
        running = [Running(bench.words, bench.place, until=bench.scenario.until) for _ in range(2)]
        return [process.end() for process in running]

    yield outcome(bench, "two at once", "on one target", both)


def clock_back(bench: Bench) -> Outcomes:
    """Set the clock back by a year, so that all inputs and earlier results come from the future."""
    bench.begin()
    yield outcome(bench, "clock back", "a year", lambda: [bench.run(Disturbance(clock_back=YEAR))])


def truncated(bench: Bench) -> Outcomes:
    """Cut an input off in its middle."""
    for path in bench.damaged():
        content = (bench.template / path).read_bytes()
        yield _damaged(bench, "input truncated", path, content[: len(content) // 2])


def bit_flipped(bench: Bench) -> Outcomes:
    """Flip one bit of an input."""
    draw = np.random.default_rng(1)
    for path in bench.damaged():
        content = bytearray((bench.template / path).read_bytes())
        content[draw.integers(len(content))] ^= 1 << int(draw.integers(8))
        yield _damaged(bench, "bit flipped", path, bytes(content))


def _damaged(bench: Bench, fault: str, path: Path, content: bytes) -> Outcome:
    bench.begin()
    (bench.place / path).write_bytes(content)
    repair = partial(shutil.copyfile, bench.template / path, bench.place / path)
    return outcome(bench, fault, str(path), lambda: [bench.run()], repair=repair, damaged=path)


def extra_missing(bench: Bench) -> Outcomes:
    """Run it where optional libraries are not installed."""
    for name, blocked in EXTRAS.items():
        bench.begin()
        yield outcome(bench, "extra missing", name, lambda: [_without(blocked, bench)])  # noqa: B023


def _without(blocked: str, bench: Bench) -> Ending:
    environment = {**os.environ, "PYTHONPATH": str(Path(steepslope.__file__).parents[1])}
    command = [sys.executable, "-c", BLOCKING, blocked, *bench.words]
    begun = time.monotonic()
    with subprocess.Popen(
        command, cwd=bench.place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    ) as process:
        timeout = 5.0 if bench.scenario.until else TIME_LIMIT
        try:
            said, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM if bench.scenario.until else signal.SIGKILL)
            said, _ = process.communicate(timeout=TIME_LIMIT)
    seconds = time.monotonic() - begun
    ending = Ending(process.returncode, said.decode(errors="replace"), seconds, 0)
    return replace(ending, is_late=seconds > TIME_LIMIT)


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


FAULTS: dict[str, Callable[[Bench], Outcomes]] = {
    "killed": killed,
    "disk full": disk_full,
    "read-only": read_only,
    "little memory": little_memory,
    "two at once": two_at_once,
    "clock back": clock_back,
    "input truncated": truncated,
    "bit flipped": bit_flipped,
    "extra missing": extra_missing,
}
