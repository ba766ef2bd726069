"""`steepslope extract`."""

from pathlib import Path
from typing import Literal

from steepslope.errors import SteepslopeError
from steepslope.extraction.options import ExtractionOptions
from steepslope.files.progress import console


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
    channels: int | None = None,
    preprocessing: str | None = None,
    auxiliary: bool = False,
) -> None:
    """Run a frozen classifier over images and keep its outputs; killed and run again, it resumes.

    Parameters
    ----------
    classifier
        checkpoint:DIR (of train-classifier), timm:NAME, torchvision:NAME (both with ?weights=FILE or
        ?weights=random, else from the hub), module:pkg.mod:factory or onnx:FILE.
    data
        digits, idx:DIR, torchvision:NAME, imagefolder:DIR (one subfolder a class), images:DIR (without classes),
        hf:NAME[:SPLIT] or wds:PATTERN. With :train or :test the outputs of the first three go to the folder itself;
        without, the rows fitted on, those held out and the test split go to its subfolders train, holdout and test. All
        others go to the folder itself. A shift may stand before each, as in corrupt:fog:3/imagefolder:DIR (see shift).
    out
        Folder for the outputs.
    options
        What to keep of each image, and how to run.
    classes
        Text file with the name of one class (folder) a line, in the order of the labels, or the folder of earlier
        outputs or of a trained classifier that have such names; by default the classifier's own (WordNet ids for those
        of ImageNet), else the folders in alphabetical order, if they are as many as the classifier has classes.
    image_size
        Side of the classifier's input in pixels, in place of its own.
    mean
        Mean of the classifier's input, of pixels in [0, 1]: one number a channel with commas, or one for all.
    std
        Standard deviation of the classifier's input: one number a channel with commas, or one for all.
    resize
        How images come to the classifier's size: crop (shorter side, then the central square) or squash.
    channels
        Channels of the classifier's input: 1 for grey, 3 for colour, others for arrays in .npy files; by default those
        of its first convolution.
    preprocessing
        JSON file with size, mean, std, resize, crop_share and interpolation of the classifier's input, in place of the
        five options above; a manifest.json of outputs has them.
    auxiliary
        The classifier is a second backbone: its features of the images whose outputs ``out`` holds already are kept
        beside them, as evidence for oracles.
    """
    from steepslope.classifiers.specs import load_classifier
    from steepslope.data.class_names import read_classes
    from steepslope.data.transforms import read_transform
    from steepslope.extraction.auxiliary import extract_auxiliary
    from steepslope.extraction.extraction import extract_to_folder
    from steepslope.shifts.specs import parse_data

    spec, names = parse_data(data).look(), None if classes is None else read_classes(Path(classes))
    transform = None if preprocessing is None else read_transform(Path(preprocessing))
    if auxiliary and names is not None:
        raise SteepslopeError("classes: expected none of an auxiliary backbone, whose classes do not matter")
    model = load_classifier(classifier).with_transform(image_size, mean, std, resize, channels, transform)
    if auxiliary:
        extract_auxiliary(model, spec, Path(out), options, console().print)
    else:
        extract_to_folder(model, spec, Path(out), options, names, console().print)
