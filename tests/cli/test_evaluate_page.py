"""What `evaluate` puts into its page: images or why there are none, gates, groups, searches; and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vl_convert
from PIL import Image

from steepslope.cli.main import main
from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.nets.data.specs import parse_data
from steepslope.nets.training.images import ImageFinder
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.report import evaluation
from steepslope.report.page import page
from steepslope.report.sources import report_sources, searches
from steepslope.report.web.gallery import Sources
from steepslope.scores import SCORES
from tests.cli.predictions import refuses
from tests.conftest import make_outputs
from tests.images import folder_of
from tests.report.samples import with_scores


def page_data(folder: Path) -> dict[str, Any]:
    """Return what the page's scripts read."""
    text = (folder / "report.html").read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def evaluated(tmp_path: Path, options: str, outputs: str = "outputs") -> dict[str, Any]:
    words = f"evaluate --outputs {tmp_path / outputs} --bootstrap 0 --replace --out {tmp_path / 'out'} {options}"
    assert main(words.split()) == 0
    return page_data(tmp_path / "out")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write outputs and a folder of the images that they are of."""
    outputs = make_outputs(120)
    names = np.array([f"c{label}/{row:03d}.png" for row, label in enumerate(outputs.require_labels())])
    for name in names:
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 9).save(tmp_path / "images" / name)
    named = ClassifierOutputs(outputs.logits, outputs.labels, outputs.features, names)
    named.save(tmp_path / "outputs")
    return tmp_path


def test_images_are_embedded_unless_they_are_not_wanted(folder: Path) -> None:
    data = evaluated(folder, f"--data imagefolder:{folder / 'images'}")
    assert all(card["image"].startswith("data:image/png;base64,") for card in data["cards"])
    data = evaluated(folder, f"--data imagefolder:{folder / 'images'} --images false")
    assert not any("image" in card for card in data["cards"])
    assert "Without images: they were not wanted." in (folder / "out" / "report.html").read_text()


def test_a_page_tells_why_it_has_no_images(folder: Path) -> None:
    evaluated(folder, "")
    assert "does not say where its images are: give --data" in (folder / "out" / "report.html").read_text()
    named(folder, "imagefolder:/no/such/folder")
    evaluated(folder, "")
    text = (folder / "out" / "report.html").read_text()
    assert "Without images: data spec &#39;imagefolder:such/folder&#39;: no such folder." in text
    assert "/no/such/folder" not in text


def test_a_page_names_no_folder_of_whoever_made_it(folder: Path) -> None:
    evaluated(folder, "")
    text = (folder / "out" / "report.html").read_text()
    assert f"Without images: {folder.name}/outputs: does not say where its images are" in text
    assert str(folder.parent) not in text


def named(folder: Path, data: str) -> None:
    """Write into the outputs' manifest where their images are."""
    manifest = folder / "outputs" / "manifest.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "extraction": {"data": data}}))


def lacking(data: dict[str, Any]) -> set[str]:
    return {card["id"] for card in data["cards"] if card.get("no_image") == "image not found"}


def test_images_that_went_since_are_missing_on_their_cards_alone(folder: Path) -> None:
    named(folder, f"imagefolder:{folder / 'images'}")
    ids = ClassifierOutputs.load(folder / "outputs").require("ids").tolist()
    shown = [card["id"] for card in evaluated(folder, "")["cards"]]
    gone = [ids[0], *(name for name in shown if name != ids[0])][:7]
    for name in gone:
        (folder / "images" / name).unlink()
    data = evaluated(folder, "")
    assert lacking(data) == set(gone) & set(shown)
    assert all("image" in card or card["id"] in gone for card in data["cards"])
    note = f"{len(lacking(data))} of {len(shown)} images were not found by their ids."
    assert note in (folder / "out" / "report.html").read_text()


