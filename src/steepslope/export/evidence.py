"""Evidence in a graph: of every kind that needs no further look at the image, the function from arrays to its values.

``COLUMNS`` has what an oracle on columns sees, ``OPINIONS`` what a fused one pools. Both hold the same names as
:data:`~steepslope.evidence.registry.EVIDENCE` does, but for those that are ``REFUSED``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from steepslope.errors import SteepslopeError
from steepslope.evidence.classifier import TOP
from steepslope.evidence.neighbors import COUNTS, PRIOR, PROJECTION, RATIO_LIMIT, STEEPNESS
from steepslope.evidence.probes import INPUTS
from steepslope.evidence.states import State
from steepslope.evidence.values import CANDIDATES, FAR
from steepslope.export.log_space import is_class, log_odds_of, top_log_odds
from steepslope.export.neighbors import References, as_tensor
from steepslope.export.scores import GRAPHS, Arrays, log_distance_ratio
from steepslope.numerics.neighbors import Index
from steepslope.scores import SCORES
from steepslope.scores.neighbors import EPSILON

Values = Callable[[Arrays], Tensor]  # columns float64 (m, d), or opinions float64 (m, V, K)
Build = Callable[[State, int], Values]  # of what the evidence learnt, and the number of classes

REFUSED: dict[str, str] = {
    "views": "it looks at the image again in other positions",
    "dropout": "it runs the classifier again with units dropped at random",
    "mc_dropout": "it runs the classifier again with units dropped at random",
}


def candidates(logits: Tensor) -> Tensor:
    """Return the numbers of the ten most probable classes, the prediction first, (m, K) -> (m, C)."""
    return logits.topk(min(CANDIDATES, logits.shape[1]), dim=1).indices


def of_candidates(opinions: Tensor, classes: Tensor) -> Tensor:
    """Return the log-probabilities of the candidates, and of all other classes together, (m, V, K) -> (m, V, C)."""
    m, opinions_of_kind, count = opinions.shape
    listed = classes[:, None].expand(m, opinions_of_kind, classes.shape[1])
    kept = opinions.gather(2, listed)
    if count > CANDIDATES:
        others = opinions.scatter(2, listed, -torch.inf).logsumexp(dim=2, keepdim=True)
        kept = torch.cat([kept, others], dim=2)
    return torch.where(kept < FAR, FAR - torch.log(1 + (FAR - kept).clamp_min(0)), kept)


def _logit_opinions(_: State, __: int) -> Values:
    return lambda arrays: arrays["logits"].log_softmax(dim=1)[:, None]


def _logit_columns(_: State, num_classes: int) -> Values:
    def columns(arrays: Arrays) -> Tensor:
        logits = arrays["logits"]
        top = logits.topk(min(TOP, num_classes), dim=1).values
        return torch.cat([top_log_odds(logits)[:, None], top, top - logits.logsumexp(dim=1, keepdim=True)], dim=1)

    return columns


def _nearest(state: State, array: str) -> Callable[[Arrays], tuple[Tensor, Tensor]]:
    """Return what gives distances to the classes, (m, K), and how many of the nearest are of each, (m, 2, K)."""
    references = References.of(Index(**{name: part for name, part in state.items() if name not in PROJECTION}))
    projection = [as_tensor(state[name]) for name in PROJECTION if name in state]

    def nearest(arrays: Arrays) -> tuple[Tensor, Tensor]:
        rows = arrays[array].float()
        if projection:
            rows = (rows - projection[0]).float() @ projection[1]
        return references.search(rows, COUNTS)

    return nearest


def _neighbor_columns(state: State, _: int, array: str) -> Values:
    nearest = _nearest(state, array)

    def columns(arrays: Arrays) -> Tensor:
        distances, found = nearest(arrays)
        predictions = arrays["predictions"]
        parts = [log_distance_ratio(distances, predictions).clamp(-RATIO_LIMIT, RATIO_LIMIT)]
        own = is_class(predictions, distances.shape[1])
        for number, count in enumerate(COUNTS):
            same = torch.where(own, found[:, number], 0.0).sum(dim=1)
            parts += [same / count, torch.log((same + 0.5) / (count - same + 0.5))]
        return torch.stack(parts, dim=1)

    return columns


def _neighbor_opinions(state: State, num_classes: int) -> Values:
    nearest = _nearest(state, "features")
    counts = torch.tensor(COUNTS, dtype=torch.float64)[:, None]

    def opinions(arrays: Arrays) -> Tensor:
        distances, found = nearest(arrays)
        fractions = torch.log((found + PRIOR / num_classes) / (counts + PRIOR))
        least = distances.amin(dim=1, keepdim=True).clamp_min(EPSILON)
        far = torch.log(distances.clamp_min(EPSILON) / least).clamp(0, RATIO_LIMIT)
        relative = torch.where(least < torch.inf, far, 0.0)  # where no class at all has two references
        return torch.cat([fractions, (-STEEPNESS * relative).log_softmax(dim=1)[:, None]], dim=1)

    return opinions


def _probe(state: State, arrays: tuple[str, ...]) -> Values:
    """Return the function to a linear map's logits of some arrays side by side."""
    weights, bias = (as_tensor(state[name]).double() for name in ("weights", "bias"))
    return lambda given: _side_by_side(given, arrays) @ weights + bias


