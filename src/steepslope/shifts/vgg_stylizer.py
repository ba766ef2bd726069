"""The AdaIN weights that people have for PyTorch: ``vgg_normalised.pth`` and ``decoder.pth``, as a stylizer.

Both are state dicts of plain sequences of layers, whose numbers are their names. The encoder is VGG-19 up to relu4_1,
of which the file may have more; it normalises its input itself, in a 1 × 1 convolution. Known from the repository
naoto0804/pytorch-AdaIN.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from steepslope.errors import SteepslopeError
from steepslope.shifts.stylizer import CARD, DecoderPlan, Stylizer
from steepslope.shifts.stylizer_encoder import VGG, VGG_POINTS, EncoderPlan, rebuilt_encoder

ENCODER = EncoderPlan(VGG, VGG_POINTS, (64, 128, 256, 512), 8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
DECODER = DecoderPlan((256, 128, 64), (4, 2, 2))


def vgg_stylizer(encoder: str | Path, decoder: str | Path) -> Stylizer:
    """Load the two files of published AdaIN weights.

    Parameters
    ----------
    encoder
        State dict of VGG-19's layers 0 to 30 (to relu4_1); further layers, as in ``vgg_normalised.pth``, are left out.
    decoder
        State dict of the decoder's layers 0 to 28, as in ``decoder.pth``.

    Returns
    -------
    Stylizer
        On the CPU, of reduction 8; :meth:`~steepslope.shifts.stylizer.Stylizer.save` makes it a folder.

    Raises
    ------
    SteepslopeError
        If a file cannot be read without running code, or holds other weights.
    """
    facts = {"imported": {"encoder": Path(encoder).name, "decoder": Path(decoder).name}}
    stylizer = Stylizer(rebuilt_encoder(ENCODER), DECODER, facts)
    _fill(stylizer.encoder.net, Path(encoder), more=True)
    _fill(stylizer.decoder, Path(decoder))
    return stylizer.eval()


def import_vgg_stylizer(encoder: str | Path, decoder: str | Path, out: str | Path) -> Stylizer:
    """Load the two files as :func:`vgg_stylizer` does, and save them as a stylizer's folder, which holds none yet."""
    if (Path(out) / CARD).exists():
        raise SteepslopeError("holds a stylizer already: choose another folder", out)
    stylizer = vgg_stylizer(encoder, decoder)
    stylizer.save(out)
    return stylizer


def _fill(layers: nn.Module, path: Path, more: bool = False) -> None:
    """Load a file of weights into layers that it fits exactly, but for further ones if there may be ``more``."""
    state, own = _read(path), layers.state_dict()
    kept = {name: weight for name, weight in state.items() if name in own or not more}
    for name in {**own, **kept}:
        expected, found = _shape(own.get(name)), _shape(kept.get(name))
        if expected != found:
            raise SteepslopeError(f"expected published AdaIN weights: {name}: {expected}, found {found}", path)
        if not kept[name].isfinite().all():
            raise SteepslopeError(f"expected finite weights, found others in {name}", path)
    layers.load_state_dict(kept)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise SteepslopeError("no such file", path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and pickle raise many kinds, with advice to load what could run code
        raise SteepslopeError("expected a file of PyTorch weights, found another or a damaged one", path) from error
    if not isinstance(state, Mapping):
        raise SteepslopeError(f"expected a state dict, found {type(state).__name__}", path)
    return dict(state)


def _shape(weight: Tensor | None) -> str:
    return str(tuple(weight.shape)) if isinstance(weight, Tensor) else "none"
