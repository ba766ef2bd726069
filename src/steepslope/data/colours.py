"""Any image that PIL decodes as 8-bit colour or grey; free of torch."""

import numpy as np
from PIL import Image


def as_colour(image: Image.Image) -> Image.Image:
    """Return any image as 8-bit RGB; what is transparent becomes white, and 16-bit grey is scaled down."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), layered).convert("RGB")
    if image.mode.startswith("I"):  # PIL's own conversion would clip it to white
        image = Image.fromarray((np.asarray(image).astype(np.int64) // 256).clip(0, 255).astype(np.uint8))
    return image.convert("RGB")


def as_grey(image: Image.Image) -> Image.Image:
    """Return any image as 8-bit grey."""
    return (image if image.mode == "L" else as_colour(image)).convert("L")
