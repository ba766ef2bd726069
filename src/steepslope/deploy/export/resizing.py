"""Pillow's resizing as a graph, to the last bit.

The antialiasing of ONNX's own Resize rounds its coefficients otherwise than Pillow, which changes one pixel in a
thousand, and with it the trust. So each axis is resized by products with Pillow's own coefficients: whole numbers of 22
bits, whose upper and lower parts are multiplied in float32 without rounding.
"""

from typing import Any

from onnxscript import DOUBLE, INT64, UINT8, opset20 as op, script
from onnxscript.values import Opset

OWN = Opset("steepslope", 1)
BLOCK = 16  # outputs that see one window of the input
BITS, UPPER = 4194304.0, 128.0  # 2²², and 2⁷: sums of up to a thousand bytes by either part stay whole in float32
UPPER_BITS, HALF = 32768.0, 16384.0  # 2²² / 2⁷, and half of that
MOST = 255.0
AS_FLOAT, AS_UINT8, AS_INT64, AS_DOUBLE = 1, 2, 7, 11  # types, as ONNX numbers them


@script(OWN, default_opset=op)
def bilinear(x: DOUBLE) -> DOUBLE:
    """Return the triangle's value at distances >= 0."""
    return op.Max(1.0 - x, 0.0 * x)


@script(OWN, default_opset=op)
def bicubic(x: DOUBLE) -> DOUBLE:
    """Return the value of Keys's cubic with a = −1/2 ("Cubic Convolution Interpolation", 1981) at distances >= 0."""
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    return op.Where(x < 1.0, near, op.Where(x < 2.0, far, 0.0 * x))


def _resized_by(curve: Any, reach: float) -> Any:
    @script(OWN, default_opset=op)
    def resized(pixels: UINT8, size: INT64, start: INT64, count: INT64) -> UINT8:
        """Return ``count`` of the ``size`` outputs of the first axis, from ``start`` on: (n, Q) -> (count, Q), uint8.

        Outputs before the first and after the last are 0.

        The steps are Pillow's (``Resample.c``): the centre of each output in the input, which pixels the filter
        reaches, its values there, normalised and rounded, and the sum rounded to a byte.
        """
        rows = op.Shape(pixels, start=0, end=1)
        n = op.Cast(op.Squeeze(rows), to=AS_DOUBLE)
        scale = n / op.Cast(size, to=AS_DOUBLE)
        width = op.Max(scale, op.CastLike(1.0, scale))
        blocks = (count + (BLOCK - 1)) / BLOCK
        numbers = op.Range(0, blocks * BLOCK, 1)
        wanted = start + numbers
        outputs = op.Max(op.Min(wanted, size - 1), 0)
        centre = op.Reshape((op.Cast(outputs, to=AS_DOUBLE) + 0.5) * scale, op.Constant(value_ints=[-1, BLOCK]))
        first = op.Floor(op.Max(centre - reach * width + 0.5, 0.0 * centre))
        stop = op.Floor(op.Min(centre + reach * width + 0.5, n))
        lowest = op.ReduceMin(first, [1], keepdims=1)
        longest = op.Cast(op.ReduceMax(op.ReduceMax(stop, [1], keepdims=1) - lowest, keepdims=0), to=AS_INT64)
        places = lowest + op.Cast(op.Range(0, longest, 1), to=AS_DOUBLE)
        window = op.Gather(pixels, op.Cast(op.Min(places, n - 1.0), to=AS_INT64), axis=0)
        place = op.Unsqueeze(places, [1])
        value = curve(op.Abs((place - op.Unsqueeze(centre, [2]) + 0.5) * (1.0 / width)))
        there = op.Reshape(wanted == outputs, op.Constant(value_ints=[-1, BLOCK, 1]))
        reached = op.And(there, op.And(place >= op.Unsqueeze(first, [2]), place < op.Unsqueeze(stop, [2])))
        kept = op.Where(reached, value, 0.0 * value)
        total = op.ReduceSum(kept, [2], keepdims=1)
        weights = kept / op.Where(total == 0.0, op.CastLike(1.0, total), total) * BITS
        whole = op.Floor(op.Abs(weights) + 0.5) * op.Sign(weights)
        high = op.Floor(whole / UPPER + 0.5)
        low = whole - high * UPPER
        seen = op.Cast(window, to=AS_FLOAT)
        lower = op.Floor(op.MatMul(op.Cast(low, to=AS_FLOAT), seen) * (1.0 / UPPER))
        upper = op.MatMul(op.Cast(high, to=AS_FLOAT), seen)
        rounded = op.Floor((upper + lower + HALF) * (1.0 / UPPER_BITS))  # of whole numbers below 2²⁴, so exact
        bytes_ = op.Cast(op.Clip(rounded, 0.0, MOST), to=AS_UINT8)
        flat = op.Reshape(bytes_, op.Concat(op.Constant(value_ints=[-1]), op.Shape(pixels, start=1, end=2), axis=0))
        return op.Slice(flat, [0], op.Reshape(count, [1]), [0])

    return resized


RESIZED: dict[str, Any] = {"bilinear": _resized_by(bilinear, 1.0), "bicubic": _resized_by(bicubic, 2.0)}
