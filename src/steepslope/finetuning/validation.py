"""How good an epoch is: the AUPR-Error on the validation rows, by which the epoch to keep is selected."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from steepslope.errors import UndefinedMetricError
from steepslope.extraction.machines import together
from steepslope.metrics import aupr_error
from steepslope.outputs import ClassifierOutputs


@dataclass(frozen=True, eq=False)
class Validation:
    """Outputs on which epochs are compared; ``trust_logit`` gives the oracle's z (m,) of the rows (m,) that it gets."""

    outputs: ClassifierOutputs
    trust_logit: Callable[[NDArray[np.int64]], NDArray[np.float64]]

    def score(self, fabric: Fabric) -> float:
        """Return the score of the oracle as it is now; each process takes some of the rows."""
        z = torch.zeros(len(self.outputs), dtype=torch.float64)
        mine = np.arange(fabric.global_rank, len(z), fabric.world_size)
        with together(fabric):
            z[torch.from_numpy(mine)] = torch.from_numpy(self.trust_logit(mine))
        total = fabric.all_reduce(z.to(fabric.device), reduce_op="sum")
        assert isinstance(total, torch.Tensor)
        return validation_score(total.cpu().numpy(), self.outputs.is_correct)


def validation_score(trust_logit: NDArray[np.float64], is_correct: NDArray[np.bool_]) -> float:
    """Return the AUPR-Error, −inf where no prediction is wrong or none correct."""
    try:
        return float(aupr_error(trust_logit, is_correct))
    except UndefinedMetricError:
        return -math.inf
