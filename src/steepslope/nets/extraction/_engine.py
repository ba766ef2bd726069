"""Run a frozen classifier, by PyTorch or ONNX Runtime, on a batch of images, and return the evidence that is kept.

Noise is estimated by Immerkær's second difference ("Fast Noise Variance Estimation", 1996). Views are small changes of
the images under which a prediction that can be trusted should stand. Each view maps standardised images (n, C, H, W) to
the same shape. Sizes are fractions of the side: a shift is one pixel of 28. What comes in from outside repeats or
mirrors the border.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from steepslope.errors import SteepslopeError
from steepslope.files import Notice, optional_library, silent
from steepslope.nets._seeding import seeded
from steepslope.nets.classifiers import Classifier, as_onnx, takes_channels_last
from steepslope.nets.data import Transform
from steepslope.nets.extraction._options import ExtractionOptions
from steepslope.numerics import Singles, Values, blocks

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_tv = optional_library("torchvision.transforms.v2.functional", "nets")

ESTIMATES = ("mean", "median")  # the columns of noise_of
SIDE = 3  # of the mask
_MASK_NORM = 6.0  # of the mask's response to white noise of deviation 1
_NORMAL_MEDIAN = 0.67449  # of a standard normal's absolute value
_TINY = 1e-12


def _noise_of_images(images: Tensor) -> Tensor:
    """Estimate how much of each image's differences between neighbours is noise: (n, C, H, W) -> float32 (n, 2).

    The deviation of white noise, over the deviation that the neighbours' mean difference would stand for: 1 where all
    is white noise, near 0 where all is smooth, whatever the contrast. The former comes from the mean, and from the
    median, of the absolute second difference in both directions, which hardly sees what is smooth or straight. The mean
    counts all texture as noise, the median what covers half of the image.

    >>> noise = 0.3 * torch.randn(1, 1, 200, 200, generator=torch.Generator().manual_seed(0))
    >>> ramp = torch.arange(16.0).reshape(1, 1, 4, 4)
    >>> _noise_of_images(noise).round(decimals=1).tolist(), _noise_of_images(ramp).tolist()
    ([[1.0, 1.0]], [[0.0, 0.0]])
    """
    height, width = images.shape[-2:]
    if min(height, width) < SIDE:
        raise SteepslopeError(f"noise: expected images of at least {SIDE} × {SIDE} pixels, found {height} × {width}")
    size = 1 if images.device.type == "cpu" else len(images)  # single images stay in a core's cache
    estimates = []
    for rows in blocks(len(images), size):
        estimates.append(noise_estimates(images[rows].float(), _lower_medians))
    return torch.cat(estimates)


def noise_estimates(images: Tensor, medians: Callable[[Tensor], Tensor]) -> Tensor:
    """Return what :func:`_noise_of_images` does, with a function for the lower medians of rows, (n, w) -> (n,)."""
    down = images[..., :-2, :] - 2 * images[..., 1:-1, :] + images[..., 2:, :]
    both = down[..., :-2] - 2 * down[..., 1:-1] + down[..., 2:]
    responses = both.abs().flatten(1) / _MASK_NORM
    by_mean = responses.mean(dim=1) * math.sqrt(math.pi / 2)
    by_median = medians(responses) / _NORMAL_MEDIAN
    deviations = torch.stack([by_mean, by_median], 1)
    between_rows = images.diff(dim=2).abs().mean(dim=(1, 2, 3))
    between_columns = images.diff(dim=3).abs().mean(dim=(1, 2, 3))
    differences = (between_rows + between_columns) / 2
    return deviations / (differences * math.sqrt(math.pi) / 2).clamp_min(_TINY)[:, None]


def _lower_medians(rows: Tensor) -> Tensor:
    """Return the lower median of each row, as torch does; on the CPU by NumPy, which needs a ninth of the time."""
    if rows.device.type != "cpu":
        return rows.median(dim=1).values
    middle = (rows.shape[1] - 1) // 2
    return torch.from_numpy(np.partition(rows.numpy(), middle, axis=1)[:, middle])


def _shift_view(images: Tensor, right: int = 0, down: int = 0) -> Tensor:
    step = max(1, round(images.shape[-1] / 28))
    padded = torch.nn.functional.pad(images, (step,) * 4, mode="replicate")
    height, width = images.shape[-2:]
    top = step * (1 - down)
    left = step * (1 - right)
    return padded[..., top : top + height, left : left + width]


def _affine_view(images: Tensor, angle: float = 0.0, scale: float = 1.0) -> Tensor:
    border = max(1, math.ceil(0.1 * max(images.shape[-2:])))
    padded = torch.nn.functional.pad(images, (border,) * 4, mode="replicate")
    moved: Tensor = _tv.affine(padded, angle, [0, 0], scale, [0.0, 0.0], _tv.InterpolationMode.BILINEAR)
    return moved[..., border:-border, border:-border]


def _contrast_view(images: Tensor, factor: float) -> Tensor:
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + factor * (images - mean)


def _blur_view(images: Tensor) -> Tensor:
    sigma = 0.8 * images.shape[-1] / 28
    side = 2 * math.ceil(1.5 * sigma) + 1
    blurred: Tensor = _tv.gaussian_blur(images, [side, side], [sigma, sigma])
    return blurred


VIEWS: dict[str, Callable[[Tensor], Tensor]] = {
    "flip": lambda images: images.flip(-1),
    "left": partial(_shift_view, right=-1),
    "right": partial(_shift_view, right=1),
    "up": partial(_shift_view, down=-1),
    "down": partial(_shift_view, down=1),
    "turn_left": partial(_affine_view, angle=-8),
    "turn_right": partial(_affine_view, angle=8),
    "blur": _blur_view,
    "shrink": partial(_affine_view, scale=0.9),
    "grow": partial(_affine_view, scale=1.1),
    "less_contrast": partial(_contrast_view, factor=0.8),
    "more_contrast": partial(_contrast_view, factor=1.2),
}


_Arrays = dict[str, NDArray[Any]]
_SMALL = 64  # inputs of fewer pixels a side cost less than an export
_CHECK_ROWS = 4


@dataclass(frozen=True, eq=False)
class Engine:
    """A net on a device; called with a batch and the number of its first row, it gives the arrays to keep."""

    net: nn.Module
    fabric: Fabric
    options: ExtractionOptions
    transform: Transform
    layout: torch.memory_format = torch.contiguous_format

    @classmethod
    def on(cls, classifier: Classifier, options: ExtractionOptions, fabric: Fabric) -> Self:
        """Move the classifier to the device; where it can, colour images lie there channels last, which is faster."""
        if "dropout" in options.evidence and not dropout_layers(classifier.net):
            raise SteepslopeError(
                "expected dropout layers for dropout passes, found none "
                "(?dropout=RATE gives a timm model one before its last layer)",
                classifier.spec,
            )
        net = fabric.to_device(classifier.net).requires_grad_(False)
        engine = cls(net, fabric, options, classifier.transform, torch.channels_last)
        if classifier.trainable and classifier.transform.channels == 3:
            images = torch.zeros((2, 3, *classifier.transform.size))
            if takes_channels_last(net, partial(engine, first_row=0), images):
                return engine
        return replace(engine, layout=torch.contiguous_format)

    def __call__(self, images: Tensor, first_row: int) -> _Arrays:
        """Return logits float32 (m, K), and the arrays of the evidence in the options, named as in the outputs."""
        evidence = self.options.evidence
        with torch.inference_mode():
            inputs = images.to(self.fabric.device, non_blocking=True)
            features, logits = self._run_net(inputs)
            arrays = {"logits": _array_of_tensor(logits)}
            if "features" in evidence and features is not None:
                arrays["features"] = _narrowed_features(_array_of_tensor(features), self.options.features)
            if "views" in evidence:
                views = [self._run_net(VIEWS[name](inputs))[1] for name in self.options.views]
                arrays["views"] = np.stack([_array_of_tensor(view) for view in views], axis=1)
            if "noise" in evidence:
                arrays["noise"] = _array_of_tensor(_noise_of_images(inputs))
            if "dropout" in evidence:
                arrays["dropout"] = _array_of_tensor(self._dropout_passes(inputs, first_row))
        return arrays

    def _run_net(self, inputs: Tensor) -> tuple[Tensor | None, Tensor]:
        with self.fabric.autocast():
            outputs: tuple[Tensor | None, Tensor] = self.net(inputs.contiguous(memory_format=self.layout))
        return outputs

    def _dropout_passes(self, inputs: Tensor, first_row: int) -> Tensor:
        """Return the log of the mean and the deviation of each class's probability over the passes, (m, 2, K)."""
        layers = dropout_layers(self.net)
        try:
            for layer in layers:
                layer.training = True
            with seeded(first_row):
                passes = [self._run_net(inputs)[1].float().cpu().double() for _ in range(self.options.passes)]
        finally:
            for layer in layers:
                layer.training = False
        logs = torch.stack(passes).log_softmax(dim=2)
        if torch.equal(logs[0], logs[1]):
            raise SteepslopeError("expected passes that differ, but the net's dropout layers change nothing", "dropout")
        mean = logs.logsumexp(dim=0) - np.log(len(passes))
        return torch.stack([mean, logs.exp().std(dim=0)], dim=1)


