"""Every command under every fault: killed, a full disk, too little memory, two at once, damaged inputs, and others.

Run ``python -m benchmarks.results reliability --help``. Needs Linux; as root it also fills a small disk.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import steepslope
from benchmarks.faults.kinds import FAULTS, Bench, killed
from benchmarks.faults.process import claim_buffers
from benchmarks.faults.scenarios import SCENARIOS, make_home
from benchmarks.results.kept_rows import Row, write_results
from steepslope.errors import require_known
from steepslope.files import digest_of, fingerprint
from steepslope.report import Cell, Grid, grid_in_markdown

LOG = "rows.jsonl"
LONG = 2.0  # seconds; a command that takes longer is disturbed less often
MOMENTS, MOMENTS_IF_LONG = 20, 6
CASES_IF_LONG = 3  # of each other kind of fault, at most
BEGIN, END = "<!-- table of faults -->", "<!-- end of the table of faults -->"
NOTE = "Survived, of those tried."


def reliability(
    work: str = "runs/reliability",
    out: str = "results/reliability",
    only: tuple[str, ...] = (),
    faults: tuple[str, ...] = (),
    moments: int = MOMENTS,
    page: str = "",
) -> int:
    """Disturb every command, and write rows.json and table.md. Exit code 1 if something was not survived.

    It goes on where it was killed, and begins again when the code of the package is another.

    Parameters
    ----------
    work
        Folder for inputs and for rows.jsonl, to which a line is added after each run.
    out
        Folder for the results.
    only
        Names of scenarios; by default all.
    faults
        Kinds of faults; by default all.
    moments
        How often a command is killed; one that takes longer than 2 s, six times at most.
    page
        Markdown file in which the table stands between two comments, and is renewed.
    """
    for name in only:
        require_known("scenario", name, SCENARIOS)
    for name in faults:
        require_known("fault", name, FAULTS)
    folder = Path(work).resolve()
    home = folder / "home"
    claim_buffers()
    make_home(home)
    log, code = folder / LOG, digest_of_code()
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    rows = [row for row in map(json.loads, lines) if row.get("code") == code]
    for name in only or SCENARIOS:
        finished = {row["fault"] for row in rows if row["command"] == name and row["case"] == "all"}
        missing = [fault for fault in faults or FAULTS if fault not in finished]
        rows = [row for row in rows if row["command"] != name or row["fault"] not in missing]
        for row in _tried(name, missing, moments, home, folder):
            rows.append(row)
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**row, "code": code}) + "\n")
    tried = [row for row in rows if row["case"] != "all"]
    table = reliability_table(tried)
    write_results(out, (), tried, table)
    if page:
        renew_page(Path(page), table)
    return int(any(row["problem"] for row in tried))


def digest_of_code() -> str:
    """Return what tells the code of the package from another."""
    folder = Path(steepslope.__file__).parent
    return digest_of({path.relative_to(folder).as_posix(): fingerprint(path) for path in sorted(folder.rglob("*.py"))})


def _tried(name: str, faults: Sequence[str], moments: int, home: Path, folder: Path) -> Iterator[Row]:
    """Yield a row for each case of some faults, and one at the end of each fault."""
    if not faults:
        return
    bench = Bench(SCENARIOS[name], home, folder)
    is_long = bench.reference.ending.seconds > LONG
    count = min(moments, MOMENTS_IF_LONG) if is_long else moments
    for fault in faults:
        outcomes = killed(bench, count) if fault == "killed" else FAULTS[fault](bench)
        most = CASES_IF_LONG if is_long and fault != "killed" else None
        with closing(outcomes):  # which takes a small disk away
            for outcome in islice(outcomes, most):
                yield {"command": name, **asdict(outcome)}
                if outcome.problem:
                    print(f"{name}, {fault}, {outcome.case}: {outcome.problem}", flush=True)
        yield {"command": name, "fault": fault, "case": "all"}
    print(f"{name}: done", flush=True)


def reliability_table(rows: Sequence[Row]) -> str:
    """Return the table of how many cases were survived, of how many, for each command and fault."""
    faults = [fault for fault in FAULTS if any(row["fault"] == fault for row in rows)]
    lines = []
    for name in dict.fromkeys(row["command"] for row in rows):
        of_command = [row for row in rows if row["command"] == name]
        shares = [_share([row for row in of_command if row["fault"] == fault]) for fault in faults]
        lines.append([*map(Cell, [name, *shares])])
    totals = [_share([row for row in rows if row["fault"] == fault]) for fault in faults]
    lines.append([*map(Cell, ["all", *totals])])
    return grid_in_markdown(Grid("Faults", ["command", *faults], lines, NOTE))


def _share(rows: Sequence[Row]) -> str:
    if not rows:
        return "–"
    survived = sum(not row["problem"] for row in rows)
    return f"{survived} of {len(rows)}"


def renew_page(page: Path, table: str) -> None:
    """Write the table into a page, between two comments."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{table.strip()}\n{END}{after}", encoding="utf-8")
