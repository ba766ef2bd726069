"""`steepslope shift`: a data set turned into another, as a domain that nobody has trained for."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from steepslope.cli import input_changes_to_extract, showing_first
from steepslope.errors import SteepslopeError
from steepslope.files import say
from steepslope.nets.extraction import InputOptions
from steepslope_lab.shifts.options import RecolorOptions, StylizeOptions, StylizerTraining, WritingOptions

if TYPE_CHECKING:
    from steepslope.nets.data import Shifted


@showing_first("data", "kind", "severity", "out")
def corrupt(
    data: str,
    kind: tuple[str, ...],
    severity: tuple[int, ...],
    out: str,
    options: WritingOptions,
    seed: int = 0,
    crop: int | None = None,
) -> None:
    """Write corrupted copies of a data set, as ImageNet-C has them: OUT/KIND/SEVERITY/CLASS/ID.png.

    Killed and run again, it goes on. An image becomes the same whatever the order and the number of processes. On the
    fly, without writing: the data spec corrupt:KIND:SEVERITY/SPEC, with ?seed=1&crop=224 before the / where wanted.

    Needs: pip install 'steepslope[lab]'.

    Parameters
    ----------
    data
        Data spec of the images, such as imagefolder:DIR, images:DIR or idx:DIR:test.
    kind
        Kinds of corruption: gaussian_noise, shot_noise, impulse_noise, defocus_blur, glass_blur, motion_blur,
        zoom_blur, snow, frost, fog, brightness, contrast, elastic_transform, pixelate, jpeg_compression; speckle_noise,
        gaussian_blur, spatter, saturate. paper: the first fifteen; all: all nineteen.
    severity
        Severities, 1 to 5.
    out
        Folder for the images; shift.json and shift-contact-sheet.png stand next to those of each kind and severity.
    options
        How the images are written.
    seed
        Seed of all draws, next to each image's id.
    crop
        Side to which images are brought first, in pixels: the shorter side is resized to crop / .875, and the centre
        cut out. ImageNet-C has 224; by default images keep their size.
    """
    from steepslope.nets.data import Shifted, parse_data
    from steepslope_lab.shifts.corruptions import CORRUPTIONS, PAPER_CORRUPTIONS, Corruption
    from steepslope_lab.shifts.writing import shifted_file_names

    named = {"paper": PAPER_CORRUPTIONS, "all": CORRUPTIONS}
    kinds = dict.fromkeys(one for name in kind for one in named.get(name, (name,)))
    shifts = [Corruption(one, level, seed, crop).look() for one in kinds for level in dict.fromkeys(severity)]
    if not shifts:
        raise SteepslopeError("expected at least one kind and one severity, found none", "kind")
    spec = parse_data(data).look()
    require_shift_elsewhere(out, spec.argument)
    images = spec.open()
    folders = {Path(out) / shift.kind / str(shift.severity): Shifted(images, shift) for shift in shifts}
    names = shifted_file_names(images, options.format)
    for folder, shifted in folders.items():
        write_shift(shifted, data, folder, options, names)


def require_shift_elsewhere(out: str, argument: str) -> None:
    """Raise if the folder of the results is that of the images, or one is within the other."""
    target, source = Path(out).resolve(), Path(argument).resolve()
    if argument and source.is_dir() and (target in (source, *source.parents) or source in target.parents):
        raise SteepslopeError(f"expected a folder apart from that of the images, {argument}, found {out}", "out")


def write_shift(
    shifted: "Shifted", source: str, out: Path, options: WritingOptions, names: Sequence[str] | None = None
) -> None:
    """Write a data set's shifted images, and say how they are read."""
    from steepslope.nets.data import SHEET
    from steepslope_lab.shifts.writing import write_shifted

    write_shifted(shifted, source, out, options, say, names)
    scheme = "images" if shifted.labels is None else "imagefolder"
    say(f"data spec: {scheme}:{out}; contact sheet: {out / SHEET}")


