"""A model that has forgotten what it learned, or some of it; and a method that need not be exact on it."""

from __future__ import annotations

import copy
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from labkit.core.draws import Draws

# A net with random weights may take a method with a stated error hundreds of times as long; its picture may be rough.
ENOUGH = {"max_steps": 64, "max_samples": 512}


def roughly(attribute: Any) -> Any:
    """The same method, content with few steps and samples."""
    options = {name: min(v, ENOUGH[name]) if name in ENOUGH else v for name, v in attribute.spec.options.items()}
    return replace(attribute, spec=replace(attribute.spec, options=options))


def redrawn(module: nn.Module, network: int, layers: Collection[str] | None = None) -> nn.Module:
    """A copy with random parameters, in all layers or those named: matrices and kernels normal with mean 0 and the size
    they had, vectors shuffled.

    Buffers stay, so that normalisation fits the data. The same for every batch of rows, and a layer's draws are the same
    whichever others are redrawn.
    """
    module = copy.deepcopy(module)
    with torch.no_grad():
        for i, (name, parameter) in enumerate(module.named_parameters()):
            if layers is not None and name.rpartition(".")[0] not in layers:
                continue
            generator = Draws(network, 1).spawn(i)
            if parameter.ndim > 1:
                size = parameter.double().square().mean().sqrt().to(parameter)
                parameter.copy_(torch.from_numpy(generator.normal(*parameter.shape)[0]).to(parameter) * size)
            else:
                order = torch.from_numpy(generator.uniform(parameter.numel())[0].argsort())
                parameter.copy_(parameter.flatten()[order.to(parameter.device)].reshape(parameter.shape))
    return module


def layers_from_the_top(module: nn.Module) -> list[str]:
    """The names of the parts that have parameters of their own, the last first."""
    return list(dict.fromkeys(name.rpartition(".")[0] for name, _ in module.named_parameters()))[::-1]
