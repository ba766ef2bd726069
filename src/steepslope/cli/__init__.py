"""The commands: typed functions whose parameters and docstrings make the command line.

``main``: the dict of commands, and how each ends. ``parser``: from words to the call of a function. The others are
the commands: ``demo``; ``extract`` with train-classifier; ``importing``; ``shift``; ``fit``; ``finetune``;
``evaluate`` with compare; ``calibrate``; ``show``; ``predict``; ``export`` with push and sign; ``serve`` with
monitor and stop; ``benchmark``; ``reproduce``. Whatever imports torch is imported inside the functions, so that help
is quick.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__: list[str] = []
