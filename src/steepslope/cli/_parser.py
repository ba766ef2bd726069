"""From words on the command line to a call of a function, with its options, its help, and errors in one line.

A command is a function. Its parameters are options, and its docstring is the help. A parameter that is an option class
(a frozen dataclass) gives one option for each field, in their own group. Parameters before a ``/`` are words without an
option's name. The field ``parameters`` of an option class stands for the parameters of the losses. Files of
``--config`` override defaults, and words override both. ``--help`` shows the options that the decorator
:func:`showing_first` names, and ``--help-all`` shows all.
"""

import argparse
import inspect
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from os.path import exists
from pathlib import Path
from re import MULTILINE, findall
from types import UnionType
from typing import Any, Literal, NamedTuple, NoReturn, Union, get_args, get_origin, get_type_hints

from steepslope.errors import SteepslopeError, located, require_known
from steepslope.files import read_yaml
from steepslope.losses import LOSSES, loss_parameters
from steepslope.nets.training import training_recipes

Command = Callable[..., int | None]  # returns the exit code; None is 0
_PARAMETERS = "parameters"  # the field of option classes that holds the parameters of a loss
_HELP_ALL = "--help-all"
FURTHER = "further options"  # the heading of the command's own options that --help leaves out
_first: dict[Command, tuple[str, ...]] = {}


def showing_first(*names: str) -> Callable[[Command], Command]:
    """Let a command's ``--help`` show only the options with these names, in this order."""

    def decorated(command: Command) -> Command:
        _first[command] = names
        return command

    return decorated


class _Option(NamedTuple):
    """An option: its name in Python, its type, its default (MISSING if it is required), and its help.

    ``group`` is the heading under which help shows it, "" for the first. ``is_word`` says that it is typed without its
    name.
    """

    name: str
    hint: Any
    default: Any
    help: str
    group: str = ""
    is_word: bool = False

    @property
    def spelt(self) -> str:
        """The option as it is typed."""
        if self.is_word:
            return self.name.upper()
        return f"--{self.name.replace('_', '-')}"

    @property
    def element(self) -> Any:
        """The type of a list's elements; None if the option is not a list."""
        kind = _parsed_type(self.hint)
        if get_origin(kind) is tuple:
            return get_args(kind)[0]
        return None

    def add_to(self, parser: argparse._ActionsContainer, has_words: bool, is_shown: bool = True) -> None:
        """Add the option to a parser that collects its words."""
        kind = _parsed_type(self.hint)
        settings: dict[str, Any] = {"help": self._shown() if is_shown else argparse.SUPPRESS}
        settings["metavar"] = self.name.upper()
        if self.is_word:
            count = "+" if self.element else None if self.default is MISSING else "?"
            parser.add_argument(self.name, nargs=count, **settings)
            return
        if self.element:  # among words without a name, only commas tell where a list ends
            settings |= {"action": "append"} if has_words else {"action": "extend", "nargs": "+"}
        elif kind is bool:  # --flip means --flip true
            settings |= {"nargs": "?", "const": "true", "metavar": "{true,false}"}
        elif get_origin(kind) is Literal:
            settings["metavar"] = f"{{{','.join(map(str, get_args(kind)))}}}"
        parser.add_argument(self.spelt, dest=self.name, **settings)

    def _shown(self) -> str:
        """Return the help, with the default as it is typed."""
        default = self.default
        if isinstance(default, tuple):
            default = ",".join(map(str, default)) or "none"
        elif isinstance(default, bool):
            default = str(default).lower()
        shown = "required" if default is MISSING else f"default: {default}"
        return (self.help if default is None or self.is_word else f"{self.help} ({shown})").replace("%", "%%")


def parser_options_of(command: Command) -> list[_Option]:
    """Return the options of a command."""
    hints, texts = get_type_hints(command), parsed_docstring(command.__doc__)[1]
    options: list[_Option] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if is_dataclass(hints[name]):
            options += _parser_options_of_class(hints[name], texts[name].rstrip("."))
        else:
            default = MISSING if parameter.default is parameter.empty else parameter.default
            is_word = parameter.kind is parameter.POSITIONAL_ONLY
            options.append(_Option(name, hints[name], default, texts.get(name, ""), is_word=is_word))
    first = _first.get(command)
    if first is None:
        return options
    by_name = {option.name: option for option in options}
    others = [by_name[name]._replace(group=by_name[name].group or FURTHER) for name in by_name if name not in first]
    return [*(by_name[name]._replace(group="") for name in first), *others]


