"""The switch of a gate at work: while a file next to the gate is there, all predictions go to review."""

from pathlib import Path

from steepslope.errors import SteepslopeError, explained
from steepslope.files.hub import HUB

SUFFIX = ".stopped"


def switch_of_gate(gate: str | Path) -> Path:
    """Return the file that stops a gate: next to its folder or exported file, ``GATE.stopped``.

    >>> switch_of_gate("runs/gate").as_posix()
    'runs/gate.stopped'
    """
    path = Path(gate)
    if path.name in ("", ".."):  # of "." and "..", the folder has a name
        path = path.resolve()
    return path.parent / (path.name + SUFFIX)


def reason_to_stop(gate: str | Path) -> str | None:
    """Return why a gate is stopped, in one line that may be empty; None if it is at work."""
    if str(gate).startswith(HUB):
        return None
    switch = switch_of_gate(gate)
    try:
        return " ".join(switch.read_text(encoding="utf-8", errors="replace").split())
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
        If there is no gate, or the file cannot be written.
    """
    switch = _switch_of_known_gate(gate)
    with explained("cannot be written", switch, OSError):
        switch.write_text(reason + "\n", encoding="utf-8")
    return switch


def start_gate(gate: str | Path) -> Path:
    """Put a gate to work again, stopped or not; return the file of the switch, which is gone.

    Raises
    ------
    SteepslopeError
        If there is no gate, or the file cannot be removed.
    """
    switch = _switch_of_known_gate(gate)
    with explained("cannot be removed", switch, OSError):
        switch.unlink(missing_ok=True)
    return switch


def _switch_of_known_gate(gate: str | Path) -> Path:
    if not Path(gate).exists():
        raise SteepslopeError("expected the folder or the exported file of a gate, found nothing", gate)
    return switch_of_gate(gate)
