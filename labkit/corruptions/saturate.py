"""Colors too pale or too strong."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.draws import Draws
from labkit.core.refused import Refused
from labkit.corruptions._image import either
from labkit.corruptions._severity import at, restore, unit

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def saturate(
    x: np.ndarray, severity: int, generator: Draws, bounds: tuple[float, float]
) -> Annotated[np.ndarray, "image", "digital"]:
    """Draws colors towards grey or away from it, whichever the image's draw says: to 0.6 or 1.6, up to 0 or 5 times.

    Source: Hendrycks and Dietterich, 2019, arXiv 1903.12261 (appendix B).

    Raises:
        Refused: images without three channels.
    """
    if x.shape[1] != 3:
        instead = "images of red, green and blue, or another corruption"
        raise Refused("saturate", f"images of {x.shape[1]} channel{'s' * (x.shape[1] > 1)}", instead)
    u = unit(x, bounds)
    grey = (u * LUMA[:, None, None]).sum(1, keepdims=True)
    pale, strong = at(severity, ((0.6, 1.6), (0.42, 2.1), (0.28, 2.7), (0.14, 3.6), (0.0, 5.0)))
    factor = np.where(either(generator) > 0, np.float32(strong), np.float32(pale))
    return restore(grey + factor[:, None, None, None] * (u - grey), bounds)
