"""Studies as data: all presets can be read and say where their data are, and what is wrong in one is said in a line."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from steepslope.errors import SteepslopeError
from steepslope.files.folders import digest_of
from steepslope.lab.benchmark.estimators import ESTIMATORS
from steepslope.lab.benchmark.rows import CHOOSING, READERS
from steepslope.lab.benchmark.study import FOLDER, KINDS, Study, read_study, study_names
from steepslope.nets.classifiers.training import ClassifierTraining
from steepslope.nets.data.specs import parse_data
from steepslope.outputs.options import require_name

TEXTS = {"title": "T", "kind": "text", "source": "S", "classifier": "words", "read": {"format": "csv", "text": "said"}}
IMAGES = {"title": "T", "kind": "image", "source": "S", "classifier": "timm:x", "read": {"labelled": "digits:test"}}
TRAINED = IMAGES | {"classifier": "", "train": {"net": "digits-net"}}


@pytest.mark.parametrize("name", study_names())
def test_presets_are_complete(name: str) -> None:
    study = read_study(name)
    assert study.name == name
    assert study.title
    assert re.search(r"github\.com/\S+/\S+", study.source) or name == "fashion-mnist", study.source
    assert study.seeds == (0, 1, 2)
    if study.kind in ESTIMATORS:
        assert {study.classifier, *study.opinions.values()} <= {*ESTIMATORS[study.kind]}
        assert study.opinions
    if study.kind == "image":
        for spec in [*study.read.values(), *(change["labelled"] for change in study.shifted.values())]:
            parse_data(spec.replace("FOLDER", "/nowhere"))
        assert {*study.train} <= {"net", "holdout", *(one.name for one in fields(ClassifierTraining))}
    else:
        assert study.read["format"] in READERS
        assert all({*change} <= {"files", "names", *CHOOSING} for change in study.shifted.values())
    for opinion in study.opinions:
        require_name(opinion)


def test_presets_cover_all_kinds_of_data() -> None:
    assert {read_study(name).kind for name in study_names()} == {*KINDS}


def test_titles_are_different() -> None:
    titles = [read_study(name).title for name in study_names()]
    assert len({*titles}) == len(titles)


def test_presets_have_no_field_twice() -> None:
    """YAML takes the last of two fields of one name without a word."""
    for path in FOLDER.glob("*.yaml"):
        names = re.findall(r"^(\w+):", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(names) == len({*names}), path


def test_changes_and_seeds() -> None:
    study = read_study("wine", {"most_rows": "500", "read.files": "[a.csv]", "opinions": "{}"}, (4,))
    assert (study.most_rows, study.seeds, study.opinions) == (500, (4,), {})
    assert study.read["files"] == ["a.csv"]
    assert study.read["label"] == "quality"


def test_what_decides_numbers() -> None:
    """A title, a note or other seeds change no number; all else does."""
    study = read_study("wine")
    same = read_study("wine", {"title": "Other", "note": "Another", "source": "Somebody"}, (5,))
    assert digest_of(same.as_json()) == digest_of(study.as_json())
    for place, value in {"most_rows": "500", "test": "0.5", "classifier": "boosting", "read.label": "acid"}.items():
        assert digest_of(read_study("wine", {place: value}).as_json()) != digest_of(study.as_json())
    free = {"title", "source", "seeds", "note"}
    assert {*study.as_json()} == {one.name for one in fields(Study)} - free


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**TEXTS, "seeds": [7]}))
    study = read_study(str(tmp_path / "mine.yaml"))
    assert (study.name, study.kind, study.seeds) == ("mine", "text", (7,))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TEXTS | {"titel": "T"}, "unknown field of a preset of evidence: 'titel': did you mean 'title'?"),
        ({"title": "T", "kind": "text", "read": {}}, "a preset of evidence: expected source, found none"),
        (TEXTS | {"title": 2013}, "title: expected text, found 2013"),
        (TEXTS | {"kind": "txt"}, "kind: expected text or table or sound or image or probabilities, found 'txt'"),
        (TEXTS | {"read": [1]}, "read: expected names and values, found (1,)"),
        (TEXTS | {"read": {"format": "csv"}}, "read: expected text for the kind text, found none"),
        (TEXTS | {"kind": "sound"}, "read: expected array for the kind sound, found none"),
        (TEXTS | {"kind": "table"}, "read: expected neither text nor array for the kind table"),
        (TEXTS | {"kind": "probabilities"}, "read: expected first for the kind probabilities, found none"),
        (TEXTS | {"test": 1.0}, "test: expected a number from 0.01 to 0.99, found 1.0"),
        (TEXTS | {"most_rows": 3}, "most_rows: expected a whole number >= 100, found 3"),
        (TEXTS | {"restricted": "yes!"}, "restricted: expected true or false, found 'yes!'"),
        (TEXTS | {"references": 0}, "references: expected a whole number >= 1, found 0"),
        (TEXTS | {"resamples": 0}, "resamples: expected a whole number >= 100, found 0"),
        (TEXTS | {"seeds": []}, "seeds: expected one seed or several different ones, found ()"),
        (TEXTS | {"seeds": [1, 1]}, "seeds: expected one seed or several different ones, found (1, 1)"),
        (TEXTS | {"opinions": {"two words": "x"}}, "opinion: expected letters, digits, '_' and '-', found 'two words'"),
        (TEXTS | {"opinions": {"free": "x"}}, "opinions: expected another name than free"),
        (TEXTS | {"opinions": {"a": None}}, "opinions.a: expected text, found None"),
        (TEXTS | {"shifted": {"test": {}}}, "shifted: expected another name than test"),
        (TEXTS | {"shifted": {"a/b": {}}}, "shifted: expected names that a folder may have, found 'a/b'"),
        (TEXTS | {"shifted": {"a": "b"}}, "shifted.a: expected names and values, found 'b'"),
        (TEXTS | {"shifted": {"..": {}}}, "shifted: expected names that a folder may have, found '..'"),
        (TEXTS | {"passes": 3}, "passes: expected none for the kind text"),
        (TEXTS | {"input": {"size": 3}}, "input: expected none for the kind text"),
        (IMAGES | {"test": 0.2}, "test: expected none for the kind image"),
        (IMAGES | {"read": {}}, "read: expected labelled for the kind image, found none"),
        (IMAGES | {"read": {"labelled": 3}}, "read.labelled: expected text, found 3"),
        (IMAGES | {"read": {"labelled": "digits", "lable": "x"}}, "unknown setting of read: 'lable': did you mean"),
        (IMAGES | {"shifted": {"fog": {"train": "x"}}}, "shifted.fog: expected labelled, the spec of images, found"),
        (IMAGES | {"opinions": {"other": ""}}, "train: expected a net here, and its images in read.train"),
        (TRAINED, "train: expected a net here, and its images in read.train"),
    ],
)
def test_wrong_settings(content: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(SteepslopeError) as error:
        read_study(str(tmp_path / "own.yaml"))
    assert str(error.value).startswith(f"{tmp_path / 'own.yaml'}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_probabilities_take_no_opinions() -> None:
    read = {"first": "a", "second": "b", "won": "c"}
    with pytest.raises(SteepslopeError, match="opinions: expected none for the kind probabilities"):
        Study(name="n", title="T", kind="probabilities", source="S", read=read, opinions={"a": "b"})


def test_a_study_is_not_called_as_the_tables(tmp_path: Path) -> None:
    (tmp_path / "evidence.yaml").write_text(yaml.safe_dump(TEXTS))
    with pytest.raises(SteepslopeError, match="expected another name than that of the tables, evidence"):
        read_study(str(tmp_path / "evidence.yaml"))
