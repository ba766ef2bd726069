"""Runs side by side: the same rows in any order are paired, others are not, and all that is written is right."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.metrics import METRICS, aurc, auroc
from steepslope.metrics._measures import Measure, measures_at, table_metrics
from steepslope.report import _comparison as comparison_module
from steepslope.report._comparison import (
    AURC_COUNTS,
    Comparison,
    _comparison_as_json,
    _comparison_difference_grid,
    _comparison_in_markdown,
    _Contrast,
    _why_comparison_unpaired,
    compare_runs,
    compared_runs_grid,
    comparison_headline,
    comparison_sentences,
)
from steepslope.report._runs import Run
from steepslope.report._tables import terminal_table_titles
from tests.report.runs import drawn, noise, run_of


def shuffled(run: Run, seed: int = 3) -> Run:
    """Return the same run with its rows in another order."""
    order = np.random.default_rng(seed).permutation(len(run))
    scores = {name: replace(one, confidence=one.confidence[order]) for name, one in run.scores.items()}
    known: dict[str, Any] = {
        key: None if (array := getattr(run, key)) is None else array[order] for key in ("ids", "labels", "clusters")
    }
    return replace(run, is_correct=run.is_correct[order], scores=scores, **known)


def contrast(comparison: Comparison, score: str, place: int = 0) -> _Contrast:
    return next(one for one in comparison.rivals[place].contrasts if one.score == one.baseline_score == score)


@pytest.fixture
def few_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare by AUC and accuracy alone, which is fast."""

    def measures(*cuts: float) -> dict[str, Measure]:
        return {name: measures_at(*cuts)[name] for name in ("auc", "accuracy")}

    monkeypatch.setattr(comparison_module, "measures_at", measures)


def of_mcp(run: Run) -> Run:
    """Return the run with no other score."""
    return replace(run, scores={"mcp": run.scores["mcp"]})


