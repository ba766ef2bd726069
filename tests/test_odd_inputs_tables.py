"""Odd tables from the command line: one line, code 2 and nothing lost, or the result that is right."""

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
BOTH = "--confidence-column conf --correct-column ok"
BY_NAME = "--label-column target --logit-columns score*"


class Odd(NamedTuple):
    """A file of outputs, the options that go with it, the exit code, and words of what is said."""

    text: str | bytes
    options: str
    code: int
    words: str


ODD: dict[str, Odd] = {
    # names of columns
    "the same, named": Odd(NAMED, BY_NAME, 0, "12 predictions, 6 wrong"),
    "the label among the logits": Odd(
        NAMED, "--label-column target --logit-columns target,score*", 2, "be a logit and the"
    ),
    "one column twice, unread": Odd("x,x," + NUMBERED.replace("\n", "\n1,2,")[:-4], "", 0, "12 predictions, 4 wrong"),
    "an option of tables without one": Odd(b"", "--outputs . --label-column y", 2, "label-column: expected a .csv"),
    "a file of classes that is not there": Odd(NAMED, f"{BY_NAME} --classes no.txt", 2, "no.txt: expected a text file"),
    # numbers
    "probabilities as logits": Odd(SHARES, "--logit-columns p_*", 2, "--probabilities"),
    "probabilities": Odd(SHARES, "--logit-columns p_* --probabilities", 0, "12 predictions, 4 wrong"),
    "logits as probabilities": Odd(NAMED, f"{BY_NAME} --probabilities", 2, "probabilities: expected none below 0"),
    "probabilities that are logits": Odd(SHARES, "--logit-columns p_* --as-logits", 0, "12 predictions, 4 wrong"),
    "probabilities and logits": Odd(SHARES, "--as-logits --probabilities", 2, "--as-logits, found both"),
    "the probability of one class": Odd(BINARY, "--logit-columns p --probabilities", 0, "12 predictions, 4 wrong"),
    "one column of logits": Odd(BINARY, "--logit-columns p", 2, "--probabilities"),
    # how it is written
    "semicolons, named": Odd(NAMED.replace(",", ";"), f"{BY_NAME} --separator ;", 0, "12 predictions, 6 wrong"),
    "tabs": Odd(NAMED.replace(",", "\t"), f"{BY_NAME} --separator tab", 0, "12 predictions, 6 wrong"),
    "decimal commas": Odd(GERMAN, f"{BY_NAME} --separator ;", 2, "and '.' in decimals"),
    "a byte order mark": Odd(b"\xef\xbb\xbf" + NUMBERED.encode(), "", 0, "12 predictions, 4 wrong"),
    "UTF-16": Odd(NUMBERED.encode("utf-16"), "", 2, "UTF-8"),
    "line ends of Windows": Odd(NUMBERED.replace("\n", "\r\n"), "", 0, "12 predictions, 4 wrong"),
    "a short row": Odd(NUMBERED + "0,1\n", "", 2, "Expected 3 columns, got 2"),
    # confidences
    "a confidence by another name": Odd(ALONE, "--confidence-column conf", 2, "expected a column is_correct"),
    "a confidence, both named": Odd(ALONE, f"{BOTH} --groups site", 0, "12 predictions, 6 wrong"),
    "neither right nor wrong": Odd(ALONE.replace("no", "perhaps"), BOTH, 2, "found 'perhaps' in row 1 (6"),
    # groups
    "a column of groups twice": Odd(
        NUMBERED.replace("\n", ",a,b\n").replace("1,a,b", "1,site,site", 1), "--groups site", 2, "found 'site' 2 times"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_an_odd_table_is_read_rightly_or_refused_in_one_line(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = ODD[case]
    outputs, out = tmp_path / "outputs.csv", tmp_path / "out"
    content = odd.text if isinstance(odd.text, bytes) else odd.text.encode()
    outputs.write_bytes(content)
    words = ["evaluate", "--outputs", str(outputs), "--bootstrap", "0", "--out", str(out), *odd.options.split()]
    assert main(words) == odd.code
    shown = capsys.readouterr()
    assert odd.words in (shown.err if odd.code else shown.out)
    assert outputs.read_bytes() == content
    if odd.code:
        assert shown.err.count("\n") == 1
        assert shown.err.startswith("steepslope: error: ")
        assert not out.exists()


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("[...] can't allocate memory: 9 TiB")])
def test_too_little_memory_is_one_line(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lack(*_: object, **__: object) -> None:
        raise error

    (tmp_path / "o.csv").write_text("label,logit_0,logit_1\n0,1,2\n")
    monkeypatch.setattr("steepslope.outputs.table.numbers_in", lack)
    assert main(["evaluate", "--outputs", str(tmp_path / "o.csv"), "--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("steepslope: error: not enough memory")
    assert printed.count("\n") == 1
