"""What every package may use and none is about.

``folders``: writing that is all or nothing, JSON whose fields are checked, locks, and what tells files from others of
the same names. ``artifact``: what a command makes in a folder: its card, whether it is complete, may be replaced, or
goes on. ``weights``: arrays in safetensors files.
``progress``: bars. ``yaml_files``: settings in YAML. ``extras``: libraries that some specs need, and options in a
spec, such as ``?weights=FILE``. ``memory``: whether what a file unpacks to fits into memory. ``cache``: what took
long to make, kept for the user. ``hub``: the Hugging Face Hub, and what names of gates and oracles stand for.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__: list[str] = []
