"""One page that needs no network and no other file: style, script, data and the charts' library stand in it.

A template in ``assets/`` extends ``layout.html``; a script there, made of the named parts, reads ``report``, the page's
data. The charts are drawn by Vega, which the package vl-convert carries.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

ASSETS = files("steepslope.report.web") / "assets"
READ_DATA = '"use strict";\nconst report = JSON.parse(document.getElementById("data").textContent);\n'


def web_page(
    template: str,
    *,
    title: str,
    headline: str,
    data: Mapping[str, Any],
    scripts: Sequence[str],
    contents: Mapping[str, str],
    definitions: Mapping[str, str],
    remarks: Sequence[Any] = (),
    **further: Any,
) -> str:
    """Return a page as text.

    ``data`` is what the scripts read as ``report``, with no NaN in it; ``scripts`` are files in ``assets/``, in their
    order, the last of which starts all. ``contents`` are titles of sections by their ids, ``definitions`` texts by the
    headings of the tables' columns that they explain. ``remarks`` have a ``text`` and whether it ``warns``. The
    template gets all of ``further``, and as ``numbered`` the number of each definition. Names and texts of others
    stay text: none of them is read as HTML or script.
    """
    environment = Environment(loader=PackageLoader("steepslope.report.web", "assets"), autoescape=True)
    environment.globals["numbered"] = {name: place for place, name in enumerate(definitions, 1)}
    return environment.get_template(template).render(
        title=title,
        headline=headline,
        remarks=remarks,
        contents=contents,
        definitions=definitions,
        style=_asset("page.css"),
        script=Markup(READ_DATA) + Markup("\n").join(map(_asset, scripts)),
        library=_library(),
        data=embedded(data),
        version=version("steepslope"),
        **further,
    )


def embedded(data: Mapping[str, Any]) -> Markup:
    r"""Return data as JSON that may stand in a script element: ``<`` is written so that it ends none.

    >>> str(embedded({"id": "</script>"}))
    '{"id":"\\u003c/script>"}'
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _asset(name: str) -> Markup:
    return Markup((ASSETS / name).read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def _library() -> Markup:
    """Return Vega, Vega-Lite and vega-embed as one script, which defines ``vegaEmbed``."""
    from vl_convert import javascript_bundle

    return Markup(javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script"))
