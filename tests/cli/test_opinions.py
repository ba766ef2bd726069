"""Opinions of other classifiers, and of people, through the commands: what counts them, and what is told without."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from steepslope.cli.main import main
from steepslope.gate import Gate
from steepslope.outputs import ClassifierOutputs
from tests.cli.predictions import predicted, refuses

TWELVE = "twelve=module:tests.tiny_nets:twelve_classes"


def files_of(opinions: Path) -> list[str]:
    return ["--opinion", f"people={opinions}/votes.csv", f"vendor={opinions}/vendor.csv"]


def test_extract_keeps_them_beside_the_outputs(opinions: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_what_extract_refuses(opinions: Path, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(home / "outputs" / "test", tmp_path / "out")
    given, size = f"extract --data digits:test --out {tmp_path}/out", "--image-size 12 --mean 0.5 --std 0.5"
    second = f"second=checkpoint:{opinions}/second"
    refuses(given, capsys, "classifier: expected a spec, or --opinion next to outputs that are there")
    refuses(
        f"{given} --opinion {second} --auxiliary", capsys, "auxiliary: expected --classifier with it, and no --opin"
    )
    refuses(f"{given} --opinion {second} --classes any.txt", capsys, "classes: ")
    refuses(f"{given} --opinion {second} --augment 1", capsys, "augment: expected none with another net")
    refuses(f"{given} --opinion {second} --evidence views", capsys, "evidence: of an opinion, expected logits alone")
    refuses(f"{given} --opinion {TWELVE} {size}", capsys, "opinion twelve: classes: expected 10 classes, or the names")
    refuses(f"extract --data digits:test --out {tmp_path}/none --opinion {second}", capsys, "expected complete outputs")
    assert not (tmp_path / "out" / "opinions").exists()


def test_the_same_decisions_on_images_and_on_outputs(opinions: Path, tmp_path: Path) -> None:
    gate = opinions / "nets"
    found = predicted(gate, tmp_path / "images.csv", "--data", "digits:test", "--opinion", TWELVE)
    expected = predicted(gate, tmp_path / "outputs.csv", "--outputs", str(opinions / "outputs" / "test"))
    assert found["id"].to_pylist() == expected["id"].to_pylist()
    np.testing.assert_allclose(found["trust_logit"], expected["trust_logit"], rtol=1e-4, atol=1e-4)
    assert len(set(np.round(found["trust_logit"].to_numpy(), 3))) > 100


def test_files_of_opinions_beside_outputs(opinions: Path, tmp_path: Path) -> None:
    """Each decision is that of Python; a row without an opinion is decided on too."""
    rows = ClassifierOutputs.load(opinions / "outputs" / "test")
    found = predicted(opinions / "all", tmp_path / "out.csv", "--outputs", str(opinions / "outputs" / "test"),
                      *files_of(opinions))  # fmt: skip
    assert rows.ids is not None
    votes = dict(line.split(",") for line in (opinions / "votes.csv").read_text().splitlines()[1:])
    lines = (line.split(",") for line in (opinions / "vendor.csv").read_text().splitlines()[1:])
    vendor = {name: [float(one) for one in numbers] for name, *numbers in lines}
    lacking = [np.nan] * 10
    both = rows.with_opinion("people", [votes.get(name, "") for name in rows.ids]).with_opinion(
        "vendor", np.array([vendor.get(name, lacking) for name in rows.ids])[:, ::-1]
    )
    assert (both.require("vote_people") < 0).mean() == pytest.approx(0.2, abs=0.01)
    expected = Gate.load(opinions / "all").decide(both)
    np.testing.assert_allclose(found["trust_logit"], expected.trust_logit, rtol=1e-5, atol=1e-5)


def test_a_gate_that_counts_votes_judges_no_images(
    opinions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = f"--gate {opinions}/all --data digits:test --out {tmp_path}/any.csv"
    refuses(f"predict {data}", capsys, "opinion people: no net of it is recorded, so images cannot be judged: predict")
    refuses(f"predict {data} --opinion people=timm:resnet18", capsys, "opinion: people is a vote: no net gives it")
    refuses(f"serve --gate {opinions}/all --port 0", capsys, "opinion people: no net of it is recorded")
    refuses(
        f"export --gate {opinions}/all --out {tmp_path}/any.onnx",
        capsys,
        "opinion people: no net",
        "export --part gate",
    )


def test_what_predict_refuses(opinions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = f"predict --gate {opinions}/nets --data digits:test --out {tmp_path}/any.csv"
    outputs = f"predict --gate {opinions}/all --outputs {opinions}/outputs/test --out {tmp_path}/any.csv"
    refuses(images, capsys, "opinion twelve: module:tests.tiny_nets:twelve_classes is code of your own")
    refuses(
        f"{images} --opinion {TWELVE} wasp=timm:resnet18",
        capsys,
        "opinion wasp: expected one of those that the gate counts (second, twelve)",
    )
    refuses(
        f"{images} --opinion twelve=module:tests.tiny_nets:ten_classes",
        capsys,
        "opinion twelve: expected the net that the",
    )
    refuses(f"{images} --opinion {TWELVE} --opinion-classes twelve={opinions}/twelve.txt", capsys, "opinion-classes: ")
    refuses(outputs, capsys, "the outputs hold no vote_people: give outputs that do (--opinion people=FILE; they")
    refuses(f"{outputs} --opinion peple={opinions}/votes.csv", capsys, "; they hold that of second, twelve, peple)")
    refuses(
        f"{outputs} --opinion people={opinions}/none.csv",
        capsys,
        "none.csv: cannot be read (No such file or directory)",
    )
    refuses(
        f"predict --gate {opinions}/nets --outputs {opinions}/outputs/test --out {tmp_path}/any.csv "
        f"--opinion second={opinions}/outputs/test/opinions/twelve --opinion-classes second={opinions}/twelve.txt",
        capsys, "opinion second: expected the net that the gate was calibrated for",
    )  # fmt: skip


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


def test_changed_opinions_are_another_artifact(
    opinions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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


def test_report_certificate_and_card_name_them(
    opinions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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
    assert "Counts the opinion people on each prediction: of no net that is recorded here; you bring it" in cards["all"]
    assert "--outputs OUTPUTS --opinion second=FILE --opinion twelve=FILE --opinion people=FILE" in cards["all"]
    assert 'outputs = outputs.with_opinion("people", ...)' in cards["all"]
    digest = json.loads((opinions / "nets" / "gate.json").read_text())["opinions"]["second"]["digest"]
    assert f"Counts the opinion second on each prediction: of `checkpoint:second`, digest `{digest}`" in cards["nets"]
    assert f"--opinion second=checkpoint:OPINION_SECOND --opinion {TWELVE} --data images:FOLDER" in cards["nets"]
    assert (
        'opinions={"second": "checkpoint:OPINION_SECOND", "twelve": "module:tests.tiny_nets:twelve_classes"}'
        in cards["nets"]
    )
