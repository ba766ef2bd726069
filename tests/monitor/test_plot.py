"""The figure draws what the monitor knows: means of parts, limits, and a line at each alarm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.monitor.plot import LEAST, monitor_figure, recent, require_picture
from steepslope.monitor.running_mean import UNIT, Point
from tests.monitor.problems import feed, gate, monitor_of, stream

GATE = gate()


def points_of(line: Line2D) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows, values = line.get_data()
    return np.asarray(rows, dtype=np.float64), np.asarray(values, dtype=np.float64)


def test_curves_are_the_means_of_parts_of_the_stream() -> None:
    monitor = monitor_of(GATE)
    before, after = stream(4_000, 1), stream(4_000, 2, lower=2, sure=2)
    judged = [feed(monitor, GATE, rows) for rows in (before, after)]
    panels = monitor_figure(monitor).axes
    rows, shown = points_of(panels[0].lines[0])
    assert len(rows) >= 20
    assert np.mean(shown[rows <= 4_000]) == pytest.approx(100 * judged[0].p_correct.mean(), abs=0.3)
    rows, coverage = points_of(panels[2].lines[0])
    assert np.mean(coverage[rows > 4_400]) == pytest.approx(100 * judged[1].accepted.mean(), abs=2)
    alarm = monitor.alarms["p_correct"]
    assert all(any(points_of(line)[0].tolist() == [alarm, alarm] for line in axes.lines) for axes in panels)


def test_a_monitor_that_has_seen_nothing_is_drawn_too() -> None:
    assert len(monitor_figure(monitor_of(GATE)).axes) == 4


def test_parts_have_enough_rows() -> None:
    points = [Point(n, n, n * UNIT // 2, 0.0) for n in range(7, 1_000, 7)]
    rows, means = recent(points)
    assert (np.diff(rows) >= LEAST).all()
    np.testing.assert_allclose(means, 0.5)
    assert len(recent([])[0]) == 0


def test_other_pictures_and_folders_are_refused(tmp_path: Path) -> None:
    require_picture(Path("a.PNG"))
    (tmp_path / "folder.png").mkdir()
    for place, words in (
        ("a.jpg", r"that ends in .png or .svg, found 'a.jpg'"),
        (tmp_path / "folder.png", "to write to"),
    ):
        with pytest.raises(SteepslopeError, match=f"plot: expected a file {words}"):
            require_picture(Path(place))
