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
    hidden: int = 256,
    latent: int = 16,
    parts: int = 64,
) -> nn.Module:
    """See ``VAE``."""
    return VAE(shape, mean, std, hidden, latent, parts)


class VAE(nn.Module):
    """An image is drawn from a code, and the code from a mixture of normal distributions; an encoder guesses the code.

    Kingma and Welling, 2013, arXiv 1312.6114. The mixture is learned with the rest: codes drawn from one normal
    distribution lie where no image's code does, and make samples of nothing (compare Tomczak and Welling, 2017, arXiv
    1705.07120). The likelihood is that of the 256 levels of each pixel: a logistic distribution around the decoder's
    location, its mass gathered at the levels and its tails at 0 and 1 (Salimans, Karpathy, Chen and Kingma, 2017, arXiv
    1701.05517). So it is a probability, and can be compared with that of any other model of these images.

    Args:
        shape: (channels, height, width) of an image with values from 0 to 1.
        mean, std: of the training pixels; the encoder's first layer normalises with them.
        hidden: width of the two hidden layers of encoder and decoder.
        latent: length of a code.
        parts: of the mixture.
    """

    def __init__(
        self,
        shape: Sequence[int],
        mean: float | Sequence[float],
        std: float | Sequence[float],
        hidden: int,
        latent: int,
        parts: int,
    ) -> None:
        super().__init__()
        channels, height, width = shape
        pixels = channels * height * width
        self.noise = (latent + 1,)
        self.encoder = nn.Sequential(
            Normalize(mean, std, axes=2), nn.Flatten(), *_dense(pixels, hidden), nn.Linear(hidden, 2 * latent)
        )
        self.decoder = nn.Sequential(
            *_dense(latent, hidden),
            nn.Linear(hidden, 2 * pixels),
            nn.Unflatten(1, (2 * channels, height, width)),
        )
        self.centres = nn.Parameter(torch.randn(parts, latent))
        self.log_variances = nn.Parameter(torch.full((parts, latent), -1.0))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, *shape) images -> of each in nats, at one code drawn for it: the log-likelihood of the image given the
        code, and how much more probable the code is to the guess than to the prior. Their difference is the evidence
        lower bound, in expectation."""
        mean, log_variance = self.encode(x)
        code = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        divergence = log_normal(code, mean, log_variance) - self.log_prior(code)
        return self.log_likelihood(x, code), divergence

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, *shape) images -> (n, latent) means and logarithms of the variances of the guessed codes."""
        mean, log_variance = self.encoder(x).float().chunk(2, 1)
        return mean, log_variance.clamp(-12, 12)

    def log_prior(self, code: Tensor) -> Tensor:
        """(n, latent) codes -> (n,) nats under the mixture."""
        each = log_normal(code[:, None], self.centres, self.log_variances)
        return each.logsumexp(1) - math.log(len(self.centres))

    def draw(self, noise: Tensor) -> Tensor:
        """(n, latent + 1) standard normal noise -> (n, *shape) samples without their pixel noise. The last number
        chooses the part of the mixture."""
        chosen = (torch.special.ndtr(noise[:, -1]) * len(self.centres)).long().clamp_max(len(self.centres) - 1)
        return self.decode(self.centres[chosen] + (self.log_variances[chosen] / 2).exp() * noise[:, :-1])

    def decode(self, code: Tensor) -> Tensor:
        """(n, latent) codes -> (n, *shape) the locations of the pixels' distributions, within 0 to 1."""
        return self._pixels(code)[0].clamp(0, 1)

    def log_likelihood(self, x: Tensor, code: Tensor) -> Tensor:
        """(n, *shape) images given (n, latent) codes -> (n,) nats."""
        location, log_scale = self._pixels(code)
        return log_mass(x, location, log_scale).flatten(1).sum(1)

    def _pixels(self, code: Tensor) -> tuple[Tensor, Tensor]:
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


def log_normal(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """(..., k) values -> (...) logarithm of their density under a normal distribution without correlations."""
    return -((x - mean).square() / log_variance.exp() + log_variance + math.log(2 * math.pi)).sum(-1) / 2


def _dense(before: int, hidden: int) -> list[nn.Module]:
    return [nn.Linear(before, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()]
