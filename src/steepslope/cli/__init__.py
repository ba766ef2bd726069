"""The commands: typed functions whose parameters and docstrings make the command line.

``_main``: the dict of commands, and how each ends. ``_parser``: from words to the call of a function. The others are
the commands: ``_demo``; ``_extract`` with train-classifier; ``_importing``; ``shift``; ``_fit``; ``_finetune``;
``_evaluate`` with compare; ``_calibrate``; ``_show``; ``_predict``; ``_export`` with push and sign; ``_serve`` with
monitor and stop; ``_benchmark``; ``reproduce``. Whatever imports torch is imported inside the functions, so that help
is quick.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__: list[str] = []
