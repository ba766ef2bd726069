"""Short names tell apart what they name, and break no number."""

from hypothesis import given, strategies as st
from rich.cells import cell_len

from steepslope.report.grid import CUT, shortened, shortest_tails, without_middle

NAMES = st.lists(st.text("ab1279_/日", min_size=1, max_size=40), min_size=1, max_size=6, unique=True)


@given(NAMES)
def test_tails_are_the_ends_of_paths_and_differ(paths: list[str]) -> None:
    tails = shortest_tails(paths)
    assert all(path.rstrip("/").endswith(tail) for path, tail in zip(paths, tails, strict=True))
    if len({path.rstrip("/") for path in paths}) == len(paths):
        assert len(set(tails)) == len(paths)


@given(NAMES, st.integers(8, 30), st.integers(8, 30))
def test_short_names_differ(names: list[str], wanted: int, most: int) -> None:
    assert len(set(shortened(names, wanted, most))) == len(names)


@given(st.text("ab12_日", min_size=1, max_size=60), st.integers(3, 30))
def test_no_number_is_cut(name: str, most: int) -> None:
    short = without_middle(name, most)
    assert cell_len(short) <= most
    if short != name:
        head, _, tail = short.partition(CUT)
        assert name.startswith(head)
        assert name.endswith(tail)
        assert not (head[-1:].isdecimal() and name[len(head)].isdecimal())
        assert not (tail[:1].isdecimal() and name[-len(tail) - 1].isdecimal())
