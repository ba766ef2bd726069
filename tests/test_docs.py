"""The examples in the documentation run as they stand."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np

from steepslope.errors import FewErrorsWarning
from steepslope.outputs import ClassifierOutputs

DOCS = Path(__file__).parents[1] / "docs"


def test_the_tabular_example_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "oracles.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewErrorsWarning)
        exec(compile(code, "oracles.md", "exec"), names)
    trusted, unseen = names["trusted"], names["unseen"]
    assert isinstance(trusted, np.ndarray)
    assert isinstance(unseen, ClassifierOutputs)
    assert trusted.mean() > 0.5
    assert 1 - unseen.is_correct[trusted].mean() < 0.5 * (1 - unseen.is_correct.mean())


def test_every_score_and_voice_is_documented() -> None:
    from steepslope.evidence import EVIDENCE
    from steepslope.scores import SCORES

    text = (DOCS / "oracles.md").read_text(encoding="utf-8")
    for name in [*SCORES, *EVIDENCE]:
        assert f"`{name}`" in text, name
