"""The examples in the documentation run as they stand."""

from __future__ import annotations

import json
import re
import shlex
import warnings
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from pydoc import locate
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from steepslope.cli._main import main
from steepslope.errors import ChangedWarning, FewErrorsWarning
from steepslope.metrics import auroc
from steepslope.nets.data._specs import parse_data
from steepslope.outputs import ClassifierOutputs
from tests.conftest import make_outputs

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
WITH_LINKS = [
    path.relative_to(ROOT).as_posix() for name in ("*", "docs/**/*", "results/**/*") for path in ROOT.glob(f"{name}.md")
]


@pytest.mark.slow
def test_the_tabular_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They run one after the other; the oracle that has seen changed rows is the better one where pixels are noisy."""
    first, second, slopes = re.findall(
        r"```python\n(.*?)```", (DOCS / "oracles.md").read_text(encoding="utf-8"), re.DOTALL
    )
    monkeypatch.chdir(tmp_path)
    for seed, part in enumerate(("holdout", "valid")):
        make_outputs(200, seed=seed).save(tmp_path / "runs" / "mine" / part)
    exec(compile(slopes, "oracles.md", "exec"), {})
    shown = [float(word) for word in capsys.readouterr().out.split()]
    assert [shown[0] in (0.5, 1, 2, 3), shown[1] in (1, 2, 3, 5, 8)] == [True, True]
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewErrorsWarning)
        exec(compile(first, "oracles.md", "exec"), names)
        exec(compile(second, "oracles.md", "exec"), names)
    plain, prepared = names["oracle"].fitted_, names["prepared"].fitted_
    assert (plain.copies, prepared.copies) == tuple(
        dict.fromkeys(("fit set", "reference"), origin) for origin in ("features", "extracted")
    )
    rows, model = names["parts"][2], names["model"]
    areas = []
    for seed in range(8):
        noisy = names["X"][rows] + np.random.default_rng(seed).normal(0, 3, names["X"][rows].shape)
        outputs = ClassifierOutputs(model.decision_function(noisy), names["y"][rows], noisy)
        areas.append([auroc(names[name].trust_logit(outputs), outputs.is_correct) for name in ("oracle", "prepared")])
    plain_area, prepared_area = np.mean(areas, axis=0)
    assert 0.9 < plain_area < prepared_area - 0.003
    trusted, unseen = names["trusted"], names["unseen"]
    assert isinstance(trusted, np.ndarray)
    assert isinstance(unseen, ClassifierOutputs)
    assert trusted.mean() > 0.5
    assert 1 - unseen.is_correct[trusted].mean() < 0.5 * (1 - unseen.is_correct.mean())


@pytest.mark.slow
def test_five_lines_lead_from_a_forest_to_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The forest gives zeros, and the oracle knows more of its errors than its own probability does."""
    text = (DOCS / "your-data.md").read_text(encoding="utf-8")
    programs = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    theirs, ours = (
        program
        for program in programs
        if "from_answers" not in program and "from_graded" not in program and "rows.npz" not in program
    )
    assert sum(bool(line.strip()) for line in ours.splitlines()) == 5
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(theirs, "your-data.md", "exec"), names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewErrorsWarning)
        exec(compile(ours, "your-data.md", "exec"), names)
    test = names["test"]
    assert (names["forest"].predict_proba(names["X2"]) == 0).any()
    assert test.classes == tuple(names["forest"].classes_)
    assert (test.is_correct == (names["forest"].predict(names["X2"]) == names["y2"])).all()
    table = (tmp_path / "runs" / "forest" / "report" / "table.md").read_text(encoding="utf-8")
    assert "margin" in table
    mcp, _, oracle = json.loads((tmp_path / "runs" / "forest" / "report" / "metrics.json").read_text())
    assert oracle["auc"]["value"] > mcp["auc"]["value"]