def dropout_layers(net: nn.Module) -> list[nn.Module]:
    """Return the modules that drop units at a rate above 0: torch's layers, attention, and timm's ``drop_rate``.

    With them come torch's encoders, which leave out their own dropout layers in evaluation mode.
    """
    return [layer for layer in net.modules() if _drops_units(layer)]


def _drops_units(layer: nn.Module) -> bool:
    if isinstance(layer, nn.TransformerEncoder | nn.TransformerEncoderLayer):
        return any(map(_drops_units, layer.children()))
    rates = [getattr(layer, name, None) for name in ("p", "dropout", "drop_rate")]
    is_known = isinstance(layer, nn.modules.dropout._DropoutNd | nn.MultiheadAttention) or rates[2] is not None
    return is_known and any(isinstance(rate, int | float) and rate > 0 for rate in rates)


def _narrowed_features(features: Singles, dtype: str) -> Values:
    with np.errstate(over="ignore"):
        narrow: Values = features.astype(dtype)
    if not np.isfinite(narrow).all() and np.isfinite(features).all():
        raise SteepslopeError(f"{np.abs(features).max():.3g} is too large for {dtype}: keep float32", "features")
    return narrow


def _array_of_tensor(values: Tensor) -> Singles:
    return values.float().cpu().numpy()


