"""One page that needs no network and no other file: style, script, data and the charts' library stand in it.

``page.html`` in ``assets/`` is the template; its script is made of ``_SCRIPTS`` and reads ``report``, the page's data.
The charts are drawn by Vega, which the package vl-convert carries.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from steepslope.errors import SteepslopeError

_ASSETS = files("steepslope.report.web") / "assets"
_SCRIPTS = ("tables.js", "charts.js", "point.js", "gallery.js", "page.js")  # the last starts all
BUNDLE = """import sys, vl_convert
sys.stdout.buffer.write(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").encode())"""
_NO_CHARTS = """function vegaEmbed() { throw new Error("made without pip install 'steepslope[charts]'"); }"""
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
        library=Markup(_shell_library().replace("</script", "<\\/script")),
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


@cache
def start_shell_library() -> subprocess.Popen[str] | None:
    """Start to put Vega, Vega-Lite and vega-embed into one script; a page waits for it.

    It takes two seconds and 100 MiB of another process: whoever has other work to do before the page calls this first.
    None without vl-convert, which the extra charts brings. No thread waits for the process: where memory runs out,
    Python can wait for ever for a thread to start.
    """
    if find_spec("vl_convert") is None:
        return None
    command = [sys.executable, "-c", BUNDLE]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")


@cache
def _shell_library() -> str:
    """Return the script, which defines ``vegaEmbed``, or one that tells in the place of each chart what is lacking."""
    process = start_shell_library()
    if process is None:
        return _NO_CHARTS
    script, complaint = process.communicate()
    if process.returncode:
        reason = (complaint.strip().splitlines() or ["no reason given"])[-1]
        raise SteepslopeError(f"the library of the page's charts cannot be put together: {reason}", "vl-convert-python")
    return script
