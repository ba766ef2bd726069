"""The first programs of README and docs, and all commands, where only the wheel and what it needs are installed."""

from __future__ import annotations

import ast
import csv
import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from steepslope.outputs import ClassifierOutputs
from tests.serve.live import running

ROOT = Path(__file__).parents[1]
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))}
PROGRAM = re.compile(r"```python\n(.*?)```", re.DOTALL)
NAMES = {"scikit-learn": "sklearn"}  # that are imported by another name
NOT_OURS = re.compile("^(PYTHON|VIRTUAL_ENV|COV_|COVERAGE)")
# What a page tells to have before its first program is run.
FILES = {
    "evidence.md": {
        "cifar10h-counts.npy": np.full((10_000, 10), 5),
        "cifar10_test_set_original_labels.npy": np.arange(10_000) % 10,
    }
}
COMMANDS = """import sys
from steepslope.cli._main import COMMANDS, main

for name in COMMANDS:
    try:
        main([*name.split(), "--help"])
    except SystemExit as end:
        assert end.code in (0, None), name
print([main(words.split()) for words in sys.argv[1:]])
"""
# Commands that need an extra, each with the line's last words.
TORCH = "this command needs torch: pip install 'steepslope[nets]'"
LAB = "{} needs steepslope-lab: pip install 'steepslope[lab]'"
SIGN = "this command needs cryptography: pip install 'steepslope[sign]'"
NEEDING = {
    "demo --out demo": TORCH,
    "extract --classifier timm:resnet18 --data digits --out images": TORCH,
    "shift corrupt --data digits --kind fog --severity 1 --out fog": LAB.format("shift"),
    "finetune --oracle timm:resnet18 --data digits --classifier timm:resnet18 --out oracle": TORCH,
    "reproduce table1 --preset digits --out tables": LAB.format("reproduce"),
    "export --gate gate --out gate.onnx": "export needs onnx: pip install 'steepslope[nets]'",
    "serve --gate gate": "serve needs fastapi: pip install 'steepslope[serve]'",
    "sign gate --key key.pem": SIGN,
    "show gate --require-signature public.pem": SIGN,
    "push --gate gate --to USER/NAME": "needs huggingface_hub: pip install 'steepslope[hub]'",
}


def programs() -> Iterator[tuple[str, str, bool]]:
    """Yield each program with the name of its page, and whether the page says before it what to install."""
    for page, text in sorted(PAGES.items()):
        for program in PROGRAM.finditer(text):
            yield page, program[1], page != "README.md" and "pip install" in text[: program.start()]