@pytest.mark.filterwarnings("ignore::steepslope.errors.FewErrorsWarning")
def test_three_commands_lead_from_files_to_decisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng, classes = np.random.default_rng(0), ["ant", "bee", "cow"]
    for part in ("learn", "calibrate", "new"):
        labels = rng.integers(3, size=600)
        for file in (part, f"{part}-other"):
            shares = np.exp(rng.normal(size=(600, 3)) + 2 * np.eye(3)[labels])
            shares /= shares.sum(axis=1, keepdims=True)
            columns = {"id": [f"{part} {row}" for row in range(600)], **dict(zip(classes, shares.T, strict=True))}
            named = {} if file == "new" else {"label": np.array(classes)[labels]}
            pd.DataFrame({**columns, **named}).to_csv(f"{file}.csv", index=False)
    section = (DOCS / "your-data.md").read_text(encoding="utf-8").split("### From files to decisions")[1]
    (commands,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    for command in commands.replace("\\\n", "").strip().splitlines():
        assert main(shlex.split(command)[1:]) == 0
    decisions = pd.read_csv("decisions.csv")
    assert len(decisions) == 600
    assert 0 < decisions["accepted"].mean() < 1


@pytest.mark.slow
def test_a_scikit_learn_classifier_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (DOCS / "scikit-learn.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    first, on_change, of_table, of_texts, by_group, with_opinion, saving, audit = re.findall(
        r"```python\n(.*?)```", text, re.DOTALL
    )
    exec(compile(first, "scikit-learn.md", "exec"), names)
    wrong, accepted = names["labels"] != names["y_new"], names["accepted"]
    assert accepted.mean() > 0.5
    assert wrong[accepted].mean() < 0.05 < wrong.mean()
    exec(compile(on_change, "scikit-learn.md", "exec"), names)
    with pytest.warns(ChangedWarning):
        assert not names["model"].decide(names["X_now"]).accepted.any()
    assert names["moved"].gate_.promises[0].is_given
    assert names["accepted"].any()
    exec(compile(of_table, "scikit-learn.md", "exec"), names)
    assert names["model"].saw_ == re.findall(r"print\(model.saw_\)  # (.*)", of_table)[0]
    assert names["model"].decide(names["orders"]).accepted.mean() > 0.5
    exec(compile(of_texts, "scikit-learn.md", "exec"), names)
    assert names["model"].max_risk_ in (0.01, 0.05, 0.1)
    assert not names["model"].gate_.advice
    exec(compile(by_group, "scikit-learn.md", "exec"), names)
    assert [*names["model"].gate_.thresholds] == ["A", "B", "C"]
    assert not names["model"].gate_.advice
    exec(compile(with_opinion, "scikit-learn.md", "exec"), names)
    assert "opinion" in names["model"].summary_
    assert set(names["model"].opinions_) == {"spelling"}
    names["tmp_path"] = tmp_path
    exec(compile(saving.replace("mkdtemp()", "str(tmp_path)"), "scikit-learn.md", "exec"), names)
    assert (tmp_path / "report" / "report.html").exists()
    exec(compile(audit, "scikit-learn.md", "exec"), names)
    (command,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(command)[1:]) == 0
    assert re.search(rf"accepted under audit, by {len(names['labels'])} labels", capsys.readouterr().out)


def test_the_first_example_prints_what_stands_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 100
    exec(compile(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0], "README.md", "exec"), {})
    assert capsys.readouterr().out == re.findall(r"```\n\n```\n(.*?)```", text, re.DOTALL)[0]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::steepslope.errors.FewErrorsWarning")
def test_a_net_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train what the page says was trained elsewhere; its module, commands and loop run as they stand there."""
    text = (DOCS / "command-line.md").read_text(encoding="utf-8")
    module, loop = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    digits = [parse_data("digits").load_into_memory(split) for split in ("train", "test")]
    pixels, labels = (np.concatenate([getattr(images, name) for images in digits]) for name in ("pixels", "labels"))
    order = np.random.default_rng(0).permutation(len(labels))
    for name, rows in zip(("train", "held-out", "test", "incoming"), np.split(order, [200, 1400, 1600]), strict=True):
        for row in rows:
            folder = Path("photos") / name / ("" if name == "incoming" else str(labels[row]))
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[row]).save(folder / f"{row}.png")
    Path("net.py").write_text(module)
    torch.save(_trained(module, pixels[order[:200]], labels[order[:200]]), "net.pt")
    commands = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines()
    assert [line for line in commands if " serve " not in line and main(line.split()[1:])] == []
    decisions = pd.read_csv("runs/decisions.csv")
    right = decisions["label"] == labels[[int(Path(name).stem) for name in decisions["id"]]]
    assert 0.5 < decisions["accepted"].mean() <= 1
    assert 0.6 < right.mean() <= right[decisions["accepted"]].mean()
    rows = json.loads(Path("runs/report/metrics.json").read_text())
    assert [row["score"] for row in rows] == ["mcp", "oracle"]
    names: dict[str, Any] = {}
    exec(compile(loop, "command-line.md", "exec"), names)
    kept = ClassifierOutputs.load("runs/held-out")
    assert names["outputs"].classes == kept.classes
    for by_hand, by_command in ((names["outputs"].logits, kept.logits), (names["outputs"].features, kept.features)):
        np.testing.assert_allclose(np.asarray(by_hand), np.asarray(by_command), atol=1e-4)


def _trained(code: str, pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> dict[str, torch.Tensor]:
    """Train the net of the page's module for a few steps, and return its weights."""
    names: dict[str, Any] = {}
    exec(compile(code.replace("    net.load_state_dict", "    # "), "net.py", "exec"), names)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = names["build"]()
    inputs = (torch.from_numpy(pixels)[:, None] / 255 - 0.3) / 0.37
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(inputs), torch.from_numpy(labels))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return dict(net.state_dict())


