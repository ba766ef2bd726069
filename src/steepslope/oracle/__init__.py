"""Oracles: from the evidence about a prediction to its trust logit.

- ``_settings``: what can be chosen.
- ``_base``: what all oracles share, and the record of the rows that each was fitted on.
- ``_columns``: the oracle on columns; ``_column_net``: its net, which PyTorch trains.
- ``_fused``: the oracle on all opinions. ``_fused_fit``: its fit, with a pool for each budget and the choice among
  them. ``_pooling``: pools, fitted by folds and compared with MCP.
- ``_baselines``: what another classifier, or rejecting classes, would gain without an oracle.
- ``_cautions``: wrong joins, leaks of labels, and labels made from predictions, by counts of rows.
- ``_answer_scale``: the scales of answers' confidences.
- ``_handover``: hands unfamiliar rows over to a plainer pool.
- ``_storage``: the names of an oracle's files, and its kind.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__ = ["FusedOracle", "Oracle"]
