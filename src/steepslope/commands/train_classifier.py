"""`steepslope train-classifier`."""

from __future__ import annotations

from pathlib import Path

from steepslope.progress import console


def train_classifier(
    net: str,
    data: str,
    out: str,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    flip: bool | None = None,
    holdout: int | None = None,
    split_seed: int = 42,
    seed: int = 0,
) -> None:
    """Train a small classifier, for those who bring none; killed and run again, it resumes.

    Parameters
    ----------
    net
        mnist-net (28x28 pixels, the paper's) or digits-net (8x8).
    data
        digits, idx:DIR or torchvision:MNIST|FashionMNIST|KMNIST; its training split is used.
    out
        Folder for the checkpoint.
    epochs
        Passes over the training rows; by default what suits the net, as for the next three.
    batch_size
        Images a step.
    learning_rate
        First learning rate of the cosine.
    flip
        Mirror images at random.
    holdout
        Number of training rows to hold out; by default 10,000, at most half.
    split_seed
        Fixes which rows are held out.
    seed
        Fixes weights, order and dropout.
    """
    from steepslope.training.classifier import recipe_for
    from steepslope.training.classifier import train_classifier as train

    recipe = recipe_for(net, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, flip=flip, seed=seed)
    _, held_out_accuracy = train(net, data, Path(out), recipe, holdout, split_seed)
    console().print(f"{out}: classifier with {100 * held_out_accuracy:.2f} % accuracy on its held-out rows")
