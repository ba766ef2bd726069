"""A gate on outputs some of whose rows are there twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from steepslope.errors import RepeatedRowsWarning
from steepslope.gate import Gate
from steepslope.scores import MCP
from tests.promise.references import SHARES, make_rows


@pytest.mark.parametrize("kind", [list, np.array])
def test_groups_of_copies_may_be_a_list(kind: Any) -> None:
    rows = make_rows(1_000, SHARES, 0)
    twice = rows.subset(np.concatenate([np.arange(1_000), np.arange(500)]))
    groups = ["even", "odd"] * 750
    with pytest.warns(RepeatedRowsWarning, match="500 of 1,500"):
        gate = Gate.of(MCP(), twice, max_risk=0.4, by="parity", groups=kind(groups))
    assert set(gate.thresholds) == {"even", "odd"}
    assert sum(one.n for one in gate.certificates) == 1_000 - round(2 * np.sqrt(1_000))
