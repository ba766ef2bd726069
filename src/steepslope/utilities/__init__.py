"""What every package may use and none is about.

``files``: writing that is all or nothing, and JSON whose fields are checked. ``weights``: safetensors. ``run_state``:
what a killed training needs to go on. ``seeding``: the same draws again. ``blocks``: rows of large arrays in blocks.
``progress``: bars. ``queries``: options in a spec, such as ``?weights=FILE``. ``extras``: libraries that some specs
need. ``class_file``: names of classes, one a line. ``results``: what a folder holds already; ``locks``: one run in a
folder. ``command_line``: from words to a call, with help from docstrings and ``loss_options`` from the losses' source.
"""
