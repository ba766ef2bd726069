"""Oracles: from the evidence about a prediction to its trust logit.

- ``settings``: what can be chosen.
- ``base``: what all oracles share, and the record of the rows that each was fitted on.
- ``columns``: the oracle on columns; ``column_net``: its net, which PyTorch trains.
- ``fused``: the oracle on all opinions. ``fused_fit``: its fit, with a pool for each budget and the choice among
  them. ``pooling``: pools, fitted by folds and compared with MCP.
- ``baselines``: what another classifier, or rejecting classes, would gain without an oracle.
- ``cautions``: wrong joins, leaks of labels, and labels made from predictions, by counts of rows.
- ``answer_scale``: the scales of answers' confidences.
- ``handover``: hands unfamiliar rows over to a plainer pool.
- ``storage``: the names of an oracle's files, and its kind.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__ = ["FusedOracle", "Oracle"]
