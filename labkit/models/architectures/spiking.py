"""A spiking network: neurons that add up what reaches them, leak, and fire."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def spiking(
    *, classes: int, inputs: int, hidden: int = 128, steps: int = 16, decay: float = 0.9, slope: float = 10.0
) -> nn.Module:
    """See ``Spiking``."""
    return Spiking(classes, inputs, hidden, steps, decay, slope)


class Spiking(nn.Module):
    """One layer of spiking neurons, and one of neurons that only add up: each step the same input drives the first.

    The logits are the second layer's potentials, averaged over the steps. A spike is 0 or 1, so the logits are constant
    between jumps; gradients are those of a smooth stand-in (Neftci, Mostafa and Zenke, 2019, arXiv 1901.09948).

    Args:
        classes: how many outputs.
        inputs: numbers of an input, of any shape.
        hidden: how many neurons.
        steps, decay, slope: see ``LeakyIntegrateAndFire``.
    """

    def __init__(self, classes: int, inputs: int, hidden: int, steps: int, decay: float, slope: float) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.current = nn.Linear(inputs, hidden)
        self.neurons = LeakyIntegrateAndFire(steps, decay, slope)
        self.synapses = nn.Linear(hidden, classes)
        self.potential = LeakyMean(decay)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(n, ...) -> (n, classes) logits; while training also each row's share of neurons x steps with a spike."""
        spikes = self.neurons(self.current(self.flatten(x)))
        logits = self.potential(self.synapses(spikes))
        return (logits, spikes.mean((1, 2))) if self.training else logits


class LeakyIntegrateAndFire(nn.Module):
    """(n, neurons) constant currents -> (n, steps, neurons) spikes, each 0 or 1.

    Each step the potential decays by ``decay`` and the current is added. Above 1 the neuron fires, and 1 is subtracted.
    Backward, the jump is replaced by 1 / (1 + slope |potential - 1|)^2, the derivative of a fast sigmoid; the
    subtraction of 1 is taken as constant, as the paper advises.
    """

    def __init__(self, steps: int, decay: float, slope: float) -> None:
        super().__init__()
        self.steps, self.decay, self.slope = steps, decay, slope

    def forward(self, current: Tensor) -> Tensor:
        potential, spikes = torch.zeros_like(current), []
        for _ in range(self.steps):
            potential = self.decay * potential + current
            spike = self.fire(potential - 1)
            potential = potential - spike.detach()
            spikes.append(spike)
        return torch.stack(spikes, 1)

    def fire(self, above: Tensor) -> Tensor:
        """1 where positive, else 0; its gradient is the stand-in's."""
        smooth = above / (1 + self.slope * above.abs())
        return (above > 0).to(above.dtype) + (smooth - smooth.detach())


class LeakyMean(nn.Module):
    """The potential of neurons that leak and never fire, averaged over time: (n, steps, classes) -> (n, classes)."""

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay

    def forward(self, current: Tensor) -> Tensor:
        potential = total = torch.zeros_like(current[:, 0])
        for now in current.unbind(1):
            potential = self.decay * potential + now
            total = total + potential
        return total / current.shape[1]
