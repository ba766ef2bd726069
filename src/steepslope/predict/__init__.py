"""From rows of outputs to a file of decisions.

- ``_options``: what can be chosen.
- ``_chunks``: outputs become rows of decisions, chunk by chunk; ``nets/predict`` does the same for images.
- ``_prediction_file``: the chunks become one file, and a killed run goes on.
- ``_audit``: which accepted rows to label. ``_review_order``: which of the others to review first.
- ``_source``: which rows are decided on, and a summary in sentences.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__: list[str] = []
