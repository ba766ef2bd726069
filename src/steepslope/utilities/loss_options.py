"""The losses' parameters as the command line offers them, read from the source: to import it is to import torch."""

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from docstring_parser import parse

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
