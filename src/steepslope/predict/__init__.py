"""From rows of outputs to a file of decisions.

- ``options``: what can be chosen.
- ``chunks``: outputs become rows of decisions, chunk by chunk; ``nets/predict`` does the same for images.
- ``prediction_file``: the chunks become one file, and a killed run goes on.
- ``audit``: which accepted rows to label. ``review_order``: which of the others to review first.
- ``source``: which rows are decided on, and a summary in sentences.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__: list[str] = []
