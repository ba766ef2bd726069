"""Presets as data: all presets can be read and say where their data are, and what is wrong in one is said in a line."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from steepslope.errors import SteepslopeError
from steepslope.files._folders import digest_of
from steepslope.nets.classifiers._options import ClassifierTraining
from steepslope.nets.data._specs import parse_data
from steepslope.outputs._arrays import require_opinion_name
from steepslope_lab.benchmark.estimators import ESTIMATORS
from steepslope_lab.benchmark.preset import Preset, evidence_preset_names, read_evidence_preset
from steepslope_lab.benchmark.rows import CHOOSING, READERS

TEXTS = {"title": "T", "kind": "text", "source": "S", "classifier": "words", "read": {"format": "csv", "text": "said"}}
IMAGES = {"title": "T", "kind": "image", "source": "S", "classifier": "timm:x", "read": {"labelled": "digits:test"}}
TRAINED = IMAGES | {"classifier": "", "train": {"net": "digits-net"}}


@pytest.mark.parametrize("name", evidence_preset_names())
def test_presets_are_complete(name: str) -> None:
    preset = read_evidence_preset(name)
    assert preset.name == name
    assert preset.title
    assert re.search(r"github\.com/\S+/\S+", preset.source) or name in ("fashion-mnist", "digits"), preset.source
    assert preset.seeds == (0, 1, 2)
    if preset.kind in ESTIMATORS:
        assert {preset.classifier, *preset.opinions.values()} <= {*ESTIMATORS[preset.kind]}
        assert preset.opinions
    if preset.kind == "image":
        for spec in [*preset.read.values(), *(change["labelled"] for change in preset.shifted.values())]:
            parse_data(spec.replace("FOLDER", "/nowhere"))
        assert {*preset.train} <= {"net", "holdout", *(one.name for one in fields(ClassifierTraining))}
    else:
        assert preset.read["format"] in READERS
        assert all({*change} <= {"files", "names", *CHOOSING} for change in preset.shifted.values())
    for opinion in preset.opinions:
        require_opinion_name(opinion)


def test_changes_and_seeds() -> None:
    preset = read_evidence_preset("wine", {"most_rows": "500", "read.files": "[a.csv]", "opinions": "{}"}, (4,))
    assert (preset.most_rows, preset.seeds, preset.opinions) == (500, (4,), {})
    assert preset.read["files"] == ["a.csv"]
    assert preset.read["label"] == "quality"


def test_what_decides_numbers() -> None:
    """A title, a note or other seeds change no number; all else does."""
    preset = read_evidence_preset("wine")
    same = read_evidence_preset("wine", {"title": "Other", "note": "Another", "source": "Somebody"}, (5,))
    assert digest_of(same.as_json()) == digest_of(preset.as_json())
    for place, value in {"most_rows": "500", "test": "0.5", "classifier": "boosting", "read.label": "acid"}.items():
        assert digest_of(read_evidence_preset("wine", {place: value}).as_json()) != digest_of(preset.as_json())
    free = {"title", "source", "seeds", "note", "rivals"}
    assert {*preset.as_json()} == {one.name for one in fields(Preset)} - free


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**TEXTS, "seeds": [7]}))
    preset = read_evidence_preset(str(tmp_path / "mine.yaml"))
    assert (preset.name, preset.kind, preset.seeds) == ("mine", "text", (7,))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TEXTS | {"titel": "T"}, "unknown field of a preset of evidence: 'titel': did you mean 'title'?"),
        ({"title": "T", "kind": "text", "read": {}}, "a preset of evidence: expected source, found none"),
        (TEXTS | {"read": {"format": "csv"}}, "read: expected text for the kind text, found none"),
        (TEXTS | {"seeds": [1, 1]}, "seeds: expected one seed or several different ones, found (1, 1)"),
        (TEXTS | {"opinions": {"two words": "x"}}, "opinion: expected letters, digits, '_' and '-', found 'two words'"),
        (TEXTS | {"opinions": {"free": "x"}}, "opinions: expected another name than free"),
        (TEXTS | {"shifted": {"test": {}}}, "shifted: expected another name than test"),
        (TEXTS | {"shifted": {"a/b": {}}}, "shifted: expected names that a folder may have, found 'a/b'"),
        (IMAGES | {"read": {}}, "read: expected labelled for the kind image, found none"),
        (IMAGES | {"read": {"labelled": "digits", "lable": "x"}}, "unknown setting of read: 'lable': did you mean"),
        (IMAGES | {"shifted": {"fog": {"train": "x"}}}, "shifted.fog: expected labelled, the spec of images, found"),
        (IMAGES | {"opinions": {"other": ""}}, "train: expected a net here, and its images in read.train"),
        (TRAINED, "train: expected a net here, and its images in read.train"),
    ],
)
def test_wrong_settings(content: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(SteepslopeError) as error:
        read_evidence_preset(str(tmp_path / "own.yaml"))
    assert str(error.value).startswith(f"{tmp_path / 'own.yaml'}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_preset_is_not_called_as_the_tables(tmp_path: Path) -> None:
    (tmp_path / "evidence.yaml").write_text(yaml.safe_dump(TEXTS))
    with pytest.raises(SteepslopeError, match="expected another name than that of the tables, evidence"):
        read_evidence_preset(str(tmp_path / "evidence.yaml"))
