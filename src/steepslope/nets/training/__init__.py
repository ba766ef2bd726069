"""The paper's oracles: trained on columns (``columns.py``), and on images.

``request.py`` says how to train and on what, free of torch, and ``recipes.py`` lists the paper's trainings as files of
options. ``launch.py`` checks a request, opens it and trains its stages one after another, or tells how large each is.
``on_images.py`` has the oracle that comes of it, and ``loading.py`` reads an oracle of either kind from its folder.

``sources.py`` opens the fit set with its classifier, and ``images.py`` finds the images of outputs. ``prepare.py``
makes a training of these, and ``loop.py`` takes its steps, writes its history and keeps the state of a killed one.
``examples.py`` has what the oracle sees at each step and is taught of it, ``learner.py`` what of it learns: frozen
layers, modes, optimizer, learning rate and momentum.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__: list[str] = []
