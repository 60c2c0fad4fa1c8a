"""Rules by the name of a torch function. What is not named here has none, and is refused where it sees the signal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from labkit.attributions._rules import attention, normalisation, recurrent
from labkit.attributions._rules.names import (
    GATES,
    LINEAR,
    MIXING,
    MOVES,
    PIECEWISE,
    POINTWISE,
    PRODUCTS,
    QUOTIENTS,
    SCALED,
    STATISTICS,
)
from labkit.attributions._rules.signal import (
    is_gate,
    is_signal,
    kept,
    label,
    mark_gate,
    over,
    passed,
    settle,
    signals,
    swap,
)

if TYPE_CHECKING:
    from labkit.attributions._propagation import Propagation

Rule = Callable[..., Any]  # (mode, function, *its arguments) -> its result

NEAR_ZERO = 1e-4


def linear(mode: Propagation, function: Rule, /, *args: Any, **options: Any) -> Any:
    """What the function makes of the signals, it also makes of what constants are part of them. Constants among its own
    arguments are part of the result."""
    result = function(*args, **options)
    given = _tensors(result)
    beside: list[Tensor | None] = [None] * len(given)
    if mode.current in MIXING or any(s.kept is not None for s in signals((args, options))):  # type: ignore[attr-defined]
        with torch.no_grad():
            beside = _tensors(function(*swap(args, kept), **swap(options, kept)))
    for tensor, its in zip(given, beside, strict=True):
        if is_signal(tensor):
            label(tensor, its)
    return result


def piecewise(mode: Propagation, function: Rule, /, z: Tensor, *args: Any, **options: Any) -> Any:
    """The gradient is the rule; what it makes of constants is its derivative along them."""
    result = function(z, *args, **options)
    (value,) = signals(result)
    label(value, None if z.kept is None else _along(function, z, kept(z), args, options))  # type: ignore[attr-defined]
    return result


def _along(function: Rule, z: Tensor, way: Tensor, args: Any, options: Any) -> Tensor:
    """The derivative of the function at z along ``way``: backwards twice is forwards."""
    z = z.detach().requires_grad_()
    (value,) = signals(function(z, *args, **options))
    start = torch.zeros_like(value).requires_grad_()
    (back,) = torch.autograd.grad(value, z, start, create_graph=True)
    return torch.autograd.grad(back, start, way)[0]


def _tensors(result: Any) -> list[Any]:
    return [result] if isinstance(result, Tensor) else list(result)


def difference(mode: Propagation, function: Rule, /, a: Any, b: Any, **options: Any) -> Tensor:
    value = linear(mode, function, a, b, **options)
    constant = next((t for t in (a, b) if isinstance(t, Tensor) and not t.requires_grad), None)
    if constant is not None and constant.shape == value.shape and not value.any() and constant.any():
        raise mode.refuse("a gradient that stands in for a jump (a value less its own detached copy)")
    return value


def assign(mode: Propagation, function: Rule, /, target: Tensor, index: Any, value: Any) -> None:
    """``target[index] = value``: constants that are written, and those that are written over, ride along."""
    beside = kept(target) if is_signal(target) else target.detach()
    beside = beside.clone()
    beside[index] = kept(value) if is_signal(value) else value
    function(target, index, value)
    label(target, beside)


def pointwise(mode: Propagation, function: Rule, /, z: Tensor, *args: Any, **options: Any) -> Tensor:
    """f(0) is constant, the rest is z times a slope that is held fixed. What has no value at zero is a normaliser, and
    constant."""
    if next(signals((args, options)), None) is not None:
        raise mode.refuse(f"{mode.current} of two values that both depend on the input")
    at = z.detach()
    value = function(at, *args, **options)
    zero = function(at.new_zeros(()), *args, **options)
    if not torch.isfinite(zero):
        return value
    apart = torch.where(at.abs() < NEAR_ZERO, NEAR_ZERO, at)
    slope = (function(apart, *args, **options) - zero) / apart
    result = settle(lambda v: v * slope, z, value)
    if mode.current in GATES:
        mark_gate(result)
    return result


def scaled(mode: Propagation, function: Rule, /, z: Tensor, *args: Any, **options: Any) -> Tensor:
    """Each entry times a constant: it keeps its relevance."""
    value = function(z.detach(), *args, **options)
    slope = over(value, z)
    return settle(lambda v: v * slope, z, value)


def product(mode: Propagation, function: Rule, /, a: Any, b: Any) -> Tensor:
    """Signal times constant is linear. Of a signal and a gate the signal takes all (Arras et al., 2017); two signals take
    half each (Achtibat et al., 2024)."""
    if not (is_signal(a) and is_signal(b)):
        if mode.current in ("matmul", "mm") and is_signal(a) and b.ndim == 2 and a.ndim >= 2:
            return mode.layers.output(mode.layers.dense, torch.matmul, a, b, None, -1)
        return linear(mode, function, a, b)
    if is_gate(a) != is_gate(b):
        return linear(mode, function, a.detach(), b) if is_gate(a) else linear(mode, function, a, b.detach())
    left, right = a.detach(), b.detach()
    return passed(lambda v, w: (function(v, right) + function(left, w)) / 2, a, b)


def einsum(mode: Propagation, function: Rule, /, equation: str, *operands: Any) -> Tensor:
    """As a product of two."""
    given = operands[0] if isinstance(operands[0], list | tuple) else operands
    if len(given) == 1 or sum(map(is_signal, given)) == 1:
        return linear(mode, function, equation, *given)
    if len(given) > 2:
        raise mode.refuse("einsum of more than two values that depend on the input")
    return product(mode, lambda a, b: function(equation, a, b), *given)


def quotient(mode: Propagation, function: Rule, /, a: Any, b: Any, **options: Any) -> Tensor:
    """What a signal is divided by is a normaliser, and constant."""
    return linear(mode, function, a, b.detach() if isinstance(b, Tensor) else b, **options)


def statistic(mode: Propagation, function: Rule, /, *args: Any, **options: Any) -> Any:
    """A spread or its inverse, for values to be divided by: constant."""
    return function(*swap(args, Tensor.detach), **options)


def extreme(mode: Propagation, function: Rule, /, a: Tensor, *args: Any, **options: Any) -> Any:
    """The larger takes all, also of two tensors."""
    if not args or not isinstance(args[0], Tensor):
        return piecewise(mode, function, a, *args, **options)
    value = function(a, *args).detach()
    with mode:
        return torch.where(a.detach() == value, a, args[0])


def softmax(mode: Propagation, function: Rule, /, z: Tensor, *args: Any, **options: Any) -> Tensor:
    """The first order at z, the rest constant (Achtibat et al., 2024, proposition 3.1); or constant, when attention is not
    asked what it attends to."""
    value = function(z.detach(), *args, **options)
    if mode.attention == "value":
        return value
    axis = _axis(args, options)

    def first_order(v: Tensor) -> Tensor:
        seen = torch.where(value > 0, v, 0.0)  # a masked entry is beyond all bounds
        return value * (seen - (value * seen).sum(axis, keepdim=True))

    return settle(first_order, z, value)


def log_softmax(mode: Propagation, function: Rule, /, z: Tensor, *args: Any, **options: Any) -> Tensor:
    value, axis = function(z.detach(), *args, **options), _axis(args, options)
    return settle(lambda v: v - (value.exp() * v).sum(axis, keepdim=True), z, value)


def logsumexp(mode: Propagation, function: Rule, /, z: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """The first order at z, by the softmax."""
    value = function(z.detach(), dim, True)
    share = (z.detach() - value).exp()
    return settle(lambda v: (share * v).sum(dim, keepdim), z, value if keepdim else function(z.detach(), dim))


def log(mode: Propagation, function: Rule, /, z: Tensor) -> Tensor:
    """The first order at z: it has no value at zero."""
    at = z.detach()
    return settle(lambda v: v / at, z, function(at))


def _axis(args: Any, options: Any) -> int:
    axis = options.get("dim", args[0] if args else None)
    return -1 if axis is None else axis


def dense(mode: Propagation, function: Rule, /, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    if is_signal(weight) or is_signal(bias):
        raise mode.refuse("weights that depend on the input")
    return mode.layers.output(mode.layers.dense, torch.nn.functional.linear, x, weight, bias, -1)


def addmm(mode: Propagation, function: Rule, /, bias: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    return dense(mode, function, x, weight.transpose(-1, -2), bias)


def glu(mode: Propagation, function: Rule, /, input: Tensor, dim: int = -1) -> Tensor:
    with mode:
        signal, gate = input.chunk(2, dim)
        return signal * torch.sigmoid(gate)


def convolution(axes: int) -> Rule:
    def rule(mode: Propagation, function: Rule, /, input: Tensor, weight: Tensor, bias: Tensor | None = None, *args: Any, **options: Any) -> Tensor:  # fmt: skip
        if is_signal(weight) or is_signal(bias):
            raise mode.refuse("weights that depend on the input")

        def apply(x: Tensor, w: Tensor) -> Tensor:
            return function(x, w, None, *args, **options)

        return mode.layers.output(mode.layers.convolution, apply, input, weight, bias, -1 - axes)

    return rule


RULES: dict[str, Rule] = {
    **dict.fromkeys([*MOVES, *LINEAR, *MIXING], linear),
    **dict.fromkeys(PIECEWISE, piecewise),
    **dict.fromkeys(("sub", "subtract", "rsub"), difference),
    **dict.fromkeys(POINTWISE, pointwise),
    **dict.fromkeys(PRODUCTS, product),
    **dict.fromkeys(QUOTIENTS, quotient),
    **dict.fromkeys(STATISTICS, statistic),
    **dict.fromkeys(("max", "min", "maximum", "minimum"), extreme),
    **dict.fromkeys(SCALED, scaled),
    **dict.fromkeys(("conv1d", "conv_transpose1d"), convolution(1)),
    **dict.fromkeys(("conv2d", "conv_transpose2d"), convolution(2)),
    **dict.fromkeys(("conv3d", "conv_transpose3d"), convolution(3)),
    **{
        "setitem": assign,
        "softmax": softmax,
        "log_softmax": log_softmax,
        "log": log,
        "logsumexp": logsumexp,
        "glu": glu,
        "linear": dense,
        "addmm": addmm,
        "einsum": einsum,
    },
    **normalisation.RULES,
    **recurrent.RULES,
    **attention.RULES,
}
