"""Opinions of other classifiers, and of people, through the commands: what counts them, and what is told without."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from steepslope.cli._main import main
from steepslope.gate import Gate
from steepslope.outputs import ClassifierOutputs
from tests.cli.predictions import predicted, refuses
from tests.conftest import Captured

TWELVE = "twelve=module:tests.tiny_nets:twelve_classes"
SECOND = "--opinion second=checkpoint:OPINIONS/second"


def files_of(opinions: Path) -> list[str]:
    return ["--opinion", f"people={opinions}/votes.csv", f"vendor={opinions}/vendor.csv"]


def test_extract_keeps_them_beside_the_outputs(opinions: Path, home: Path, capsys: Captured) -> None:
    """Run again, it has nothing to do; classes that the other lacks have the classifier's own probability."""
    before, outputs = (ClassifierOutputs.load(one / "outputs" / "test") for one in (home, opinions))
    np.testing.assert_array_equal(outputs.logits, before.logits)
    assert outputs.opinions == ("second", "twelve")
    own, twelve = (np.exp(array - np.logaddexp.reduce(array, axis=1, keepdims=True))
                   for array in (outputs.logits, outputs.require("opinion_twelve")))  # fmt: skip
    np.testing.assert_allclose(twelve[:, 9], own[:, 9], rtol=1e-4)
    adding = f"extract --data digits --out {opinions}/outputs --opinion second=checkpoint:{opinions}/second"
    assert main(adding.split()) == 0
    assert "outputs/test/opinions/second: already complete, an opinion on 797 images" in capsys.readouterr().err


EXTRACT = [
    ("", "classifier: expected a spec, or --opinion next to outputs that are there"),
    (f"{SECOND} --auxiliary", "auxiliary: expected --classifier with it, and no --opin"),
    (f"{SECOND} --classes any.txt", "classes: "),
    (f"{SECOND} --augment 1", "augment: expected none with another net"),
    (f"{SECOND} --evidence views", "evidence: of an opinion, expected logits alone"),
    (
        f"--opinion {TWELVE} --image-size 12 --mean 0.5 --std 0.5",
        "opinion twelve: classes: expected 10 classes, or the",
    ),
    (f"{SECOND} --out OUT/none", "expected complete outputs"),
]


def test_what_extract_refuses(opinions: Path, home: Path, tmp_path: Path, capsys: Captured) -> None:
    shutil.copytree(home / "outputs" / "test", tmp_path / "out")
    for words, message in EXTRACT:
        options = words.replace("OPINIONS", str(opinions)).replace("OUT", str(tmp_path))
        refuses(f"extract --data digits:test --out {tmp_path}/out {options}", capsys, message)
    assert not (tmp_path / "out" / "opinions").exists()


def test_the_same_decisions_on_images_and_on_outputs(opinions: Path, tmp_path: Path) -> None:
    gate = opinions / "nets"
    found = predicted(gate, tmp_path / "images.csv", "--data", "digits:test", "--opinion", TWELVE)
    expected = predicted(gate, tmp_path / "outputs.csv", "--outputs", str(opinions / "outputs" / "test"))
    assert found["id"].to_pylist() == expected["id"].to_pylist()
    np.testing.assert_allclose(found["trust_logit"], expected["trust_logit"], rtol=1e-4, atol=1e-4)
    assert len(set(np.round(found["trust_logit"].to_numpy(), 3))) > 100


IMAGES = "predict --gate HOME/nets --data digits:test --out OUT/any.csv"
OUTPUTS = "predict --gate HOME/all --outputs HOME/outputs/test --out OUT/any.csv"
VOTES = "predict --gate HOME/all --data digits:test --out OUT/any.csv"
REFUSED = [
    (VOTES, "opinion people: no net of it is recorded, so images cannot be judged: predict"),
    (f"{VOTES} --opinion people=timm:resnet18", "opinion: people is a vote: no net gives it"),
    ("serve --gate HOME/all --port 0", "opinion people: no net of it is recorded"),
    ("export --gate HOME/all --out OUT/any.onnx", "export --part gate"),
    (IMAGES, "opinion twelve: module:tests.tiny_nets:twelve_classes is code of your own"),
    (f"{IMAGES} --opinion {TWELVE} wasp=timm:resnet18", "opinion wasp: expected one of those that the gate counts"),
    (f"{IMAGES} --opinion twelve=module:tests.tiny_nets:ten_classes", "opinion twelve: expected the net that the"),
    (f"{IMAGES} --opinion {TWELVE} --opinion-classes twelve=HOME/twelve.txt", "opinion-classes: "),
    (OUTPUTS, "the outputs hold no vote_people: give outputs that do (--opinion people=FILE; they"),
    (f"{OUTPUTS} --opinion peple=HOME/votes.csv", "; they hold that of second, twelve, peple)"),
    (f"{OUTPUTS} --opinion people=HOME/none.csv", "none.csv: cannot be read (No such file or directory)"),
    (
        f"{OUTPUTS.replace('all', 'nets')} --opinion second=HOME/outputs/test/opinions/twelve "
        "--opinion-classes second=HOME/twelve.txt",
        "opinion second: expected the net that the gate was calibrated for",
    ),
]


