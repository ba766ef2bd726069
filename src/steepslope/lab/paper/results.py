"""A folder of tables and figures: Markdown, LaTeX, CSV, PNG and SVG, the rows behind them, and one page with all.

In a cell, a title or a note, ``**text**`` is bold. A row whose first cell is bold and whose other cells are empty is
the heading of the rows below it.
"""

import csv
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import product
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure

from steepslope.errors import SteepslopeError
from steepslope.files.folders import read_json, staged_folder
from steepslope.report.grid import Cell, Grid, markdown
from steepslope.report.style import save

BLOCK = "block"  # the column of the headings in comma-separated values
BOLD = re.compile(r"\*\*((?:(?!\*\*).)+)\*\*")
NUMBERED = re.compile(r"^Table \w+: (.)")  # LaTeX numbers tables itself
LABEL = re.compile(r"[A-Za-z0-9:._-]*")


def _paired(signs: str, commands: str) -> dict[str, str]:
    """Return the command of each sign; commands are separated by blanks."""
    return dict(zip(signs, commands.split(), strict=True))


# Characters that are set as formulas: what LaTeX's own fonts and amsmath have for them.
MATHS = (
    _paired("↑↓→←◄►", r"\uparrow \downarrow \to \gets \triangleleft \triangleright")
    | _paired("⟨⟩<>|‖†‡", r"\langle \rangle < > | \| \dagger \ddagger")
    | _paired("≤≥≠≈∈∞∂", r"\leq \geq \neq \approx \in \infty \partial")
    | _paired("−±×÷·√✓∑", r"- \pm \times \div \cdot \surd \surd \sum")
    | _paired("½¼¾‰", r"\tfrac{1}{2} \tfrac{1}{4} \tfrac{3}{4} {}^{0}\!/\!{}_{00}")
    | _paired("αβγδεζηθκλ", r"\alpha \beta \gamma \delta \varepsilon \zeta \eta \theta \kappa \lambda")
    | _paired("μµνξπρστφχψω", r"\mu \mu \nu \xi \pi \rho \sigma \tau \varphi \chi \psi \omega")
    | _paired("ΓΔΘΛΠΣΦΨΩℓ", r"\Gamma \Delta \Theta \Lambda \Pi \Sigma \Phi \Psi \Omega \ell")
)
SUPERSCRIPTS = _paired("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ°", r"0 1 2 3 4 5 6 7 8 9 + - n \circ")
SUBSCRIPTS = _paired("₀₁₂₃₄₅₆₇₈₉₊₋", "0 1 2 3 4 5 6 7 8 9 + -")

# Characters of text that LaTeX reads as commands, or that its first font encoding lacks.
TEXTS = (
    _paired("{}$&#_%", r"\{ \} \$ \& \# \_ \%")
    | _paired('\\~^"', r"\textbackslash{} \textasciitilde{} \textasciicircum{} ''")
    | _paired(
        "–—\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}“”…•", r"-- --- ` ' `` '' \dots{} \textbullet{}"
    )
    | _paired("\N{NO-BREAK SPACE}\N{THIN SPACE}\N{NARROW NO-BREAK SPACE}\N{NON-BREAKING HYPHEN}", r"~ \, \, -")
    | _paired("ßøØæÆœłı§©£", r"\ss{} \o{} \O{} \ae{} \AE{} \oe{} \l{} \i{} \S{} \copyright{} \pounds{}")
)
ACCENTS = _paired("\u0300\u0301\u0302\u0303\u0304\u0307\u0308\u030a\u030c\u0327", "` ' ^ ~ = . \" r v c")


def _one_of(signs: Iterable[str]) -> str:
    return f"[{re.escape(''.join(signs))}]"


FORMULA = re.compile(f"{_one_of([*MATHS, *SUPERSCRIPTS, *SUBSCRIPTS])}+")
PIECE = re.compile(f"({_one_of(SUPERSCRIPTS)}+)|({_one_of(SUBSCRIPTS)}+)|.")


