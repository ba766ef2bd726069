"""Options in a spec: ``NAME?option=value&option=value``."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import parse_qsl

from steepslope.errors import unknown_name


def parse_query(rest: str, known: Collection[str]) -> tuple[str, dict[str, str]]:
    """Cut a spec into its name and its options; an unknown option is named.

    >>> parse_query("resnet50?weights=random", ["weights"])
    ('resnet50', {'weights': 'random'})
    """
    name, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    for option in options:
        if option not in known:
            raise unknown_name(f"option of {rest!r}:", option, known)
    return name, options
