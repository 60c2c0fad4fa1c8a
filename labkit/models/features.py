"""What a model has made of its inputs at one of its layers, and how an output changes with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from labkit.core.refused import Refused, unknown
from labkit.models.classifier import Classifier

OUTPUTS, HEAD = "outputs", "head"
TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class Layer:
    """A place in a model as a function of its inputs: (n, width) features. ``layer`` makes one.

    ``pooled``, a map's features are its channels, each the mean over its places; a sequence's those of its places'
    vectors. They do not say where something is, and have one width whatever the input's size.

    Attributes:
        name: of the submodule whose output is taken; "head" for what the last linear layer takes in, "outputs" for the
            model's logits.
        modules: those that are listened to; none for the outputs.
        before: whether their inputs are taken instead of their outputs.
        pooled: whether the mean over places is taken; otherwise every value is a feature.
        first: whether the channels of a sequence's vectors stand before its places, as behind a 1-D convolution.
    """

    model: Classifier
    name: str
    modules: tuple[nn.Module, ...] = ()
    before: bool = False
    pooled: bool = True
    first: bool = False

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, width) features and (n, classes) logits; with a graph where gradients are enabled."""
        kept, out = self._run(x, lambda value: value)
        return torch.cat([self._flat(v) for v in kept], 1) if kept else out, out

    def slopes(self, x: Tensor, target: Tensor) -> Tensor:
        """(n, width) how fast the target's logit rises when a feature does; pooled, at all places of the map alike."""
        with torch.enable_grad():
            kept, out = self._run(x, lambda value: value.detach().requires_grad_())
        if not kept:
            return nn.functional.one_hot(target, out.shape[1]).to(out)
        score = out.gather(1, target[:, None]).sum()
        found = torch.autograd.grad(score, kept, allow_unused=True) if out.requires_grad else [None] * len(kept)
        parts = [torch.zeros_like(v) if s is None else s for v, s in zip(kept, found)]
        # a feature that is a mean rises by one when every place does
        return torch.cat([self._flat(s) * (s[0].numel() / self._flat(s).shape[1]) for s in parts], 1)

    def _run(self, x: Tensor, keep: Callable[[Tensor], Tensor]) -> tuple[list[Tensor], Tensor]:
        kept: dict[nn.Module, Tensor] = {}

        def taken(module: nn.Module, value: Any) -> Tensor:
            if module in kept or not isinstance(value, Tensor) or not value.is_floating_point():
                given = (
                    "a layer that runs several times" if module in kept else f"one that gives no tensor ({value!r:.40})"
                )
                raise Refused(f"features at {self.name!r} of {self.model.name}", given, self._others())
            kept[module] = keep(value)
            return kept[module].clone()  # what follows may work in place

        with _listening(self.modules, self.before, taken):
            out = self.model(x)
        if len(kept) < len(self.modules):
            given = "a layer that does not run on these inputs"
            raise Refused(f"features at {self.name!r} of {self.model.name}", given, self._others())
        return [kept[m] for m in self.modules], out

    def _flat(self, values: Tensor) -> Tensor:
        """(n, width)."""
        if values.ndim <= 2 or not self.pooled:
            return values.reshape(len(values), -1)
        channels_first = values.ndim > 3 or self.first
        return values.flatten(2).mean(2) if channels_first else values.mean(1)

    def _others(self) -> str:
        return f"another layer, such as {HEAD!r} (what the last linear layer takes in) or {OUTPUTS!r} (the logits)"


def layer(model: Classifier, x: Tensor, name: str = "", *, pooled: bool = True) -> Layer:
    """The layer of that name, tried on a few inputs.

    Args:
        x: some inputs.
        name: of a submodule, "head" for what the last linear layer takes in (also taken when empty), "outputs".

    Raises:
        Refused: an unknown layer, one that runs several times or not at all, a model without a linear head, features
            that depend on the rest of the batch.
    """
    modules = dict(model.module.named_modules())
    if name in ("", HEAD):  # also where a submodule has that name: its outputs are the logits
        found = Layer(model, HEAD, heads(model, x), before=True)
    elif name == OUTPUTS:
        found = Layer(model, OUTPUTS)
    elif name in modules:
        found = Layer(model, name, (modules[name],), pooled=pooled, first=_one_dimensional(modules[name], model.module))
    else:
        raise unknown(f"a layer of {model.name}", name, (HEAD, OUTPUTS, *(n for n in modules if n)))
    _alone_as_together(found, x[:4])
    return found


def heads(model: Classifier, x: Tensor) -> tuple[nn.Module, ...]:
    """The linear layers whose outputs add up to the logits: one, or one a tower.

    Raises:
        Refused: a model that does not end so.
    """
    seen: dict[nn.Module, Tensor] = {}

    def seeing(module: nn.Module, value: Tensor) -> Tensor:
        seen[module] = value
        return value

    linear = tuple(m for m in model.module.modules() if isinstance(m, nn.Linear))
    with torch.no_grad(), _listening(linear, False, seeing):
        out = model(x)
    fitting = [m for m, v in seen.items() if v.shape == out.shape]
    # Logarithms of probabilities are logits but for a number a row.
    wanted = out - out.mean(1, keepdim=True)
    for chosen in (fitting[-1:], fitting):
        total = sum((seen[m] for m in chosen), torch.zeros_like(out))
        if chosen and torch.allclose(total - total.mean(1, keepdim=True), wanted, rtol=1e-3, atol=1e-4):
            return tuple(chosen)
    names = [n for n, _ in model.module.named_modules() if n]
    raise Refused(
        f"the features that the last linear layer of {model.name} takes in",
        "a model that does not end in a linear layer",
        f"{OUTPUTS!r} (the logits), or a layer by name: {', '.join(names[-6:])}",
    )


@contextmanager
def _listening(
    modules: tuple[nn.Module, ...], before: bool, taken: Callable[[nn.Module, Any], Tensor]
) -> Iterator[None]:
    """While inside, ``taken`` sees and may replace what goes into the modules, or what comes out."""

    def entering(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        return taken(module, given[0]), *given[1:]

    def leaving(module: nn.Module, _given: Any, out: Any) -> Any:
        # a recurrent layer gives its states and then the last one; attention its values and then its maps
        return (taken(module, out[0]), *out[1:]) if isinstance(out, tuple) else taken(module, out)

    handles = [m.register_forward_pre_hook(entering) if before else m.register_forward_hook(leaving) for m in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _one_dimensional(module: nn.Module, whole: nn.Module) -> bool:
    """Whether (n, a, b) outputs of a module are channels and places: its model convolves along one axis."""
    ordered = isinstance(module, nn.LayerNorm | nn.Linear | nn.RNNBase | nn.MultiheadAttention)
    return not ordered and any(isinstance(m, nn.Conv1d) for m in whole.modules())


def _alone_as_together(found: Layer, x: Tensor) -> None:
    with torch.no_grad():
        together = found(x)[0]
        alone = [found(x[i : i + 1])[0] for i in range(len(x))]
    same = all(a.shape[1] == together.shape[1] for a in alone)
    gap = float((together - torch.cat(alone)).abs().max()) if same else float("inf")
    if gap > TOLERANCE * (1 + float(together.abs().max())):
        given = f"features that depend on the rest of the batch (by {gap:.2g}), as where texts are cut to its longest"
        raise Refused(f"features at {found.name!r} of {found.model.name}", given, found._others())
