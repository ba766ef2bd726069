"""No command replaces another result unasked; the same command again finds its own."""

from __future__ import annotations

import pytest

from steepslope.cli.main import COMMANDS, main


def test_an_interrupted_command_says_what_to_type(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def waits(out: str, seed: int = 0) -> None:
        """Wait."""
        raise KeyboardInterrupt

    monkeypatch.setitem(COMMANDS, "waits", waits)
    assert main(["waits", "--out", "my runs/o", "--seed", "3"]) == 130
    expected = "earlier results are as they were; to go on: steepslope waits --out 'my runs/o' --seed 3\n"
    assert capsys.readouterr().err == f"steepslope: interrupted; {expected}"
