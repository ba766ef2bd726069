"""The command line: a dict of commands, and how each ends, with its exit code or one line on what is wrong."""

import argparse
import os
import re
import select
import shlex
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import entry_points, version
from io import TextIOWrapper
from typing import Any, NoReturn, TextIO

from steepslope.cli._benchmark import benchmark
from steepslope.cli._calibrate import adapt, calibrate
from steepslope.cli._demo import demo
from steepslope.cli._evaluate import compare, evaluate
from steepslope.cli._export import export, push, sign
from steepslope.cli._extract import extract, train_classifier
from steepslope.cli._finetune import finetune
from steepslope.cli._fit import fit
from steepslope.cli._importing import import_answers
from steepslope.cli._parser import Command, Parser, parse_and_call, parsed_docstring, parser_of, parser_options_of
from steepslope.cli._predict import predict
from steepslope.cli._serve import monitor, serve, stop
from steepslope.cli._show import show
from steepslope.errors import RowsWarning, SteepslopeError, is_out_of_memory, reason_of, require_known
from steepslope.files import EXTRAS, require_extra

_RESEARCH = "Research"
GROUPS: dict[str, dict[str, Command]] = {  # as the help shows them
    "From inputs to outputs": {
        "demo": demo, "train-classifier": train_classifier, "extract": extract, "import": import_answers,
    },
    "From outputs to a gate": {
        "fit": fit, "finetune": finetune, "evaluate": evaluate, "compare": compare, "calibrate": calibrate,
        "adapt": adapt, "show": show,
    },
    "Decisions": {"predict": predict, "export": export, "serve": serve},
    "At work": {"monitor": monitor, "stop": stop, "sign": sign, "push": push},
    _RESEARCH: {"benchmark": benchmark},
}  # fmt: skip
COMMANDS: dict[str, Command] = {name: command for group in GROUPS.values() for name, command in group.items()}
LAB = ("reproduce", "shift")  # commands of the distribution steepslope-lab
_COMPLETION = "--print-completion"
BOLD, RED, YELLOW = 1, 31, 33  # of a terminal
_CLOSED = 141  # the exit code of a process that is ended by the signal of a closed pipe


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0, or 2 after one line on standard error on what is wrong."""
    words = sys.argv[1:] if arguments is None else arguments
    is_known = any(name.split()[0] in words[:1] for name in COMMANDS)
    return run_command(COMMANDS if is_known else all_commands(), words, "steepslope")


def all_commands() -> dict[str, Command]:
    """Return the commands of this package and those of other distributions.

    These are entry points of the group ``steepslope.commands``, a command each.
    """
    return COMMANDS | {command.name: command.load() for command in entry_points(group="steepslope.commands")}


def run_command(commands: Command | Mapping[str, Command], words: Sequence[str], prog: str) -> int:
    """Run a command, the one of several that the words name; return its exit code.

    The code is 2 after an error, 130 after Ctrl+C, and 141 if nobody reads the output any more.
    """
    for stream in (sys.stdout, sys.stderr):  # a terminal without ‰ or Δ shows ? instead
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default", RowsWarning)
            warnings.showwarning = _show_command_warning
            code = parse_and_call(*_chosen_command(commands, words, prog))
            if sys.stdout is not None:
                sys.stdout.flush()
            return code
    except KeyboardInterrupt:
        again = shlex.join([*prog.split(), *words])
        print(f"steepslope: interrupted; earlier results are as they were; to go on: {again}", file=sys.stderr)
        return 130
    except Exception as error:
        if _is_output_closed(error):
            return _CLOSED
        if debug:
            raise
        print(f"steepslope: {_coloured(_command_error_line(error), RED, sys.stderr)}", file=sys.stderr)
        return 2


def _chosen_command(
    commands: Command | Mapping[str, Command], words: Sequence[str], prog: str
) -> tuple[Command, Sequence[str], str]:
    """Return the command that the first words name, the other words, and the command's full name."""
    if "" in words:
        raise SteepslopeError(f"an empty value was given after {' '.join(words[: words.index('')]) or 'steepslope'}")
    while not callable(commands):
        if not words or words[0].startswith("-"):
            _show_commands(commands, words, prog)
        name, *words = words
        if name in LAB and not any(full.startswith(name) for full in commands):
            raise SteepslopeError(f"{name} needs steepslope-lab: pip install 'steepslope[lab]'")
        require_known("command", name, dict.fromkeys(full.split()[0] for full in commands))
        inner = {full.partition(" ")[2]: command for full, command in commands.items() if full.startswith(f"{name} ")}
        commands, prog = inner or commands[name], f"{prog} {name}"
    return commands, words, prog


