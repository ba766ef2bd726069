"""A gate as one ONNX file, which runs where neither this package nor PyTorch is.

``_exporting``: what goes into the file, and what its metadata hold; ``_graphs``: models are put together;
``_agreement``: the file decides as the gate does. ``_preprocessing``: decoded images become a net's input, as Pillow
resizes them; ``_nets``: the classifier, the auxiliary backbone and an oracle's own net. ``_gate_graph``: from arrays to
decisions, by the formulas that Python computes with; ``_bins``: how a graph searches for neighbours. ``_file``: an
exported file is checked, read and run, without torch.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__: list[str] = []
