"""From decoded images to what a net takes, as a graph that equals :class:`~steepslope.nets.data.Transform`.

Resizing is Pillow's, to the last bit. The antialiasing of ONNX's own Resize rounds its coefficients differently, which
changes one pixel in a thousand, and with it the trust. So each axis is resized by products with Pillow's own
coefficients: whole numbers of 22 bits, whose upper and lower parts are multiplied in float32 without rounding.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx.inliner import inline_local_functions
from onnxscript import DOUBLE, FLOAT, INT64, UINT8, opset20 as op, script
from onnxscript.optimizer import optimize
from onnxscript.values import Opset
from PIL import Image

from steepslope.errors import SteepslopeError
from steepslope.nets.data import WIDEST, Transform
from steepslope.nets.export._file import COLOUR, GREY

OWN = Opset("steepslope", 1)
BLOCK = 16  # outputs that see one window of the input
_BITS = 4194304.0  # 2²²
UPPER = 128.0  # 2⁷: sums of up to a thousand bytes by the upper or the lower part stay whole in float32
_UPPER_BITS = 32768.0  # 2²² / 2⁷
HALF = 16384.0  # of that
MOST = 255.0
_AS_FLOAT = 1  # types, as ONNX numbers them
_AS_UINT8 = 2
_AS_INT64 = 7
_AS_DOUBLE = 11


@script(OWN, default_opset=op)
def _bilinear(x: DOUBLE) -> DOUBLE:
    """Return the triangle's value at distances >= 0."""
    return op.Max(1.0 - x, 0.0 * x)


@script(OWN, default_opset=op)
def _bicubic(x: DOUBLE) -> DOUBLE:
    """Return the value of Keys's cubic with a = −1/2 ("Cubic Convolution Interpolation", 1981) at distances >= 0."""
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    return op.Where(x < 1.0, near, op.Where(x < 2.0, far, 0.0 * x))


def _resizing_by_curve(curve: Any, reach: float) -> Any:
    @script(OWN, default_opset=op)
    def resized(pixels: UINT8, size: INT64, start: INT64, count: INT64) -> UINT8:
        """Return ``count`` of the ``size`` outputs of the first axis, from ``start`` on: (n, Q) -> (count, Q), uint8.

        Outputs before the first and after the last are 0.

        The steps are Pillow's (``Resample.c``): the centre of each output in the input, which pixels the filter
        reaches, its values there, normalised and rounded, and the sum rounded to a byte.
        """
        rows = op.Shape(pixels, start=0, end=1)
        n = op.Cast(op.Squeeze(rows), to=_AS_DOUBLE)
        scale = n / op.Cast(size, to=_AS_DOUBLE)
        width = op.Max(scale, op.CastLike(1.0, scale))
        blocks = (count + (BLOCK - 1)) / BLOCK
        numbers = op.Range(0, blocks * BLOCK, 1)
        wanted = start + numbers
        outputs = op.Max(op.Min(wanted, size - 1), 0)
        centre = op.Reshape((op.Cast(outputs, to=_AS_DOUBLE) + 0.5) * scale, op.Constant(value_ints=[-1, BLOCK]))
        first = op.Floor(op.Max(centre - reach * width + 0.5, 0.0 * centre))
        stop = op.Floor(op.Min(centre + reach * width + 0.5, n))
        lowest = op.ReduceMin(first, [1], keepdims=1)
        longest = op.Cast(op.ReduceMax(op.ReduceMax(stop, [1], keepdims=1) - lowest, keepdims=0), to=_AS_INT64)
        places = lowest + op.Cast(op.Range(0, longest, 1), to=_AS_DOUBLE)
        window = op.Gather(pixels, op.Cast(op.Min(places, n - 1.0), to=_AS_INT64), axis=0)
        place = op.Unsqueeze(places, [1])
        value = curve(op.Abs((place - op.Unsqueeze(centre, [2]) + 0.5) * (1.0 / width)))
        there = op.Reshape(wanted == outputs, op.Constant(value_ints=[-1, BLOCK, 1]))
        reached = op.And(there, op.And(place >= op.Unsqueeze(first, [2]), place < op.Unsqueeze(stop, [2])))
        kept = op.Where(reached, value, 0.0 * value)
        total = op.ReduceSum(kept, [2], keepdims=1)
        weights = kept / op.Where(total == 0.0, op.CastLike(1.0, total), total) * _BITS
        whole = op.Floor(op.Abs(weights) + 0.5) * op.Sign(weights)
        high = op.Floor(whole / UPPER + 0.5)
        low = whole - high * UPPER
        seen = op.Cast(window, to=_AS_FLOAT)
        lower = op.Floor(op.MatMul(op.Cast(low, to=_AS_FLOAT), seen) * (1.0 / UPPER))
        upper = op.MatMul(op.Cast(high, to=_AS_FLOAT), seen)
        rounded = op.Floor((upper + lower + HALF) * (1.0 / _UPPER_BITS))  # of whole numbers below 2²⁴, so exact
        bytes_ = op.Cast(op.Clip(rounded, 0.0, MOST), to=_AS_UINT8)
        flat = op.Reshape(bytes_, op.Concat(op.Constant(value_ints=[-1]), op.Shape(pixels, start=1, end=2), axis=0))
        return op.Slice(flat, [0], op.Reshape(count, [1]), [0])

    return resized


