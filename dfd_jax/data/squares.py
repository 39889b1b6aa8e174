"""The resize behind `images.input_crop`, the one way from a photo to the input of a network.

An antialiased bilinear resize by cykooz-resizer (SIMD), or by Pillow on processors for which there
is no cykooz-resizer. Their levels differ by at most one. What an attacker does with a published
photo is another thing: `images.crop_resize`, always Pillow's resize.
"""

import numpy as np
from jaxtyping import UInt8
from PIL import Image

try:
    import cykooz_resizer as simd
except ImportError:  # no wheel for this processor
    simd = None


def input_square(
    pixels: UInt8[np.ndarray, "h w 3"], left: float, top: float, side: float, size: int
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """The square of `side` pixels from (left, top), resized to `size` x `size` pixels.

    Its corners may lie between pixels. As in Pillow, the filter does not read beyond the square's
    pixels by more than its support. ValueError if the square is not inside the photo.
    """
    height, width, _ = pixels.shape
    right, bottom = left + side, top + side
    if min(left, top) < 0 or side <= 0 or right > width or bottom > height:
        square = f"the square from ({left}, {top}), {side} pixels wide,"
        raise ValueError(f"{square} does not lie inside a photo of {width} x {height} pixels")
    if simd is None:
        image, corners = Image.fromarray(pixels), (left, top, right, bottom)
        return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, corners))
    source = simd.ImageData(width, height, simd.PixelType.U8x3, pixels.tobytes())
    target = simd.ImageData(size, size, simd.PixelType.U8x3)
    options = simd.ResizeOptions(
        resize_alg=simd.ResizeAlg.convolution(simd.FilterType.bilinear),
        use_alpha=False,
        crop_box=simd.CropBox(left, top, side, side),
    )
    simd.Resizer().resize(source, target, options)
    return np.frombuffer(target.get_buffer(), np.uint8).reshape(size, size, 3)
