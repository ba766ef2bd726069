"""What every package may use and none is about.

``files``: writing that is all or nothing, and JSON whose fields are checked. ``weights``: safetensors. ``run_state``:
what a killed training needs to go on. ``seeding``: the same draws again. ``blocks``: rows of large arrays in blocks.
``progress``: bars. ``queries``: options in a spec, such as ``?weights=FILE``. ``extras``: libraries that some specs
need. ``locks``: one run in a folder. ``results``: whether a folder holds what is wanted already. ``class_file``:
names of classes, one a line. ``short_names``: names of paths that fit where they are shown. ``yaml_files``: settings in
YAML, as frozen dataclasses. ``task_graph``: tasks that need one another, in one process or several. ``command_line``:
from words to a call, with help from docstrings and ``loss_options`` from the losses' source. ``named_folders``: what
names of gates and oracles stand for; ``packed``, ``packed_config``: these as two files; ``hub``: the Hugging Face Hub.
"""
