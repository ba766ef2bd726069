"""Oracles: from what is known of a prediction to the logit of trusting it.

- ``settings``: what can be chosen.
- ``base``: what all oracles have, and what each remembers of the rows it was fitted on.
- ``columns``: the oracle on columns; ``column_net``: its net, which PyTorch trains.
- ``fused``: the oracle on all opinions; ``fused_fit``: how it is fitted, with a pool for each
  budget, and the choice among them; ``pooling``: pools, fitted by folds and held against MCP.
- ``baselines``: what would be gained without an oracle, by another classifier or by rejecting classes.
- ``answer_scale``: what confidences of answers are worth.
- ``handover``: where what was learnt is less to be trusted.
- ``storage``: the names of an oracle's files, and its kind.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
