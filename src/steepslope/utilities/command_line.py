"""From words on the command line to a call: options with dashes, presets, and errors in one line."""

from __future__ import annotations

import re
import sys
import warnings
from importlib.metadata import version
from io import TextIOWrapper
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, auto_cli

from steepslope.errors import FewErrorsWarning, SteepslopeError, unknown_name
from steepslope.presets import preset_file

PRESET = "--preset"


class Parser(ArgumentParser):
    """A parser with dashes in its options and errors of one line."""

    def add_argument(self, *names: Any, **options: Any) -> Any:
        """Add an option, spelt with dashes; jsonargparse itself looks for its --print_config."""
        kind = options.get("type", getattr(options.get("action"), "_typehint", None))
        if kind in (bool, bool | None):  # --flip says as much as --flip true
            options |= {"nargs": "?", "const": True}
        own = [name for name in names if isinstance(name, str) and not name.startswith("--print_config")]
        spelt = [name.replace("_", "-") if name in own and name.startswith("--") else name for name in names]
        return super().add_argument(*spelt, **options)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise for :func:`main` to print."""
        prog = getattr(ex, "subcommand_parser", None) or self
        words = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", " ".join(message.split()))
        missing, _, names = words.partition("required: ")
        if names:  # given as evaluate.outputs
            words = f"{missing}required: {', '.join(_as_option(name) for name in names.split(', '))}"
        raise SteepslopeError(f"{words} (see {prog.prog.replace(' [options]', '')} --help)") from ex


def run(components: Any, words: list[str], prog: str) -> int:
    """Run the function, or the one of a dict of functions, that the words ask for; return the exit code."""
    for stream in (sys.stdout, sys.stderr):  # a terminal without ‰ or Δ shows ? in its place
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default", FewErrorsWarning)
            warnings.showwarning = _show_warning
            _parse_and_call(components, with_preset(words), prog)
    except (SteepslopeError, OSError, MemoryError) as error:
        if debug:
            raise
        print(f"steepslope: error: {_one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("steepslope: interrupted; earlier results are as they were", file=sys.stderr)
        return 130
    except Exception as error:
        if debug:
            raise
        kind = type(error).__name__
        print(f"steepslope: internal error: {kind}: {_one_line(error)} (--debug shows where)", file=sys.stderr)
        return 2
    return 0


def _parse_and_call(components: Any, words: list[str], prog: str) -> None:
    if "" in words:
        raise SteepslopeError(f"an empty value was given after {' '.join(words[: words.index('')]) or 'steepslope'}")
    if isinstance(components, dict) and words and words[0][:1] != "-" and words[0] not in components:
        raise unknown_name("command", words[0], components)
    auto_cli(
        components,
        args=words,
        as_positional=False,
        parser_class=Parser,
        prog=prog,
        description="Tell which predictions of a frozen classifier to trust; --debug shows tracebacks.",
        version=version("steepslope"),
    )


def with_preset(words: list[str]) -> list[str]:
    """Put a preset's file, as a config, before all options but the command, so that they change what it says."""
    words = [part for word in words for part in (word.split("=", 1) if word.startswith(f"{PRESET}=") else [word])]
    if PRESET not in words:
        return words
    place = words.index(PRESET)
    if place == 0 or place + 1 == len(words):
        raise SteepslopeError(f"{PRESET}: expected a command before it, and a name after it")
    name, rest = words[place + 1], words[:place] + words[place + 2 :]
    return [rest[0], "--config", str(preset_file(name)), *rest[1:]]


def _as_option(name: str) -> str:
    return "--" + name.rpartition(".")[2].replace("_", "-")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"steepslope: warning: {message}", file=sys.stderr)
