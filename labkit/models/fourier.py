"""Images by their Fourier coefficients, in which a step changes all scales alike and not single pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Fourier:
    """Images within bounds as functions of free coefficients (Olah, Mordvintsev and Schubert, 2017, doi
    10.23915/distill.00007).

    Coefficients of natural images are large at low frequencies and channels go together. Divided by what is usual for
    the data, and with channels mixed as theirs are, all coefficients are of one size and a step of gradient ascent does
    not favor high frequencies.

    Attributes:
        amplitude: (height, width // 2 + 1) usual sizes of the coefficients.
        mixing: (channels, channels) with the data's covariance of channels.
        bounds: of the pixels.
    """

    shape: tuple[int, int, int]
    amplitude: Tensor
    mixing: Tensor
    bounds: tuple[float, float]

    @classmethod
    def of(cls, x: np.ndarray, bounds: tuple[float, float]) -> Fourier:
        """From (n, channels, height, width) images."""
        centred = x.astype(np.float64) - x.mean((0, 2, 3), keepdims=True)
        height, width = x.shape[2:]
        amplitude = np.sqrt(np.square(np.abs(np.fft.rfft2(centred, norm="ortho"))).mean((0, 1)))
        amplitude = np.maximum(amplitude, 1e-3 * amplitude.max())
        # a mean square of one over pixels: columns that stand for two count twice
        twice = np.full(width // 2 + 1, 2.0)
        twice[0] = 1.0
        if width % 2 == 0:
            twice[-1] = 1.0
        amplitude /= np.sqrt((np.square(amplitude) * twice).sum() / (height * width))
        flat = centred.swapaxes(0, 1).reshape(x.shape[1], -1)
        covariance = flat @ flat.T / flat.shape[1]
        scale = np.trace(covariance) / len(covariance) or 1.0
        mixing = np.linalg.cholesky(covariance / scale + 1e-3 * np.eye(len(covariance)))
        shape = (x.shape[1], height, width)
        return cls(shape, torch.from_numpy(amplitude).float(), torch.from_numpy(mixing).float(), bounds)

    @property
    def free(self) -> tuple[int, ...]:
        """The shape of one image's coefficients: real and imaginary parts stand last."""
        return self.shape[0], *self.amplitude.shape, 2

    def __call__(self, coefficients: Tensor) -> Tensor:
        """(n, *free) coefficients -> (n, *shape) images; standard normal ones look like noise with the data's spectrum."""
        scaled = torch.view_as_complex(coefficients.contiguous()) * self.amplitude.to(coefficients) / 2**0.5
        plain = torch.fft.irfft2(scaled, s=self.shape[1:], norm="ortho")
        mixed = torch.einsum("ij,njhw->nihw", self.mixing.to(coefficients), plain)
        low, high = self.bounds
        return low + (high - low) * torch.sigmoid(mixed)


def moved(images: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Each image moved by ``shift`` (n, 2) pixels and enlarged ``scale`` (n,) times; what was outside repeats the edge."""
    height, width = images.shape[2:]
    turn = torch.zeros(len(images), 2, 3).to(images)
    turn[:, 0, 0] = turn[:, 1, 1] = 1 / scale
    turn[:, :, 2] = 2 * shift / torch.tensor([width, height]).to(images)
    grid = torch.nn.functional.affine_grid(turn, list(images.shape), align_corners=False)
    return torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