@showing_first("data", "stylizer", "styles", "alpha", "out")
def stylize(data: str, out: str, style: StylizeOptions, options: WritingOptions) -> None:
    """Write a data set's images in the styles of others (AdaIN, Huang & Belongie 2017): OUT/CLASS/ID.png.

    Killed and run again, it goes on. Grey images stay grey.

    Parameters
    ----------
    data
        Data spec of the images, such as imagefolder:DIR, images:DIR or idx:DIR:test.
    out
        Folder for the images; shift.json and shift-contact-sheet.png stand next to them.
    style
        The stylizer and the styles.
    options
        How the images are written.
    """
    from steepslope.nets.data import Shifted, parse_data
    from steepslope_lab.shifts.stylization import Stylization, look_at_stylizer_and_styles, style_data_spec

    look_at_stylizer_and_styles(style)
    spec = parse_data(data).look()
    for argument in (spec.argument, parse_data(style_data_spec(style.styles)).argument):
        require_shift_elsewhere(out, argument)
    write_shift(Shifted(spec.open(), Stylization.of(style)), data, Path(out), options)


@showing_first("content", "styles", "steps", "seed", "out")
def train_stylizer(
    content: str, styles: str, out: str, options: StylizerTraining, backbone: str = "torchvision:vgg19"
) -> None:
    """Train a stylizer: a decoder that paints what a frozen backbone sees; killed and run again, it goes on.

    Parameters
    ----------
    content
        Data spec of the images to paint, such as images:DIR or idx:DIR:train.
    styles
        Data spec, or folder, of the images whose styles are learnt, such as paintings and textures.
    out
        Folder for the stylizer, which holds all that it needs, the backbone's first layers too.
    options
        How to train.
    backbone
        Classifier spec of a convolutional net for colour images: timm:NAME, torchvision:NAME or checkpoint:DIR.
    """
    from steepslope.nets.classifiers import load_classifier
    from steepslope.nets.data import parse_data
    from steepslope_lab.shifts.stylization import style_data_spec
    from steepslope_lab.shifts.stylizer_training import train_stylizer as train

    photos, paintings = parse_data(content).look(), parse_data(style_data_spec(styles)).look()
    for argument in (photos.argument, paintings.argument):
        require_shift_elsewhere(out, argument)
    train(load_classifier(backbone), photos.open(), paintings.open(), Path(out), options, say)
    say(f"stylizer: {out}")


@showing_first("data", "classifier", "bound", "out")
def recolor(
    data: str,
    classifier: str,
    out: str,
    attack: RecolorOptions,
    options: WritingOptions,
    inputs: InputOptions,
    classes: str | None = None,
) -> None:
    """Write images recoloured so that a classifier errs (ReColorAdv, Laidlaw & Feizi 2019): OUT/CLASS/ID.png.

    Killed and run again, it goes on. Images have the size of the classifier's input.

    Needs: pip install 'steepslope[lab]'.

    Parameters
    ----------
    data
        Data spec of the images, such as imagefolder:DIR, images:DIR or idx:DIR:test. Images without labels are led away
        from the classes that the classifier predicts.
    classifier
        Spec of a classifier with gradients: checkpoint:DIR, timm:NAME, torchvision:NAME or module:pkg.mod:factory.
    out
        Folder for the images; shift.json and shift-contact-sheet.png stand next to them.
    attack
        The attack.
    options
        How the images are written.
    inputs
        How images become the classifier's input.
    classes
        Text file with the name of one class (folder) a line, in the order of the classifier's labels.
    """
    from steepslope.nets.classifiers import load_classifier
    from steepslope.nets.data import ClassNames, Shifted, parse_data, read_classes
    from steepslope_lab.shifts.recolor import Recoloring

    spec, names = parse_data(data).look(), None if classes is None else read_classes(Path(classes))
    require_shift_elsewhere(out, spec.argument)
    shift = Recoloring(load_classifier(classifier).with_transform(**input_changes_to_extract(inputs)), attack)
    known = ClassNames(names, shift.classifier.classes, shift.classifier.num_classes)
    images = spec.open(names=known)
    known.agreed(images.classes, str(spec))
    shift.classifier.check_labels(images.labels, str(spec))
    write_shift(Shifted(images, shift), data, Path(out), options)
