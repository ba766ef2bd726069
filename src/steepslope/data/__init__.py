"""Data sets of images, with labels or without, and how an image becomes a classifier's input.

``datasets``: specs such as ``digits:test``, and the registry ``DATASETS`` of their schemes. One file a source:
``digits``, ``idx``, ``torchvision_data``, ``imagefolder``, ``remote_files``, ``path_table``, ``hub_data``,
``webdataset_data``. ``urls``: files in object stores and on servers. ``images``: the contract ``Dataset``, images in
memory, rows found by id, and one image decoded. ``decoding``: rows as batches of tensors, with what cannot be read
named. ``shifted``: a data set whose images were shifted; ``shift_card``: what is known of one on disk. ``colours``: any
image as 8-bit colour or grey. ``transforms``: size, resizing and normalisation. ``augmentation``: changed copies of a
data set's images; ``row_augmentation``: of rows of numbers. ``class_names``: class names -> labels, with those of
ImageNet. The hold-out split is in ``datasets``.
"""