def latex(grid: Grid, label: str = "") -> str:
    r"""Return the table as a ``table`` environment for LaTeX with the packages ``booktabs`` and ``amsmath``.

    The title becomes the caption, without the number that it has in the paper. The note stands below in small print, in
    which is also what stands beside the text of a cell. The first column is set to the left, all others to the right.

    Parameters
    ----------
    grid
        The table; ``**text**`` in it is bold.
    label
        The name for ``\ref``, of letters, digits and ``:._-``; none if empty.

    Raises
    ------
    SteepslopeError
        If the label has other characters, or the table a sign that LaTeX's own fonts lack. Letters of other scripts
        stay as they are: a document in such a language has a font for them.

    >>> print(latex(Grid("Errors & cuts", ["loss", "TNR ↑"], [[Cell("SS_α⁺"), Cell("**42.3 ± 1.1**")]]), "tab:cuts"))
    \begin{table}[htbp]
    \centering
    \caption{Errors \& cuts}
    \label{tab:cuts}
    \begin{tabular}{lr}
    \toprule
    loss & TNR $\uparrow$ \\
    \midrule
    SS\_$\alpha^{+}$ & \textbf{42.3 $\pm$ 1.1} \\
    \bottomrule
    \end{tabular}
    \end{table}
    <BLANKLINE>
    """
    if not LABEL.fullmatch(label):
        raise SteepslopeError(f"expected letters, digits and :._- only, found {label!r}", "label")
    title = NUMBERED.sub(lambda found: found[1].upper(), grid.title)
    head = [rf"\caption{{{_marked(title)}}}"] if title else []
    head += [rf"\label{{{label}}}"] if label else []
    note = [r"\par\smallskip", rf"{{\footnotesize {_marked(grid.note)}\par}}"] if grid.note else []
    lines = [r"\begin{table}[htbp]", r"\centering", *head, *_tabular(grid), *note, r"\end{table}"]
    return "\n".join(lines) + "\n"


def _tabular(grid: Grid) -> list[str]:
    size = len(grid.columns)
    lines = [rf"\begin{{tabular}}{{l{'r' * (size - 1)}}}", r"\toprule", _line(map(_marked, grid.columns)), r"\midrule"]
    for row in grid.rows:
        if (heading := heading_of(row)) is None:
            lines.append(_line(map(_cell, row)))
        else:
            lines += [] if lines[-1] == r"\midrule" else [r"\midrule"]
            lines.append(rf"\multicolumn{{{size}}}{{l}}{{\textbf{{{_escaped(heading)}}}}} \\")
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def heading_of(row: Sequence[Cell]) -> str | None:
    """Return the text of a row that is a heading, or None for all other rows.

    >>> heading_of([Cell("**MNIST**"), Cell("")]), heading_of([Cell("**SS**"), Cell("98.8")])
    ('MNIST', None)
    """
    first, *others = row
    found = BOLD.fullmatch(first.text)
    return found[1] if found and others and not first.aside and not any(map(str, others)) else None


def _line(texts: Iterable[str]) -> str:
    line = " & ".join(texts) + r" \\"
    # A bracket or star at the start of a row would be read as an argument of the line break before it.
    return "{}" + line if line.startswith(("[", "*")) else line


def _cell(cell: Cell) -> str:
    aside = rf"{{\footnotesize {_marked(cell.aside)}}}" if cell.aside else ""
    return " ".join(filter(None, (_marked(cell.text), aside)))


def _marked(text: str) -> str:
    """Return text for LaTeX, with what is bold in it."""
    parts = BOLD.split(text)  # plain, bold, plain, …
    return "".join(rf"\textbf{{{_escaped(part)}}}" if odd % 2 else _escaped(part) for odd, part in enumerate(parts))


def _escaped(text: str) -> str:
    one_line = " ".join(re.split(r"[\t\r\n]+", unicodedata.normalize("NFC", text)))
    formulas = [f"${PIECE.sub(_formula_piece, signs)}$" for signs in FORMULA.findall(one_line)]
    texts = [_text(part) for part in FORMULA.split(one_line)]
    return texts[0] + "".join(formula + after for formula, after in zip(formulas, texts[1:], strict=True))


def _formula_piece(found: re.Match[str]) -> str:
    """Return a sign as in a formula, or a run of superscripts or subscripts as one."""
    above, below = found.groups()
    if above:
        return f"^{{{''.join(SUPERSCRIPTS[sign] for sign in above)}}}"
    return f"_{{{''.join(SUBSCRIPTS[sign] for sign in below)}}}" if below else MATHS[found[0]]


def _text(text: str) -> str:
    # Braces keep neighbouring hyphens from becoming a dash.
    return "{}".join("".join(map(_letter, part)) for part in re.split("(?<=-)(?=-)", text))


