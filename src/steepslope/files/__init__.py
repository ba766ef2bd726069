"""What every package may use and none is about.

``_folders``: writing that is all or nothing, JSON whose fields are checked, locks, and what tells files from others of
the same names. ``_artifact``: what a command makes in a folder: its card, whether it is complete, may be replaced, or
goes on. ``_weights``: arrays in safetensors files.
``_progress``: bars. ``_yaml_files``: settings in YAML. ``_extras``: libraries that some specs need, and options in a
spec, such as ``?weights=FILE``. ``_memory``: whether what a file unpacks to fits into memory. ``_cache``: what took
long to make, kept for the user. ``_hub``: the Hugging Face Hub, and what names of gates and oracles stand for.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__: list[str] = []