def replicates(run: Run, times: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return AUC and accuracy where each row is there so many ``times``, (B, n), by comparing all pairs of rows."""
    z, right = run.scores["mcp"].confidence, run.is_correct
    above = z[right][:, None] > z[~right]
    pairs = times[:, right].sum(axis=1) * times[:, ~right].sum(axis=1)
    auc = np.sum(times[:, right] @ above * times[:, ~right], axis=1) / pairs
    return {"auc": auc, "accuracy": times[:, right].sum(axis=1) / times.sum(axis=1)}


@pytest.mark.usefixtures("few_metrics")
@pytest.mark.parametrize("paired", [True, False])
def test_differences_are_those_of_all_pairs(paired: bool) -> None:
    """The value exactly; the ends of the interval up to the luck of the resamples and Student's widening."""
    a, b = drawn("a", n=400), drawn("b", n=400, model=2, strength=2.5, seed=0 if paired else 7)
    b = b if paired else replace(b, ids=np.array([f"other/{row}" for row in range(400)], dtype=object))
    comparison = compare_runs([of_mcp(a), of_mcp(b)], bootstrap=2000)
    assert comparison.rivals[0].paired == paired
    found = contrast(comparison, "mcp").differences
    generator = np.random.default_rng(12345)
    ours = generator.multinomial(400, np.full(400, 1 / 400), size=2000).astype(np.float64)
    theirs = ours if paired else generator.multinomial(400, np.full(400, 1 / 400), size=2000).astype(np.float64)
    whole = [replicates(run, np.ones((1, 400))) for run in (b, a)]
    drawn_apart = [replicates(run, times) for run, times in ((b, ours), (a, theirs))]
    for name in ("auc", "accuracy"):
        assert found[name]["value"] == pytest.approx(float((whole[0][name] - whole[1][name])[0]), abs=1e-12)
        low, high = np.quantile(drawn_apart[0][name] - drawn_apart[1][name], [0.025, 0.975])
        width = high - low
        assert found[name]["low"] == pytest.approx(low, abs=0.08 * width)
        assert found[name]["high"] == pytest.approx(high, abs=0.08 * width)
        assert (found[name]["p"] < 0.05) == (not found[name]["low"] <= 0 <= found[name]["high"])


def test_the_order_of_rows_decides_nothing() -> None:
    runs = [drawn("a"), drawn("b", model=2)]
    one, other = (compare_runs(some, bootstrap=50) for some in (runs, [shuffled(run) for run in runs]))
    assert one.rivals[0].paired
    assert other.rivals[0].paired
    differences = [[found.differences for found in some.rivals[0].contrasts] for some in (one, other)]
    assert differences[0] == differences[1]
    assert comparison_sentences(one) == comparison_sentences(other)


def test_what_is_compared() -> None:
    """Each score that both have, and the best of each by AURC; the baseline is the first."""
    a, b, c = drawn("a"), drawn("b", model=2), drawn("c", model=3, n=200, seed=5, prefix="c")
    comparison = compare_runs([b, a, c], bootstrap=5)
    assert [rival.run.name for rival in comparison.rivals] == ["a", "c"]
    for rival in comparison.rivals:
        pairs = [(one.score, one.baseline_score) for one in rival.contrasts]
        best = min(rival.run.scores, key=lambda name: aurc(rival.run.scores[name].confidence, rival.run.is_correct))
        theirs = min(b.scores, key=lambda name: aurc(b.scores[name].confidence, b.is_correct))
        assert all(one.differences.keys() == METRICS.keys() for one in rival.contrasts)
        assert pairs == list(dict.fromkeys([("mcp", "mcp"), ("noise", "noise"), (best, theirs)]))
        assert [one.of_best for one in rival.contrasts] == [pair == (best, theirs) for pair in pairs]
    assert [rival.paired for rival in comparison.rivals] == [True, False]


@pytest.mark.usefixtures("few_metrics")
def test_the_run_with_fewer_errors_decides_the_width_either_way() -> None:
    """Ten errors on one side are ten, whether that side is the baseline or not."""
    runs = [noise("many", 200, 90, ids=True), noise("few", 200, 10, ids=True)]
    one, other = (contrast(compare_runs(some, bootstrap=200), "mcp").differences["auc"] for some in (runs, runs[::-1]))
    assert (one["low"], one["high"]) == pytest.approx((-other["high"], -other["low"]))
    assert one["p"] == pytest.approx(other["p"])


ODD = np.array(['a,"b"', "two\nlines", "<script>alert(1)</script>", "", "日本"], dtype=object)


def test_odd_ids_are_the_same_rows() -> None:
    a = replace(drawn("a", n=5), ids=ODD)
    assert _why_comparison_unpaired(a, shuffled(a)) == ""


SORTED = "without ids, labels in order of their classes do not tell whether the rows are the same: evaluate both with "
SORTED += "ids"


def test_why_rows_are_not_the_same() -> None:
    a, b = of_mcp(drawn("a", n=40)), of_mcp(drawn("b", n=40, model=2))
    bare, shorter = replace(a, ids=None), replace(drawn("b", n=30), ids=None)
    labels = b.labels.copy()  # type: ignore[union-attr]
    labels[[3, 5, 7]] = "9"
    ids = b.ids.copy()  # type: ignore[union-attr]
    ids[:28] = [f"new/{row}" for row in range(28)]
    twice = ids.copy()
    twice[1] = twice[0]
    by_class = np.sort(np.asarray(a.labels))[::-1]
    named = np.array([f"class {label}" for label in np.asarray(a.labels)], dtype=object)
    names = "labels are names of classes in b and numbers in a: evaluate a with the names, as by --classes"
    cases = {
        (a, b): "",
        (a, replace(b, labels=named)): names,
        (bare, replace(b, ids=None, labels=named)): names,
        (replace(bare, name="b", labels=named), replace(b, ids=None, name="a")): names,
        (replace(a, labels=by_class), replace(b, labels=by_class)): "",
        (replace(bare, labels=by_class), replace(b, ids=None, labels=by_class)): SORTED,
        (replace(bare, labels=np.full(40, "3")), replace(b, ids=None, labels=np.full(40, "3"))): SORTED,
        (a, replace(b, labels=None)): "",
        (a, replace(b, labels=labels)): "labels differ for 3 ids of 40",
        (a, replace(b, ids=ids)): "12 ids in common of 40 and 40",
        (a, replace(b, ids=twice)): "the id 'new/0' is there more than once in b",
        (a, replace(b, ids=None)): "only a has ids",
        (bare, b): "only b has ids",
        (bare, replace(b, ids=None)): "",
        (bare, shorter): "there are 40 and 30 rows, without ids",
        (bare, replace(b, ids=None, labels=labels)): "labels differ for 3 rows of 40",
        (bare, replace(b, ids=None, labels=None)): "neither ids nor labels tell whether the rows are the same",
    }
    for (one, other), why in cases.items():
        assert _why_comparison_unpaired(one, other) == why
        comparison = compare_runs([one, other], bootstrap=0)
        line = next(line for line in comparison_sentences(comparison) if "differences are " in line)
        assert line.endswith("differences are unpaired." if why else "differences are paired.")
        assert why in line
        assert line.startswith("WARNING: ") == comparison.rivals[0].guessed == (not why and one.ids is None)


@pytest.mark.usefixtures("few_metrics")
def test_whole_clusters_are_resampled() -> None:
    """Rows that are there five times, as clusters, differ as those that are there once; on their own they do not."""
    once, other = of_mcp(drawn("a", n=200)), of_mcp(drawn("b", n=200, model=2))

    def repeated(run: Run, clusters: bool) -> Run:
        times = np.repeat(np.arange(200), 5)
        scores = {name: one.confidence[times] for name, one in run.scores.items()}
        ids = np.array([f"{row:04d}" for row in range(1000)], dtype=object)
        return run_of(run.name, run.is_correct[times], scores, ids=ids, clusters=times if clusters else None)

    widths = []
    for run, rival in ((once, other), *((repeated(once, whole), repeated(other, False)) for whole in (True, False))):
        auc = contrast(compare_runs([run, rival], bootstrap=1000), "mcp").differences["auc"]
        widths.append(auc["high"] - auc["low"])
    assert widths[1] == pytest.approx(widths[0], rel=0.1)
    assert widths[2] == pytest.approx(widths[0] / 5**0.5, rel=0.15)


def test_sentences_tell_what_is_clear() -> None:
    rng = np.random.default_rng(0)
    is_correct = rng.random(500) < 0.8
    ids, noise = np.arange(500).astype(str).astype(object), rng.normal(size=500)
    runs = [
        run_of(name, is_correct, {"mcp": noise + strength * is_correct}, ids=ids)
        for name, strength in (("may", 1.0), ("june", 3.0), ("july", 0.1))
    ]
    lines = comparison_sentences(compare_runs(runs, bootstrap=200))
    for name, word, signs in (("june", "clearly better", "-+"), ("july", "clearly WORSE", "+-")):
        line = next(line for line in lines if line.startswith(f"{name} against may, mcp (the best of each by AURC): "))
        assert f"{word} by AURC ({signs[0]}" in line
        assert f"{word} by AUC ({signs[1]}" in line
    assert lines[-2].startswith("4 comparisons with may: without any true difference about 0.2 of the intervals")
    assert lines[-2].endswith("these differ: june mcp by AURC, june mcp by AUC, july mcp by AURC, july mcp by AUC.")


@pytest.mark.parametrize(
    ("bootstrap", "errors", "words"),
    [
        (0, 90, {"aurc": "not known without resamples", "auc": "not known without resamples"}),
        (0, 0, {"aurc": "not known without resamples", "auc": "not defined"}),
        (100, 0, {"auc": "not defined", "accuracy": "clearly better"}),
        (100, 90, {"auc": "not clearly different", "accuracy": "not clearly different"}),
    ],
)
def test_what_is_not_known_is_not_called_alike(bootstrap: int, errors: int, words: dict[str, str]) -> None:
    """Only what has an interval is clear or not."""
    comparison = compare_runs([noise("a", 300, 90), noise("b", 300, errors)], bootstrap=bootstrap)
    best = comparison.rivals[0].best
    assert {name: best.word(name) for name in words} == words
    assert not any("nan" in line for line in [comparison_headline(comparison), *comparison_sentences(comparison)])
    unknown = ["without resamples it is not known if by luck" in line for line in comparison_sentences(comparison)]
    assert any(unknown) == (bootstrap == 0)


def test_the_headline_tells_errors_from_ranking() -> None:
    """Half the errors, ranked alike: a lower AURC says no more than that."""
    rng = np.random.default_rng(0)

    def month(name: str, wrong: float, strength: float = 1.0) -> Run:
        is_correct = rng.random(2000) >= wrong
        ids = np.array([f"{name}{row}" for row in range(2000)], dtype=object)
        return run_of(name, is_correct, {"mcp": strength * is_correct + rng.normal(size=2000)}, ids=ids)

    runs = [month("may", 0.3), month("june", 0.1), month("july", 0.1), month("august", 0.3, 3.0)]
    assert comparison_headline(compare_runs(runs, bootstrap=200)) == (
        "Next to may, by each run's best score: "
        "june is clearly better by AURC, clearly better by accuracy, not clearly different by AUC; "
        "july is clearly better by AURC, clearly better by accuracy, not clearly different by AUC; "
        "august is clearly better by AURC, not clearly different by accuracy, clearly better by AUC."
    )
    assert comparison_sentences(compare_runs(runs, bootstrap=0))[-1] == AURC_COUNTS
    worse = comparison_headline(compare_runs(runs[1::-1], bootstrap=200))
    assert worse.endswith("may is clearly WORSE by AURC, clearly WORSE by accuracy, not clearly different by AUC.")


@pytest.mark.parametrize(
    ("errors", "few"), [(50, ""), (49, "49 errors"), (1, "1 error"), (151, "49 correct predictions")]
)
def test_few_errors_or_few_correct_are_told_of_each_run(errors: int, few: str) -> None:
    runs = [noise("a", 200, 100, ids=True), noise("b", 200, errors, ids=True)]
    told = [f"b has only {few}: below about 50, all its numbers depend on luck"] if few else []
    for names in (runs, runs[::-1]):
        comparison = compare_runs(names, bootstrap=0)
        warned = [line for line in comparison_sentences(comparison) if line.startswith("WARNING")]
        assert warned == [f"WARNING: {line}." for line in told]


def test_what_cannot_be_compared_is_named() -> None:
    a = drawn("a", n=30)
    for runs, message in (
        ([a], "expected at least two runs to compare, found 1"),
        ([a, a], "names: expected a name for each run, found 'a' twice"),
    ):
        with pytest.raises(SteepslopeError, match=message):
            compare_runs(runs, bootstrap=5)


NAME = "b|</script><b>"  # of which Markdown must make neither a column nor HTML


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    runs = [drawn("a"), drawn(NAME, model=2, strength=0.2), drawn("c", model=3, seed=4, n=200, prefix="new")]
    return compare_runs(runs, bootstrap=100)


def test_what_makes_it_doubtful_is_told() -> None:
    runs = [drawn("may", ids=False), drawn("june", model=2, ids=False), drawn("july", n=90, model=3, seed=4)]
    comparison = compare_runs(runs, bootstrap=0)
    found = _comparison_as_json(comparison)
    warned = [
        f"WARNING: july has only {runs[2].wrong} errors: below about 50, all its numbers depend on luck.",
        "WARNING: june and may are taken for the same 300 rows: they have no ids, but as many rows with the same "
        "labels in the same order; differences are paired.",
        "july and may are not known to have the same rows (only july has ids): differences are unpaired.",
    ]
    assert set(warned) <= set(found["sentences"])
    assert {str(row[3]) for row in _comparison_difference_grid(comparison).rows} == {"paired (without ids)", "unpaired"}
    assert [run.get("paired_by_ids") for run in found["runs"]] == [None, False, None]
    assert all(line in _comparison_in_markdown(comparison) for line in warned)


def test_tables_are_square_and_complete(comparison: Comparison) -> None:
    runs, differences = compared_runs_grid(comparison), _comparison_difference_grid(comparison)
    shown = compared_runs_grid(comparison, table_metrics())
    for grid in (runs, differences, shown):
        assert {len(row) for row in grid.rows} == {len(grid.columns)}
    assert [(row[0].text, row[1].text) for row in runs.rows] == [
        (run.name, score) for run in comparison.runs for score in run.scores
    ]
    assert all(metric.heading in runs.columns and metric.heading in differences.columns for metric in METRICS.values())
    assert len(shown.columns) == len(["run", *terminal_table_titles()])
    hows = {(row[0].text, row[3].text) for row in differences.rows}
    assert hows == {(NAME, "paired"), ("c", "unpaired")}
    place = list(runs.columns).index("AUC ↑")
    areas = [100 * auroc(z.confidence, run.is_correct) for run in comparison.runs for z in run.scores.values()]
    assert [row[place].text for row in runs.rows] == [f"{area:.1f}" for area in areas]


def test_odd_names_stay_text_in_markdown(comparison: Comparison) -> None:
    text = _comparison_in_markdown(comparison)
    assert "| b\\|&lt;/script>&lt;b> | mcp |" in text
    assert NAME not in text
    assert "<b>" not in text


def test_json_has_all_and_no_nan(comparison: Comparison) -> None:
    found = json.loads(json.dumps(_comparison_as_json(comparison), allow_nan=False, default=np.generic.item))
    assert found["baseline"] == "a"
    assert [(run["run"], run["n"], run.get("paired")) for run in found["runs"]] == [
        ("a", 300, None), (NAME, 300, True), ("c", 200, False)
    ]  # fmt: skip
    assert found["runs"][2]["why_unpaired"] == "0 ids in common of 300 and 200"
    assert [run["errors"] for run in found["runs"]] == [int((~run.is_correct).sum()) for run in comparison.runs]
    assert len(found["rows"]) == 9
    for line in found["differences"]:
        assert set(METRICS) <= set(line)
    accuracy = [run["accuracy"] for run in found["runs"]]
    assert found["differences"][0]["accuracy"]["value"] == pytest.approx(accuracy[1] - accuracy[0])


def test_without_errors_nothing_is_nan() -> None:
    right = np.ones(20, dtype=np.bool_)
    comparison = compare_runs([run_of(name, right, {"mcp": np.arange(20.0)}) for name in ("a", "b")], bootstrap=0)
    json.dumps(_comparison_as_json(comparison), allow_nan=False, default=np.generic.item)
    text = _comparison_in_markdown(comparison)
    assert "nan" not in text
    assert "b is not known without resamples by AURC, not known without resamples by accuracy, not def" in text