FIRST = {page: (program, says) for page, program, says in [*programs()][::-1]}
PLAIN = {page: program for page, (program, says) in FIRST.items() if not says}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    done = run(folder, sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", ".", str(ROOT))
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_the_source_distribution_makes_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """Every file of the package is in both, byte by byte, and what is ignored by git in neither."""
    done = run(tmp_path, sys.executable, "-m", "build", "--outdir", ".", str(ROOT))  # the wheel is made of the sdist
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(wheel) as ours, zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as theirs:
        found = {one.filename: one.CRC for one in ours.infolist()}
        assert {one.filename: one.CRC for one in theirs.infolist()} == found
    source = ROOT / "src" / "steepslope"
    listed = subprocess.run(["git", "ls-files"], cwd=source, capture_output=True, encoding="utf-8", check=True)
    assert {name.removeprefix("steepslope/") for name in found if name.startswith("steepslope/")} == {
        *listed.stdout.splitlines()
    }


def python_with(wheel: Path, folder: Path, extras: str = "") -> Path:
    """Install the wheel with what it needs in a new environment, and return that environment's Python."""
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    done = run(folder, python, "-m", "pip", "install", "--quiet", f"{wheel}{extras}")
    assert done.returncode == 0, done.stderr
    return python


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment with the wheel alone."""
    return python_with(wheel, tmp_path_factory.mktemp("plain"))


def run(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder, which finds no package but those of its own environment."""
    clean = {name: value for name, value in os.environ.items() if not NOT_OURS.match(name)}
    return subprocess.run(words, cwd=folder, env=clean, capture_output=True, encoding="utf-8", check=False)


def test_a_program_that_needs_more_says_so_before() -> None:
    """What any program imports is Python's own, needed by the package, or installed by a line of the page."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [re.split("[>=<]", requirement)[0] for requirement in project["dependencies"]]
    known = {*sys.stdlib_module_names, "steepslope", *(NAMES.get(name, name) for name in needed)}
    unsaid = []
    for page, program, says in programs():
        lines = [line for line in ast.walk(ast.parse(program)) if isinstance(line, ast.Import | ast.ImportFrom)]
        others = {re.split(r"[ .]", ast.unparse(line))[1] for line in lines} - known
        if others and not says:
            unsaid.append((page, others))
    assert unsaid == []


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted(PLAIN))
def test_the_first_program_of_a_page_runs(page: str, python: Path, tmp_path: Path) -> None:
    """That of the README prints what stands below it, and nothing else."""
    for name, array in FILES.get(page, {}).items():
        np.save(tmp_path / name, array)
    done = run(tmp_path, python, "-c", PLAIN[page])
    assert done.returncode == 0, done.stderr
    if page == "README.md":
        assert (done.stderr, [done.stdout]) == ("", re.findall(r"```\n\n```\n(.*?)```", PAGES[page], re.DOTALL)[:1])


@pytest.mark.slow
def test_every_command_has_help_and_names_the_extra_that_it_lacks(python: Path, tmp_path: Path) -> None:
    done = run(tmp_path, python, "-c", COMMANDS, *NEEDING)
    lines = done.stderr.splitlines()
    assert done.stdout.splitlines()[-1:] == [str([2] * len(NEEDING))], done.stderr
    assert [line for line, end in zip(lines, NEEDING.values(), strict=True) if not line.endswith(end)] == []
    assert not (tmp_path / "demo" / "seed0").exists()
    script = run(tmp_path, python.with_name("steepslope"), "--help")
    assert script.returncode == 0
    assert script.stdout.startswith("usage: steepslope COMMAND [options]")


@pytest.mark.slow
def test_files_go_all_the_way_to_a_server_without_pytorch(wheel: Path, tmp_path: Path) -> None:
    """Only the export to ONNX is made where PyTorch is."""
    python = python_with(wheel, tmp_path, "[serve]")
    draw = np.random.default_rng(0)
    labels = draw.integers(5, size=3_000)
    logits = draw.normal(size=(3_000, 5)) * 1.5 + 3 * np.eye(5)[labels]
    outputs = ClassifierOutputs(logits, labels, ids=[f"row {row}" for row in range(3_000)])
    for number, name in enumerate(("learn", "count", "new")):
        outputs.subset(slice(1_000 * number, 1_000 * number + 1_000)).save(tmp_path / f"{name}.csv")
    for words in (
        "fit --outputs learn.csv --out oracle",
        "calibrate --oracle oracle --outputs count.csv --max-risk 0.05 --out gate",
        "predict --gate gate --outputs new.csv --out decisions.csv",
        "monitor --gate gate --predictions decisions.csv --state watch.sqlite --labels new.csv",
    ):
        done = run(tmp_path, python, "-m", "steepslope", *words.split())
        assert done.returncode == 0, done.stderr
    export = "export --gate gate --part gate --out gate.onnx"
    done = run(tmp_path, sys.executable, "-m", "steepslope", *export.split())
    assert done.returncode == 0, done.stderr
    with (tmp_path / "decisions.csv").open(encoding="utf-8") as file:
        expected = [row["accepted"] == "true" for row in csv.DictReader(file)]
    assert 0 < sum(expected) < len(expected)
    rows = outputs.logits[2_000:2_032]
    tensor = {"name": "logits", "datatype": "FP32", "shape": [*rows.shape], "data": rows.ravel().tolist()}
    with running(tmp_path / "gate.onnx", python=python) as server:
        answer = httpx.post(f"{server.url}/v2/models/gate/infer", json={"inputs": [tensor]}).json()
    (accepted,) = (found["data"] for found in answer["outputs"] if found["name"] == "accepted")
    assert accepted == expected[:32]
    assert run(tmp_path, python, "-c", "import torch").returncode