def classifier_on_backend(
    classifier: Classifier, options: ExtractionOptions, fabric: Fabric, notice: Notice = silent
) -> Classifier:
    """Return the classifier as the backend runs it; ``auto`` takes ONNX Runtime where it can and pays.

    ``notice`` is told why it cannot.
    """
    if not classifier.trainable and (options.backend == "torch" or options.precision != "32"):
        raise SteepslopeError("expected the backend onnx and precision 32, since it is a file", classifier.spec)
    if not classifier.trainable or options.backend == "torch":
        return classifier
    if options.backend == "auto" and not _onnx_pays(classifier, options, fabric):
        return classifier
    try:
        images = classifier.noise(_CHECK_ROWS)
        net = as_onnx(classifier.net, images, classifier.spec, classifier.digest)
        return replace(classifier, net=net)
    except SteepslopeError as error:
        if options.backend == "onnx":
            raise
        notice(f"PyTorch runs the classifier ({error})")
        return classifier


def _onnx_pays(classifier: Classifier, options: ExtractionOptions, fabric: Fabric) -> bool:
    return (
        fabric.device.type == "cpu"
        and options.precision == "32"
        and "dropout" not in options.evidence
        and min(classifier.transform.size) >= _SMALL
        and all(find_spec(name) is not None for name in ("onnxruntime", "onnxscript"))
    )
