"""One way to see every model that makes data: samples, and what else it can tell of an image."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.core.draws import Draws
from labkit.core.refused import Refused
from labkit.models.classifier import state_digest
from labkit.models.device import pick

BATCH = 256


@dataclass(frozen=True, eq=False)
class Generative:
    """A frozen evaluation copy of a module that makes data.

    The module has ``noise``, the shape of the standard normal numbers that a sample is made of, and ``draw``, which
    makes samples of them. One with ``encode`` (the mean and the logarithm of the variance of a normal guess of the code),
    ``decode``, ``log_prior`` and ``log_likelihood`` besides can reconstruct, and bound likelihoods.

    Attributes:
        module: in evaluation mode, parameters without gradients. Works in the data's natural units.
        shape: of one example.
        bounds: least and greatest value of an example.
        name: how reports call the model.
    """

    module: Any  # an nn.Module with the methods named above
    shape: tuple[int, ...]
    bounds: tuple[float, float]
    name: str = "model"

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    @property
    def digest(self) -> str:
        """SHA-256 over every parameter and buffer, with names and types."""
        return state_digest(self.module.state_dict())

    def describe(self) -> dict[str, Any]:
        """Name and digest, as a provenance records them."""
        return {"name": self.name, "sha256": self.digest, "shape": list(self.shape)}

    def to(self, device: str | torch.device) -> Generative:
        """The same model on another device."""
        return replace(self, module=copy.deepcopy(self.module).to(pick(device)))

    @property
    def encodes(self) -> bool:
        """Whether the model has an encoder: then it can reconstruct, and bound likelihoods."""
        return hasattr(self.module, "encode")

    def sample(self, n: int, seed: int = 0) -> np.ndarray:
        """(n, *shape) float32 samples within the bounds. Each follows from (seed, its number) alone: a longer draw
        begins with a shorter one. Refused when n is no whole number above 0."""
        if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1:
            raise Refused(f"samples of {self.name}", f"n={n!r}", "a whole number of at least 1")
        noise = Draws(seed, int(n)).normal(*self.module.noise)
        return self._by_batch(lambda rows: self.module.draw(self._tensor(noise[rows])), int(n)).clip(*self.bounds)

    def reconstruct(self, x: np.ndarray) -> np.ndarray:
        """(n, *shape) examples -> (n, *shape) the same through the mean of each one's code. Refused for a model without
        an encoder."""
        self._require_encoder("reconstructions", x)
        return self._by_batch(lambda rows: self.module.decode(self.module.encode(self._tensor(x[rows]))[0]), len(x))

    def bound(self, x: np.ndarray, *, codes: int = 1, seed: int = 0) -> np.ndarray:
        """(n, *shape) examples -> (n,) nats: the log-likelihood of each is at least that, in expectation.

        The logarithm of the mean importance weight of ``codes`` codes drawn by the encoder (Burda, Grosse and
        Salakhutdinov, 2015, arXiv 1509.00519). With one code it is the evidence lower bound; the more, the tighter.
        Divided by the number of values and by -ln 2 it is bits a dimension, at most.

        Raises:
            Refused: a model without an encoder, inputs of another shape or outside the bounds, codes below 1.
        """
        self._require_encoder("a likelihood", x)
        if not isinstance(codes, int | np.integer) or isinstance(codes, bool) or codes < 1:
            raise Refused(f"a likelihood by {self.name}", f"codes={codes!r}", "a whole number of at least 1")
        streams = Draws(seed, len(x))

        def weights(rows: slice) -> Tensor:
            images, found = self._tensor(x[rows]), []
            mean, log_variance = self.module.encode(images)
            for i in range(codes):
                noise = self._tensor(streams[rows].spawn(i).normal(mean.shape[1]))
                code = mean + (log_variance / 2).exp() * noise
                guess = -(noise.square() + log_variance + math.log(2 * math.pi)).sum(1) / 2
                found.append(self.module.log_likelihood(images, code) + self.module.log_prior(code) - guess)
            return torch.stack(found).logsumexp(0) - math.log(codes)

        return self._by_batch(weights, len(x))

    def _by_batch(self, function: Callable[[slice], Tensor], n: int) -> np.ndarray:
        with torch.no_grad():
            parts = [function(slice(i, i + BATCH)).float().cpu() for i in range(0, n, BATCH)]
        return torch.cat(parts).numpy()

    def _tensor(self, x: np.ndarray) -> Tensor:
        return torch.tensor(x, dtype=next(self.module.parameters()).dtype, device=self.device)

    def _require_encoder(self, what: str, x: np.ndarray) -> None:
        asked = f"{what} by {self.name}"
        if not self.encodes:
            raise Refused(asked, "a model without an encoder", "a variational autoencoder, such as fashion_vae")
        if np.shape(x)[1:] != self.shape or not len(x):
            raise Refused(asked, f"inputs of shape {np.shape(x)}", f"(n, {', '.join(map(str, self.shape))}) inputs")
        low, high = self.bounds
        if not (np.min(x) >= low and np.max(x) <= high):
            raise Refused(asked, "inputs that are not finite or not within the bounds", f"{low:g} to {high:g}")
