"""A folder of tables and figures, and the page with all of them."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from steepslope.errors import SteepslopeError
from steepslope.lab.paper.results import (
    MATHS,
    SUBSCRIPTS,
    SUPERSCRIPTS,
    TEXTS,
    Drawing,
    comma_separated,
    heading_of,
    latex,
    write_page,
    write_results,
)
from steepslope.report.grid import UNDEFINED, Cell, Grid
from steepslope.report.tables import headings

SCRIPT = "<script>alert(1)</script>"


def grid(title: str = "Main") -> Grid:
    return Grid(title, ["score", "AUC ↑"], [[Cell("**block**"), Cell("")], [Cell("SS"), Cell("71.8", "[70.1, 73.2]")]])


def write(out: Path, name: str, title: str, source: str = "Table 1") -> None:
    about = {"title": title, "source": source, "preset": "digits"}
    rows = [{"score": "SS", "auc": {"value": 0.5, "low": None, "high": 0.6}}]
    drawing = Drawing(Figure(figsize=(2, 1)), f"Of seed 0, the first of 3, {title}.")
    shown: dict[str, Grid | Drawing] = {name: grid(title), f"{name}-seeds": grid("By seed"), f"{name}-loss": drawing}
    write_results(out, name, about, shown, rows)
    write_page(out, ["second", "first"])


def test_a_table_is_there_in_every_form(tmp_path: Path) -> None:
    write(tmp_path, "first", "One")
    tables = {f"first{part}.{end}" for part in ("", "-seeds") for end in ("md", "tex", "csv")}
    figures = {f"first-loss.{end}" for end in ("png", "svg")}
    assert {path.name for path in tmp_path.iterdir()} == {*tables, *figures, "first.json", "index.html"}
    assert "| SS | 71.8 [70.1, 73.2] |" in (tmp_path / "first.md").read_text()
    with (tmp_path / "first.csv").open(encoding="utf-8", newline="") as file:
        assert [*csv.reader(file)][1][:2] == ["block", "SS"]
    assert "71.8" in (tmp_path / "first.tex").read_text()
    content = json.loads((tmp_path / "first.json").read_text())
    assert content["rows"] == [{"score": "SS", "auc": [0.5, None, 0.6]}]
    assert content["figures"] == ["first-loss"]
    assert content["notes"] == {"first-loss": "Of seed 0, the first of 3, One."}
    assert [*content["tables"]] == ["first", "first-seeds"]


def test_the_page_has_all_in_order_and_links_to_what_is_there(tmp_path: Path) -> None:
    for name in ("first", "another", "second"):
        write(tmp_path, name, f"The {name}", source="" if name == "another" else "Table 1")
    (tmp_path / "foreign.json").write_text('{"a": 1}')
    write_page(tmp_path, ["second", "first", "not-made"])
    page = (tmp_path / "index.html").read_text()
    assert re.findall(r'<section id="([^"]+)"', page) == ["second", "first", "another"]
    assert re.findall(r'<li><a href="#([^"]+)"', page) == ["second", "first", "another"]
    assert page.count("Not in the paper") == 1
    notes = re.findall(r'SVG</a></p>\s*<p class="note">([^<]*)</p>', page)
    assert notes == [f"Of seed 0, the first of 3, The {name}." for name in ("second", "first", "another")]
    links = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert links
    assert all((tmp_path / link).is_file() for link in links)


def test_the_page_shows_texts_as_they_are(tmp_path: Path) -> None:
    write(tmp_path, "first", SCRIPT)
    page = (tmp_path / "index.html").read_text()
    assert SCRIPT not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 2
    assert "**" not in page


def test_what_is_no_longer_shown_goes(tmp_path: Path) -> None:
    write(tmp_path, "first", "Old")
    write(tmp_path, "second", "Other")
    before = {path.name for path in tmp_path.iterdir()}
    (tmp_path / "first-own.md").write_text("a reader's own")
    write_results(tmp_path, "first", {"title": "New", "source": ""}, {"first": grid("New")}, [])
    gone = before - {path.name for path in tmp_path.iterdir()}
    assert gone == {f"first-{one}" for one in ("seeds.md", "seeds.tex", "seeds.csv", "loss.png", "loss.svg")}
    assert (tmp_path / "first-own.md").exists()


@pytest.mark.parametrize("content", ["{", '{"tables": {}}'])
def test_a_broken_result_is_replaced(content: str, tmp_path: Path) -> None:
    (tmp_path / "first.json").write_text(content)
    write(tmp_path, "first", "New")
    assert "New" in (tmp_path / "first.json").read_text()
    (tmp_path / "second.json").write_text("{")
    with pytest.raises(SteepslopeError, match=r"second.json: expected the results of an experiment, but it cannot be"):
        write_page(tmp_path, [])


GRID = Grid(
    "Table 1: ⟨oracle, classifier⟩ on 5 % of {all} & none",
    ["loss_name", "AUC ↑", "FPR-95%-TPR ↓", "ΔAUC"],
    [
        [Cell("**⟨ViT, ViT⟩**"), Cell(""), Cell(""), Cell("")],
        [Cell("CE"), Cell("**92.2 ± 0.1**"), Cell("49.3", "[48.1, 50.2]"), UNDEFINED],
        [Cell("SS α⁺ = 1, α⁻ ≤ 3", "(steep_slope)"), Cell("89.5 × 10⁻²"), Cell("60.2"), Cell("−0.6")],
        [Cell("**⟨RSN, ViT⟩**"), Cell(""), Cell(""), Cell("")],
        [Cell("[a] C:\\x~y^2 <$5> #1"), Cell("1"), Cell("2"), Cell("+0.1")],
    ],
    'A note of 100 % — and "quoted" --replace.',
)


def check(text: str) -> None:
    """Fail where pdflatex would: characters, braces, formulas, columns."""
    assert text.isascii()
    bare = re.sub(r"\\[^A-Za-z]", ".", text.replace(r"\\", "\n"))  # escaped characters are dots
    assert not re.search(r"[#%\"<>|]", re.sub(r"\$[^$]*\$", "", bare))
    assert bare.count("$") % 2 == 0
    assert "$$" not in bare
    assert not re.search(r"[_^]", re.sub(r"\$[^$]*\$|\\label\{[^}]*\}", "", bare))
    depth = 0
    for sign in bare:
        depth += (sign == "{") - (sign == "}")
        assert depth >= 0
    assert depth == 0
    for formula in re.findall(r"\$([^$]*)\$", bare):
        assert not re.search(r"\^\{[^}]*\}\^|_\{[^}]*\}_", formula)  # two superscripts after one another are an error


def rows_of(text: str) -> list[str]:
    """Return the lines of the tabular that are rows."""
    inside = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    return [line for line in inside.splitlines() if line.endswith(r"\\")]


@pytest.mark.parametrize(
    ("title", "caption"),
    [("Table A1: fifteen", "Fifteen"), ("Gates", "Gates"), ("Of Table 1: ours", "Of Table 1: ours"),
     ("Appendix F: z", "Appendix F: z")],
)  # fmt: skip
def test_the_caption_leaves_numbering_to_latex(title: str, caption: str) -> None:
    assert rf"\caption{{{caption}}}" in latex(Grid(title, ["score"], [[Cell("SS")]]))


def test_a_table_of_all_that_there_is_compiles() -> None:
    text = latex(GRID, "tab:one_1")
    check(text)
    assert [len(re.findall(r"(?<!\\)&", row)) for row in rows_of(text)] == [3, 0, 3, 3, 0, 3]
    assert r"\begin{tabular}{lrrr}" in text
    assert r"\caption{$\langle$oracle, classifier$\rangle$ on 5 \% of \{all\} \& none}" in text
    assert text.index(r"\caption") < text.index(r"\label{tab:one_1}") < text.index(r"\begin{tabular}")
    assert text.count("\\midrule\n\\multicolumn") == text.count(r"\midrule") == 2  # one before each heading
    assert r"{\footnotesize A note of 100 \% --- and ''quoted'' -{}-replace.\par}" in text.split(r"\end{tabular}")[1]


def test_rows_are_set_as_they_should_be() -> None:
    assert rows_of(latex(GRID)) == [
        r"loss\_name & AUC $\uparrow$ & FPR-95\%-TPR $\downarrow$ & $\Delta$AUC \\",
        r"\multicolumn{4}{l}{\textbf{$\langle$ViT, ViT$\rangle$}} \\",
        r"CE & \textbf{92.2 $\pm$ 0.1} & 49.3 {\footnotesize [48.1, 50.2]} & -- \\",
        r"SS $\alpha^{+}$ = 1, $\alpha^{-}$ $\leq$ 3 {\footnotesize (steep\_slope)} & 89.5 $\times$ 10$^{-2}$"
        r" & 60.2 & $-$0.6 \\",
        r"\multicolumn{4}{l}{\textbf{$\langle$RSN, ViT$\rangle$}} \\",
        r"{}[a] C:\textbackslash{}x\textasciitilde{}y\textasciicircum{}2 $<$\$5$>$ \#1 & 1 & 2 & +0.1 \\",
    ]


def test_every_sign_is_set() -> None:
    for sign in (*MATHS, *SUPERSCRIPTS, *SUBSCRIPTS, *TEXTS, *"éÖçñåšž", "--", "α⁺⁻¹", "$α⁺$", *headings()):
        rows = [[Cell(sign), Cell(f"**{sign}**", sign)], [Cell(sign + sign), Cell("")]]
        check(latex(Grid(sign, ["a", sign], rows, sign)))


def test_without_title_note_and_label_there_are_none() -> None:
    text = latex(Grid("", ["a", "b"], [[Cell("x"), Cell("1")]]))
    check(text)
    assert not re.search(r"caption|label|footnotesize", text)


def test_a_sign_without_counterpart_is_named() -> None:
    with pytest.raises(SteepslopeError, match=r"^the table has a character .* fonts lack: '☃' \(U\+2603\)$"):
        latex(Grid("", ["a"], [[Cell("☃")]]))


def test_letters_of_other_scripts_stay() -> None:
    words = ["猫", "Заявки", "Ł", "ở", "नमस्ते"]
    text = latex(Grid("", ["a"], [[Cell(word)] for word in words]))
    assert all(word in text for word in words)
    assert "non-breaking" in latex(Grid("", ["a"], [[Cell("non\N{NON-BREAKING HYPHEN}breaking")]]))


def test_a_label_is_plain() -> None:
    with pytest.raises(SteepslopeError, match=r"^label: expected letters, digits and :\._- only, found 'a b'$"):
        latex(GRID, "a b")


def test_bold_alone_is_no_heading() -> None:
    assert heading_of([Cell("**a**"), Cell("")]) == "a"
    for row in ([Cell("**a**")], [Cell("**a** b"), Cell("")], [Cell("**a**", "b"), Cell("")], [Cell("a"), Cell("")]):
        assert heading_of(row) is None
    assert heading_of([Cell("**a** and **b**"), Cell("")]) is None


def test_values_come_back_with_their_heading() -> None:
    lines = list(csv.reader(comma_separated(GRID).splitlines()))
    assert lines == [
        ["block", *GRID.columns],
        ["⟨ViT, ViT⟩", "CE", "92.2 ± 0.1", "49.3 [48.1, 50.2]", "–"],
        ["⟨ViT, ViT⟩", "SS α⁺ = 1, α⁻ ≤ 3 (steep_slope)", "89.5 × 10⁻²", "60.2", "−0.6"],
        ["⟨RSN, ViT⟩", "[a] C:\\x~y^2 <$5> #1", "1", "2", "+0.1"],
    ]


def test_rows_before_the_first_heading_have_an_empty_block() -> None:
    rows = [[Cell("x"), Cell("1")], [Cell("**h**"), Cell("")], [Cell("y"), Cell("2")]]
    assert comma_separated(Grid("", ["a", "b"], rows)) == "block,a,b\n,x,1\nh,y,2\n"
    assert comma_separated(Grid("", ["a", "b"], rows[:1])) == "a,b\nx,1\n"
