"""From images and a frozen classifier to outputs on disk.

``extraction``: the orchestration, and the splits of a data set by name. ``options``: what can be chosen, free of
torch. ``machines``: processes, devices and precision. ``engine``: a batch of images -> the arrays to keep, by PyTorch
or ONNX Runtime (the agreement check itself: ``classifiers.onnx_net``). ``views``: small changes of an image.
``noise``: estimates of its noise. ``shards``: the files of a running extraction, how they are joined, and the resume
key, which tells this extraction from others. ``auxiliary``: features of a second backbone.
"""
