"""A gate as one ONNX file, which runs where neither this package nor PyTorch is.

``exporting``: what goes into the file, and what its metadata hold; ``agreement``: the file decides as the gate does.
``nets``: the pieces of a graph, which are the nets and the gate, and the model of all; ``graphs``: models are put
together. ``preprocessing``: decoded images become a net's input, as Pillow resizes them. ``gate_graph``: from arrays
to decisions, by the formulas that Python computes with; ``bins``: how a graph searches for neighbours. ``file``: an
exported file is checked, read and run, without torch.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__: list[str] = []