def _parser_options_of_class(kind: Any, group: str) -> Iterator[_Option]:
    hints = get_type_hints(kind)
    texts: dict[str, tuple[str, str]] = {}
    for base in reversed(kind.__mro__):
        summary, by_name = parsed_docstring(base.__doc__)
        heading = group if base is kind else summary.partition("\n")[0].rstrip(".")
        texts |= {name: (text, heading) for name, text in by_name.items()}
    for field in _fields_as_options(kind):
        text, heading = texts.get(field.name, ("", group))
        if field.name == _PARAMETERS:
            yield from (option._replace(group=heading) for option in _loss_options())
        else:
            yield _Option(field.name, hints[field.name], field.default, text, heading)


def parsed_docstring(docstring: str | None) -> tuple[str, dict[str, str]]:
    """Return the text of a docstring before its parameters, and the text of each parameter.

    >>> parsed_docstring(_loss_options.__doc__)[0].split(",")[0]
    'Return the numeric keyword arguments of all losses'
    """
    text, _, section = inspect.cleandoc(docstring or "").partition("\n\nParameters\n----------\n")
    parameters = findall(r"^(\w+)\n((?:(?: .*)?\n)+)", f"{section}\n", MULTILINE)
    return text, {name: " ".join(lines.split()) for name, lines in parameters}


def _loss_options() -> list[_Option]:
    """Return the numeric keyword arguments of all losses, each name once.

    >>> [option.name for option in _loss_options()]
    ['gamma', 'alpha_pos', 'alpha_neg', 'beta']
    """
    options: dict[str, _Option] = {}
    for loss, function in LOSSES.items():
        texts = parsed_docstring(function.__doc__)[1]
        for name, (default, _) in loss_parameters(loss).items():
            text = texts.get(name, f"Parameter of the loss {loss}.")
            options.setdefault(name, _Option(name, float, float(default), text))
    return list(options.values())


def _parsed_value(hint: Any, value: Any) -> Any:
    """Return a word, or a value from YAML, as a value of a type; raise if it is none.

    >>> _parsed_value(int, "3"), _parsed_value(bool | None, True), _parsed_value(tuple[float, ...], [1, "2"])
    (3, True, (1.0, 2.0))
    >>> _parsed_value(Literal["adam", "sgd"], "adamw")
    Traceback (most recent call last):
    steepslope.errors.SteepslopeError: expected adam or sgd, found 'adamw'
    """
    kind = _parsed_type(hint)
    arguments = get_args(kind)
    if kind is not hint and value in (None, "null"):
        return None
    if get_origin(kind) is tuple:
        elements = value if isinstance(value, list) else _parsed_elements([value])
        return tuple(_parsed_value(arguments[0], element) for element in elements)
    if kind in (int, float):
        return _parsed_number(kind, value)
    if kind is str or get_origin(kind) is dict:
        if isinstance(value, (str, int, float) if kind is str else dict):
            return str(value) if kind is str else value
        raise SteepslopeError(f"expected {'text' if kind is str else 'names and values'}, found {value!r}")
    choices = {"true": True, "false": False} if kind is bool else {str(choice): choice for choice in arguments}
    name = str(value).lower() if kind is bool else str(value)
    if name not in choices:
        raise SteepslopeError(f"expected {' or '.join(choices)}, found {value!r}")
    return choices[name]


def _parsed_number(kind: type[int] | type[float], value: Any) -> float:
    """Return a finite number from text or a number."""
    number = math.nan
    with suppress(ValueError, TypeError, OverflowError):
        number = kind(value)
    if isinstance(value, bool) or not math.isfinite(number) or (isinstance(value, float) and number != value):
        raise SteepslopeError(f"expected {'a whole number' if kind is int else 'a number'}, found {value!r}")
    return number


def _parsed_type(hint: Any) -> Any:
    """Return the first type of a union, such as the list's in a union of a list and its element, or any other type."""
    if get_origin(hint) in (Union, UnionType):
        return get_args(hint)[0]
    return hint


def _parsed_elements(words: Sequence[Any]) -> list[Any]:
    """Return the elements of a list from its words, split at commas; the name of a file is not split.

    >>> _parsed_elements(["a,b", "c"]), _parsed_elements(["none"]), _parsed_elements([0.5])
    (['a', 'b', 'c'], [], [0.5])
    >>> len(_parsed_elements(["0," * 5_000]))  # longer than a path may be
    5000
    """
    elements: list[Any] = []
    for word in words:
        if not isinstance(word, str) or exists(word):  # noqa: PTH110 - Path.exists raises if a word is too long for a path
            elements.append(word)
        elif word != "none":
            elements += [part.strip() for part in word.split(",") if part.strip()]
    return elements


