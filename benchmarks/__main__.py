"""Run every benchmark, or those named, and print medians and ratios."""

from __future__ import annotations

import sys
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from benchmarks.block import block_against_live_classifier
from benchmarks.cluster import ray_against_one_process, ray_against_one_process_on_small_images
from benchmarks.corruption import corrupt_against_package
from benchmarks.exported_gate import exported_gate_against_classifier, exported_gate_on_one_image
from benchmarks.extraction import backend_against_eager
from benchmarks.finetuning import cached_against_larger, cached_against_live
from benchmarks.fused_fit import fused_fit_against_a_minute
from benchmarks.gate import fused_gate_on_mnist_net, fused_gate_on_resnet, gate_against_bare_classifier
from benchmarks.metrics import metrics_against_scikit_learn, metrics_of_a_million
from benchmarks.predict import predict_against_extract, predict_against_extract_on_small_images
from benchmarks.serving import served_file_against_session, served_gate_against_predict
from benchmarks.streaming import streaming_against_loader
from benchmarks.timing import Comparison
from benchmarks.trust_score import trust_score_against_trees
from steepslope.errors import unknown_name

BENCHMARKS: dict[str, Callable[[], Comparison]] = {
    "metrics": metrics_against_scikit_learn,
    "metrics-million": metrics_of_a_million,
    "extraction": backend_against_eager,
    "fit": streaming_against_loader,
    "trust-score": trust_score_against_trees,
    "block": block_against_live_classifier,
    "predict": predict_against_extract,
    "predict-mnist": predict_against_extract_on_small_images,
    "ray": ray_against_one_process,
    "ray-mnist": ray_against_one_process_on_small_images,
    "gate": gate_against_bare_classifier,
    "gate-fused": fused_gate_on_resnet,
    "gate-fused-mnist": fused_gate_on_mnist_net,
    "exported-gate": exported_gate_against_classifier,
    "exported-gate-one": exported_gate_on_one_image,
    "fused-fit": fused_fit_against_a_minute,
    "corrupt": corrupt_against_package,
    "serve": served_file_against_session,
    "serve-gate": served_gate_against_predict,
    "finetune": cached_against_live,
    "finetune-larger": cached_against_larger,
}


def main(names: list[str]) -> None:
    """Run the named benchmarks, all without names."""
    for name in names:
        if name not in BENCHMARKS:
            sys.exit(f"benchmarks: {unknown_name('benchmark', name, BENCHMARKS)}")
    table = Table("benchmark", "ours", "theirs", "ratio", "goal")
    for name in names or BENCHMARKS:
        result = BENCHMARKS[name]()
        table.add_row(
            result.title,
            f"{result.ours:.3g} s",
            f"{result.theirs:.3g} s",
            f"{result.ratio:.3g}",
            f"≥ {result.goal:.3g}",
        )
    Console(width=140).print(table)


main(sys.argv[1:])