def _letter(letter: str) -> str:
    if letter in TEXTS:
        return TEXTS[letter]
    base, *marks = list(unicodedata.normalize("NFD", letter))
    is_plain = base.isascii() and all(mark in ACCENTS for mark in marks)
    if not is_plain and unicodedata.category(letter)[0] in "LM":
        return letter
    if not is_plain or not base.isprintable():
        lacking = f"{letter!r} (U+{ord(letter):04X})"
        raise SteepslopeError(f"the table has a character that LaTeX's own fonts lack: {lacking}")
    for mark in marks:
        base = rf"\{ACCENTS[mark]}{{{base}}}"
    return base


def comma_separated(grid: Grid) -> str:
    """Return the table as comma-separated values, with a line of names first and without title and note.

    A cell is its text and what stands beside it, without marks of bold text. Headings become a first column,
    ``block``, that every row below them has; a table without headings has no such column.

    >>> heading, row = [Cell("**MNIST**"), Cell("")], [Cell("SS"), Cell("**98.8**", "[98.1, 99.3]")]
    >>> print(comma_separated(Grid("", ["loss", "AUC"], [heading, row])), end="")
    block,loss,AUC
    MNIST,SS,"98.8 [98.1, 99.3]"
    """
    block, lines = "", []
    for row in grid.rows:
        if (heading := heading_of(row)) is not None:
            block = heading
        else:
            lines.append([block, *(BOLD.sub(r"\1", str(cell)) for cell in row)])
    first = 0 if block else 1
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(line[first:] for line in [[BLOCK, *grid.columns], *lines])
    return text.getvalue()


PAGE = "index.html"
EXPECTED = "the results of an experiment"
ENDS = ("md", "tex", "csv", "png", "svg")


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure, and what is to be known of it, which stands below."""

    figure: Figure
    note: str = ""


def write_results(
    out: Path,
    name: str,
    about: Mapping[str, Any],
    shown: Mapping[str, Grid | Drawing],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Write tables and figures under their names, and NAME.json, from which the page shows them.

    What an earlier NAME.json names and this one does not goes: its numbers would stand beside others as if of one run.
    ``about`` has at least the ``title`` and the ``source``; in ``rows``, estimates become lists: value, low, high.
    """
    stale = _shown_by(out / f"{name}.json", name) - {*shown}
    tables: dict[str, Any] = {}
    notes: dict[str, str] = {}
    with staged_folder(out, last=f"{name}.json") as staging:
        for one, grid in shown.items():
            if isinstance(grid, Drawing):
                save(grid.figure, staging, one)
                notes[one] = grid.note
                continue
            for end, text in (("md", markdown(grid) + "\n"), ("tex", latex(grid, one)), ("csv", comma_separated(grid))):
                (staging / f"{one}.{end}").write_text(text, encoding="utf-8")
            cells = [[[cell.text, cell.aside] for cell in line] for line in grid.rows]
            tables[one] = {"title": grid.title, "columns": list(grid.columns), "note": grid.note, "rows": cells}
        short = [{key: [*one.values()] if isinstance(one, dict) else one for key, one in row.items()} for row in rows]
        card = {**about, "figures": [*notes], "notes": notes, "tables": tables, "rows": short}
        text = json.dumps(card, ensure_ascii=False, allow_nan=False).replace('{"score"', '\n{"score"')  # a row a line
        (staging / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
    for one, end in product(stale, ENDS):
        (out / f"{one}.{end}").unlink(missing_ok=True)


def _shown_by(card: Path, name: str) -> set[str]:
    """Return the names of tables and figures of an earlier run; none if there was none, or its file is broken."""
    try:
        content = read_json(card, EXPECTED)
        found = {*content["tables"], *content["figures"]}
        return {one for one in found if one.startswith(name) and Path(one).name == one}  # whatever another wrote there
    except (SteepslopeError, KeyError, TypeError):
        return set()


def write_page(out: Path, order: Sequence[str]) -> None:
    """Write the page of all results in the folder; those that are named come first."""
    cards = {path.stem: read_json(path, EXPECTED) for path in sorted(out.glob("*.json"))}
    names = [name for name in dict.fromkeys((*order, *cards)) if "tables" in cards.get(name, {})]
    environment = Environment(loader=PackageLoader("steepslope.lab.paper", "."), autoescape=True)
    text = environment.get_template("results.html").render(experiments={name: cards[name] for name in names})
    with staged_folder(out, last=PAGE) as staging:
        (staging / PAGE).write_text(text, encoding="utf-8")
