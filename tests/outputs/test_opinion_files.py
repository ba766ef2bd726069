"""Files of opinions next to outputs: each kind of file, other orders, what is lacking, and what is refused."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.special import softmax

from steepslope.errors import SteepslopeError, UnknownLabelsWarning
from steepslope.outputs import ClassifierOutputs, ReadingOptions
from steepslope.outputs._opinion_files import read_mapping
from steepslope.outputs._table import TableBlocks
from tests.refusal import refusal

N, CLASSES = 12, ("ant", "bee", "cat")
DRAW = np.random.default_rng(0)
LOGITS, OTHER = DRAW.normal(size=(2, N, 3))
IDS = [f"row {row}" for row in range(N)]
OUTPUTS = ClassifierOutputs(LOGITS, DRAW.integers(3, size=N), ids=IDS, classes=CLASSES)
EXPECTED = OUTPUTS.with_opinion("net", OTHER).require("opinion_net")
LACKING = 5  # rows at the end
VOTES = [*OTHER.argmax(axis=1)[:-LACKING], *[-1] * LACKING]


def with_opinion(folder: Path, file: str, *classes: str, outputs: ClassifierOutputs = OUTPUTS) -> ClassifierOutputs:
    """Return outputs, saved and read again with the opinion of a file next to them."""
    outputs.save(folder / "own.parquet")
    return ClassifierOutputs.load(folder / "own.parquet", options_for(folder, file, *classes))


def options_for(folder: Path, file: str, *classes: str) -> ReadingOptions:
    mappings = tuple(f"net={folder / name}" for name in classes)
    return ReadingOptions(opinion=(f"net={folder / file}",), opinion_classes=mappings)


def table(header: str, rows: list[str]) -> str:
    return "\n".join([header, *rows])


def numbers(values: object) -> str:
    return ",".join(f"{value:.8f}" for value in np.asarray(values))


@pytest.mark.parametrize("name", ["other", "other.npz", "other.csv", "other.parquet"])
def test_outputs_of_another_classifier(tmp_path: Path, name: str) -> None:
    """Rows and classes in another order; some rows are lacking."""
    other = ClassifierOutputs(OTHER[:, ::-1], ids=IDS, classes=CLASSES[::-1]).subset(np.arange(N - LACKING - 1, -1, -1))
    other.save(tmp_path / name)
    if name.endswith(".csv"):  # which does not hold the names
        lines = (tmp_path / name).read_text().replace("logit_0", "logit_cat").replace("logit_1", "logit_bee")
        (tmp_path / name).write_text(lines.replace("logit_2", "logit_ant"))
    found = with_opinion(tmp_path, name).require("opinion_net")
    np.testing.assert_allclose(found[:-LACKING], EXPECTED[:-LACKING], rtol=1e-5)
    assert np.isnan(found[-LACKING:]).all()


def test_probabilities_by_the_names_of_columns_with_empty_cells(tmp_path: Path) -> None:
    rows = [f"{one},{numbers(values[::-1])}" for one, values in zip(IDS, softmax(OTHER, axis=1), strict=True)]
    rows[-LACKING:] = [f"{one},,," for one in IDS[-LACKING:]]
    (tmp_path / "vendor.csv").write_text(table("id,cat,bee,ant", rows[::-1]))
    found = with_opinion(tmp_path, "vendor.csv").require("opinion_net")
    np.testing.assert_allclose(found[:-LACKING], EXPECTED[:-LACKING], atol=1e-5)
    assert np.isnan(found[-LACKING:]).all()


@pytest.mark.parametrize(
    ("header", "form"), [("id,by_people", "{id},{name}"), ("id,label", "{id},{name}"), ("id,vote", "{id},{number}")]
)
def test_votes(tmp_path: Path, header: str, form: str) -> None:
    """An empty cell, or no row, is no vote; a name that this classifier lacks is another class."""
    lines = [form.format(id=IDS[row], name=CLASSES[VOTES[row]], number=VOTES[row]) for row in range(N - LACKING)]
    outside = "{id},{name}" if header == "id,by_people" else ""
    lines += [outside.format(id=IDS[N - 1], name="wasp")] if outside else []
    lines += [form.format(id=IDS[N - 2], name="", number="")]
    (tmp_path / "votes.csv").write_text(table(header, lines[::-1]))
    outputs = OUTPUTS.named(None) if "{number}" in form else OUTPUTS
    told = pytest.warns(UnknownLabelsWarning, match="opinion net: .* another class: 'wasp'")
    with told if outside else nullcontext():
        found = with_opinion(tmp_path, "votes.csv", outputs=outputs).require("vote_net")
    assert found.tolist() == [*VOTES[:-1], 3 if outside else -1]


def test_one_column_of_fractions_is_the_probability_of_class_1_of_2(tmp_path: Path) -> None:
    (tmp_path / "vendor.csv").write_text(table("id,risk", [f"{IDS[1]},0.25", f"{IDS[0]},1", f"{IDS[2]},"]))
    binary = ClassifierOutputs(LOGITS[:, :2], ids=IDS)
    found = np.exp(with_opinion(tmp_path, "vendor.csv", outputs=binary).require("opinion_net"))
    np.testing.assert_allclose(found[:2], [[0.0, 1.0], [0.75, 0.25]], atol=1e-6)
    assert np.isnan(found[2:]).all()


@pytest.mark.parametrize("sign", ["=", ","])
def test_mappings_are_read(tmp_path: Path, sign: str) -> None:
    """Blanks and empty lines do not matter; nothing behind the sign says that the class is lacking."""
    path = tmp_path / ("names.csv" if sign == "," else "names.txt")
    path.write_text("\n".join([f" red ant {sign} ant", "", f"bee{sign} bee", f"dog{sign}"]))
    assert read_mapping(path) == {"red ant": "ant", "bee": "bee", "dog": None}


def test_tables_without_rows_and_without_ids(tmp_path: Path) -> None:
    """A header alone says that no row has the opinion."""
    (tmp_path / "votes.csv").write_text("id,vote\n")
    with pytest.warns(UserWarning, match="opinion net: found no rows: each of 12 lacks it"):
        assert with_opinion(tmp_path, "votes.csv").require("vote_net").tolist() == [-1] * N
    pq.write_table(pa.table({"vote": pa.array([None if vote < 0 else vote for vote in VOTES])}), tmp_path / "v.parquet")
    assert with_opinion(tmp_path, "v.parquet", outputs=OUTPUTS.named(None)).require("vote_net").tolist() == VOTES


def test_classes_without_names_are_mapped_by_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("2=ant\n1=bee\n0=cat\n")
    np.savez(tmp_path / "other.npz", probabilities=softmax(OTHER[:, ::-1], axis=1))
    found = with_opinion(tmp_path, "other.npz", "names.txt").require("opinion_net")
    np.testing.assert_allclose(found, EXPECTED, rtol=1e-4)


SHARES = softmax(OTHER, axis=1)


@pytest.mark.parametrize(
    ("header", "values", "further"),
    [
        ("id,ant,bee,cat,label", SHARES, ",bee"),  # labels next to probabilities are the truth, and not read
        ("id,logit_ant,logit_bee,logit_cat,split", OTHER + 10, ",1"),  # logits may all be positive
    ],
)
def test_columns_are_told_apart(tmp_path: Path, header: str, values: np.ndarray, further: str) -> None:
    rows = [f"{one},{numbers(some)}{further}" for one, some in zip(IDS, values, strict=True)]
    (tmp_path / "vendor.csv").write_text(table(header, rows[::-1]))
    np.testing.assert_allclose(with_opinion(tmp_path, "vendor.csv").require("opinion_net"), EXPECTED, atol=1e-5)


def test_blocks_of_rows_have_their_opinions(tmp_path: Path) -> None:
    """Also those in which no row has one."""
    ClassifierOutputs(OTHER, ids=IDS, classes=CLASSES).subset(slice(3)).save(tmp_path / "other.npz")
    OUTPUTS.save(tmp_path / "own.csv")
    blocks = list(TableBlocks(tmp_path / "own.csv", options_for(tmp_path, "other.npz"), size=4))
    found = np.concatenate([block.arrays["opinion_net"] for block in blocks])
    assert [len(block) for block in blocks] == [4, 4, 4]
    np.testing.assert_allclose(found[:3], EXPECTED[:3], rtol=1e-5)
    assert np.isnan(found[3:]).all()


REFUSED: dict[str, tuple[str, str]] = {
    "twice": ("id,vote\nrow 1,ant\nrow 1,bee\n", "net: expected each id once, found 'row 1' in 2 rows"),
    "of other columns": ("id,wasp,bug\nrow 1,0.5,0.5\n", "called as the classes (ant, bee, cat), found wasp, bug"),
    "with a column of numbers that is no class": (",id,ant,bee,cat,split\n0,row 1,0.5,0.5,0,1\n", "found '', split: "),
    "of votes next to another column": ("who,id,label\nme,row 1,ant\n", "(ant, bee, cat), found who: leave out"),
    "of one class alone": ("id,ant\nrow 1,0.5\n", "a column for each class, or one of votes, found 'ant' alone"),
    "of words": ("id,ant,bee,cat\nrow 1,a,b,c\n", "column 'ant': expected a number in each row"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_in_one_line(tmp_path: Path, what: str) -> None:
    content, message = REFUSED[what]
    (tmp_path / "other.csv").write_text(content)
    told = refusal(with_opinion, tmp_path, "other.csv")
    assert message in told
    assert f"{tmp_path}/other.csv" in told


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("", "expected the names of classes, found none"),
        ("wasp", "expected other=this in each line, each class once, found 'wasp' in line 1"),
        ("ant=ant\nant=bee", "each class once, found 'ant, bee' in line 2"),
    ],
)
def test_bad_mappings(tmp_path: Path, names: str, message: str) -> None:
    (tmp_path / "names.txt").write_text(names)
    assert message in refusal(read_mapping, tmp_path / "names.txt")


def test_other_files_that_are_no_opinions(tmp_path: Path) -> None:
    np.savez(tmp_path / "features.npz", features=OTHER)
    (tmp_path / "other.txt").write_text("")
    assert "expected logits, probabilities, votes, found features" in refusal(with_opinion, tmp_path, "features.npz")
    assert "unknown format of other.txt: '.txt'" in refusal(with_opinion, tmp_path, "other.txt")
    assert "none.csv: no such file or folder" in refusal(with_opinion, tmp_path, "none.csv")
    assert "none.txt: expected a text file" in refusal(read_mapping, tmp_path / "none.txt")


@pytest.mark.parametrize(
    ("opinion", "classes", "message"),
    [
        (("votes.csv",), (), "opinion: expected NAME=VALUE, found 'votes.csv'"),
        (("a=1", "a=2"), (), "opinion: expected each name once, found 'a=2'"),
        (("a b=1",), (), "opinion: expected letters, digits, '_' and '-', found 'a b'"),
        ((), ("a=1",), "opinion-classes: expected --opinion a=… with it, found none"),
    ],
)
def test_options(opinion: tuple[str, ...], classes: tuple[str, ...], message: str) -> None:
    with pytest.raises(SteepslopeError) as error:
        ReadingOptions(opinion=opinion, opinion_classes=classes)
    assert str(error.value) == message
