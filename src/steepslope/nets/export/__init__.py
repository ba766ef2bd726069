"""A gate as one ONNX file, which runs where neither this package nor PyTorch is.

``exporting``: what goes into the file, and what its metadata hold; ``graphs``: models are put together; ``agreement``:
the file decides as the gate does. ``preprocessing``: decoded images become a net's input, as Pillow resizes them;
``nets``: the classifier, the auxiliary backbone and an oracle's own net. ``gate_graph``: from arrays to decisions, by
the formulas that Python computes with; ``bins``: how a graph searches for neighbours. ``file``: an exported file is
checked, read and run, without torch.
"""
