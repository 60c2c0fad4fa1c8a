"""The lossy part of JPEG on a batch of images: blocks of 8 x 8, cosine coefficients, rounding."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from labkit.core.refused import Refused

SIDE = 8
# Steps of the coefficients of brightness at quality 50: ITU-T T.81, table K.1.
_STEPS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


def as_jpeg(x: Tensor, quality: int, bounds: tuple[float, float]) -> Tensor:
    """(n, channels, height, width) images as they come back from JPEG; the bounds are its 0 and 255.

    Raises:
        Refused: inputs that are no images.
    """
    if x.ndim != 4:
        raise Refused("JPEG-like inputs", f"inputs of shape {tuple(x.shape)}", "images: (n, channels, height, width)")
    low, high = bounds
    height, width = x.shape[2:]
    levels = ((x - low) / (high - low) * 255).round() - 128
    levels = functional.pad(levels, (0, -width % SIDE, 0, -height % SIDE), mode="replicate")
    blocks = levels.unfold(2, SIDE, SIDE).unfold(3, SIDE, SIDE)  # (n, channels, down, across, 8, 8)
    cosines, steps = _cosines().to(x), quantisation(quality).to(x)
    kept = _rounded(cosines @ blocks @ cosines.T / steps) * steps
    decoded = (cosines.T @ kept @ cosines).transpose(3, 4).reshape(levels.shape)[..., :height, :width]
    return low + (decoded + 128).round().clamp(0, 255) / 255 * (high - low)


def quantisation(quality: int) -> Tensor:
    """(8, 8) steps at a quality from 1 to 100, scaled as encoders customarily do: 50 is the table, 100 is all ones."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return ((torch.tensor(_STEPS) * percent + 50) // 100).clamp(1, 255)


def _rounded(v: Tensor) -> Tensor:
    """To whole numbers; halves go away from zero, as encoders have it, also those that float32 leaves a little short."""
    return v.sign() * (v.abs() + 0.5 + 1e-4).floor()


def _cosines() -> Tensor:
    """(8, 8) orthonormal cosine transform: one frequency a row."""
    at = torch.arange(SIDE)
    waves = torch.cos(math.pi / SIDE * (at + 0.5) * at[:, None])
    waves[0] /= math.sqrt(2)
    return waves * math.sqrt(2 / SIDE)
