"""`steepslope shift`: a data set turned into another, as a domain that nobody has trained for."""

from pathlib import Path
from typing import TYPE_CHECKING

from steepslope.errors import SteepslopeError
from steepslope.shifts.options import WritingOptions
from steepslope.utilities.command_line import Group
from steepslope.utilities.progress import console

if TYPE_CHECKING:
    from steepslope.data.shifted import Shifted


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
        Folder for the images; shift.json and contact_sheet.png stand beside those of each kind and severity, and a
        contact sheet of all of them in OUT.
    options
        How the images are written.
    seed
        Seed of all draws, beside each image's id.
    crop
        Side to which images are brought first, in pixels: the shorter side is resized to crop / .875, and the centre
        cut out. ImageNet-C has 224; by default images keep their size.
    """
    from steepslope.data.shifted import Shifted
    from steepslope.shifts.corruptions import CORRUPTIONS, PAPER_CORRUPTIONS, Corruption
    from steepslope.shifts.specs import parse_data
    from steepslope.shifts.writing import write_sheet_of_all

    named = {"paper": PAPER_CORRUPTIONS, "all": CORRUPTIONS}
    kinds = dict.fromkeys(one for name in kind for one in named.get(name, (name,)))
    shifts = [Corruption(one, level, seed, crop).look() for one in kinds for level in dict.fromkeys(severity)]
    if not shifts:
        raise SteepslopeError("expected at least one kind and one severity, found none", "kind")
    spec = parse_data(data).look()
    require_elsewhere(out, spec.argument)
    images = spec.open()
    folders = {Path(out) / shift.kind / str(shift.severity): Shifted(images, shift) for shift in shifts}
    for folder, shifted in folders.items():
        written(shifted, data, folder, options)
    if len(folders) > 1:
        write_sheet_of_all(folders, Path(out), options.format)


def require_elsewhere(out: str, argument: str) -> None:
    """Raise if the folder of the results is that of the images, or one is within the other."""
    target, source = Path(out).resolve(), Path(argument).resolve()
    if argument and source.is_dir() and (target in (source, *source.parents) or source in target.parents):
        raise SteepslopeError(f"expected a folder apart from that of the images, {argument}, found {out}", "out")


def written(shifted: "Shifted", source: str, out: Path, options: WritingOptions) -> None:
    """Write a data set's shifted images, and say how they are read."""
    from steepslope.shifts.contact_sheet import SHEET
    from steepslope.shifts.writing import write_shifted

    folder = write_shifted(shifted, source, out, options, console().print)
    scheme = "images" if shifted.labels is None else "imagefolder"
    as_they_are = "" if shifted.shift.size is None else " (--resize squash takes them as they are)"
    console().print(f"data spec: {scheme}:{folder}{as_they_are}; contact sheet: {out / SHEET}")


SHIFT = Group("Turn a data set into one of another domain: corrupted, stylised or recoloured.", {"corrupt": corrupt})
