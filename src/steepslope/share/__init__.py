"""A gate or an oracle for others: its own files with a model card, in a folder or on the Hugging Face Hub.

``_sharing``: which files are shared, and the card, whose prose is ``model_card.md.jinja``. ``_signatures``: who vouches
for them, and copies that were checked; ``_options``: whose are required.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__: list[str] = []
