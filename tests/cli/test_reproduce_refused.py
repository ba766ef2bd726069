"""Wrong input to reproduce: one line, exit code 2, before any work, and nothing lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from steepslope.cli._main import main
from tests.cli.predictions import refuses
from tests.conftest import Captured

ONE = "title: T\npairs: {pairs}\npaper: [{line}]\ncolumns: [{column}]\nviews: [{view}]\nwhere: ['{where}']\n"
GOOD = {"pairs": "first", "line": "MCP", "column": "auc", "view": "table", "where": "test"}
LINE = "title: T\npairs: {pairs}\npaper:\n  - X: {settings}\ncolumns: [auc]\n"
NETS = "data: digits\nnets: {a: {train: {%s}}}\npairs: [{%sclassifier: a, training: {epochs: 1}}]\n"


def refused(words: list[str], folder: Path, capsys: Captured) -> str:
    """Return the only line of a refused command, which has written nothing."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    given = ["reproduce", *words]
    for option in ("out", "work"):
        given += [] if f"--{option}" in words else [f"--{option}", str(folder / option)]
    error = refuses(given, capsys)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    return error.removeprefix("steepslope: error: ")


EXPERIMENTS = [
    (ONE.format(**GOOD | changes), message)
    for changes, message in (
        ({"pairs": "frist"}, "unknown group of pairs 'frist': did you mean 'first'?"),
        ({"column": "acu"}, "own: unknown column 'acu': did you mean 'auc'?"),
        ({"view": "tabel"}, "own: unknown view 'tabel': did you mean 'table'?"),
        ({"view": "matrix", "column": ""}, "own: columns: expected a column and the line MCP for the view matrix"),
        ({"where": "tset"}, "own.yaml: unknown set of images 'tset': did you mean 'test'?"),
        ({"where": "corrupt:*"}, "own.yaml: where: expected SHIFT:KIND:SEVERITY, such as corrupt:*:5, found corrupt:*"),
        ({"where": "corrupt:fgo:*"}, "unknown corruption 'fgo': did you mean 'fog'?"),
    )
]
EXPERIMENTS += [
    (LINE.format(settings=settings, pairs="first"), message)
    for settings, message in (
        ("{kind: image}", "X: expected settings with a kind, one of score, best, images, cut, features, fused; found"),
        ("{kind: fused}", "X: expected a setting budget of kind fused, found none"),
        ("{kind: cut, line: MCP}", "unknown line of line 'X': 'MCP': did you mean 'TCP'? Known: CE, Focal, SS, TCP"),
        ("{kind: images, loss: focla}", "unknown loss of line 'X': 'focla': did you mean 'focal'?"),
        ("{kind: images, stage: first}", "unknown stage of line 'X': 'first'"),
        ("{kind: features, lss: focal}", "oracle on features of late, X"),
    )
]
EXPERIMENTS += [
    ("title: [a\n", "own.yaml: cannot be read (while parsing a flow sequence"),
    ("paper: [MCP]\n", "own.yaml: an experiment: expected title, found none"),
    ("title: T\npaper: MCP\n", "own.yaml: paper: expected a list, found 'MCP'"),
    ("title: T\npaper: [MCP]\ndrawn: MCP\n", "own.yaml: drawn: expected a list, found 'MCP'"),
    ("title: T\npaper: [MCP]\npublished: table9\n", "own: unknown table of the paper 'table9'"),
]
PRESETS = [
    ("- a\n", "own.yaml: expected names and values, found list"),
    ("data: digits\n", "own.yaml: nets: expected a name and its settings for each net"),
    (NETS % ("net: digits-net", ""), "own.yaml: pairs: expected oracle, found none"),
    (NETS % ("net: digits-nte", "oracle: a, "), "nets.a.train: unknown net 'digits-nte': did you mean"),
    (NETS % ("net: digits-net", "oracle: b, "), "own.yaml: unknown net in pairs 'b': Known: a"),
]
OPTIONS = [
    ("tabel1", "unknown experiment 'tabel1': did you mean 'table1'? Known: all, appendix-d"),
    ("", "the following arguments are required: EXPERIMENT (see steepslope reproduce --help)"),
    ("table1 --preset digts", "unknown preset 'digts': did you mean 'digits'?"),
    ("table1 --preset mnist", "preset mnist: expected pairs for all, found only those for recipe"),
    ("table1 --preset imagenet", "data spec 'imagefolder:imagenet/train': no such folder"),
    ("table1 --data digts", "unknown data scheme in 'digts': 'digts': did you mean 'digits'?"),
    ("table1 --set seeds", "set: expected PLACE=VALUE, such as nets.vit.size=224, found 'seeds'"),
    ("table1 --set nets.vit.size=1", "preset digits: unknown place in 'nets.vit.size': 'vit'"),
    ("table1 --set nets.late.auxiliary=x", "unknown net in nets.late.auxiliary 'x'"),
    ("table1 --set nets.late.train.epoch=1", "nets.late.train: unknown setting 'epoch': did you mean 'epochs'?"),
    ("table1 --seeds none", "seeds: expected one seed or several different ones, found ()"),
    ("table3 --set styles=nowhere", "data spec 'images:nowhere': no such folder"),
    ("table3 --set trained_stylizer=nowhere", "nowhere: expected the folder of a stylizer with stylizer.json"),
]
CASES = [
    *(("own.yaml", content, message) for content, message in EXPERIMENTS),
    *(("table1 --preset own.yaml", content, message) for content, message in PRESETS),
    *((words, "", message) for words, message in OPTIONS),
]


@pytest.mark.parametrize(("words", "content", "message"), CASES)
def test_one_line_and_nothing_written(
    words: str, content: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.yaml").write_text(content)
    assert message in refused(words.split(), tmp_path, capsys)


@pytest.mark.parametrize("option", ["out", "work"])
def test_a_file_where_a_folder_is_to_be(option: str, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "file").write_text("kept")
    error = refused(["table1", f"--{option}", str(tmp_path / "file")], tmp_path, capsys)
    assert error == f"{tmp_path}/file: expected a folder to write to, found a file"
    assert (tmp_path / "file").read_text() == "kept"


def test_a_plan_of_imagenet_needs_no_data_and_leaves_nothing(tmp_path: Path, capsys: Captured) -> None:
    words = ["reproduce", "figure2", "--preset", "imagenet", "--dry-run", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    assert capsys.readouterr().out == "\n"
    assert not (tmp_path / "out").exists()
