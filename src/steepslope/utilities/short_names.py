"""Names that are short enough to be shown, and still tell what they name apart."""

from collections import Counter
from collections.abc import Sequence

from rich.cells import cell_len

CUT = "…"


def shortest_tails(paths: Sequence[str]) -> list[str]:
    """Return of each path the shortest tail that no other path has; the whole path if another is the same.

    >>> shortest_tails(["runs/a/report", "runs/b/report", "runs/b/may", "mcp"])
    ['a/report', 'b/report', 'may', 'mcp']
    """
    parts = [path.rstrip("/").split("/") for path in paths]
    counts = Counter("/".join(one[-k:]) for one in parts for k in range(1, len(one) + 1))

    def tail(one: Sequence[str]) -> str:
        tails = ("/".join(one[-k:]) for k in range(1, len(one) + 1))
        return next((some for some in tails if counts[some] == 1), "/".join(one))

    return [tail(one) for one in parts]


def shortened(names: Sequence[str], wanted: int, most: int) -> list[str]:
    """Return names for a column of ``wanted`` cells; those of over ``most`` cells must not stay as they are.

    Where a path has over ``wanted`` cells, all lose folders; whatever still has over ``most`` loses its middle. Names
    that differ stay different: where two would come out the same, both stay whole.

    >>> shortened(["mcp", "/home/someone/runs/seed_12/oracle", "a_score_of_22_letters_"], 20, 40)
    ['mcp', '…/oracle', 'a_score_of_22_letters_']
    >>> shortened(["an_oracle_of_seed_1234567_and_more"], 20, 30)
    ['an_oracle_…_and_more']
    """
    shorter = {name: f"{CUT}/{tail}" for name, tail in zip(names, shortest_tails(names), strict=True)}
    shorter = {name: short for name, short in shorter.items() if len(short) < len(name)}
    too_long = any(cell_len(name) > wanted for name in shorter)
    paths = [shorter.get(name, name) if too_long else name for name in names]
    cut = [without_middle(name, min(wanted, most)) if cell_len(name) > most else name for name in paths]
    counts = Counter(cut)
    return [short if counts[short] == 1 else name for name, short in zip(names, cut, strict=True)]


def without_middle(name: str, most: int) -> str:
    """Return a name in at most so many cells of a terminal, with … for its middle; no number in it is cut in two.

    >>> without_middle("steep_slope_seed_2024", 16), without_middle("mcp", 16)
    ('steep_sl…ed_2024', 'mcp')
    >>> without_middle("a20261126b20261127c", 12)
    'a…c'
    """
    if cell_len(name) <= most:
        return name
    head, tail = most // 2, len(name) - (most - 1 - most // 2)
    while cell_len(name[:head] + CUT + name[tail:]) > most:  # some characters take two cells
        head, tail = head - 1, tail + 1
    while head > 0 and name[head - 1 : head + 1].isdecimal():
        head -= 1
    while tail < len(name) and name[tail - 1 : tail + 1].isdecimal():
        tail += 1
    return name[:head] + CUT + name[tail:]
