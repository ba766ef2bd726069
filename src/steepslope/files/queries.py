"""Options in a spec: ``NAME?option=value&option=value``."""

from collections.abc import Collection

from steepslope.errors import SteepslopeError, unknown_name


def parse_query(text: str, known: Collection[str]) -> tuple[str, dict[str, str]]:
    """Cut a spec into its name and its options; an unknown option is named.

    >>> parse_query("resnet50?weights=random", ["weights"])
    ('resnet50', {'weights': 'random'})
    """
    name, _, query = text.partition("?")
    options = {}
    for part in filter(None, query.split("&")):
        option, _, value = part.partition("=")
        if option not in known:
            raise unknown_name(f"option of {text!r}:", option, known)
        if not value:
            raise SteepslopeError(f"{text!r}: expected a value after {option}=, found none")
        options[option] = value
    return name, options
