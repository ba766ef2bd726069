"""`steepslope train-classifier`."""

from pathlib import Path
from typing import Literal

from steepslope.errors import SteepslopeError
from steepslope.files.progress import console


def train_classifier(
    net: str,
    data: str,
    out: str,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    flip: bool | None = None,
    rotate: float | None = None,
    optimizer: Literal["adam", "sgd"] | None = None,
    momentum: float | None = None,
    weight_decay: float | None = None,
    schedule: Literal["cosine", "constant"] | None = None,
    holdout: int | None = None,
    split_seed: int = 42,
    seed: int = 0,
    replace: bool = False,
) -> None:
    """Train a small classifier, for those who bring none; killed and run again, it resumes.

    Parameters
    ----------
    net
        mnist-net (28x28 grey pixels, the paper's), cifar-vgg (32x32 in colour, the paper's VGG-16) or digits-net (8x8).
    data
        digits, idx:DIR or torchvision:MNIST|FashionMNIST|KMNIST|CIFAR10|SVHN; its training split is used.
    out
        Folder for the checkpoint.
    epochs
        Passes over the training rows; by default what suits the net.
    batch_size
        Images in a step; by default what suits the net.
    learning_rate
        Learning rate of the first step; by default 0.001.
    flip
        Mirror images at random; by default not.
    rotate
        Largest angle, in degrees, by which images are turned at random; by default 0.
    optimizer
        Optimizer: adam or sgd; by default adam.
    momentum
        Momentum of sgd; by default 0.9.
    weight_decay
        Weight decay of the optimizer; by default 0.
    schedule
        Schedule of the learning rate: cosine or constant; by default cosine.
    holdout
        Number of training rows to hold out, on which errors are seen later; by default 10,000, but at most half.
    split_seed
        Seed that fixes which rows are held out.
    seed
        Seed of the weights, the order of images and dropout; the same seed gives the same net on any number of threads.
    replace
        Replace a classifier that the folder holds already, trained in another way or on other images.
    """
    from steepslope.classifiers.training import recipe_for, train_classifier as train
    from steepslope.files.folders import locked
    from steepslope.shifts.specs import parse_data

    if parse_data(data).shifts:
        raise SteepslopeError(f"expected images that are not shifted, found {data}", "data")
    recipe = recipe_for(
        net, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, flip=flip, rotate=rotate,
        optimizer=optimizer, momentum=momentum, weight_decay=weight_decay, schedule=schedule, seed=seed,
    )  # fmt: skip
    with locked(out):
        _, held_out_accuracy = train(net, data, Path(out), recipe, holdout, split_seed, replace, console().print)
    console().print(f"{out}: classifier with {100 * held_out_accuracy:.2f} % accuracy on its held-out rows")