def test_of_data_that_are_named_the_first_image_has_to_be_there_before_anything_is_computed(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = ClassifierOutputs.load(folder / "outputs").require("ids").tolist()
    options = f"--data imagefolder:{folder / 'images'}"
    (folder / "images" / ids[-1]).unlink()
    assert lacking(evaluated(folder, options)) <= {ids[-1]}
    (folder / "images" / ids[0]).unlink()
    monkeypatch.setattr(evaluation, "evaluate_predictions", lambda *_, **__: pytest.fail("too late"))
    words = f"evaluate --outputs {folder}/outputs --out {folder}/new {options}"
    refuses(words, capsys, f"found none with the id {ids[0]!r}")


class Doubled:
    """A finder's data set in which one image's id is there twice."""

    ids = ("a", "b", "a", "a", "c")


def test_an_id_that_is_there_twice_has_no_image() -> None:
    finder = ImageFinder(parse_data("digits:test"))
    finder.open = lambda split: Doubled()  # type: ignore[assignment]
    found = finder.places(["c", "a", "b", "d"])
    assert [None if one is None else one[1] for one in found] == [4, None, 1, None]


def test_images_are_found_in_the_split_with_the_most_of_them() -> None:
    digits = {split: parse_data(f"digits:{split}").open() for split in ("train", "test")}
    finder = ImageFinder(parse_data("digits"))
    wanted = [str(digits["train"].ids[5]), *map(str, digits["test"].ids[2:4])]
    found = finder.places(wanted)
    assert found[0] is None
    assert [one[1] for one in found if one is not None] == [2, 3]
    with pytest.raises(SteepslopeError, match="none with the id"):
        finder(wanted)


def test_a_split_is_named_where_files_of_two_have_the_same_names(tmp_path: Path) -> None:
    for split, n in (("train", 3), ("test", 2)):
        folder_of(tmp_path / split, n)
    spec, ids = f"imagefolder:{tmp_path}", ["ant/0001.png", "cow/0000.png"]
    with pytest.raises(SteepslopeError, match=f"found several: name it, as in {spec}:test"):
        ImageFinder(parse_data(spec))(ids)
    data, rows = ImageFinder(parse_data(f"{spec}:test"))(ids)
    assert (len(data), rows.tolist()) == (6, [1, 4])
    data, rows = ImageFinder(parse_data(spec))([*ids, "bee/0002.png"])  # one of them has all
    assert (len(data), rows.tolist()) == (9, [1, 6, 5])


def sources_in(folder: Path) -> Sources:
    outputs = ClassifierOutputs.load(folder / "outputs")
    return report_sources(outputs, folder / "outputs", lambda rows: outputs.require("ids")[rows].tolist())


class WordlessError(Exception):
    """What a library raises without a word."""


def test_exceptions_without_text_are_told_by_their_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named(folder, f"imagefolder:{folder / 'images'}")

    def fail(*_: object) -> None:
        raise WordlessError

    monkeypatch.setattr(ImageFinder, "places", fail)
    found = sources_in(folder)
    assert (found.images, found.no_images) == (None, "WordlessError")


def test_images_that_cannot_be_looked_up_any_more_do_not_end_the_report(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named(folder, f"imagefolder:{folder / 'images'}")
    found = sources_in(folder)
    monkeypatch.setattr(ImageFinder, "places", lambda *_: 1 // 0)
    assert found.images is not None
    assert found.images(["a", "b"]) == [None, None]


def test_data_that_are_named_must_have_the_images(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluated(folder, "")
    before = (folder / "out" / "report.html").read_bytes()
    of_first = ClassifierOutputs.load(folder / "outputs").require("ids")[0].split("/")[0]
    (folder / "images" / of_first).rename(folder / "images" / "c9")
    words = f"evaluate --outputs {folder}/outputs --data imagefolder:{folder}/images --replace --out {folder}/out"
    refuses(words, capsys, "found none with the id")
    assert (folder / "out" / "report.html").read_bytes() == before


def test_gates_are_marked_at_the_score_that_they_rank_by(tmp_path: Path) -> None:
    outputs, held_out = make_outputs(300), make_outputs(900, seed=1)
    outputs.save(tmp_path / "outputs")
    oracle = Oracle(inputs=("logits",), head="hyperplane", epochs=40).fit(make_outputs(600, seed=2))
    for name, model in (("of mcp", SCORES["mcp"]()), ("of-oracle", oracle)):
        Gate.of(model, held_out, (0.2, 0.27)).save(tmp_path / name.replace(" ", "-"))
    data = evaluated(tmp_path, f"--gates {tmp_path}/of-mcp,{tmp_path}/of-oracle")
    assert [one["name"] for one in data["scores"]] == ["mcp", "of-oracle"]
    for score, confidence in zip(data["scores"], (SCORES["mcp"]().confidence(outputs), None), strict=True):
        gate = Gate.load(tmp_path / ("of-mcp" if confidence is not None else "of-oracle"))
        assert gate.source is not None
        accepted = [gate.at(risk).accepts(gate.source.confidence(outputs)).mean() for risk in (0.2, 0.27)]
        assert [one["coverage"] for one in score["certified"]] == pytest.approx(accepted)
        assert [one["label"] for one in score["certified"]] == [
            f"certified: risk ≤ {risk} % (δ 2.5 %)" for risk in (20, 27)
        ]
        start = score["points"]["threshold"][score["start"]]
        assert score["points"]["p"][score["start"]] == pytest.approx(gate.p_correct(np.array([start]))[0], abs=1e-4)


def test_gates_that_do_not_fit_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs, held_out = make_outputs(300), make_outputs(600, seed=1)
    outputs.save(tmp_path / "outputs")
    oracle = Oracle(inputs=("logits",), head="hyperplane", epochs=2).fit(outputs)
    Gate.of(oracle, held_out, 0.3).save(tmp_path / "same-rows")
    Gate.of(SCORES["mcp"](), make_outputs(600, num_classes=3, seed=1), 0.3).save(tmp_path / "three")
    rng = np.random.default_rng(0)
    Gate.calibrate(rng.random(400), rng.random(400) < 0.9, max_risk=0.3).save(tmp_path / "alone")
    messages = {
        "same-rows": "300 of these 300 rows are those it was fitted on",
        "three": "expected 3 classes, as the gate was calibrated for, found 4",
        "alone": "found one of confidences alone",
        "nothing": "nothing",
    }
    for name, message in messages.items():
        refuses(
            f"evaluate --outputs {tmp_path}/outputs --gates {tmp_path}/{name} --out {tmp_path}/out", capsys, message
        )
    assert not (tmp_path / "out" / "report.html").exists()


def test_groups_of_a_column_stand_beside_the_classes(tmp_path: Path) -> None:
    outputs = make_outputs(90)
    lines = ["id,label,logit_0,logit_1,logit_2,logit_3,site"]
    for row, (logits, label) in enumerate(zip(outputs.logits, outputs.require_labels(), strict=True)):
        lines.append(f"r{row},{label},{','.join(map(str, logits))},{'north' if row % 3 else 'south'}")
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    evaluated(tmp_path, "--groups site", "mine.csv")
    text = (tmp_path / "out" / "report.html").read_text()
    assert "<h3>By site</h3>" in text
    assert "<h3>By label</h3>" in text
    table = (tmp_path / "out" / "table.md").read_text()
    by_label = table[table.index("## By label") :]
    mcp = SCORES["mcp"]().confidence(outputs)
    for label in range(4):
        rows = outputs.require_labels() == label
        trusted = rows & (mcp > 0)
        risk = "–" if not trusted.any() else f"{100 * (~outputs.is_correct[trusted]).mean():.1f}"
        accuracy = 100 * outputs.is_correct[rows].mean()
        coverage = 100 * trusted.sum() / rows.sum()
        assert f"| {label} | {rows.sum()} | {accuracy:.1f} | {risk} at {coverage:.1f} %" in by_label


def test_a_search_for_slopes_is_shown_with_the_oracle_that_it_found(tmp_path: Path) -> None:
    make_outputs(400).save(tmp_path / "held-out")
    make_outputs(200, seed=1).save(tmp_path / "outputs")
    words = f"search --outputs {tmp_path}/held-out --inputs logits --negatives 1,3 --positives 1,2 --epochs 2"
    assert main([*words.split(), "--out", f"{tmp_path}/slopes"]) == 0
    data = evaluated(tmp_path, f"--scores {tmp_path}/slopes/oracle")
    trials = json.loads((tmp_path / "slopes" / "search.json").read_text())
    for chart, step, field in (
        ("sweep-0", "alpha_neg_trials", "alpha_neg"),
        ("sweep-1", "alpha_pos_trials", "alpha_pos"),
    ):
        shown = data["charts"][chart]["layer"][0]["data"]["values"]
        assert [(one[field], one["TNR"]) for one in shown] == [(one[field], one["tnr"]) for one in trials[step]]


@pytest.fixture(scope="module")
def slopes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two searches of one name; tests that change one copy it before."""
    home = tmp_path_factory.mktemp("slopes")
    make_outputs(200).save(home / "held-out")
    for name in "ab":
        words = f"search --outputs {home}/held-out --inputs logits --negatives 1,3 --positives 1 --epochs 1"
        assert main([*words.split(), "--out", f"{home}/{name}/slopes"]) == 0
    return home


def test_searches_of_one_name_are_told_apart(slopes: Path) -> None:
    found = searches([slopes / name / "slopes" / "oracle" for name in "aba"])
    assert [*found] == ["a/slopes", "b/slopes"]
    assert [*searches([slopes / "a" / "slopes" / "oracle"])] == ["slopes"]


def test_a_damaged_or_foreign_search_is_left_out(slopes: Path, tmp_path: Path) -> None:
    for name, source in (("good", "a"), ("bad", "b")):
        shutil.copytree(slopes / source / "slopes", tmp_path / name)
    card = tmp_path / "bad" / "search.json"
    large = json.loads(card.read_text())
    large["alpha_neg_trials"][0]["value"] = 10**400
    for content in (
        "{", "[]", "{}", '{"criterion": "auc", "alpha_neg_trials": [], "alpha_pos_trials": []}',
        '{"criterion": "auc", "alpha_neg_trials": [1], "alpha_pos_trials": []}',
        '{"criterion": "none", "alpha_neg_trials": [], "alpha_pos_trials": []}', json.dumps(large), "\xff",
    ):  # fmt: skip
        card.write_text(content, encoding="latin-1")
        assert [*searches([tmp_path / name / "oracle" for name in ("bad", "good")])] == ["good"], content


def test_all_charts_are_valid(folder: Path) -> None:
    data = evaluated(folder, "--scores margin,entropy")
    rows = {"score": "mcp", "coverage": 0.5, "risk": 0.1, "tpr": 0.5, "fpr": 0.1, "recall": 0.1, "precision": 0.2}
    filled = {"curves": [rows], "now": [{**rows, "threshold": 1.0}], "bands": [{"coverage": 1, "low": 0, "high": 1}]}
    for spec in data["charts"].values():
        spec["datasets"] = {name: filled.get(name, []) for name in spec["usermeta"]["uses"]}
        compiled = vl_convert.vegalite_to_vega(spec)
        assert compiled["marks"]


@pytest.mark.slow
def test_ten_thousand_rows_of_large_images_and_many_scores_stay_below_five_megabytes() -> None:
    rng = np.random.default_rng(0)
    outputs = make_outputs(10_000, num_classes=100)
    from steepslope.report.confidences import Scored
    from steepslope.report.web.gallery import Sources
    from tests.report.web.test_gallery import One

    scores = [Scored(f"score {i}", None, rng.normal(size=10_000) + outputs.is_correct, "logit") for i in range(12)]
    noise = Image.fromarray(rng.integers(256, size=(400, 400, 3), dtype=np.uint8))
    evaluation = with_scores(outputs, *scores, bootstrap=0)

    def find(ids: Any) -> Any:
        return [(One(noise), 0) for _ in ids]

    html = page(evaluation, Sources(find, "", make_outputs(500, num_classes=100, seed=1), find))
    assert 2e6 < len(html.encode()) < 5e6  # the pictures take 2 MiB at most
