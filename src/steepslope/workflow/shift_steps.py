"""The steps that shift the test images: a stylizer, and the shifted images on disk."""

from functools import partial
from pathlib import Path

import sklearn.datasets
from PIL import Image

from steepslope.data.datasets import parse_dataset
from steepslope.data.images import Divisible
from steepslope.data.shift_card import CARD as SHIFT_CARD
from steepslope.data.shifted import Shift, Shifted, ShiftSpec
from steepslope.errors import SteepslopeError, require_known
from steepslope.shifts.recolor_options import RecolorOptions
from steepslope.shifts.recoloring import Recoloring
from steepslope.shifts.specs import parse_data
from steepslope.shifts.stylization import StylizeSpec, style_data
from steepslope.shifts.stylizer import CARD as STYLIZER_CARD
from steepslope.shifts.stylizer_options import StylizerTraining
from steepslope.shifts.stylizer_training import train_stylizer
from steepslope.shifts.writing import write_shifted
from steepslope.utilities.files import staged_folder
from steepslope.workflow.lab import ADVERSARIAL, COPIES, SPLITS, STYLIZED, TEST, TRAIN, Case, Lab
from steepslope.workflow.net_step import net_steps
from steepslope.workflow.step import Cost, Step, told

CONTENT = 2_000  # training images that a stylizer is trained on
PHOTOGRAPHS = ("china", "flower")  # those that come with scikit-learn


def shift_steps(lab: Lab, case: Case) -> list[Step]:
    """Return the step that makes the images of a case; none for splits and their copies."""
    where, preset = case.where, lab.preset
    if where.removesuffix(COPIES) in SPLITS:
        return []
    attacks = where == ADVERSARIAL
    if attacks and preset.nets[case.classifier].probe:
        raise SteepslopeError(f"expected a net to attack, found {case.classifier}, a probe", ADVERSARIAL)
    name, seed = (case.classifier, case.seed) if attacks else (preset.pairs[0].classifier, preset.seeds[0])
    settings = preset.recolor if attacks else {"alpha": 1.0} if where == STYLIZED else {}
    rows = f"{preset.rows:,} of the" if preset.rows else "all"
    about = f"shift {rows} test images: {where}{f' against {name}' if attacks else ''} {told(settings)}".rstrip()
    if not attacks and where != STYLIZED:
        _in_words(lab, where).look()  # whether what it needs is installed
    needs = [*net_steps(lab, name, seed), *([stylizer_step(lab)] if where == STYLIZED else [])]
    steps = int(settings.get("steps", RecolorOptions().steps))
    costs = (Cost(name, where, steps, trained=steps),) if attacks else ()
    run = partial(write_shift, where=where, name=name, seed=seed, place=lab.place(case))
    return [Step(lab.shifted(lab.place(case)), SHIFT_CARD, about, run, tuple(needs), costs)]


def write_shift(lab: Lab, where: str, name: str, seed: int, place: str) -> None:
    """Shift test images, against a classifier where they are attacked."""
    test = lab.sets(name, seed)[TEST]
    assert isinstance(test, Divisible)
    some = test.subset(lab.drawn(len(test), lab.preset.rows))
    write_shifted(
        Shifted(some, _shift(lab, where, name, seed)), f"{lab.data}:{TEST}", lab.shifted(place), notice=lab.notice
    )


def _shift(lab: Lab, where: str, name: str, seed: int) -> Shift:
    preset = lab.preset
    if where == ADVERSARIAL:
        return Recoloring(lab.net(name, seed), RecolorOptions(**preset.recolor))
    if where == STYLIZED:
        stylizer = str(stylizer_step(lab).folder)
        return StylizeSpec(stylizer, styles_of(lab), side=preset.side, crop=preset.crop).look().load()
    return _in_words(lab, where).load()


def _in_words(lab: Lab, where: str) -> ShiftSpec:
    """Return a shift that is named by its spec, such as corrupt:fog:5."""
    crop = f"?crop={lab.preset.crop}" if lab.preset.crop else ""
    return parse_data(f"{where}{crop}/digits").shifts[0]  # the data play no part


def stylizer_step(lab: Lab) -> Step:
    """Return the step that trains a stylizer, or the one that has made what is given."""
    preset = lab.preset
    folder = Path(preset.trained_stylizer or lab.work / "stylizer")
    if preset.trained_stylizer and not (folder / STYLIZER_CARD).exists():
        raise SteepslopeError(f"expected the folder of a stylizer with {STYLIZER_CARD}, found none", folder)
    if preset.styles:
        parse_dataset(style_data(preset.styles)).look()
    about = f"train a stylizer, styles {preset.styles or 'two photographs'}: {told(preset.stylizer)}"
    require_known("net of the stylizer:", preset.stylizer.get("net"), preset.nets)
    names = dict.fromkeys([preset.pairs[0].classifier, preset.stylizer["net"]])
    needs = [step for name in names for step in net_steps(lab, name, preset.seeds[0])]
    return Step(folder, STYLIZER_CARD, about, train, tuple(needs))


def train(lab: Lab) -> None:
    """Train a stylizer on training images, in the styles of a folder, or of scikit-learn's two photographs."""
    settings, preset = dict(lab.preset.stylizer), lab.preset
    backbone = lab.net(settings.pop("net"), preset.seeds[0])
    images = lab.sets(preset.pairs[0].classifier, preset.seeds[0])[TRAIN]
    assert isinstance(images, Divisible)
    content = images.subset(lab.drawn(len(images), min(CONTENT, len(images))))
    styles = parse_dataset(style_data(styles_of(lab))).open()
    train_stylizer(backbone, content, styles, stylizer_step(lab).folder, StylizerTraining(**settings), lab.notice)


def styles_of(lab: Lab) -> str:
    """Return the folder of styles, after writing the photographs to one where none is given."""
    folder, last = lab.work / "styles", f"{PHOTOGRAPHS[-1]}.png"
    if lab.preset.styles is None and not (folder / last).exists():
        with staged_folder(folder, last=last) as staging:
            for name in PHOTOGRAPHS:
                Image.fromarray(sklearn.datasets.load_sample_image(f"{name}.jpg")).save(staging / f"{name}.png")
    return lab.preset.styles or str(folder)
