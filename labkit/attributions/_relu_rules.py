"""Gradients in which every ReLU passes back by another rule, whatever way the model calls it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from labkit.attributions._passes import WITHOUT_GRADIENTS, score
from labkit.core.refused import Refused
from labkit.models.classifier import Classifier

Rule = Literal["guided", "deconvolution"]
INSTEAD = "saliency, smoothgrad or integrated_gradients, which need no ReLU"

_FRESH = {torch.relu, torch.Tensor.relu, torch.nn.functional.relu}
_IN_PLACE = {torch.relu_, torch.Tensor.relu_}
_CLAMPS = {torch.clamp, torch.clamp_min, torch.Tensor.clamp, torch.Tensor.clamp_min}
_CLAMPS_IN_PLACE = {torch.clamp_, torch.clamp_min_, torch.Tensor.clamp_, torch.Tensor.clamp_min_}


def ruled_gradient(model: Classifier, x: Tensor, target: Tensor, rule: Rule, by: str) -> Tensor:
    """The target logit's gradient where each ReLU hands back only what is positive, and with "guided" only where its
    input was positive too.

    ReLUs are met as the model calls them, so modules, functions, shared and in-place ones are alike. Nothing of the
    model is changed. Other activations keep their own gradient. Over an embedding the gradient's size is given, since
    behind a layer normalisation its entries add up to nothing.

    Raises:
        Refused: a model without gradients, without ReLU, or with one that cannot be met, as in a compiled part or a
            fused recurrent layer.
    """
    model.require("gradients", by=by, instead=WITHOUT_GRADIENTS)
    asked = f"{by} on {model.name}"
    with torch.enable_grad(), _Rules(rule) as rules:
        z, forward = model.relax(x)
        z = z.detach().requires_grad_()
        out = score(forward(z), target)
    missed = _relus(out)
    if missed:
        raise Refused(asked, f"{missed} ReLUs out of reach (compiled, or fused with a layer)", INSTEAD)
    if not rules.met:
        raise Refused(asked, "a model without ReLU, to which the rule could apply", INSTEAD)
    if not out.requires_grad:
        return torch.zeros_like(z)
    (found,) = torch.autograd.grad(out.sum(), z, allow_unused=True)
    slope = torch.zeros_like(z) if found is None else found
    return slope if slope.ndim == x.ndim else slope.abs()


class _Ruled(torch.autograd.Function):
    """max(x, 0) with a rule for the way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, guided: bool, in_place: bool) -> Tensor:
        ctx.guided = guided
        out = x.clamp_(min=0) if in_place else x.clamp(min=0)
        if in_place:
            ctx.mark_dirty(x)
        ctx.save_for_backward(out > 0)
        return out

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = slopes
        (lit,) = ctx.saved_tensors
        passed = (slope > 0) & lit if ctx.guided else slope > 0
        return slope * passed, None, None


class _Rules(TorchFunctionMode):
    """While it is on, calls of ReLU are answered by ``_Ruled``; ``met`` counts them."""

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.guided, self.met = rule == "guided", 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        relu = _is_relu(func, args, kwargs)
        if relu is None:
            return func(*args, **kwargs)
        self.met += 1
        x = args[0] if args else kwargs["input"]
        return _Ruled.apply(x, self.guided, relu == "in place")  # type: ignore[no-untyped-call]


def _is_relu(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Literal["fresh", "in place"] | None:
    """Whether a call is a ReLU; a clamp from 0 up is one too."""
    if func in _FRESH:
        in_place = kwargs.get("inplace", args[1] if len(args) > 1 else False)
        return "in place" if in_place else "fresh"
    if func in _IN_PLACE:
        return "in place"
    if func in _CLAMPS | _CLAMPS_IN_PLACE:
        low = kwargs.get("min", args[1] if len(args) > 1 else None)
        high = kwargs.get("max", args[2] if len(args) > 2 else None)
        if high is None and isinstance(low, int | float) and low == 0:
            return "in place" if func in _CLAMPS_IN_PLACE else "fresh"
    return None


def _relus(out: Tensor) -> int:
    """ReLUs in the graph of an output."""
    todo, seen = [out.grad_fn], set()
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            todo += [after for after, _ in node.next_functions]
    return sum(node.name().startswith("ReluBackward") for node in seen)
