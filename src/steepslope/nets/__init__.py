"""Images and nets: data sets, classifiers, extraction, training, export, and predictions on images.

Needs PyTorch. It uses the packages on arrays, and none of them uses it.
"""
