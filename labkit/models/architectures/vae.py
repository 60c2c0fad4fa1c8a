"""A variational autoencoder for small images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from labkit.models.normalize import Normalize

LEVELS = 256  # of a pixel: 0, 1/255, ..., 1
NARROWEST = -6.0  # logarithm of the least scale, about half a level


def vae(
    *,
    shape: Sequence[int],
    mean: float | Sequence[float] = 0.5,
    std: float | Sequence[float] = 0.5,
    widths: Sequence[int] = (32, 64),
    latent: int = 32,
) -> nn.Module:
    """See ``VAE``."""
    return VAE(shape, mean, std, widths, latent)


class VAE(nn.Module):
    """An image is drawn from a code, and the code from a standard normal distribution; an encoder guesses the code.

    Kingma and Welling, 2013, arXiv 1312.6114. The likelihood is that of the 256 levels of each pixel: a logistic
    distribution around the decoder's location, its mass gathered at the levels and its tails at 0 and 1 (Salimans,
    Karpathy, Chen and Kingma, 2017, arXiv 1701.05517). So it is a probability, and can be compared with that of any
    other model of these images.

    Args:
        shape: (channels, height, width) of an image with values from 0 to 1; height and width are multiples of 4.
        mean, std: of the training pixels; the encoder's first layer normalises with them.
        widths: channels at a half and at a quarter of the height.
        latent: length of a code.
    """

    def __init__(
        self,
        shape: Sequence[int],
        mean: float | Sequence[float],
        std: float | Sequence[float],
        widths: Sequence[int],
        latent: int,
    ) -> None:
        super().__init__()
        channels, height, width = shape
        self.noise = (latent,)
        coarse = (widths[1], height // 4, width // 4)
        self.encoder = nn.Sequential(
            Normalize(mean, std, axes=2),
            nn.Conv2d(channels, widths[0], 4, 2, 1),
            nn.SiLU(),
            nn.Conv2d(widths[0], widths[1], 4, 2, 1),
            nn.SiLU(),
            nn.Conv2d(widths[1], widths[1], 3, 1, 1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(math.prod(coarse), 2 * latent),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent, math.prod(coarse)),
            nn.Unflatten(1, coarse),
            nn.SiLU(),
            nn.Conv2d(widths[1], widths[1], 3, 1, 1),
            nn.SiLU(),
            nn.ConvTranspose2d(widths[1], widths[0], 4, 2, 1),
            nn.SiLU(),
            nn.ConvTranspose2d(widths[0], 2 * channels, 4, 2, 1),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, *shape) images -> of each in nats, at one code drawn for it: the log-likelihood of the image given the
        code, and the divergence of the guess from the prior. Their difference is the evidence lower bound."""
        mean, log_variance = self.encode(x)
        code = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
        return self.log_likelihood(x, code), divergence

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, *shape) images -> (n, latent) means and logarithms of the variances of the guessed codes."""
        mean, log_variance = self.encoder(x).float().chunk(2, 1)
        return mean, log_variance.clamp(-12, 12)

    def draw(self, code: Tensor) -> Tensor:
        """(n, latent) codes -> (n, *shape) the decoder's locations, within 0 to 1: images without their pixel noise."""
        return self._decode(code)[0].clamp(0, 1)

    def log_likelihood(self, x: Tensor, code: Tensor) -> Tensor:
        """(n, *shape) images given (n, latent) codes -> (n,) nats."""
        location, log_scale = self._decode(code)
        return log_mass(x, location, log_scale).flatten(1).sum(1)

    def _decode(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """Location and logarithm of the scale of each pixel."""
        location, log_scale = self.decoder(code).float().chunk(2, 1)
        return location + 0.5, NARROWEST + functional.softplus(log_scale - 2 - NARROWEST)


def log_mass(x: Tensor, location: Tensor, log_scale: Tensor) -> Tensor:
    """Logarithm of the probability of each level under a logistic distribution whose tails are gathered at 0 and 1."""
    half, scale = 0.5 / (LEVELS - 1), log_scale.exp()
    above, below = (x + half - location) / scale, (x - half - location) / scale
    # log(sigmoid(above) - sigmoid(below)), written so that no small difference of large numbers is taken
    inside = (
        functional.logsigmoid(above)
        + functional.logsigmoid(-below)
        + torch.log(-torch.expm1(-(2 * half / scale).clamp_min(1e-6)))
    )
    inside = torch.where(x < half, functional.logsigmoid(above), inside)
    return torch.where(x > 1 - half, functional.logsigmoid(-below), inside)