_RESIZED: dict[str, Any] = {
    "bilinear": _resizing_by_curve(_bilinear, 1.0),
    "bicubic": _resizing_by_curve(_bicubic, 2.0),
}


PIXELS = "pixels"
_NEVER = 2**40


@script(OWN, default_opset=op)
def as_grey(images: UINT8) -> UINT8:
    """Return the luma of ITU-R 601 in 16 bits, as Pillow rounds it: (N, H, W, 3) -> (N, H, W, 1)."""
    parts = op.Cast(images, to=_AS_INT64) * op.Constant(value_ints=[19595, 38470, 7471])
    return op.Cast((op.ReduceSum(parts, [3], keepdims=1) + 32768) / 65536, to=_AS_UINT8)


@script(OWN, default_opset=op)
def as_colour(images: UINT8) -> UINT8:
    """Repeat the only channel: (N, H, W, 1) -> (N, H, W, 3)."""
    return op.Tile(images, [1, 1, 1, 3])


@script(OWN, default_opset=op)
def _as_they_are(images: UINT8) -> UINT8:
    """Return the same images."""
    return op.Identity(images)


@script(OWN, default_opset=op)
def _margin(extra: INT64) -> INT64:
    """Return what is cut off before the centre, of ``extra`` in all; below 0, what is filled up there."""
    exact = op.Cast(extra, to=_AS_DOUBLE) / 2.0
    return op.Cast(op.Where(exact < 0.0, op.Ceil(exact), op.Round(exact)), to=_AS_INT64)


def _resizing_graph(transform: Transform) -> Any:
    """Return the function that resizes images to any size, and keeps a part of the transform's size."""
    height, width = transform.size
    resized = _RESIZED[transform.interpolation]
    most = 2 if _resizes_rows_first() else _NEVER

    @script(OWN, default_opset=op)
    def columns(images: UINT8, wide: INT64, left: INT64) -> UINT8:
        """Resize the third axis to ``wide``, and keep the part from ``left`` on."""
        given = op.Transpose(images, perm=[2, 0, 1, 3])
        found = resized(op.Flatten(given, axis=1), wide, left, op.Constant(value_int=width))
        shape = op.Concat(op.Constant(value_ints=[width]), op.Shape(given, start=1), axis=0)
        return op.Transpose(op.Reshape(found, shape), perm=[1, 2, 0, 3])

    @script(OWN, default_opset=op)
    def rows(images: UINT8, tall: INT64, top: INT64) -> UINT8:
        """Resize the second axis to ``tall``, and keep the part from ``top`` on."""
        given = op.Transpose(images, perm=[1, 0, 2, 3])
        found = resized(op.Flatten(given, axis=1), tall, top, op.Constant(value_int=height))
        shape = op.Concat(op.Constant(value_ints=[height]), op.Shape(given, start=1), axis=0)
        return op.Transpose(op.Reshape(found, shape), perm=[1, 0, 2, 3])

    @script(OWN, default_opset=op)
    def along(images: UINT8, tall: INT64, top: INT64, wide: INT64, left: INT64) -> UINT8:
        """Resize to (tall, wide), and keep the part from (top, left) on; each axis is rounded to bytes."""
        fewer_rows = op.Squeeze(op.Shape(images, start=1, end=2)) - tall
        fewer_columns = op.Squeeze(op.Shape(images, start=2, end=3)) - wide
        rows_first = op.And(fewer_rows > 0, fewer_rows > fewer_columns * most)
        if rows_first:
            found = columns(rows(images, tall, top), wide, left)
        else:
            found = rows(columns(images, wide, left), tall, top)
        return found

    return along