def test_a_csv_owners_one_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a table of the shape that the page describes, with probabilities that are 0 and cells that are empty."""
    monkeypatch.chdir(tmp_path)
    lines = ["score_cat,site,score_dog,target", *["0.75,a,0.25,cat", "0,,1,dog", "1,b,0,cat", "0.5,a,0.5,dog"] * 10]
    Path("predictions.csv").write_text("\n".join(lines), encoding="utf-8")
    section = (DOCS / "your-data.md").read_text(encoding="utf-8").split("## A CSV or Parquet file")[1]
    (join,) = (program for program in re.findall(r"```python\n(.*?)```", section, re.DOTALL) if "rows.npz" in program)
    command = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)[0]
    assert main(shlex.split(command.replace("\\\n", " "))[1:]) == 0
    names = {"np": np, "pd": pd, "mine": pd.DataFrame({"id": ["0", "1"], "ours": [5, 6]})}
    exec(join, names)
    first = names["table"].iloc[0]
    assert (first["id"], first["label"], first["ours"]) == ("0", "cat", 5)
    assert first["mcp"] == pytest.approx(np.log(3))
    details = json.loads(Path("runs/report/details.json").read_text(encoding="utf-8"))[0]
    assert {one["group"]: one["n"] for one in details["groups"]} == {"a": 20, "(empty)": 10, "b": 10}


def test_the_map_of_the_code_is_the_tree() -> None:
    """It is made from the layers, in which no one imports what stands below it, and from docstrings."""
    spec = spec_from_file_location("map_of_code", ROOT / ".ci" / "map_of_code.py")
    assert spec
    assert spec.loader
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    page = (DOCS / "map.md").read_text(encoding="utf-8")
    assert made.page_of_map() == page
    shown = len(re.findall(r"^\| [\w/]+ \| \S", page, re.MULTILINE)) - page.count("| file | what it holds |")
    files = [path for home in ("src", "lab/src") for path in (ROOT / home).rglob("*.py") if path.name != "__init__.py"]
    assert shown == len(files)


def test_nobody_imports_the_files_of_another_package() -> None:
    """What a package lends to the others, they take from the package, so that its files can change."""
    imported = re.compile(r"^\s*from (steepslope\.[\w.]*\b_[a-z]\w*) import", re.MULTILINE)
    for path in [path for folder in ("src", "lab/src") for path in (ROOT / folder).rglob("*.py")]:
        for module in imported.findall(path.read_text(encoding="utf-8")):
            package = ROOT / "src" / Path(*module.split(".")[:-1])
            assert package in path.parents, (path, module)


def test_every_package_names_its_files() -> None:
    packages = [
        path for home in ("src/steepslope", "lab/src/steepslope_lab") for path in (ROOT / home).rglob("*/__init__.py")
    ]
    for package in packages:
        text = package.read_text(encoding="utf-8")
        stems = [path.stem.lstrip("_") for path in package.parent.glob("*[a-z].py")]
        assert [stem for stem in stems if not re.search(rf"(?<![a-z])_?{stem}\b", text)] == [], package


def test_every_claim_of_the_paper_has_a_verdict_and_every_table_a_command() -> None:
    from steepslope_lab.paper.preset import paper_preset_names

    text = (DOCS / "reproduction.md").read_text(encoding="utf-8")
    claims = [re.split(r" ?\| ?", line)[1:-1] for line in text.splitlines() if re.match(r"\| \d+ \|", line)]
    assert [int(claim[0]) for claim in claims] == list(range(1, 38))
    assert [claim for claim in claims if len(claim) != 5 or not all(claim)] == []
    verdict = re.compile(r"\*\*(confirmed|partly|not|cannot be told)\*\*", re.IGNORECASE)
    assert [claim[0] for claim in claims if not verdict.match(claim[4])] == []
    shown = ["table1", "table2", "table3", "table-a1", *(f"figure{number}" for number in (2, 3, 4))]
    shown += [f"appendix-{part}" for part in ("d", "d-shifts", *"efgh")] + ["on-features"]
    commands = re.findall(r"`steepslope reproduce ([a-z]\S+) --preset (\S+)`", text)
    assert list(dict.fromkeys(name for name, _ in commands)) == shown
    assert {preset for _, preset in commands} == {*paper_preset_names()}
    rows = [line for line in text.splitlines() if "`steepslope reproduce" in line and line.startswith("|")]
    assert len(rows) == len(commands)
    assert {line.count("|") for line in rows} == {5}  # table, command, expected numbers, hours
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 120


def anchors_of(page: Path) -> set[str]:
    """Return what follows # in links to the headings of a page, as GitHub makes it of their words."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = [re.sub(r"\[(.*?)\]\(.*?\)", r"\1", words) for words in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]
    return {re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-") for words in headings}


@pytest.mark.parametrize("page", WITH_LINKS)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for link in {link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith("http")}:
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target), link


