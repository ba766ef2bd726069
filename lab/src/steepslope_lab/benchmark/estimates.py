"""How far estimates of a classifier's accuracy without labels are off on shifted rows."""

import importlib
import os
import warnings
from importlib.util import find_spec

import numpy as np
from scipy.special import softmax

from steepslope.outputs import ClassifierOutputs
from steepslope.promise import ProbabilityMap
from steepslope.score_benchmark import DIGITS
from steepslope_lab.benchmark.trial import FREE, TEST, Trial

NANNYML, MONITOR = "NannyML's CBPE", "the monitor"
MOST_CLASSES = 300  # for NannyML: on 6,000 rows of 1,000 classes it takes more than 23 GB


def estimate_errors(trial: Trial, name: str) -> dict[str, float]:
    """Return estimate less accuracy of the monitor's estimate, learnt on the judged rows that are not shifted.

    P(correct) is of the fused oracle without opinions, calibrated on those rows. NannyML's estimate is next to it where
    it is installed; it is not among our dependencies.
    """
    usual, other = trial.judged[TEST], trial.judged[name]
    scale = ProbabilityMap.from_rows(usual.fused[FREE], usual.outputs.is_correct, of_log_odds=True)
    accuracy = float(other.outputs.is_correct.mean())
    estimates = {MONITOR: float(scale(other.fused[FREE]).mean())}
    if find_spec("nannyml") and usual.outputs.num_classes <= MOST_CLASSES:
        estimates[NANNYML] = accuracy_by_nannyml(usual.outputs, other.outputs)
    return {kind: round(one - accuracy, DIGITS) for kind, one in estimates.items()}


def accuracy_by_nannyml(usual: ClassifierOutputs, other: ClassifierOutputs) -> float:
    """Return the accuracy that NannyML expects of other rows, by probabilities that it calibrates on usual ones.

    All rows are one chunk, and all else is NannyML's default.
    """
    os.environ.setdefault("NML_DISABLE_USAGE_LOGGING", "1")  # else it reports each call to its makers
    pandas, nannyml = (importlib.import_module(name) for name in ("pandas", "nannyml"))
    classes = {code: f"p{code}" for code in range(usual.num_classes)}
    frames = []
    for outputs in (usual, other):
        shares = softmax(np.asarray(outputs.logits, dtype=np.float64), axis=1)
        told = {"said": outputs.predictions, "true": outputs.require_labels()}
        frames.append(pandas.DataFrame({**dict(zip(classes.values(), shares.T, strict=True)), **told}))
    binary = usual.num_classes == 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandas, about its own code
        estimator = nannyml.CBPE(
            metrics=["accuracy"], y_true="true", y_pred="said", y_pred_proba="p1" if binary else classes,
            problem_type="classification_binary" if binary else "classification_multiclass", chunk_number=1,
        )  # fmt: skip
        estimate = estimator.fit(frames[0]).estimate(frames[1]).filter(period="analysis").to_df()
    return float(estimate[("accuracy", "value")].iloc[0])