def _fitting_graph(transform: Transform) -> Any:
    """Return the function that brings images to the size: (N, H, W, C) -> (N, h, w, C), uint8."""
    if transform.resize == "exact":
        return _as_they_are
    height, width = transform.size
    along = _resizing_graph(transform)

    @script(OWN, default_opset=op)
    def squashed(images: UINT8) -> UINT8:
        """Resize both sides to the size."""
        nothing = op.Constant(value_int=0)
        return along(images, op.Constant(value_int=height), nothing, op.Constant(value_int=width), nothing)

    if transform.resize == "squash":
        return squashed
    shorter = math.floor(min(height, width) / transform.crop_share + 1e-6)

    @script(OWN, default_opset=op)
    def cropped(images: UINT8) -> UINT8:
        """Cut the ends off a very long image, resize its shorter side, and keep the centre."""
        seen = op.Shape(images, start=1, end=3)
        other = op.Gather(seen, [1, 0])
        kept = op.Min(seen, other * WIDEST)
        from_ = _margin(seen - kept)
        middle = op.Slice(images, from_, from_ + kept, [1, 2])
        least = op.ReduceMin(kept, keepdims=0)
        exact = op.Cast(kept * shorter, to=_AS_DOUBLE) / op.Cast(least, to=_AS_DOUBLE)
        sizes = op.Cast(op.Floor(exact), to=_AS_INT64)
        edges = _margin(sizes - op.Constant(value_ints=[height, width]))
        return along(middle, op.Gather(sizes, 0), op.Gather(edges, 0), op.Gather(sizes, 1), op.Gather(edges, 1))

    return cropped


def _resizes_rows_first() -> bool:
    """Return whether Pillow resizes rows before columns where that leaves more than twice as much less to do.

    Newer versions do; the axis that comes first is rounded to bytes before the other.
    """
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 20), dtype=np.uint8))
    rows_first = image.resize((20, 20), Image.Resampling.BICUBIC).resize((15, 20), Image.Resampling.BICUBIC)
    return np.array_equal(np.asarray(image.resize((15, 20), Image.Resampling.BICUBIC)), np.asarray(rows_first))


def _normalising_graph(transform: Transform) -> Any:
    """Return the function from bytes (N, h, w, C) to what the net takes, float32 (N, C, h, w)."""
    means = list(transform.mean)
    stds = list(transform.std)

    @script(OWN, default_opset=op)
    def normalised(images: UINT8) -> FLOAT:
        """Scale to [0, 1], and subtract and divide by channel."""
        pixels = op.Cast(op.Transpose(images, perm=[0, 3, 1, 2]), to=_AS_FLOAT) / 255.0
        by_channel = op.Constant(value_ints=[-1, 1, 1])
        mean = op.Constant(value_floats=means)
        std = op.Constant(value_floats=stds)
        return (pixels - op.Reshape(mean, by_channel)) / op.Reshape(std, by_channel)

    return normalised


def channels_of_decoded_images(transforms: Sequence[Transform]) -> int:
    """Return how many channels the decoded images need, so that all nets with these transforms can be given theirs.

    Raises
    ------
    SteepslopeError
        If a net takes neither grey nor colour images, or ones that are resized in a way that has no graph.
    """
    remedy = "export the gate alone (--part gate)"
    for transform in transforms:
        if transform.channels not in (GREY, COLOUR):
            expected = "expected a net that takes grey or colour images"
            raise SteepslopeError(f"{expected}, found one of {transform.channels} channels: {remedy}", "preprocessing")
        if transform.resize != "exact" and transform.interpolation not in _RESIZED:
            expected = f"expected images that are resized by {' or '.join(_RESIZED)}"
            raise SteepslopeError(f"{expected}, found {transform.interpolation}: {remedy}", "preprocessing")
    return max(transform.channels for transform in transforms)


def preprocessing_graph(transform: Transform, channels: int) -> Any:
    """Return the model ``images`` uint8 (N, H, W, ``channels``) -> ``pixels`` float32 (N, C, h, w).

    Its values are those of the transform, to the last bit. Where images have to have the size already, H and W are
    fixed.
    """
    recoloured = {(COLOUR, GREY): as_grey, (GREY, COLOUR): as_colour}.get((channels, transform.channels), _as_they_are)
    fitted = _fitting_graph(transform)
    normalised = _normalising_graph(transform)

    @script(OWN, default_opset=op)
    def prepared(images: UINT8) -> FLOAT:
        """Recolour, resize and normalise."""
        pixels = normalised(fitted(recoloured(images)))
        return pixels  # noqa: RET504 (the name is that of the graph's output)

    height, width = transform.size
    takes = UINT8["N", "H", "W", channels]
    if transform.resize == "exact":
        takes = UINT8["N", height, width, channels]
    gives = FLOAT["N", transform.channels, height, width]
    model = prepared.to_model_proto(input_types=[takes], output_types=[gives])
    return optimize(inline_local_functions(model))
