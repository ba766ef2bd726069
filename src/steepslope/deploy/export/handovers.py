"""The hand-over of a fused oracle in a graph: how far each row lies from what the auxiliary backbone knows."""

from collections.abc import Callable

import torch
from torch import Tensor

from steepslope.deploy.export.neighbors import References, as_tensor
from steepslope.deploy.export.scores import Arrays
from steepslope.estimators.neighbors import Index
from steepslope.oracle.handover import AUXILIARY, NEIGHBOR, NOISE, ROUNDING, TINY, Handover


def handover_weight(handover: Handover) -> Callable[[Arrays], Tensor]:
    """Return the function to the weights of :meth:`steepslope.oracle.handover.Handover.weight`, float64 (m,)."""
    basis, centre, direction = (as_tensor(part) for part in (handover.basis, handover.centre, handover.direction))
    index = Index.build(handover.points, torch.zeros(len(handover.points), dtype=torch.int64).numpy(), 1)
    references, nearest = References.of(index, exact=True), min(NEIGHBOR, len(handover.points))
    low, high = (as_tensor(limit) for limit in handover.limits)
    half_width = torch.where(high > low, (high - low) / 2, torch.inf)
    above_only = torch.arange(len(low)) > 0  # looking less like a copy than usual does not count
    scale = basis.square().sum(dim=0)

    def weight(arrays: Arrays) -> Tensor:
        features = arrays[AUXILIARY]
        centred = (features - centre).float()
        inside = centred @ basis
        length, explained = centred.square().sum(dim=1), (inside.square() / scale).sum(dim=1)
        distance = references.kth_distance(inside, nearest)
        unexplained = torch.maximum(length - explained, ROUNDING * length)
        logs = [torch.log(one.clamp_min(TINY)).double() for one in (distance, inside.square().sum(dim=1), unexplained)]
        looks = (centred @ direction[:, None])[:, 0].double()
        statistics = torch.stack([looks, *logs, features.double().mean(dim=1)], dim=1)
        if NOISE in handover.arrays:
            statistics = torch.cat([statistics, arrays[NOISE].double()], dim=1)
        below = torch.where(above_only, (low - statistics) / half_width, 0.0)
        return torch.maximum(below, (statistics - high) / half_width).amax(dim=1).clamp(0, 1)

    return weight