@pytest.mark.parametrize("page", WITH_LINKS)
def test_tables_are_whole(page: str) -> None:
    """Each has a heading, and as many cells in every row: an empty line would cut it in two."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for table in re.findall(r"(?:^\|.*$\n?)+", text, re.MULTILINE):
        heading, rule, *rows = (line.replace(r"\|", "") for line in table.splitlines())
        assert re.fullmatch(r"[|:\- ]+", rule), heading
        assert {line.count("|") for line in rows} <= {heading.count("|")}, heading


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", *(f"docs/{path.name}" for path in DOCS.glob("*.md"))])
def test_folders_of_results_and_targets_of_make_are_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    folders = set(re.findall(r"`(results/[\w-]+)", text))
    assert [folder for folder in folders if not (ROOT / folder).exists()] == []
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {*re.findall(r"`make ([a-z-]+)", text)} <= targets


def test_numbers_that_the_paper_is_expected_to_give_are_its_own() -> None:
    from steepslope_lab.paper.tables import published_numbers

    text = (DOCS / "reproduction.md").read_text(encoding="utf-8")
    expected = dict(re.findall(r"`steepslope reproduce (table\d --preset \S+)` \| (.+?) \|", text))
    for table in ("table1", "table3"):
        areas = [one.value for one in published_numbers(table) if (one.score, one.metric) == ("SS", "paper_auroc")]
        found = expected[f"{table} --preset imagenet"].removeprefix("AUC of SS ").removesuffix(" in print order")
        assert list(map(float, found.split(", "))) == areas
    for preset, classifier in (("mnist", "MNIST"), ("cifar10", "CIFAR-10")):
        named = [one for one in published_numbers("table2") if (one.classifier, one.metric) == (classifier, "auc")]
        shown = [f"{one.score} {one.value}" for one in named if one.score in ("MCP", "TCP †", "SS")]
        assert expected[f"table2 --preset {preset}"] == f"AUC: {', '.join(shown)}"


def test_every_entry_of_a_registry_is_documented() -> None:
    from steepslope.nets.data._specs import _shift_parsers
    from steepslope.oracle.evidence import EVIDENCE
    from steepslope.scores import SCORES
    from steepslope_lab.shifts.corruptions import CORRUPTIONS
    from steepslope_lab.shifts.distortions import DISTORTIONS

    shifts, oracles = ((DOCS / name).read_text(encoding="utf-8") for name in ("shifts.md", "oracles.md"))
    distortions = shifts.split("## Distortions")[1].split("## ")[0]
    assert [name for name in _shift_parsers() if f"`{name}`" not in shifts] == []
    assert [name for name in CORRUPTIONS if not re.search(rf"\b{name}\b", shifts)] == []
    assert [name for name in DISTORTIONS if not re.search(rf"\b{name}\b", distortions)] == []
    assert [name for name in (*SCORES, *EVIDENCE) if f"`{name}`" not in oracles] == []


def test_the_reference_shows_every_public_name() -> None:
    """What it shows is there; of a module, it shows all."""
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md"))
    shown = re.findall(r"^::: (steepslope\.\S+)$", pages, re.MULTILINE)
    assert [name for name in shown if locate(name) is None] == []
    public = (DOCS / "public.md").read_text(encoding="utf-8")
    last = {name.rpartition(".")[2] for name in shown}
    rows = re.findall(r"^\| `(steepslope[\w.]*)` \| (.*) \|$", public, re.MULTILINE)
    names = {name for module, names in rows if module not in shown for name in re.findall(r"`(\w+)`", names)}
    assert names - last - {"ARRAYS", "SteepslopeError"} == set()  # an array's schema is in pages, errors are a module's
