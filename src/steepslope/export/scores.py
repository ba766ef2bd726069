"""Scores in a graph: of every fitted score, the function from arrays to confidences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from steepslope.export.log_space import is_class, log_complements, log_entropy, top_log_odds, without
from steepslope.export.neighbors import References, as_tensor, constant, lengths, unit_rows
from steepslope.numerics.neighbors import Index
from steepslope.scores import Score
from steepslope.scores.fitted import TINY, MaxLogitPNorm, RelU, TemperatureScaledMCP
from steepslope.scores.gaussians import MahalanobisRatio
from steepslope.scores.logits import GEN, GEN_GAMMA, GEN_MOST, MCP, Doctor, Energy, Entropy, Margin, MaxLogit
from steepslope.scores.neighbors import EPSILON, KNNDensityRatio, KNNDistance, TrustScore

Arrays = Mapping[str, Tensor]  # by name; logits float64 (m, K), predictions int64 (m,), features as they were kept
Confidence = Callable[[Arrays], Tensor]  # -> float64 (m,)
LARGEST = float(np.finfo(np.float32).max)


def _of_logits(function: Callable[[Tensor], Tensor]) -> Confidence:
    return lambda arrays: function(arrays["logits"])


def _max_logit(logits: Tensor) -> Tensor:
    return logits.amax(dim=1)


def _gap(logits: Tensor) -> Tensor:
    first, second = logits.topk(2, dim=1).values.unbind(dim=1)
    return first - second


def _softmax_gap(logits: Tensor) -> Tensor:
    top, gap = is_class(logits.argmax(dim=1), logits.shape[1]), _gap(logits)
    log_first = without(logits.log_softmax(dim=1), ~top).amax(dim=1)
    log_others = without(log_complements(logits), ~top).amax(dim=1)
    fraction = log_first.exp() * (1 - torch.exp(-gap))
    small = -torch.log(1 - fraction.clamp_max(0.5))
    return torch.where(fraction < 0.5, small, -torch.logaddexp(log_others, log_first - gap))


def _margin(score: Margin) -> Confidence:
    return _of_logits({"logit": _gap, "softmax": _softmax_gap}[score.space])


def _doctor_alpha(logits: Tensor) -> Tensor:
    log_p = logits.log_softmax(dim=1)
    return (2 * log_p).logsumexp(dim=1) - (log_p + log_complements(logits)).logsumexp(dim=1)


def _doctor(score: Doctor) -> Confidence:
    return _of_logits({"alpha": _doctor_alpha, "beta": top_log_odds}[score.variant])


def _generalised_entropy(logits: Tensor) -> Tensor:
    terms = constant(GEN_GAMMA) * (logits.log_softmax(dim=1) + log_complements(logits))
    return -terms.topk(min(GEN_MOST, logits.shape[1]), dim=1).values.logsumexp(dim=1)


def _scaled(score: TemperatureScaledMCP) -> Confidence:
    assert score.temperature_ is not None
    scale = constant(float(np.exp(-np.log(score.temperature_))))
    return _of_logits(lambda logits: top_log_odds(logits * scale))


def _quotient(logits: Tensor, power: int) -> Tensor:
    centred = logits - logits.mean(dim=1, keepdim=True)
    largest, scale = centred.amax(dim=1), centred.abs().amax(dim=1, keepdim=True)
    if power == 0:
        return largest
    scale = torch.where(scale == 0, 1.0, scale)
    norm = ((centred / scale).abs() ** power).sum(dim=1) ** (1 / power)
    return largest / scale[:, 0] / torch.maximum(norm, constant(float(np.finfo(np.float64).tiny)))


def _p_norm(score: MaxLogitPNorm) -> Confidence:
    return _of_logits(top_log_odds if score.power_ is None else partial(_quotient, power=score.power_))


def _confusions(score: RelU) -> Confidence:
    assert score.distances_ is not None
    distances = as_tensor(score.distances_)

    def confidence(logits: Tensor) -> Tensor:
        log_p = logits.log_softmax(dim=1)
        top = is_class(log_p.argmax(dim=1), log_p.shape[1])
        others = without(log_p, top)
        runner_up = others.amax(dim=1)
        relative = (others - runner_up[:, None]).exp()
        least = constant(float(TINY))
        with_top = torch.maximum(2 * ((top.double() @ distances) * relative).sum(dim=1), least)
        pairs = torch.maximum(((relative @ distances) * relative).sum(dim=1), least)
        sums = torch.logaddexp(log_p.amax(dim=1) + torch.log(with_top), runner_up + torch.log(pairs))
        return -(runner_up + sums)

    return _of_logits(confidence)


def log_distance_ratio(distances: Tensor, predictions: Tensor) -> Tensor:
    """Return ln(d(closest other class) / (d(predicted class) + 10⁻¹²)), (m, K) and (m,) -> (m,)."""
    own = is_class(predictions, distances.shape[1])
    closest = torch.where(own, torch.inf, distances).amin(dim=1).clamp_max(LARGEST)
    nearest = torch.where(own, distances, torch.inf).amin(dim=1).clamp_max(LARGEST)
    return torch.log(closest.clamp_min(EPSILON)) - torch.log(nearest + constant(EPSILON))


def _mahalanobis(score: MahalanobisRatio) -> Confidence:
    assert score.gaussians_ is not None
    centre, whitening, means = (as_tensor(getattr(score.gaussians_, name)) for name in ("centre", "whitening", "means"))
    known, squares = as_tensor(score.gaussians_.counts > 0), means.square().sum(dim=1)

    def confidence(arrays: Arrays) -> Tensor:
        white = (arrays["features"].double() - centre) @ whitening
        found = (white.square().sum(dim=1)[:, None] + squares - 2 * white @ means.T).clamp_min(0).sqrt()
        return log_distance_ratio(torch.where(known, found, torch.inf), arrays["predictions"])

    return confidence


def _index(index: Index | None) -> Index:
    assert index is not None
    return index


def _trust_score(score: TrustScore) -> Confidence:
    references = References.of(_index(score.index_), exact=True)

    def confidence(arrays: Arrays) -> Tensor:
        distances = references.class_distances(arrays["features"])
        return log_distance_ratio(distances, arrays["predictions"])

    return confidence


def _knn_distance(score: KNNDistance) -> Confidence:
    references = References.of(_index(score.index_), exact=True)

    def confidence(arrays: Arrays) -> Tensor:
        return -references.kth_distance(unit_rows(arrays["features"]), score.k)

    return confidence


def _density_ratio(score: KNNDensityRatio) -> Confidence:
    index = _index(score.index_)
    references, count, k = References.of(index, exact=True), index.num_classes // 2, score.k
    sizes, labels = np.diff(index.starts), references.owner.repeat(references.shape[0])
    enough = torch.from_numpy(np.minimum(*sizes.reshape(2, -1)) > k)

    def distance(predicted: Tensor, own: Tensor, squared: Tensor, is_correct: bool) -> Tensor:
        first = count * is_correct
        same = torch.where(enough[predicted], predicted, -1)[:, None]
        of_side = (labels >= first) & (labels < first + count)
        side = ((same >= 0) & (labels == same + first)) | ((same < 0) & of_side)
        some = torch.where(side, squared, torch.inf)
        found = lengths(own[:, None], some.topk(min(k + 1, some.shape[1]), dim=1, largest=False).values)
        found = torch.nn.functional.pad(found, (0, k + 1 - found.shape[1]), value=torch.inf)
        return torch.where(found[:, 0] == 0, found[:, k], found[:, k - 1]).clamp_max(LARGEST)

    def confidence(arrays: Arrays) -> Tensor:
        own, squared = references.squared(arrays["features"])
        everything = torch.cat(squared, dim=1)
        far, near = (distance(arrays["predictions"], own, everything, side) for side in (False, True))
        return torch.log(far + constant(EPSILON)) - torch.log(near + constant(EPSILON))

    return confidence


GRAPHS: dict[type[Score], Callable[[Any], Confidence]] = {
    MCP: lambda _: _of_logits(top_log_odds),
    MaxLogit: lambda _: _of_logits(_max_logit),
    Margin: _margin,
    Entropy: lambda _: _of_logits(lambda logits: -log_entropy(logits)),
    Doctor: _doctor,
    TemperatureScaledMCP: _scaled,
    MaxLogitPNorm: _p_norm,
    Energy: lambda _: _of_logits(lambda logits: logits.logsumexp(dim=1)),
    TrustScore: _trust_score,
    KNNDistance: _knn_distance,
    GEN: lambda _: _of_logits(_generalised_entropy),
    MahalanobisRatio: _mahalanobis,
    RelU: _confusions,
    KNNDensityRatio: _density_ratio,
}
