"""Saved as JPEG."""

from __future__ import annotations

import io
from typing import Annotated

import numpy as np

from labkit.corruptions._severity import at, restore, unit


def jpeg(x: np.ndarray, severity: int, bounds: tuple[float, float]) -> Annotated[np.ndarray, "image", "digital"]:
    """Compresses each image at quality 40 down to 6 and opens it again. Images that are not of 1 or 3 channels are
    compressed channel by channel.

    Source: Hendrycks and Dietterich, 2019, arXiv 1903.12261 (section 4).
    """
    quality = at(severity, (40, 25, 16, 10, 6))
    grid = np.round(255 * unit(x, bounds)).clip(0, 255).astype(np.uint8)
    whole = grid if x.shape[1] == 3 else grid.reshape(-1, 1, *x.shape[2:])
    opened = [_opened(image.transpose(1, 2, 0).squeeze(), quality) for image in whole]
    found = np.array(opened).reshape(len(whole), *x.shape[2:], -1).transpose(0, 3, 1, 2).reshape(x.shape)
    return restore(found.astype(np.float32) / 255, bounds)


def _opened(image: np.ndarray, quality: int) -> np.ndarray:
    from PIL import Image

    with io.BytesIO() as file:
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file))
