"""Odd tables from the command line: one line, code 2 and nothing lost, or the result that is right."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from steepslope.cli.main import main

ROWS = 12
SCORES = [("cat", 2.0, 1.0, -1.0), ("dog", 0.0, 1.5, 0.5), ("cow", 1.0, -0.5, 0.0), ("dog", 2.5, 0.5, 1.5)] * (
    ROWS // 4
)
NAMED = "target,score_cat,score_dog,score_cow\n" + "".join(f"{t},{a},{b},{c}\n" for t, a, b, c in SCORES)
NUMBERED = "label,logit_0,logit_1\n" + "0,1.5,-1\n1,0.5,2\n0,-1,0.5\n" * (ROWS // 3)
SHARES = "label,p_cat,p_dog\n" + "cat,0.9,0.1\ndog,0.25,0.75\ndog,1,0\n" * (ROWS // 3)
BINARY = "label,p\n" + "1,0.9\n0,0.25\n1,0.125\n" * (ROWS // 3)
ALONE = "conf,ok,site\n" + "0.9,yes,a\n0.25,no,\n0.75,yes,b\n0.5,no,a\n" * (ROWS // 4)
GERMAN = NAMED.replace(",", ";").replace(".", ",")
BY_NAME = "--label-column target --logit-columns score*"


class Odd(NamedTuple):
    """A file of outputs, the options that go with it, the exit code, and words of what is said."""

    text: str | bytes
    options: str
    code: int
    words: str


ODD: dict[str, Odd] = {
    # names of columns
    "columns of other names": Odd(NAMED, "", 2, "found the columns target, score_cat, score_dog, score_cow"),
    "the same, named": Odd(NAMED, BY_NAME, 0, "12 predictions, 6 wrong"),
    "columns one by one": Odd(
        NAMED, "--label-column target --logit-columns score_dog,score_cat,score_cow", 0, "12 predictions, 6 wrong"
    ),
    "one class left out": Odd(
        NAMED, "--label-column target --logit-columns score_dog,score_cat", 2, "found 'cow' in row 2 (3 such rows)"
    ),
    "a label column that is not there": Odd(
        NAMED, "--label-column targets --logit-columns score*", 2, "unknown column 'targets': did you mean 'target'?"
    ),
    "no label column": Odd(NAMED, "--logit-columns score*", 2, "found none in a column label (or --label-column)"),
    "a pattern that finds nothing": Odd(NAMED, "--logit-columns logits*", 2, "expected columns like 'logits*', found"),
    "the label among the logits": Odd(
        NAMED, "--label-column target --logit-columns target,score*", 2, "cannot be a logit and the label"
    ),
    "a column twice": Odd(NUMBERED.replace("logit_1", "logit_0"), "", 2, "found 'logit_0' 2 times"),
    "a label column twice": Odd("label," + NUMBERED.replace("\n", "\n0,")[:-2], "", 2, "found 'label' 2 times"),
    "a column twice that is not read": Odd(
        "x,x," + NUMBERED.replace("\n", "\n1,2,")[:-4], "", 0, "12 predictions, 4 wrong"
    ),
    "a gap in the numbers": Odd(NUMBERED.replace("logit_1", "logit_2"), "", 2, "logit_1 is missing"),
    "blanks before names": Odd(NUMBERED.replace(",", ", "), "", 2, "found the columns label, ' logit_0', ' logit_1'"),
    "an option of tables without one": Odd(b"", "--outputs . --label-column y", 2, "label-column: expected a .csv"),
    # labels
    "names as labels of numbered columns": Odd(NUMBERED.replace("\n0,", "\ncat,"), "", 2, "classes (that need"),
    "labels of 2.5": Odd(NUMBERED.replace("\n1,", "\n2.5,"), "", 2, "found '2.5' in row 1 (4 such rows)"),
    "labels of 1.0": Odd(NUMBERED.replace("\n1,", "\n1.0,"), "", 0, "12 predictions, 4 wrong"),
    "labels of true": Odd(
        NUMBERED.replace("\n1,", "\nTrue,").replace("\n0,", "\nFalse,"), "", 0, "12 predictions, 4 wrong"
    ),
    "labels from 1": Odd(NUMBERED.replace("\n1,", "\n2,").replace("\n0,", "\n1,"), "", 2, "expected values in 0…1"),
    "an empty label": Odd(NUMBERED.replace("\n1,", "\n,"), "", 2, "found an empty cell in row 1 (4 such rows)"),
    "numbers for columns in no order": Odd(
        NAMED.replace("cat,", "0,", 1).replace("\ncat", "\n0").replace("\ndog", "\n1").replace("\ncow", "\n2"),
        BY_NAME, 2, "for whole numbers from 0 give --classes, with the names in that order",
    ),
    "a class that no column has": Odd(NAMED.replace("\ncow", "\nhorse"), BY_NAME, 2, "found 'horse' in row 2 (3"),
    "classes of other names": Odd(
        NAMED, f"{BY_NAME} --classes {{other}}", 2, "expected the classes that the columns name, cat, cow, dog, found"
    ),
    "a file of classes that is not there": Odd(NAMED, f"{BY_NAME} --classes no.txt", 2, "no.txt: expected a text file"),
    # numbers
    "an empty number": Odd(NUMBERED.replace("0.5", ""), "", 2, "expected a number in each row, found 4 empty"),
    "text for a number": Odd(NUMBERED.replace("0.5", "n/a"), "", 2, "invalid value 'n/a'"),
    "NaN": Odd(NUMBERED.replace("0.5", "nan"), "", 2, "found nan in row 1"),
    "probabilities as logits": Odd(SHARES, "--logit-columns p_*", 2, "--probabilities"),
    "probabilities": Odd(SHARES, "--logit-columns p_* --probabilities", 0, "12 predictions, 4 wrong"),
    "logits as probabilities": Odd(NAMED, f"{BY_NAME} --probabilities", 2, "probabilities: expected none below 0"),
    "probabilities that are logits": Odd(SHARES, "--logit-columns p_* --as-logits", 0, "12 predictions, 4 wrong"),
    "probabilities and logits": Odd(SHARES, "--as-logits --probabilities", 2, "--as-logits, found both"),
    "shares of a hundred": Odd(
        SHARES.replace("0.9,0.1", "90,10"), "--logit-columns p_* --probabilities", 2, "rows that sum to 1"
    ),
    "the probability of one class": Odd(BINARY, "--logit-columns p --probabilities", 0, "12 predictions, 4 wrong"),
    "one column of logits": Odd(BINARY, "--logit-columns p", 2, "--probabilities"),
    # how it is written
    "semicolons": Odd(NAMED.replace(",", ";"), BY_NAME, 2, "give --separator ';'"),
    "semicolons, named": Odd(NAMED.replace(",", ";"), f"{BY_NAME} --separator ;", 0, "12 predictions, 6 wrong"),
    "tabs": Odd(NAMED.replace(",", "\t"), f"{BY_NAME} --separator tab", 0, "12 predictions, 6 wrong"),
    "decimal commas": Odd(GERMAN, f"{BY_NAME} --separator ;", 2, "and '.' in decimals"),
    "a long separator": Odd(NAMED, "--separator ::", 2, "separator: expected one character, or tab, found '::'"),
    "a byte order mark": Odd(b"\xef\xbb\xbf" + NUMBERED.encode(), "", 0, "12 predictions, 4 wrong"),
    "UTF-16": Odd(NUMBERED.encode("utf-16"), "", 2, "UTF-8"),
    "Latin-1": Odd(NAMED.replace("cow", "köw").encode("latin-1"), BY_NAME, 2, "UTF-8"),
    "line ends of Windows": Odd(NUMBERED.replace("\n", "\r\n"), "", 0, "12 predictions, 4 wrong"),
    "a short row": Odd(NUMBERED + "0,1\n", "", 2, "Expected 3 columns, got 2"),
    "a header alone": Odd("label,logit_0,logit_1\n", "", 2, "expected rows below the header, found none"),
    "an empty file": Odd("", "", 2, "Empty CSV file"),
    # confidences
    "a confidence by another name": Odd(ALONE, "--confidence-column conf", 2, "expected a column is_correct"),
    "a confidence, both named": Odd(
        ALONE, "--confidence-column conf --correct-column ok --groups site", 0, "12 predictions, 6 wrong"
    ),
    "neither right nor wrong": Odd(
        ALONE.replace("no", "perhaps"), "--confidence-column conf --correct-column ok", 2, "found 'perhaps' in row 1 (6"
    ),
    "a confidence and logits": Odd(NAMED, f"{BY_NAME} --confidence-column score_cat", 2, "found both"),
    "a confidence and labels": Odd(
        ALONE, "--confidence-column conf --correct-column ok --label-column site", 2, "label-column: expected columns"
    ),
    # groups, clusters and rows
    "empty groups": Odd(NUMBERED.replace("\n0,", "\n,", 0) , "--groups label", 0, "12 predictions, 4 wrong"),
    "empty clusters": Odd(
        ALONE, "--confidence-column conf --correct-column ok --cluster site", 2, "expected a value in each row"
    ),
    "groups that are not there": Odd(NUMBERED, "--groups site", 2, "unknown column of"),
    "a column of groups twice": Odd(
        NUMBERED.replace("\n", ",a,b\n").replace("1,a,b", "1,site,site", 1), "--groups site", 2, "found 'site' 2 times"
    ),
    "rows to a text file": Odd(NUMBERED, "--rows {out}/rows.txt", 2, "rows: expected a file that ends in .csv or"),
    "rows to a folder": Odd(NUMBERED, "--rows {folder}.csv", 2, "expected a file to write to, found a folder"),
    "rows over the outputs": Odd(NUMBERED, "--rows {outputs}", 2, "rows: expected another file than the outputs"),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_an_odd_table_is_read_rightly_or_refused_in_one_line(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = ODD[case]
    outputs, out, folder = tmp_path / "outputs.csv", tmp_path / "out", tmp_path / "folder"
    content = odd.text if isinstance(odd.text, bytes) else odd.text.encode()
    outputs.write_bytes(content)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "other.txt").write_text("cat\nhorse\ncow\n")
    options = odd.options.format(out=out, folder=folder, outputs=outputs, other=tmp_path / "other.txt")
    words = ["evaluate", "--outputs", str(outputs), "--bootstrap", "0", "--out", str(out), *options.split()]
    assert main(words) == odd.code
    shown = capsys.readouterr()
    assert odd.words in (shown.err if odd.code else shown.out)
    assert outputs.read_bytes() == content
    if odd.code:
        assert shown.err.count("\n") == 1
        assert shown.err.startswith("steepslope: error: ")
        assert not out.exists()


@pytest.mark.parametrize(
    "error",
    [MemoryError(), MemoryError("Unable to allocate 9 TiB"), RuntimeError("[...] can't allocate memory: 9 TiB")],
)
@pytest.mark.parametrize("command", ["evaluate", "fit"])
def test_too_little_memory_is_one_line(
    command: str, error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lack(*_: object, **__: object) -> None:
        raise error

    (tmp_path / "o.csv").write_text("label,logit_0,logit_1\n0,1,2\n")
    monkeypatch.setattr("steepslope.outputs.table.numbers_in", lack)
    assert main([command, "--outputs", str(tmp_path / "o.csv"), "--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("steepslope: error: not enough memory")
    assert printed.count("\n") == 1
