"""The losses' parameters as the command line offers them, read from the source: to import it is to import torch.

From words on the command line to a call: options from type hints, presets, and errors in one line.

A function is a command. Its parameters are options, and those that are option classes (frozen dataclasses) give one
option a field. Parameters before a ``/`` are given alone, a tuple as several words. Lists are written with commas. A
class with a field ``parameters`` gives the losses' parameters.
"""

import argparse
import ast
import inspect
import json
import os
import re
import select
import shlex
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from importlib.metadata import version
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, get_args, get_origin, get_type_hints

import yaml
from docstring_parser import parse
from jsonargparse import ArgumentParser

from steepslope.checks import listed
from steepslope.errors import FewErrorsWarning, SteepslopeError, explained, reason_of, require_known
from steepslope.paper.preset import training_file, trainings_of

MODULE, REGISTRY = "steepslope.losses", "LOSSES"


class LossOption(NamedTuple):
    """A parameter of a loss: its name, meaning, and default, None where losses differ in it."""

    name: str
    default: float | None
    help: str


def loss_options() -> list[LossOption]:
    """Return the numeric keyword arguments of all losses in the registry, each name once.

    >>> [option.name for option in loss_options()]
    ['gamma', 'alpha_pos', 'alpha_neg', 'beta']
    """
    spec = find_spec(MODULE)
    assert spec is not None
    assert spec.origin is not None
    body = ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body
    functions = {one.name: one for one in body if isinstance(one, ast.FunctionDef)}
    found: dict[str, LossOption] = {}
    for option in (one for name in _registered(body) for one in _options_of(functions[name])):
        first = found.setdefault(option.name, option)
        if first.default != option.default:
            found[option.name] = first._replace(default=None)
    return list(found.values())


def _registered(body: list[ast.stmt]) -> list[str]:
    """Return the names of the functions in the registry, a literal dict."""
    (registry,) = (
        one.value
        for one in body
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and one.target.id == REGISTRY
    )
    assert isinstance(registry, ast.Dict)
    return [value.id for value in registry.values if isinstance(value, ast.Name)]


def _options_of(function: ast.FunctionDef) -> Iterator[LossOption]:
    described = {one.arg_name: one.description for one in parse(ast.get_docstring(function) or "").params}
    for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        if isinstance(default, ast.Constant) and isinstance(default.value, int | float):
            text = described.get(argument.arg) or f"Parameter of the loss {function.name}."
            yield LossOption(argument.arg, float(default.value), " ".join(text.split()))


Command = Callable[..., int | None]  # what it returns is the exit code; None is 0


@dataclass(frozen=True)
class Group:
    """Commands that share a name before their own, as ``shift corrupt``, and what they are for, in a sentence."""

    summary: str
    commands: Mapping[str, Command]


Commands = Mapping[str, Command | Group]
PURPOSE = "Tell which predictions of a frozen classifier to trust."
PRESET = "--preset"
CLOSED = 141  # the exit code of a process that the signal of a closed pipe ends
PARAMETERS = "parameters"  # the field of option classes that holds the parameters of a loss


class ShownList(tuple[Any, ...]):
    """A default that help shows as it is typed: with commas, or ``none``."""

    def __str__(self) -> str:
        return ",".join(map(str, self)) or "none"


class ListOf:
    """From text with commas, a YAML list, or one value, to a tuple; ``none`` is empty.

    >>> ListOf(int)("64,32"), ListOf(str)(["a", "b"]), ListOf(float)(0.5), ListOf(int)("none"), ListOf(int)(None)
    ((64, 32), ('a', 'b'), (0.5,), (), None)
    """

    def __init__(self, element: type) -> None:
        self.element, self.__name__ = element, f"list of {element.__name__}"

    def __repr__(self) -> str:
        return self.__name__

    def __call__(self, value: Any) -> tuple[Any, ...] | None:
        """Convert a value; what is no list of such is a ValueError."""
        if value == "none":
            return ()
        if isinstance(value, str) and value.startswith("["):
            with explained("expected a list in brackets", kinds=yaml.YAMLError):
                value = yaml.safe_load(value)
        return None if value is None else listed(value, self._one)

    def _one(self, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (str, int, self.element)):
            raise ValueError(f"expected {self.__name__}, found {value!r}")
        return self.element(value)


