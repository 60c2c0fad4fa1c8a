"""One way to see every model: logits from inputs in natural units, and one door to what gradients are taken in."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from labkit.core.refused import Refused
from labkit.models.attention import attention_layers
from labkit.models.device import pick
from labkit.models.layers import CONVOLUTIONS, Layer, layers
from labkit.models.work import count

Forward = Callable[[Tensor], Tensor]
# What to call a model that cannot do what a tool needs.
_WITHOUT = {
    "gradients": "without gradients",
    "terms": "that is no sum of terms",
    "continuous": "whose inputs are not continuous numbers",
    "bounds": "without input bounds",
    "layers": "without a convolutional layer",
    "attention": "without attention maps",
}


@dataclass(frozen=True, eq=False)
class Classifier:
    """A frozen evaluation copy of a module, with what the tools must know about it.

    Attributes:
        module: in evaluation mode, parameters without gradients. Normalisation is one of its layers.
        classes: class names in the order of the outputs.
        bounds: least and greatest value of an input; None when inputs are not bounded numbers (tables, text).
        embedding: the name of the submodule whose output gradients are taken in, for inputs that are not continuous.
            It maps (n, *shape) to (n, *shape, width).
        outputs: "logits", "probabilities" (then their logarithm is used), or "values": any numbers, as of a regression.
        baseline: one reference input (natural units) for attributions; None means zeros.
        padding: the input value that stands for nothing, such as word number 0; ``reference`` leaves it in its place.
        name: how reports call the model.
        read: takes (n, values) of the module's output, where these are not its logits as they stand.
    """

    module: nn.Module
    classes: tuple[str, ...]
    bounds: tuple[float, float] | None = None
    embedding: str | None = None
    outputs: str = "logits"
    baseline: np.ndarray | None = None
    padding: int | None = None
    name: str = "model"
    read: Callable[[Any], Tensor] | None = None

    @property
    def device(self) -> torch.device:
        for tensor in (*self.module.parameters(), *self.module.buffers()):
            return tensor.device
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """The type of the first parameter that holds fractions; float32 without one."""
        return next((p.dtype for p in self.module.parameters() if p.is_floating_point()), torch.float32)

    @property
    def digest(self) -> str:
        """SHA-256 over every parameter and buffer, with names and types."""
        return state_digest(self.module.state_dict())

    def describe(self) -> dict[str, Any]:
        """Name and digest, as a provenance records them."""
        values = {"outputs": self.outputs} if self.outputs == "values" else {}
        return {"name": self.name, "sha256": self.digest, "classes": list(self.classes), **values}

    def to(self, device: str | torch.device) -> Classifier:
        """The same model on another device."""
        return replace(self, module=copy.deepcopy(self.module).to(pick(device)))

    def tensor(self, x: np.ndarray) -> Tensor:
        """Inputs as a tensor on the model's device; fractions in the precision of its parameters."""
        array = np.ascontiguousarray(x)
        tensor = torch.from_numpy(array if array.flags.writeable else array.copy()).to(self.device)
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor

    def reference(self, x: np.ndarray) -> np.ndarray:
        """(n, *shape) what each input is compared with: the baseline, or zeros within the bounds; padding stays padding.

        A baseline word in the place of padding would make a text longer instead of taking a word's meaning away.
        """
        zero = np.array(0.0 if self.bounds is None else np.clip(0.0, *self.bounds))
        start = zero if self.baseline is None else self.baseline
        if start.shape not in ((), x.shape[1:]):
            given = f"the model's baseline of shape {start.shape} for inputs of shape {x.shape}"
            raise Refused(f"the baseline of {self.name}", given, "inputs of the baseline's shape, or another baseline")
        start = np.broadcast_to(start, x.shape).astype(x.dtype)
        return start if self.padding is None else np.where(x == self.padding, x, start)

    def __call__(self, x: Tensor) -> Tensor:
        """(n, classes) logits, or values."""
        # cuDNN has no backward pass for a recurrent net in evaluation mode, where attributions need one.
        with (
            torch.backends.cudnn.flags(enabled=False) if torch.is_grad_enabled() and self._recurrent else nullcontext()
        ):
            # a copy goes in: a first layer that works in place must not reach the caller's data
            output = self.module(x.clone())
        logits = self.logits(output) if self.read is None else self.read(output)
        count(self.module, x, logits)
        return logits

    @cached_property
    def _recurrent(self) -> bool:
        return any(isinstance(m, nn.RNNBase) for m in self.module.modules())

    def relax(self, x: Tensor) -> tuple[Tensor, Forward]:
        """What gradients are taken in, and the logits as a function of it.

        ``z`` is x itself when x is continuous, else its embedding, with one more axis. ``forward`` also takes k
        stacked copies of ``z`` (k * n rows, the n rows repeated k times in order).
        """
        if self.embedding is None:
            return x, self.__call__
        layer = self.module.get_submodule(self.embedding)
        with torch.no_grad():
            z = layer(x)

        def forward(values: Tensor) -> Tensor:
            handle = layer.register_forward_hook(lambda *_: values.clone())
            try:
                return self(x.repeat(len(values) // len(x), *[1] * (x.ndim - 1)))
            finally:
                handle.remove()

        return z, forward

    def layers(self, x: Tensor) -> tuple[Layer, ...]:
        """Every layer by name, with the shape of its output, in the order in which they finish; x is one input or more."""
        return layers(self.module, self, x)

    @property
    def capabilities(self) -> frozenset[str]:
        """What tools may ask for: "gradients", "continuous" inputs, "bounds", "layers" (a convolution), "terms",
        "attention" (maps that can be read).

        A module whose output does not follow its input smoothly, such as a lookup, says ``differentiable = False``. One
        whose ``terms`` are a ModuleList is the sum of what these give, and each of them names its ``features``.
        """
        has = set()
        if all(getattr(m, "differentiable", True) for m in self.module.modules()):
            has.add("gradients")
        if isinstance(getattr(self.module, "terms", None), nn.ModuleList):
            has.add("terms")
        if self.embedding is None:
            has.add("continuous")
        if self.bounds is not None:
            has.add("bounds")
        if any(isinstance(m, CONVOLUTIONS) for m in self.module.modules()):
            has.add("layers")
        if attention_layers(self.module):
            has.add("attention")
        return frozenset(has)

    def require(self, capability: str, by: str, instead: str) -> None:
        """Refuse a tool that asks for more than this model can do."""
        if capability not in self.capabilities:
            raise Refused(f"{by} on {self.name}", f"a model {_WITHOUT[capability]}", instead)

    def logits(self, output: Any) -> Tensor:
        """(n, classes) logits of what the module gave: a tensor, or one that stands first, or under "logits"."""
        if isinstance(output, Mapping) or hasattr(output, "logits"):
            found = output.get("logits") if isinstance(output, Mapping) else output.logits
            keys = ", ".join(map(str, output)) if isinstance(output, Mapping) else type(output).__name__
            if found is None:
                raise Refused(f"logits of {self.name}", f"an output with keys {keys}", "a module that returns 'logits'")
            output = found
        if isinstance(output, list | tuple):
            output = output[0]
        if not isinstance(output, Tensor):
            raise Refused(f"logits of {self.name}", f"a {type(output).__name__}", "a module that returns a tensor")
        if self.outputs == "values" and output.ndim == 1:
            return output[:, None]  # one number a row
        if self.outputs == "probabilities":
            return output.clamp_min(torch.finfo(output.dtype).tiny).log()
        return output


def state_digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over named tensors: names, types, shapes and bytes."""
    sha = hashlib.sha256()
    for name, value in sorted(state.items()):
        array = value.detach().cpu().contiguous()
        sha.update(f"{name} {array.dtype} {tuple(array.shape)}".encode())
        if array.numel():  # an empty tensor may have no stride to read bytes along
            sha.update(array.reshape(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()
