"""Relevance as input times the gradient of a backward pass with other rules.

Layer-wise relevance propagation hands a function's relevance back to its inputs by a rule of the function's own. Where a
function is replaced by one of the same value that is linear in its inputs, with all else held fixed, automatic
differentiation does that (Montavon et al., 2019, doi 10.1007/978-3-030-28954-6_10; Achtibat et al., 2024, arXiv
2402.05602). The replacing happens where torch's functions are called. So it needs no list of a model's modules, and
shared, functional and in-place functions get their rule like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from labkit.attributions._rules.functions import RULES
from labkit.attributions._rules.layers import Layers
from labkit.attributions._rules.names import MOVES
from labkit.attributions._rules.signal import (
    carrier,
    is_gate,
    is_labelled,
    mark_gate,
    set_carrier,
    signals,
    swap,
)
from labkit.core.refused import Refused
from labkit.models.functions import out_of_place, plain_name

Attention = Literal["shared", "value"]
SCALES = {"add", "sub", "subtract", "rsub", "mul", "multiply", "div", "divide", "true_divide", "batch_norm"}
NOTHING = 1e-6  # a difference of logits that is rounding, however small they are
INSTEAD = "integrated_gradients, input_x_gradient, occlusion or kernel_shap"


class Propagation(TorchFunctionMode):
    """While it is entered, every torch function that sees the signal is replaced by its rule.

    Args:
        layers: the rules of layers with weights.
        attention: whether relevance also goes to what decides the attention ("shared"), or to values only ("value").
        asked: what a refusal says was asked for.
    """

    def __init__(self, layers: Layers, attention: Attention, asked: str) -> None:
        super().__init__()
        self.layers, self.attention, self.asked = layers, attention, asked
        self.current = ""

    def refuse(self, given: str) -> Refused:
        return Refused(self.asked, f"a model with {given}", INSTEAD)

    def check(self, sources: Iterable[Tensor]) -> None:
        """Refuse signals that no rule has made."""
        if not all(map(is_labelled, sources)):
            raise self.refuse(
                "a part that is computed out of sight (an autograd function of its own, a compiled script)"
            )

    def backward(self, logit: Tensor, *sources: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the rows' logits; None for a source that they do not depend on."""
        try:
            return torch.autograd.grad(logit.sum(), sources, allow_unused=True)
        except RuntimeError as error:
            if "inplace operation" not in str(error):
                raise
            raise self.refuse("a function in place, on values that a gradient needs") from None

    def check_sum(self, relevance: Tensor, bias: Tensor, logit: Tensor) -> None:
        """Refuse relevance that was lost or made on the way, beyond what rounding may do."""
        parts = relevance.flatten(1).double()
        missed = (parts.sum(1) + bias - logit).abs()
        size = parts.abs().sum(1) + bias.abs() + logit.abs()
        if bool((missed > torch.finfo(relevance.dtype).eps ** 0.5 * size + NOTHING).any()):
            raise self.refuse(f"a part whose relevance is not that of its output (by {float(missed.max()):.2g})")

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if not torch.is_grad_enabled():
            return func(*swap(args, Tensor.detach), **swap(kwargs, Tensor.detach))
        sources = list(signals((args, kwargs)))
        if not sources:
            return func(*args, **kwargs)
        self.check(sources)
        name, in_place = plain_name(func, kwargs, RULES)
        name = {"radd": "add", "rmul": "mul"}.get(name, name)
        rule = RULES.get(name)
        if rule is None:
            result = func(*args, **kwargs)
            if next(signals(result), None) is not None:
                raise self.refuse(f"the function {name}, for which there is no rule of propagation")
            return result
        self.current = name
        function = out_of_place(func, name) if in_place else func
        result = rule(self, function, *args, **kwargs)
        _follow(name, function, args, kwargs, result)
        return self._written(name, args[0], result) if in_place else result

    def _written(self, name: str, target: Tensor, result: Tensor) -> Tensor:
        """The tensor that a function in place was given, with its result and all that is known of it."""
        if target.shape != result.shape:
            raise self.refuse(f"the function {name}_, which changes a shape in place")
        target.copy_(result)
        vars(target).clear()
        vars(target).update(vars(result))
        return target


def _follow(name: str, function: Callable[..., Any], args: Any, kwargs: Any, result: Any) -> None:
    """A gate stays a gate when it is moved or scaled; so do the ones that lead back to an input's entries."""
    if name not in MOVES and name not in SCALES:
        return
    sources = list(signals((args, kwargs)))
    if len(sources) != 1 or not (found := list(signals(result))):
        return
    if is_gate(sources[0]) and name != "batch_norm":
        for tensor in found:
            mark_gate(tensor)
    ones = carrier(sources[0])
    if ones is None:
        return
    if name in SCALES:
        set_carrier(result, ones.broadcast_to(result.shape))
        return
    moved = function(*swap(args, lambda _: ones), **swap(kwargs, lambda _: ones))
    for tensor, its in zip(found, signals(moved), strict=True):
        set_carrier(tensor, its)
