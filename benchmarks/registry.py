"""Every benchmark by its name: a function, the sizes that it is measured at, and those at which a test tries it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.arrays import (
    fused_fit_against_a_minute,
    fused_fit_on_all_threads,
    metrics_against_scikit_learn,
    trust_score_against_trees,
)
from benchmarks.corruption import corrupt_against_package
from benchmarks.gates import backend_against_eager, exported_gate_against_classifier, gate_against_bare_classifier
from benchmarks.predicting import predict_against_extract, ray_against_one_process
from benchmarks.serving import served_file_against_session, served_gate_against_predict
from benchmarks.tables import decisions_against_classifier, one_decision, table_fit_against_seconds, table_fit_by_rows
from benchmarks.timing import Comparison
from benchmarks.training import block_against_live_classifier, cached_against_live, streaming_against_loader

Sizes = Mapping[str, Any]
FEW_FILES = {"net": "mnist-net", "count": 8, "rounds": 1}
FEW_CHUNKS = {"net": "mnist-net", "count": 12, "chunks": 3}
SMALL_BATCH = {"batch": 2, "rounds": 1}
FEW_ROWS = {"rows": 300, "columns": 6}
LARGE = {"rows": 100_000, "columns": 30}
BOOSTING = LARGE | {"classifier": "boosting"}


@dataclass(frozen=True)
class Benchmark:
    """A function, what it is measured with beside its defaults, and the tiny sizes of a test."""

    function: Callable[..., Comparison]
    tiny: Sizes
    sizes: Sizes = field(default_factory=dict)

    def run(self, **changes: Any) -> Comparison:
        """Measure it."""
        return self.function(**{**self.sizes, **changes})


BENCHMARKS: dict[str, Benchmark] = {
    "metrics": Benchmark(metrics_against_scikit_learn, {"n": 300, "replicates": 5, "measured": 2}),
    "metrics-million": Benchmark(
        metrics_against_scikit_learn, {"n": 400, "replicates": 5}, {"n": 1_000_000, "measured": 2, "repeats": 1}
    ),
    "extraction": Benchmark(backend_against_eager, {"batch": 2}),
    "fit": Benchmark(streaming_against_loader, {"rows": 2_000, "width": 16, "measured": 500}),
    "trust-score": Benchmark(trust_score_against_trees, {"references": 500, "queries": 50, "measured": 20}),
    "block": Benchmark(block_against_live_classifier, {"rows": 600, "epochs": 1, "seeds": 1, "measured": 1}),
    "predict": Benchmark(predict_against_extract, FEW_FILES),
    "predict-mnist": Benchmark(predict_against_extract, FEW_FILES, {"net": "mnist-net", "count": 4_096}),
    "ray": Benchmark(ray_against_one_process, FEW_CHUNKS),
    "ray-mnist": Benchmark(ray_against_one_process, FEW_CHUNKS, {"net": "mnist-net", "count": 20_000}),
    "gate": Benchmark(gate_against_bare_classifier, SMALL_BATCH | {"rows": 300}),
    "gate-fused": Benchmark(
        gate_against_bare_classifier, SMALL_BATCH | {"rows": 300}, {"net": "resnet50", "fused": True, "rounds": 10}
    ),
    "gate-fused-mnist": Benchmark(
        gate_against_bare_classifier,
        SMALL_BATCH | {"rows": 300},
        {"net": "mnist-net", "fused": True, "batch": 256, "slower": 1.25},
    ),
    "exported-gate": Benchmark(exported_gate_against_classifier, SMALL_BATCH | {"rows": 300}, {"batch": 32}),
    "exported-gate-one": Benchmark(exported_gate_against_classifier, {"rounds": 1, "rows": 300}, {"batch": 1}),
    "fused-fit": Benchmark(fused_fit_against_a_minute, {"classes": 3, "rows": 300, "references": 300, "width": 8}),
    "fused-fit-threads": Benchmark(
        fused_fit_on_all_threads, {"classes": 3, "rows": 300, "references": 60, "width": 8, "busy": 1, "repeats": 1}
    ),
    "table-fit": Benchmark(table_fit_against_seconds, FEW_ROWS),
    "table-fit-large": Benchmark(table_fit_against_seconds, FEW_ROWS, LARGE | {"goal": 15.0}),
    "table-fit-boosting": Benchmark(table_fit_against_seconds, FEW_ROWS, BOOSTING | {"goal": 15.0}),
    "table-fit-by-rows": Benchmark(table_fit_by_rows, {"fewer": 300, "more": 600, "columns": 6}),
    "decide": Benchmark(decisions_against_classifier, FEW_ROWS),
    "decide-large": Benchmark(decisions_against_classifier, FEW_ROWS, LARGE),
    "decide-boosting": Benchmark(decisions_against_classifier, FEW_ROWS, BOOSTING),
    "decide-one": Benchmark(one_decision, FEW_ROWS | {"repeats": 2}),
    "corrupt": Benchmark(corrupt_against_package, {"count": 2, "kinds": 2, "rounds": 1}),
    "serve": Benchmark(served_file_against_session, {"requests": 16, "clients": 2}),
    "serve-gate": Benchmark(served_gate_against_predict, {"requests": 16, "clients": 2}),
    "finetune": Benchmark(cached_against_live, {"rows": 20, "side": 32, "epochs": 1}),
    "finetune-larger": Benchmark(
        cached_against_live, {"rows": 20, "side": 32, "epochs": 1}, {"classifier": "resnet101", "goal": 2.0}
    ),
}
