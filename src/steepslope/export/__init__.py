"""A gate as one ONNX file, which runs where neither this package nor PyTorch is.

``exporting``: what goes into the file, and what its metadata hold; ``graphs``: models are put together; ``agreement``:
the file decides as the gate does. ``preprocessing``: decoded images become a net's input; ``resizing``: as Pillow does
it; ``nets``: the classifier, the auxiliary backbone and an oracle's own net. ``gates``: from arrays to decisions;
``oracles``: from arrays to trust logits; ``evidence``: what each kind of evidence tells; ``scores``: post-hoc scores;
``handovers``: where an auxiliary backbone is less to be trusted; ``neighbors``: the nearest references; ``log_space``:
a softmax that does not saturate.
"""
