"""LaTeX that a strict reader of its own finds no fault with, and values that come back as they were."""

from __future__ import annotations

import csv
import re

import pytest

from steepslope.errors import SteepslopeError
from steepslope.paper.results import ACCENTS, MATHS, SUBSCRIPTS, SUPERSCRIPTS, TEXTS, comma_separated, heading_of, latex
from steepslope.report.grid import UNDEFINED, Cell, Grid
from steepslope.report.tables import headings

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
MACROS = {"textbf", "footnotesize", "par", "smallskip", "caption", "label", "multicolumn", "begin", "end", "centering"}
RULES = {"toprule", "midrule", "bottomrule"}


def known_commands() -> set[str]:
    """Return the names of all commands that the module may write."""
    commands = " ".join([*MATHS.values(), *SUPERSCRIPTS.values(), *TEXTS.values()])
    return {*re.findall(r"\\([A-Za-z]+)", commands), *MACROS, *RULES, *(mark for mark in ACCENTS.values())}


def check(text: str) -> None:
    """Fail where pdflatex would: characters, braces, environments, formulas, columns, commands."""
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
    environments: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", bare):
        if kind == "begin":
            environments.append(name)
        else:
            assert environments.pop() == name
    assert not environments
    assert set(re.findall(r"\\([A-Za-z]+)", bare)) <= known_commands()
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


def test_a_rule_stands_before_a_heading_but_never_two() -> None:
    lines = latex(GRID).splitlines()
    rules = [index for index, line in enumerate(lines) if line == r"\midrule"]
    assert len(rules) == 2
    assert all(lines[index + 1].startswith(r"\multicolumn") for index in rules)


@pytest.mark.parametrize("sign", [*MATHS, *SUPERSCRIPTS, *SUBSCRIPTS, *TEXTS, *"éÖçñåšž", "--", "α⁺⁻¹", "$α⁺$"])
def test_every_sign_is_set(sign: str) -> None:
    check(
        latex(Grid(sign, ["a", sign], [[Cell(sign), Cell(f"**{sign}**", sign)], [Cell(sign + sign), Cell("")]], sign))
    )


def test_the_headings_of_our_own_tables_are_set() -> None:
    check(latex(Grid("", headings(), [])))


def test_without_title_note_and_label_there_are_none() -> None:
    text = latex(Grid("", ["a", "b"], [[Cell("x"), Cell("1")]]))
    check(text)
    assert not re.search(r"caption|label|footnotesize", text)


def test_a_sign_without_counterpart_is_named() -> None:
    with pytest.raises(SteepslopeError, match=r"^the table has a character .* fonts lack: '猫' \(U\+732B\)$"):
        latex(Grid("", ["a"], [[Cell("猫")]]))


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