@pytest.mark.parametrize(("words", "message"), REFUSED)
def test_what_cannot_be_judged(words: str, message: str, opinions: Path, tmp_path: Path, capsys: Captured) -> None:
    refuses(words.replace("HOME", str(opinions)).replace("OUT", str(tmp_path)), capsys, message)


def test_the_net_of_a_folder_of_other_outputs_is_known(opinions: Path, home: Path, tmp_path: Path) -> None:
    """The other classifier was extracted on its own, and its outputs are given as a file would be."""
    shutil.copytree(opinions / "outputs" / "test" / "opinions" / "second", tmp_path / "second")
    gate, given = tmp_path / "gate", f"--opinion second={tmp_path}/second"
    fit = f"fit --oracle paper --outputs {opinions}/outputs/holdout --epochs 1 --out {tmp_path}/oracle"
    fit += " --inputs logits,opinion_second"
    calibrate = (
        f"calibrate --outputs {home}/outputs/test --oracle {tmp_path}/oracle --max-risk 0.2 --out {gate} {given}"
    )
    for words in (fit, calibrate):
        assert main(words.split()) == 0
    record = Gate.load(gate).origin.opinions["second"]
    assert record == Gate.load(opinions / "nets").origin.opinions["second"]
    found = predicted(gate, tmp_path / "images.csv", "--data", "digits:test")
    expected = predicted(gate, tmp_path / "out.csv", "--outputs", str(home / "outputs" / "test"), *given.split())
    np.testing.assert_allclose(found["trust_logit"], expected["trust_logit"], rtol=1e-4, atol=1e-4)


def test_a_gate_does_not_mind_opinions_that_it_does_not_count(opinions: Path, tmp_path: Path) -> None:
    outputs, other = f"--outputs {opinions}/outputs/test", f"{opinions}/outputs/test/opinions/twelve"
    assert main(f"calibrate --oracle mcp {outputs} --max-risk 0.2 --out {tmp_path}/mcp".split()) == 0
    assert Gate.load(tmp_path / "mcp").origin.opinions == {}
    given = f"{outputs} --opinion second={other} --opinion-classes second={opinions}/twelve.txt"
    predicted(tmp_path / "mcp", tmp_path / "out.csv", *given.split())


def test_changed_opinions_are_another_artifact(opinions: Path, tmp_path: Path, capsys: Captured) -> None:
    votes = tmp_path / "votes.csv"
    shutil.copy(opinions / "votes.csv", votes)
    fit = f"fit --oracle paper --outputs {opinions}/outputs/holdout --epochs 1 --out {tmp_path}/oracle"
    fit += " --inputs logits,vote_people"
    words = [*fit.split(), "--opinion", f"people={votes}"]
    assert main(words) == 0
    assert main(words) == 0
    assert "already complete" in capsys.readouterr().err
    votes.write_text(votes.read_text().replace(",3\n", ",4\n"))
    refuses(words, capsys, "holds a fitted oracle already, with other content of", "votes.csv")


def test_report_certificate_and_card_name_them(opinions: Path, tmp_path: Path, capsys: Captured) -> None:
    report = (
        f"evaluate --outputs {opinions}/outputs/test --scores {opinions}/all-oracle --bootstrap 5 --out {tmp_path}/r"
    )
    assert main([*report.split(), *files_of(opinions)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "all-oracle counts the opinions of others: second (on 100 % of the rows), twelve (on 100 % of the" in told
    assert "people (on 80 % of the rows), vendor (on 80 % of the rows)." in told
    certificate = (opinions / "all" / "certificate.md").read_text()
    assert "It counts the opinions of others on each prediction: second, twelve, people, vendor." in certificate
    cards = {}
    for name in ("all", "nets"):
        assert main(["push", "--gate", str(opinions / name), "--out", str(tmp_path / name)]) == 0
        cards[name] = (tmp_path / name / "README.md").read_text()
    assert "- For each prediction: logits, opinion_second, opinion_twelve, vote_people, opinion_vendor" in cards["all"]
    digest = json.loads((opinions / "nets" / "gate.json").read_text())["opinions"]["second"]["digest"]
    assert f"- Opinion second: `checkpoint:second`, digest `{digest}`" in cards["nets"]
