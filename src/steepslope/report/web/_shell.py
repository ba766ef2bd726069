"""One page that needs no network and no other file: style, script and data stand in it.

``page.html`` in ``assets/`` is the template; its script is made of ``_SCRIPTS`` and reads ``report``, the page's data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

_ASSETS = files("steepslope.report.web") / "assets"
_SCRIPTS = ("tables.js", "charts.js", "point.js", "gallery.js", "page.js")  # the last starts all
_READ_DATA = '"use strict";\nconst report = JSON.parse(document.getElementById("data").textContent);\n'


def fill_page_shell(*, data: Mapping[str, Any], definitions: Mapping[str, str], **further: Any) -> str:
    """Return a page as text.

    ``data`` is what the scripts read as ``report``, with no NaN in it. ``definitions`` are texts by the headings of the
    tables' columns that they explain; headings of the same text share an entry. The template gets all of ``further``,
    and as ``numbered`` the number of each heading's definition. Names and texts of others stay text: none is read as
    HTML or script.
    """
    environment = Environment(loader=PackageLoader("steepslope.report.web", "assets"), autoescape=True)
    entries: dict[str, str] = {}
    for heading, text in definitions.items():
        entries.setdefault(text, heading)
    numbers = {text: number for number, text in enumerate(entries, 1)}
    return environment.get_template("page.html").render(
        definitions={heading: text for text, heading in entries.items()},
        numbered={heading: numbers[text] for heading, text in definitions.items()},
        style=_shell_asset("page.css"),
        script=Markup(_READ_DATA) + Markup("\n").join(map(_shell_asset, _SCRIPTS)),
        data=_data_in_shell(data),
        version=version("steepslope"),
        **further,
    )


def _data_in_shell(data: Mapping[str, Any]) -> Markup:
    r"""Return data as JSON that may stand in a script element: ``<`` is written so that it ends none.

    >>> str(_data_in_shell({"id": "</script>"}))
    '{"id":"\\u003c/script>"}'
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _shell_asset(name: str) -> Markup:
    return Markup((_ASSETS / name).read_text(encoding="utf-8"))