class Parser(argparse.ArgumentParser):
    """A parser that only collects the words of each option, and raises a :class:`SteepslopeError`."""

    def error(self, message: str) -> NoReturn:
        """Raise the error."""
        raise SteepslopeError(f"{message.removeprefix('argument ')} (see {self.prog} --help)")

    def words_of(self, words: Sequence[str]) -> dict[str, Any]:
        """Return the words of each option that was typed."""
        known, others = self.parse_known_args(words)
        if others:
            options = [name for action in self._actions for name in action.option_strings]
            close = get_close_matches(others[0].partition("=")[0], options, n=1)
            self.error(" ".join(["unrecognized arguments:", *others, *(f"(did you mean {name}?)" for name in close)]))
        return vars(known)


def parser_of(command: Command, options: Sequence[_Option], prog: str, is_whole: bool = True) -> Parser:
    """Return the parser of a command's options; unless ``is_whole``, its help shows only the first options."""
    typed = [option.spelt for option in options if option.is_word]
    named = [option for option in options if not option.is_word]
    typed += [f"{option.spelt} {option.name.upper()}" for option in named if option.default is MISSING]
    left_out = [] if is_whole or command not in _first else [option for option in options if option.group]
    parser = Parser(
        prog, " ".join([prog, *typed, "[options]"]), parsed_docstring(command.__doc__)[0].replace("%", "%%"),
        epilog=None if is_whole else f"{_HELP_ALL} shows {len(left_out) + 2} more options.",
        add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS,
    )  # fmt: skip
    groups: dict[str, argparse._ActionsContainer] = {"": parser}
    for option in options:
        if option.group not in groups:
            groups[option.group] = parser.add_argument_group(option.group)
        has_words = len(named) < len(options)
        option.add_to(groups[option.group], has_words, is_shown=option not in left_out)
    common = parser.add_argument_group("All commands have")
    trainings = f"YAML or JSON file of options, or a training of the paper: {', '.join(training_recipes())}."
    for names, action, text in (
        (["--config"], "append", trainings),
        (["--print-config"], "store_true", "Print all options as such a file, and end."),
        (["-h", "--help", _HELP_ALL], "help", "Show the options that most people use, or all, and end."),
    ):
        common.add_argument(*names, action=action, help=text if is_whole else argparse.SUPPRESS)
    return parser


def parse_and_call(command: Command, words: Sequence[str], prog: str) -> int:
    """Parse the words and call the command; return its exit code."""
    options = parser_options_of(command)
    given = parser_of(command, options, prog, _HELP_ALL in words).words_of(words)
    values = {option.name: option.default for option in options if option.default is not MISSING}
    for name in given.get("config", []):
        values |= _parsed_config_file(name, options)
    for option in options:
        if option.name in given:
            with located(option.spelt):
                value = given[option.name]
                is_list = option.element is not None and not option.is_word
                values[option.name] = _parsed_value(option.hint, _parsed_elements(value) if is_list else value)
    if "print_config" in given:
        shown = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        print(json.dumps(shown, indent=2))
        return 0
    missing = [option.spelt for option in options if option.name not in values]
    if missing:
        raise SteepslopeError(f"the following arguments are required: {', '.join(missing)} (see {prog} --help)")
    arguments = []
    for name, hint in ((name, get_type_hints(command)[name]) for name in inspect.signature(command).parameters):
        arguments.append(_parsed_option_class(hint, values) if is_dataclass(hint) else values[name])
    return command(*arguments) or 0


def _parsed_config_file(name: str, options: Sequence[_Option]) -> dict[str, Any]:
    """Return the values of options in a YAML file, given by its path or as the name of one of the paper's trainings."""
    file, trainings = Path(name), training_recipes()
    if not file.suffix and not file.exists():
        require_known("training", name, trainings)
        file = trainings[name]
    hints = {option.name: option.hint for option in options if not option.is_word}
    values = {}
    for key, value in read_yaml(file).items():
        name = str(key).replace("-", "_")
        with located(file):
            require_known("option", name, hints)
            with located(str(key)):
                values[name] = _parsed_value(hints[name], value)
    return values


def _fields_as_options(kind: Any) -> list[Any]:
    return [field for field in fields(kind) if field.metadata.get("is_option", True)]


def _parsed_option_class(kind: Any, values: Mapping[str, Any]) -> Any:
    """Return an instance of an option class, given the values of all options."""
    names = [field.name for field in _fields_as_options(kind)]
    given = {name: values[name] for name in names if name != _PARAMETERS}
    if _PARAMETERS in names:
        given[_PARAMETERS] = {option.name: values[option.name] for option in _loss_options()}
    return kind(**given)
