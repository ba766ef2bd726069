"""The switch of a gate at work: while a file next to the gate is there, all predictions go to review."""

from collections.abc import Iterable
from pathlib import Path

from steepslope.errors import SteepslopeError, explained
from steepslope.files import HUB

_SUFFIX = ".stopped"
LONGEST = 1_000  # characters of a reason that are read


def switches_of_gate(gate: str | Path) -> list[Path]:
    """Return the files of which each stops a gate: next to its folder or exported file, ``GATE.stopped``.

    If its name is a link, there is one next to the link and one next to the gate: servers may know it by either name.
    A gate of the Hub has none.

    >>> [switch.name for switch in switches_of_gate("runs/gate")]
    ['gate.stopped']
    """
    if str(gate).startswith(HUB):
        return []
    path = Path(gate).absolute()
    target = Path(gate).resolve()
    places = [target]
    if path.name != ".." and path != target:
        places.insert(0, path)
    return [place.with_name(place.name + _SUFFIX) for place in places]


def reason_to_stop(gate: str | Path) -> str | None:
    """Return why a gate is stopped, in one line that may be empty; None if it is at work."""
    return reason_in_switches(switches_of_gate(gate))


def reason_in_switches(switches: Iterable[Path]) -> str | None:
    """Return what :func:`reason_to_stop` does, of switches that were found before: a link may lead elsewhere by now."""
    for switch in switches:
        reason = _reason_in_switch(switch)
        if reason is not None:
            return reason
    return None


def _reason_in_switch(switch: Path) -> str | None:
    try:
        switch.lstat()
        if not switch.is_file():  # a folder, a pipe, which would wait for a writer, or a link that leads nowhere
            return ""
        with switch.open(encoding="utf-8", errors="replace") as file:
            return " ".join(file.read(LONGEST).split())
    except FileNotFoundError:
        return None
    except OSError:
        return ""  # something is there


def stopped_sentence(reason: str) -> str:
    """Return what to say of a gate that is stopped.

    >>> stopped_sentence("wrong joins")
    'This gate is stopped (wrong joins), so nothing is accepted. `steepslope stop GATE --undo` puts it to work again.'
    """
    why = f" ({reason})" if reason else ""
    return f"This gate is stopped{why}, so nothing is accepted. `steepslope stop GATE --undo` puts it to work again."


def stop_gate(gate: str | Path, reason: str = "") -> Path:
    """Stop a gate, from the next batch of a server and the next file of predictions on; return the file of the switch.

    Raises
    ------
    SteepslopeError
        If there is no gate, or a file cannot be written.
    """
    switches = _switches_of_known_gate(gate)
    for switch in switches:
        if switch.is_symlink() or (switch.exists() and not switch.is_file()):
            continue  # whatever it is, it stops the gate
        with explained("cannot be written", switch, OSError):
            switch.touch()
        with explained("stops the gate, but its reason cannot be written", switch, OSError):  # as on a full disk
            switch.write_text(reason + "\n", encoding="utf-8")
    return switches[0]


def start_gate(gate: str | Path) -> Path:
    """Put a gate to work again, stopped or not; return the file of the switch, which is gone.

    Raises
    ------
    SteepslopeError
        If there is no gate, or a file cannot be removed.
    """
    switches = _switches_of_known_gate(gate)
    for switch in switches:
        with explained("cannot be removed", switch, OSError):
            switch.unlink(missing_ok=True)
    return switches[0]


def _switches_of_known_gate(gate: str | Path) -> list[Path]:
    if not Path(gate).exists():
        raise SteepslopeError("expected the folder or the exported file of a gate, found nothing", gate)
    return switches_of_gate(gate)
