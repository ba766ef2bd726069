"""`steepslope train-classifier` and `steepslope extract`: a classifier, and its outputs on images."""

from dataclasses import asdict, replace as replaced
from pathlib import Path
from typing import Any

from steepslope.cli._parser import showing_first
from steepslope.errors import SteepslopeError
from steepslope.files import say
from steepslope.nets.classifiers import ClassifierTraining
from steepslope.nets.extraction import ExtractionOptions, InputOptions
from steepslope.outputs import options_by_name


@showing_first("data", "classifier", "opinion", "image_size", "out")
def extract(
    data: str,
    out: str,
    options: ExtractionOptions,
    inputs: InputOptions,
    classifier: str | None = None,
    classes: str | None = None,
    auxiliary: bool = False,
    opinion: tuple[str, ...] = (),
    opinion_classes: tuple[str, ...] = (),
) -> None:
    """Run a frozen classifier over images and keep its outputs; killed and run again, it resumes.

    Parameters
    ----------
    data
        digits, idx:DIR, torchvision:NAME, imagefolder:DIR (one subfolder a class), images:DIR (without classes),
        paths:FILE (a table of files) or hf:NAME[:SPLIT]. With :train or :test the outputs of the first three go to the
        folder itself; without, the rows fitted on, those held out and the test split go to its subfolders train,
        holdout and test. So do those of an imagefolder with the folders train and val or test. All others go to the
        folder itself. A shift may stand before each, as in corrupt:fog:3/imagefolder:DIR (see shift).
    out
        Folder for the outputs.
    options
        What to keep of each image, and how to run.
    inputs
        How images become the classifier's input; without --classifier, that of the nets of opinions.
    classifier
        checkpoint:DIR (of train-classifier), timm:NAME, torchvision:NAME (both with ?weights=FILE or
        ?weights=random, else from the hub; a file for timm with &mean=M&std=S), module:pkg.mod:factory (of your own,
        also with ?weights=FILE&mean=M&std=S), onnx:FILE or
        net:NAME (one of ours with random weights). It may be left out where ``out`` holds its outputs already
        and opinions are added.
    classes
        Text file with the name of one class (folder) a line, in the order of the labels, or the folder of earlier
        outputs or of a trained classifier that have such names; by default the classifier's own (WordNet ids for those
        of ImageNet), else the folders in alphabetical order, if they are as many as the classifier has classes.
    auxiliary
        The classifier is a second backbone: its features of the images whose outputs ``out`` holds already are kept
        next to them, as evidence for oracles.
    opinion
        Another classifier, NAME=SPEC, whose logits of the same images are kept with the outputs, as evidence for
        oracles. Several can be given.
    opinion_classes
        What the classes of an opinion are called in the outputs, NAME=FILE: lines other=this, or a .csv file of two
        columns; by default, classes go by their names where both have names.
    """
    from steepslope.nets.classifiers import load_classifier
    from steepslope.nets.data import parse_data, read_classes
    from steepslope.nets.extraction import extract_auxiliary, extract_opinion, extract_to_folder
    from steepslope.outputs import read_mapping

    opinions = options_by_name("opinion", opinion)
    named = {
        name: read_mapping(Path(file))
        for name, file in options_by_name("opinion_classes", opinion_classes, opinions).items()
    }
    _require_one_extraction(classifier, auxiliary, bool(opinions), classes)
    spec, names = parse_data(data).look(), None if classes is None else read_classes(Path(classes))
    changes = input_changes_to_extract(inputs)  # a wrong file is refused before a net is loaded
    model = None if classifier is None else load_classifier(classifier).with_transform(**changes)
    own = changes if model is None else {}
    others = {name: load_classifier(net).with_transform(**own) for name, net in opinions.items()}
    notice, folder = say, Path(out)
    if auxiliary and model is not None:
        extract_auxiliary(model, spec, folder, options, notice)
    elif model is not None:
        extract_to_folder(model, spec, folder, options, names, notice)
    alone = options if model is None else replaced(options, augment=0).keeping()
    for name, net in others.items():
        extract_opinion(name, net, spec, folder, alone, named.get(name), notice)


def _require_one_extraction(classifier: str | None, auxiliary: bool, opinions: bool, classes: str | None) -> None:
    """Raise unless there is a classifier, or a net of an opinion, and one thing alone is wanted of it."""
    if classifier is None and not opinions:
        raise SteepslopeError(
            "expected a spec, or --opinion next to outputs that are there, found neither", "classifier"
        )
    if auxiliary and (opinions or classifier is None):
        raise SteepslopeError(
            "expected --classifier with it, and no --opinion: extract one after the other", "auxiliary"
        )
    if classes is not None and (auxiliary or classifier is None):
        raise SteepslopeError("expected none of another net, since they are the classifier's", "classes")


def input_changes_to_extract(inputs: InputOptions) -> dict[str, Any]:
    """Return what changes a classifier's input, as its method ``with_transform`` takes it."""
    from steepslope.nets.data import read_transform

    changes = asdict(inputs)
    if inputs.preprocessing is not None:
        changes["preprocessing"] = read_transform(Path(inputs.preprocessing))
    return changes


@showing_first("net", "data", "out", "epochs", "seed")
def train_classifier(
    net: str, data: str, out: str, recipe: ClassifierTraining, holdout: int | None = None, replace: bool = False
) -> None:
    """Train a small classifier, for those who bring none; killed and run again, it resumes.

    ``--config mnist-classifier`` trains as the paper does on MNIST; --help-all has all names.

    Parameters
    ----------
    net
        mnist-net (28x28 grey pixels, the paper's), cifar-vgg (32x32 in colour, the paper's VGG-16) or digits-net (8x8).
    data
        digits, idx:DIR or torchvision:MNIST|FashionMNIST|KMNIST|CIFAR10|SVHN; its training split is used.
    out
        Folder for the checkpoint.
    recipe
        How to train.
    holdout
        Number of training rows to hold out, on which errors are seen later; by default 10,000, but at most half.
    replace
        Replace a classifier that the folder holds already, trained in another way or on other images.
    """
    from steepslope.nets.classifiers import train_classifier as train
    from steepslope.nets.data import parse_data

    if parse_data(data).shifts:
        raise SteepslopeError(f"expected images that are not shifted, found {data}", "data")
    _, held_out_accuracy = train(net, data, Path(out), recipe, holdout, replace, say)
    say(f"{out}: classifier with {100 * held_out_accuracy:.2f} % accuracy on its held-out rows")
