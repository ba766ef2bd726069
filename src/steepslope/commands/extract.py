"""`steepslope extract`."""

from pathlib import Path
from typing import Literal

from steepslope.errors import SteepslopeError
from steepslope.extraction.options import ExtractionOptions
from steepslope.utilities.progress import console


def extract(
    classifier: str,
    data: str,
    out: str,
    options: ExtractionOptions,
    classes: str | None = None,
    image_size: int | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    resize: Literal["crop", "squash"] | None = None,
    auxiliary: bool = False,
) -> None:
    """Run a frozen classifier over images and keep its outputs; killed and run again, it resumes.

    Parameters
    ----------
    classifier
        checkpoint:DIR (of train-classifier), timm:NAME, torchvision:NAME (both with ?weights=FILE or
        ?weights=random, else from the hub), module:pkg.mod:factory or onnx:FILE.
    data
        digits, idx:DIR, torchvision:NAME, imagefolder:DIR, hf:NAME[:SPLIT] or wds:PATTERN. With :train or :test the
        outputs of the first three go to the folder itself; without, the rows fitted on, those held out and the test
        split go to its subfolders train, holdout and test. All others go to the folder itself.
    out
        Folder for the outputs.
    options
        What to keep of each image, and how to run.
    classes
        Text file with the name of one class (folder) a line, in the order of the labels; by default WordNet ids for
        classifiers of ImageNet, else the folders in alphabetical order.
    image_size
        Side of the classifier's input in pixels, in place of its own.
    mean
        Mean of the classifier's input, of pixels in [0, 1]: one number a channel with commas, or one for all.
    std
        Standard deviation of the classifier's input: one number a channel with commas, or one for all.
    resize
        How images come to the classifier's size: crop (shorter side, then the central square) or squash.
    auxiliary
        The classifier is a second backbone: its features of the images whose outputs ``out`` holds already are kept
        beside them, as evidence for oracles.
    """
    from steepslope.classifiers.specs import load_classifier
    from steepslope.data.class_names import read_classes
    from steepslope.data.datasets import parse_dataset
    from steepslope.extraction.auxiliary import extract_auxiliary
    from steepslope.extraction.extraction import extract_to_folder

    spec, names = parse_dataset(data), None if classes is None else read_classes(Path(classes))
    if auxiliary and names is not None:
        raise SteepslopeError("classes: expected none of an auxiliary backbone, whose classes do not matter")
    model = load_classifier(classifier).with_transform(image_size, mean, std, resize)
    if auxiliary:
        extract_auxiliary(model, spec, Path(out), options, console().print)
    else:
        extract_to_folder(model, spec, Path(out), options, names, console().print)
