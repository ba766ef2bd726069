"""From decoded images to what a net takes, as a graph: the resizing of Pillow to the last bit, and the normalisation.

The antialiasing of ONNX's own Resize rounds its coefficients otherwise than Pillow, which changes one pixel in a
thousand, and with it the trust. So each axis is resized by products with Pillow's own coefficients: whole numbers of
22 bits, whose upper and lower halves are multiplied in float32 without rounding.
"""

from __future__ import annotations

OPSET = 20
IR_VERSION = 10
DOMAIN = "steepslope"
BLOCK = 16  # outputs that share a window of the input
SUPPORTS = {"bilinear": 1.0, "bicubic": 2.0}  # of Pillow's filters, in pixels of the coarser image

_CURVES = {
    "bilinear": "value = Max(zero_d, Sub(one_d, x))",
    # Keys (1981) with a = −1/2: ((1.5 x − 2.5) x² + 1) up to 1, then ((x − 5) x + 8) x − 4, halved and negated, up to 2
    "bicubic": """
        near = Add(Mul(Sub(Mul(three_halves, x), five_halves), Mul(x, x)), one_d)
        far = Mul(Sub(Mul(Add(Mul(Sub(x, five_d), x), eight_d), x), four_d), minus_half)
        beyond = Where(Less(x, two_d), far, zero_d)
        value = Where(Less(x, one_d), near, beyond)""",
}


def _constants(kind: str, **values: float) -> str:
    return "\n".join(f"{name} = Constant<value = {kind} {{{value}}}>()" for name, value in values.items())


def _axis_function(interpolation: str) -> str:
    """Return the function that resizes an axis: (n, Q) of uint8 -> (count, Q), outputs start to start + count of size.

    Pillow's steps (``Resample.c``): the centre of each output in the input, what the filter reaches, its values there,
    normalised and rounded to 22 bits, and the sum rounded to a byte.
    """
    curve = _CURVES[interpolation]
    return f"""
<domain: "{DOMAIN}", opset_import: ["" : {OPSET}]>
resized (pixels, size, start, count) => (out) {{
    {
        _constants(
            "double",
            zero_d=0,
            half=0.5,
            one_d=1,
            two_d=2,
            three_halves=1.5,
            five_halves=2.5,
            four_d=4,
            five_d=5,
            eight_d=8,
            minus_half=-0.5,
            reach=SUPPORTS[interpolation],
            bits=2**22,
            upper=2**11,
            most=255,
        )
    }
    {_constants("int64", zero=0, one=1, block=BLOCK)}
    flat = Constant<value = int64[1] {{-1}}>()
    axis0 = Constant<value = int64[1] {{0}}>()
    axis1 = Constant<value = int64[1] {{1}}>()
    axis2 = Constant<value = int64[1] {{2}}>()
    one_row = Constant<value = int64[1] {{1}}>()
    blocked = Constant<value = int64[2] {{-1, {BLOCK}}}>()
    shape = Shape(pixels)
    n_row = Slice(shape, axis0, one_row)
    n = Squeeze(n_row, axis0)
    n_d = Cast<to = 11>(n)
    size_d = Cast<to = 11>(size)
    scale = Div(n_d, size_d)
    wide = Max(scale, one_d)
    narrow = Div(one_d, wide)
    support = Mul(reach, wide)
    blocks = Div(Sub(Add(count, block), one), block)
    padded = Mul(blocks, block)
    offsets = Range(zero, padded, one)
    last = Sub(Add(start, count), one)
    outputs = Min(Add(start, offsets), last)
    outputs_d = Cast<to = 11>(outputs)
    centre = Mul(Add(outputs_d, half), scale)
    from_d = Floor(Max(Add(Sub(centre, support), half), zero_d))
    to_d = Floor(Min(Add(Add(centre, support), half), n_d))
    from_blocks = Reshape(from_d, blocked)
    to_blocks = Reshape(to_d, blocked)
    first = ReduceMin<keepdims = 1>(from_blocks, axis1)
    end = ReduceMax<keepdims = 1>(to_blocks, axis1)
    longest = Cast<to = 7>(ReduceMax<keepdims = 0>(Sub(end, first)))
    steps = Cast<to = 11>(Range(zero, longest, one))
    places = Add(first, steps)
    inside = Cast<to = 7>(Min(places, Sub(n_d, one_d)))
    window = Cast<to = 1>(Gather<axis = 0>(pixels, inside))
    centre_blocks = Unsqueeze(Reshape(centre, blocked), axis2)
    wide_places = Unsqueeze(places, axis1)
    x = Abs(Mul(Add(Sub(wide_places, centre_blocks), half), narrow))
    {curve}
    reached = And(GreaterOrEqual(wide_places, Unsqueeze(from_blocks, axis2)),
                  Less(wide_places, Unsqueeze(to_blocks, axis2)))
    kept = Where(reached, value, zero_d)
    weights = Mul(Div(kept, ReduceSum<keepdims = 1>(kept, axis2)), bits)
    whole = Mul(Floor(Add(Abs(weights), half)), Sign(weights))
    high = Floor(Add(Div(whole, upper), half))
    low = Sub(whole, Mul(high, upper))
    high_sum = Cast<to = 11>(MatMul(Cast<to = 1>(high), window))
    low_sum = Cast<to = 11>(MatMul(Cast<to = 1>(low), window))
    total = Add(Mul(high_sum, upper), low_sum)
    bytes = Min(Max(Floor(Add(Div(total, bits), half)), zero_d), most)
    q_row = Slice(shape, one_row, Constant<value = int64[1] {{2}}>())
    rows = Reshape(bytes, Concat<axis = 0>(flat, q_row))
    out = Cast<to = 2>(Slice(rows, axis0, Reshape(count, one_row), axis0))
}}"""
