"""Normalisation by a mean and a spread: the mean is linear, the spread constant (Ali et al., 2022, arXiv 2202.07304)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from labkit.attributions._propagation import Propagation


def layer_norm(mode: Propagation, function: Any, /, input: Tensor, normalized_shape: Any, weight: Tensor | None = None,
               bias: Tensor | None = None, eps: float = 1e-5, *_: Any) -> Tensor:  # fmt: skip
    axes = tuple(range(-len(normalized_shape), 0))
    with mode:
        return _affine(_standardised(input, axes, eps), weight, bias)


def group_norm(mode: Propagation, function: Any, /, input: Tensor, num_groups: int, weight: Tensor | None = None,
               bias: Tensor | None = None, eps: float = 1e-5, *_: Any) -> Tensor:  # fmt: skip
    shape = (-1, *[1] * (input.ndim - 2))
    weight, bias = (None if t is None else t.reshape(shape) for t in (weight, bias))
    with mode:
        groups = _standardised(input.reshape(len(input), num_groups, -1), (-1,), eps)
        return _affine(groups.reshape(input.shape), weight, bias)


def instance_norm(mode: Propagation, function: Any, /, input: Tensor, running_mean: Any = None, running_var: Any = None,
                  weight: Tensor | None = None, bias: Tensor | None = None, use_input_stats: bool = True,
                  momentum: float = 0.1, eps: float = 1e-5, *_: Any) -> Tensor:  # fmt: skip
    if not use_input_stats:
        with mode:
            return functional.batch_norm(input, running_mean, running_var, weight, bias, eps=eps)
    return group_norm(mode, function, input, input.shape[1], weight, bias, eps)


def _standardised(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    """Divided by a spread that is constant. Run with the rules on."""
    spread = x.detach().var(axes, correction=0, keepdim=True)
    return (x - x.mean(axes, keepdim=True)) * (spread + eps).rsqrt()


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


RULES: dict[str, Any] = {"layer_norm": layer_norm, "group_norm": group_norm, "instance_norm": instance_norm}