def _small_net(state: State, arrays: tuple[str, ...]) -> Values:
    names = ("inner", "inner_bias", "outer", "outer_bias")
    inner, inner_bias, outer, outer_bias = (as_tensor(state[name]).double() for name in names)
    return lambda given: (_side_by_side(given, arrays) @ inner + inner_bias).relu() @ outer + outer_bias


def _side_by_side(given: Arrays, arrays: tuple[str, ...]) -> Tensor:
    return torch.cat([given[name].double() for name in arrays], dim=1)


def _logits_of(name: str, state: State) -> list[Values]:
    """Return the functions to the logits of the nets and probes of a kind of evidence."""
    if name == "feature_opinion":
        return [_small_net(state, ("features",))]
    if name == "second_opinion":
        return [_probe(state, ("auxiliary",))]
    return [_probe(state, INPUTS), _small_net(state, INPUTS)]


def _net_opinions(state: State, _: int, name: str) -> Values:
    nets = _logits_of(name, state)
    return lambda arrays: torch.stack([net(arrays).log_softmax(dim=1) for net in nets], dim=1)


def _net_columns(state: State, _: int, name: str) -> Values:
    nets = _logits_of(name, state)

    def of_net(logits: Tensor, predictions: Tensor) -> Tensor:
        of_prediction = log_odds_of(logits, is_class(predictions, logits.shape[1]))
        agrees = (logits.argmax(dim=1) == predictions).double()
        return torch.stack([of_prediction, agrees, top_log_odds(logits)], dim=1)

    return lambda arrays: torch.cat([of_net(net(arrays), arrays["predictions"]) for net in nets], dim=1)


JOINT = ("joint_opinion", "familiar_opinion")
NETS = ("feature_opinion", "second_opinion", *JOINT)
OPINIONS: dict[str, Build] = {
    "logits": _logit_opinions,
    "neighbors": _neighbor_opinions,
    **{name: partial(_net_opinions, name=name) for name in NETS},
}
COLUMNS: dict[str, Build] = {
    "features": lambda _, __: lambda arrays: arrays["features"],
    "logits": _logit_columns,
    "neighbors": partial(_neighbor_columns, array="features"),
    "auxiliary_neighbors": partial(_neighbor_columns, array="auxiliary"),
    **{name: partial(_net_columns, name=name) for name in NETS},
}


def columns_of(name: str, state: State, num_classes: int) -> Values:
    """Return the function to a kind of evidence's columns, float64 (m, d); a score is a column, too.

    Raises
    ------
    SteepslopeError
        If there is no such graph.
    """
    if name in COLUMNS:
        values, raw = COLUMNS[name](state, num_classes), name == "features"
        return lambda arrays: (values(arrays) if raw else values(arrays).float()).double()
    require_exportable(name)
    score = SCORES[name].restored(state, num_classes)
    confidence = GRAPHS[type(score)](score)
    return lambda arrays: confidence(arrays).float().double()[:, None]


def opinions_of(name: str, state: State, num_classes: int) -> Values:
    """Return the function to a kind of evidence's opinions on the candidates, (m, V, C); raise if there is none."""
    require_exportable(name)
    values = OPINIONS[name](state, num_classes)
    return lambda arrays: of_candidates(values(arrays), candidates(arrays["logits"]))


def require_exportable(name: str) -> None:
    """Raise for evidence that a graph cannot hold, with the reason and the way out."""
    if name in REFUSED:
        remedy = "fit an oracle without it (fit --fused --budget free, or other --inputs)"
        raise SteepslopeError(f"cannot be exported, since {REFUSED[name]}: {remedy}", name)


def widths_of(name: str, state: State) -> dict[str, int]:
    """Return how many numbers a kind of evidence takes of each array, by what it learnt, as far as that tells."""
    if name in JOINT:
        return {}
    array = "auxiliary" if name in ("auxiliary_neighbors", "second_opinion") else "features"
    learnt = next((state[one] for one in ("mean", "inner", "weights", "centre") if one in state), None)
    return {} if learnt is None else {array: len(learnt)}


def width_of_columns(name: str, num_classes: int) -> int:
    """Return how many columns a kind of evidence has; not known of the features themselves, and not counted."""
    own = {"features": 0, "logits": 1 + 2 * min(TOP, num_classes), "neighbors": 1 + 2 * len(COUNTS)}
    own |= {"auxiliary_neighbors": own["neighbors"], **dict.fromkeys(NETS, 3), **dict.fromkeys(JOINT, 6)}
    return own.get(name, 1)
