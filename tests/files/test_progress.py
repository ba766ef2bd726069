"""What is told on the error stream."""

from __future__ import annotations

import io
import sys
import threading

import pytest
from tqdm import tqdm

from steepslope.files._progress import bar, say


class Watched(io.StringIO):
    """A stream that a person watches."""

    def isatty(self) -> bool:
        return True


def test_lines_come_out_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a name between colons nor words in brackets mean anything, and long lines are not broken."""
    line = f"corrupt:fog:5, [name first, epochs 2], {'x' * 300}"
    say(line)
    assert capsys.readouterr().err == f"{line}\n"


def test_a_bar_tells_what_is_done_how_fast_and_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream := Watched())
    with bar("judging", 400, done=100) as progress:
        progress.update(100)
        progress.refresh()
        assert "judging:  50%" in stream.getvalue()
        assert "200/400" in stream.getvalue()
        assert "/s]" in stream.getvalue()
        say("a line")
    assert "a line\n" in stream.getvalue()
    assert "200/400" in stream.getvalue().split("\r")[-1]  # which stays, with the total
    assert stream.getvalue().endswith("\n")


@pytest.mark.parametrize("stream", [io.StringIO(), Watched()])
def test_nobody_who_does_not_watch_gets_a_bar(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    with bar("judging", 4, shown=not stream.isatty()) as progress:
        progress.set_postfix_str("loss 0.3", refresh=False)
        progress.update()
    assert stream.getvalue() == ""


def test_a_bar_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without memory, Python can wait for ever for a thread to start."""

    def starts(thread: threading.Thread) -> None:
        raise AssertionError(f"{thread.name} was started")

    monkeypatch.setattr(tqdm, "monitor", None)
    monkeypatch.setattr(threading.Thread, "start", starts)
    with bar("rows", 2) as shown:
        shown.update(2)