def _show_commands(commands: Mapping[str, Command], words: Sequence[str], prog: str) -> NoReturn:
    """Answer ``--help`` and ``--version``, or show the help where no command is named."""
    parser = Parser(
        prog=prog,
        usage=f"{prog} COMMAND [options]",
        description="Tell which predictions of a frozen classifier to trust.",
        epilog="\n".join([*_lines_of_commands(commands), "", f"`{prog} COMMAND --help` shows the options of one."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{prog} {version('steepslope')}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument(_COMPLETION, metavar="SHELL", help="print what completes commands in a shell, such as bash")
    shell = parser.parse_args(words).print_completion
    if shell is None:
        parser.print_help()
    else:
        print(_completion(commands, prog, shell))
    raise SystemExit(0)


def _lines_of_commands(commands: Mapping[str, Command]) -> Iterator[str]:
    """Yield the commands with what each does, in groups; those of other distributions are research."""
    width = max(map(len, commands)) + 2
    group_of = {name: title for title, group in GROUPS.items() for name in group}
    for title in GROUPS:
        names = [name for name in commands if group_of.get(name, _RESEARCH) == title]
        if names:
            yield f"\n{_coloured(title, BOLD, sys.stdout)}"
        for name in names:
            yield f"  {name:{width}}{_summary(commands[name])}"


def _summary(command: Command) -> str:
    """Return the first part of the first sentence of a command's docstring."""
    return re.split(r"[;:.] |[.:;]$", parsed_docstring(command.__doc__)[0].splitlines()[0])[0]


def _completion(commands: Mapping[str, Command], prog: str, shell: str) -> str:
    """Return a script for a shell that completes commands and options."""
    shtab = require_extra("shtab", "completion", "the completion of commands")
    require_known("shell", shell, dict.fromkeys(shtab.SUPPORTED_SHELLS))
    parser = Parser(prog)
    inner = parser.add_subparsers()
    for name, command in commands.items():
        if " " not in name:  # a shell completes the first word
            known = parser_of(command, parser_options_of(command), f"{prog} {name}")
            inner.add_parser(name, parents=[known], add_help=False, help=_summary(command))
    return str(shtab.complete(parser, shell))


def _is_output_closed(error: Exception) -> bool:
    """Return whether the reader of standard output, such as head, has closed it; drop the rest of the output then."""
    if not isinstance(error, BrokenPipeError) or not hasattr(select, "poll"):
        return False
    poll = select.poll()
    with suppress(OSError, ValueError, AttributeError):  # an output may have no descriptor
        poll.register(sys.stdout.fileno(), select.POLLOUT)
        if any(event & select.POLLERR for _, event in poll.poll(0)):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python's own end would complain
            return True
    return False


def _command_error_line(error: Exception) -> str:
    reason = reason_of(error)
    if is_out_of_memory(error):
        return f"error: not enough memory ({reason})"
    if isinstance(error, SteepslopeError | OSError | RecursionError):
        return f"error: {reason}"
    if isinstance(error, ModuleNotFoundError) and (extra := EXTRAS.get((error.name or "").partition(".")[0])):
        return f"error: this command needs {error.name}: pip install 'steepslope[{extra}]'"
    return f"internal error: {type(error).__name__}: {reason} (--debug shows where)"


def _show_command_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"steepslope: {_coloured('warning:', YELLOW, sys.stderr)} {message}", file=sys.stderr)


def _coloured(text: str, colour: int, stream: TextIO) -> str:
    """Return text in a colour where a person reads the stream, and does not ask for none (``NO_COLOR``)."""
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"
