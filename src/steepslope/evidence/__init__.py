"""What an oracle sees: columns, and opinions on classes, computed from classifier outputs, by name.

``registry``: all kinds by name. One kind a file: ``logits``, ``neighbors``, ``feature_opinion`` (a net on the
classifier's features), ``views``, ``dropout``, ``second_opinion`` (a probe on an auxiliary backbone), ``joint_opinion``
(on both nets' features), ``scores`` (post-hoc scores as columns). ``states``: what a kind is and learns. ``columns``
and ``opinions``: the values of chosen kinds. ``fitting``: those of a fit set, where no row sees its own label;
``folds``: how its rows are dealt; ``fit_set``: the same for a fused oracle, with references from other folds and
augmented ``copies``. ``storage``: what was learnt, on disk.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from steepslope.evidence.registry import EVIDENCE as EVIDENCE, kinds as kinds

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"registry": ["EVIDENCE", "kinds"]})