class Parser(ArgumentParser):
    """A parser with dashes in its options, lists with commas, and errors of one line.

    ``text_lists`` are the options that are lists of text.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self.text_lists: set[str] = set()
        super().__init__(*args, **options)

    def add_argument(self, *names: Any, **options: Any) -> Any:
        """Add an option, spelt with dashes; jsonargparse itself needs its --print_config as it is."""
        kind = options.get("type", getattr(options.get("action"), "_typehint", None))
        if kind in (bool, bool | None):  # --flip means --flip true
            options |= {"nargs": "?", "const": True}
        element = _element(kind)
        if element in (str, int, float):
            options.pop("action", None)
            options["type"] = ListOf(element)
        if isinstance(options.get("default"), tuple):
            options["default"] = ShownList(options["default"])
        own = [name for name in names if isinstance(name, str) and not name.startswith("--print_config")]
        spelt = [name.replace("_", "-") if name in own and name.startswith("--") else name for name in names]
        if element is str:
            self.text_lists.update(spelt)
        return super().add_argument(*spelt, **options)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise for :func:`run` to print."""
        words = plainly(re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", " ".join(message.split())))
        missing, _, names = words.partition("required: ")
        if names:
            alone = {action.dest for action in self._actions if not action.option_strings}
            named = (name.upper() if name in alone else _as_option(name) for name in names.split(", "))
            words = f"{missing}required: {', '.join(named)}"
        raise SteepslopeError(f"{words} (see {self.prog} --help)") from ex


EXPECTED = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
UNION = re.compile(r'Parser key "([\w.]+)":.*? Subtypes: \[(.*), NoneType\].* Given value: (.*)')
SINGLE = re.compile(r'Parser key "([\w.]+)": Expected an? (?:typing\.)?(\w+|Literal\[.*\])\. Got value: (.*)')


def plainly(message: str) -> str:
    """Return what jsonargparse says of a value of the wrong type in the words of all other errors.

    >>> plainly('Parser key "seed": Expected a int. Got value: 1.5')
    "--seed: expected a whole number, found '1.5'"
    """
    found = UNION.fullmatch(message) or SINGLE.fullmatch(message)
    if not found:
        return message
    name, kind, value = found.groups()
    words = " or ".join(re.findall(r"'([^']*)'", kind)) if "Literal" in kind else EXPECTED.get(kind, kind)
    return f"{_as_option(name)}: expected {words}, found {value!r}"


def _element(kind: Any) -> type | None:
    """Return the type of a tuple's elements, of a hint ``tuple[T, ...]`` or that or None; else None."""
    found = [get_args(one)[0] for one in (kind, *get_args(kind)) if get_origin(one) is tuple]
    return found[0] if found else None


def run(commands: Command | Commands, words: list[str], prog: str) -> int:
    """Run the function, or the one of several by name, that the words name; return the exit code.

    It is the function's own; 2 after an error, 130 after Ctrl+C, 141 where nobody reads the output any more.
    """
    for stream in (sys.stdout, sys.stderr):  # a terminal without ‰ or Δ shows ? in its place
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default", FewErrorsWarning)
            warnings.showwarning = _show_warning
            return _flushed(_parse_and_call(commands, words, prog))
    except KeyboardInterrupt:
        again = shlex.join([*prog.split(), *words])
        print(f"steepslope: interrupted; earlier results are as they were; to go on: {again}", file=sys.stderr)
        return 130
    except Exception as error:
        if _is_no_longer_read(error):
            return CLOSED
        if debug:
            raise
        print(f"steepslope: {_told(error)}", file=sys.stderr)
        return 2


def _flushed(code: int) -> int:
    if sys.stdout is not None:
        sys.stdout.flush()
    return code


def _is_no_longer_read(error: Exception) -> bool:
    """Return whether an error is that of a standard output whose reader, such as head, has closed it; drop the rest."""
    if not isinstance(error, BrokenPipeError) or not hasattr(select, "poll"):
        return False
    poll = select.poll()
    with suppress(OSError, ValueError, AttributeError):  # of an output without a descriptor
        poll.register(sys.stdout.fileno(), select.POLLOUT)
        if any(event & select.POLLERR for _, event in poll.poll(0)):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python's own end would complain
            return True
    return False


def _told(error: Exception) -> str:
    if isinstance(error, (SteepslopeError, OSError, MemoryError)):
        return f"error: {reason_of(error)}"
    return f"internal error: {type(error).__name__}: {reason_of(error)} (--debug shows where)"


def _parse_and_call(commands: Command | Commands, words: list[str], prog: str, purpose: str = PURPOSE) -> int:
    if "" in words:
        raise SteepslopeError(f"an empty value was given after {' '.join(words[: words.index('')]) or 'steepslope'}")
    if not isinstance(commands, Mapping):
        return call(commands, words, prog)
    if not words or words[0].startswith("-"):
        _show_commands(commands, words, prog, purpose)
    require_known("command", words[0], commands)
    found = commands[words[0]]
    prog = f"{prog} {words[0]}"
    if isinstance(found, Group):
        return _parse_and_call(found.commands, words[1:], prog, found.summary)
    return call(found, words[1:], prog)


def _summary(command: Command | Group) -> str:
    return command.summary if isinstance(command, Group) else parse(command.__doc__ or "").short_description or ""


def _show_commands(commands: Commands, words: list[str], prog: str, purpose: str) -> NoReturn:
    summaries = {name: _summary(command) for name, command in commands.items()}
    width = max(map(len, summaries)) + 2
    listed_commands = "\n".join(f"  {name:{width}}{summary}" for name, summary in summaries.items())
    parser = argparse.ArgumentParser(
        prog=prog,
        usage=f"{prog} COMMAND [options]",
        description=purpose,
        epilog=f"commands:\n{listed_commands}\n\n`{prog} COMMAND --help` shows the options of one.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{prog} {version('steepslope')}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.parse_known_args(words)
    raise SteepslopeError(f"expected a command: {', '.join(commands)} (see {prog} --help)")


def call(command: Command, words: list[str], prog: str) -> int:
    """Parse the words and call the command; return its exit code."""
    options, alone = option_classes(command), positional(command)
    parser = parser_of(command, prog)
    words = words if alone else with_lists(words, parser.text_lists)
    from_file = has_presets(parser)
    values = parser.parse_args(with_preset(words) if from_file else words)
    hints = [name for name in get_type_hints(command) if name not in (*options, *alone, "return")]
    given = {name: preset_in(words)[0] if from_file and name == "preset" else values[name] for name in hints}
    code = command(
        *(tuple(one) if isinstance(one := values[name], list) else one for name in alone),
        **given,
        **{name: _instance(kind, values) for name, kind in options.items()},
    )
    return code or 0


def with_lists(words: list[str], text_lists: Collection[str]) -> list[str]:
    """Join the several words that a shell makes of a pattern, after an option that is a list of text, to one list.

    Words are split at commas, unless there is a file of that name. An option that is given again adds to its list.

    >>> with_lists(["--files", "a.csv", "b.csv", "--seed", "1"], {"--files"})
    ['--files', '["a.csv", "b.csv"]', '--seed', '1']
    >>> with_lists(["--files=a.csv", "b.csv,c.csv"], {"--files"}), with_lists(["--files", "a,b"], {"--files"})
    (['--files', '["a.csv", "b.csv", "c.csv"]'], ['--files', 'a,b'])
    >>> with_lists(["--files", "a,b", "--seed", "1", "--files", "[c]"], {"--files"})
    ['--files', '["a", "b", "c"]', '--seed', '1']
    """
    found: list[str] = []
    lists: dict[str, tuple[int, list[str]]] = {}  # the place of each list, and its words so far
    place = 0
    while place < len(words):
        name, is_one_word, first = words[place].partition("=")
        place += 1
        if name not in text_lists:
            found.append(words[place - 1])
            continue
        given = [first] if is_one_word else []
        while place < len(words) and not words[place].startswith("-"):
            given.append(words[place])
            place += 1
        if given and name in lists:
            lists[name][1].extend(given)
        elif given:
            lists[name] = (len(found) + 1, given)
            found += [name, ""]
        else:
            found.append(name)
    for at, given in lists.values():
        found[at] = _one_word(given)
    return found


def _one_word(words: Sequence[str]) -> str:
    """Return the words of a list as one; a single one that is no file, such as none, is it already."""
    if len(words) == 1 and not Path(words[0]).exists():
        return words[0]
    parts = [(word,) if Path(word).exists() else ListOf(str)(word) or () for word in words]
    return json.dumps([part for some in parts for part in some])


def positional(command: Command) -> list[str]:
    """Return the parameters that are given as words alone, in their order."""
    parameters = inspect.signature(command).parameters.values()
    return [one.name for one in parameters if one.kind is one.POSITIONAL_ONLY]


def has_presets(parser: Parser) -> bool:
    """Return whether a parser takes the presets of ``steepslope.paper.preset`` as configs."""
    return any(PRESET in action.option_strings and action.metavar == "NAME" for action in parser._actions)


def option_classes(command: Command) -> dict[str, Any]:
    """Return the parameters of a command that are option classes, by name."""
    return {name: kind for name, kind in get_type_hints(command).items() if is_dataclass(kind)}


def parser_of(command: Command, prog: str) -> Parser:
    """Return the parser of a command's options."""
    described = parse(command.__doc__ or "")
    description = "\n".join(filter(None, (described.short_description, described.long_description)))
    parser = Parser(prog=prog, description=description)
    parser.add_argument("--config", action="config", help="YAML file of options.")
    options, alone = option_classes(command), positional(command)
    for name in alone:
        words = next(one.description for one in described.params if one.arg_name == name)
        several = {"nargs": "+"} if _element(get_type_hints(command)[name]) else {}
        parser.add_argument(name, metavar=name.upper(), help=words, **several)
    takes_own = "preset" in get_type_hints(command) and get_type_hints(command)["preset"] is str
    parser.add_function_arguments(command, as_group=False, skip={*options, *alone, *([] if takes_own else ["preset"])})
    for kind in options.values():
        parser.add_class_arguments(kind, as_group=False, skip={PARAMETERS})
        if PARAMETERS in {one.name for one in fields(kind)}:
            for option in loss_options():
                default = argparse.SUPPRESS if option.default is None else option.default
                parser.add_argument(f"--{option.name}", type=float, default=default, help=option.help)
    presets = [] if takes_own else trainings_of(action.dest for action in parser._actions)
    if presets:
        parser.add_argument(PRESET, metavar="NAME", help=f"Options that hold unless given: {', '.join(presets)}.")
    return parser


def _instance(kind: Any, values: Any) -> Any:
    given = {one.name: values[one.name] for one in fields(kind) if one.name != PARAMETERS}
    if PARAMETERS in {one.name for one in fields(kind)}:
        given[PARAMETERS] = {one.name: values[one.name] for one in loss_options() if one.name in values}
    return kind(**given)


def with_preset(words: list[str]) -> list[str]:
    """Put a preset's file, as a config, before all options, so that these take precedence."""
    name, others = preset_in(words)
    return words if name is None else ["--config", str(training_file(name)), *others]


def preset_in(words: list[str]) -> tuple[str | None, list[str]]:
    """Return the preset that some words name, and the other words.

    >>> preset_in(["--loss", "focal", "--preset=mnist"])
    ('mnist', ['--loss', 'focal'])
    """
    words = [part for word in words for part in (word.split("=", 1) if word.startswith(f"{PRESET}=") else [word])]
    if PRESET not in words:
        return None, words
    place = words.index(PRESET)
    if place + 1 == len(words):
        raise SteepslopeError("expected a name after it", PRESET)
    return words[place + 1], [*words[:place], *words[place + 2 :]]


def _as_option(name: str) -> str:
    return "--" + name.rpartition(".")[2].replace("_", "-")


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"steepslope: warning: {message}", file=sys.stderr)
