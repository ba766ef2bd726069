"""Bad and odd inputs of `fit`, `evaluate`, and `finetune`: one line, code 2, nothing lost.

Those that rightly pass say what they give.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from steepslope.cli._main import main
from steepslope.outputs import ClassifierOutputs
from tests.cli.predictions import refuses
from tests.conftest import files_below, make_outputs

FIT = "fit --oracle paper --epochs 1 --out OUT --outputs HOME/"
EVALUATE = "evaluate --bootstrap 0 --out OUT --outputs HOME/"
FINETUNE = "finetune --oracle net:digits-net --oracle-input mean=0.5&std=0.5 --out OUT "
LOST = "fit --oracle paper --epochs 1 --out HOME/oracle --replace --outputs HOME/"
FUSED = "fit --out OUT --outputs HOME/fit.npz "
CASES: list[tuple[str, str, int]] = [
    # what was silently wrong
    (EVALUATE + "moved.csv --scores HOME/bare", "200 of these 200 rows are those it was fitted on", 2),
    (EVALUATE + "made/b --scores HOME/of_a", "expected outputs of the net with digest a", 2),
    (
        EVALUATE + "made/b --scores max_logit_pnorm --fit HOME/made/a",
        "expected outputs of the same classifier and input as",
        2,
    ),
    (FIT + "made/b --reference HOME/made/a", "expected outputs of the same classifier and input as", 2),
    (EVALUATE + "made/b --scores trust_score --reference HOME/made/a", "expected outputs of the same classifier", 2),
    # what is not there, or is something else
    ("extract --classifier checkpoint:no --data digits --out OUT", "expected a classifier checkpoint", 2),
    (EVALUATE + "fit.npz --groups nation", "column 'nation'", 2),
    (EVALUATE + "one.npz", "1 predictions, 1 wrong (accuracy 0.00 %)", 0),
    (FIT + "one.npz", "no prediction is correct among the 1", 2),
    (FIT + "fit.npz --budget free", "budget: expected none with --oracle paper, found 'free'", 2),
    (FIT + "fit.npz --out HOME/fit.npz", "fit.npz: expected a folder to write to, found a file", 2),
    (LOST + "fit.npz --loss steepslope", "unknown loss 'steepslope': did you mean 'steep_slope'?", 2),
    (LOST + "right.npz", "no prediction is wrong", 2),
    (FUSED + "--errors train", "errors: expected holdout or crossfit, or --oracle paper, found 'train'", 2),
    (FUSED + "--hidden 4", "hidden: expected --oracle paper with it, found the fused oracle and (4,)", 2),
    (FUSED + "--budget auxiliary", "budget: expected features of an auxiliary backbone (extract --auxiliary)", 2),
    (FINETUNE + "--outputs HOME/fit.npz", "data: expected the data spec of the images, found none", 2),
    (FINETUNE + "--data digits --outputs HOME/fit.npz", "fit.npz: in digits", 2),
]


def _made_by(digest: str, outputs: ClassifierOutputs, folder: Path) -> None:
    """Write outputs as if they were extracted with the classifier of this digest."""
    outputs.save(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "extraction": {"digest": digest * 64}}))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write good and bad outputs and oracles, which no case may change."""
    home = tmp_path_factory.mktemp("stored")
    fit_set, other = make_outputs(200), make_outputs(200, seed=1)
    wrong = other.subset(np.flatnonzero(~other.is_correct)[:1])
    bare = fit_set.changed(ids=None)
    files = {"fit": fit_set, "other": other, "one": wrong, "bare": bare}
    for name, outputs in files.items():
        outputs.save(home / f"{name}.npz")
    np.savez(home / "right.npz", logits=fit_set.logits, labels=fit_set.predictions, features=fit_set.require_features())
    bare.changed(ids=np.arange(200)).save(home / "moved.csv")
    _made_by("a", other, home / "made" / "a")
    _made_by("b", make_outputs(200, seed=3), home / "made" / "b")
    _made_by("a", fit_set, home / "made" / "fit")
    for name, source in {"oracle": "fit.npz", "bare": "bare.npz", "of_a": "made/fit"}.items():
        assert main(f"fit --oracle paper --epochs 1 --outputs {home}/{source} --out {home}/{name}".split()) == 0
    return home


@pytest.mark.parametrize(
    ("words", "expected", "code"), CASES, ids=[" ".join(words.split()[-4:]) or "nothing" for words, *_ in CASES]
)
def test_one_line_and_nothing_lost(
    words: str, expected: str, code: int, stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in files_below(stored)}
    given = words.replace("HOME", str(stored)).replace("OUT", str(tmp_path / "out"))
    if code:
        refuses(given, capsys, expected)
        assert not files_below(tmp_path)
    else:
        assert main(given.split()) == 0
        assert expected in "".join(capsys.readouterr())
    assert {path: path.read_bytes() for path in files_below(stored)} == before
