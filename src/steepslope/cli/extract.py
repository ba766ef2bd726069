"""`steepslope train-classifier` and `steepslope extract`: a classifier, and its outputs on images."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from steepslope.errors import SteepslopeError
from steepslope.extraction.options import ExtractionOptions, InputOptions
from steepslope.files.progress import console


def extract(
    classifier: str,
    data: str,
    out: str,
    options: ExtractionOptions,
    inputs: InputOptions,
    classes: str | None = None,
    auxiliary: bool = False,
) -> None:
    """Run a frozen classifier over images and keep its outputs; killed and run again, it resumes.

    Parameters
    ----------
    classifier
        checkpoint:DIR (of train-classifier), timm:NAME, torchvision:NAME (both with ?weights=FILE or
        ?weights=random, else from the hub; a file for timm with &mean=M&std=S), module:pkg.mod:factory or onnx:FILE.
    data
        digits, idx:DIR, torchvision:NAME, imagefolder:DIR (one subfolder a class), images:DIR (without classes),
        hf:NAME[:SPLIT] or wds:PATTERN. With :train or :test the outputs of the first three go to the folder itself;
        without, the rows fitted on, those held out and the test split go to its subfolders train, holdout and test. So
        do those of an imagefolder with the folders train and val or test. All others go to the folder itself. A shift
        may stand before each, as in corrupt:fog:3/imagefolder:DIR (see shift).
    out
        Folder for the outputs.
    options
        What to keep of each image, and how to run.
    inputs
        How images become the classifier's input.
    classes
        Text file with the name of one class (folder) a line, in the order of the labels, or the folder of earlier
        outputs or of a trained classifier that have such names; by default the classifier's own (WordNet ids for those
        of ImageNet), else the folders in alphabetical order, if they are as many as the classifier has classes.
    auxiliary
        The classifier is a second backbone: its features of the images whose outputs ``out`` holds already are kept
        beside them, as evidence for oracles.
    """
    from steepslope.classifiers.specs import load_classifier
    from steepslope.data.class_names import read_classes
    from steepslope.extraction.auxiliary import extract_auxiliary
    from steepslope.extraction.extraction import extract_to_folder
    from steepslope.shifts.specs import parse_data

    spec, names = parse_data(data).look(), None if classes is None else read_classes(Path(classes))
    changes = input_changes(inputs)  # a wrong file is refused before a net is loaded
    if auxiliary and names is not None:
        raise SteepslopeError("classes: expected none of an auxiliary backbone, whose classes do not matter")
    model = load_classifier(classifier).with_transform(**changes)
    if auxiliary:
        extract_auxiliary(model, spec, Path(out), options, console().print)
    else:
        extract_to_folder(model, spec, Path(out), options, names, console().print)


def input_changes(inputs: InputOptions) -> dict[str, Any]:
    """Return what changes a classifier's input, as its method ``with_transform`` takes it."""
    from steepslope.data.transforms import read_transform

    changes = asdict(inputs)
    if inputs.preprocessing is not None:
        changes["preprocessing"] = read_transform(Path(inputs.preprocessing))
    return changes


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
    from steepslope.shifts.specs import parse_data

    if parse_data(data).shifts:
        raise SteepslopeError(f"expected images that are not shifted, found {data}", "data")
    recipe = recipe_for(
        net, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, flip=flip, rotate=rotate,
        optimizer=optimizer, momentum=momentum, weight_decay=weight_decay, schedule=schedule, seed=seed,
    )  # fmt: skip
    _, held_out_accuracy = train(net, data, Path(out), recipe, holdout, split_seed, replace, console().print)
    console().print(f"{out}: classifier with {100 * held_out_accuracy:.2f} % accuracy on its held-out rows")
