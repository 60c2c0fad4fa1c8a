"""What is written down for each of torch's functions, by their plain names: which are affine, and how far they move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from labkit.certificates._relaxations import Bent, Greatest, Relaxation, Smooth
from labkit.certificates._windows import adaptive, sliding

if TYPE_CHECKING:
    from labkit.certificates._graph import Trace


def _named(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What is asked about a tensor, not of its values.
ABOUT = _named("shape size dim ndim dtype device numel is_floating_point requires_grad is_cuda layout stride storage_offset "
               "len is_contiguous is_complex nelement element_size is_sparse names grad_fn is_leaf is_quantized is_nested")  # fmt: skip
TYPES = _named("float double half bfloat16 to type type_as contiguous")
RESHAPED = _named("clone view reshape flatten unflatten ravel squeeze unsqueeze view_as alias")
# Sums of entries with weights that are not negative, and moves.
MOVED = _named("transpose permute movedim moveaxis swapaxes select narrow getitem flip index_select roll expand mean sum "
               "cumsum avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d "
               "pixel_shuffle pixel_unshuffle mT chunk split unbind")  # fmt: skip
ADDED = _named("add sub subtract radd rsub cat concat concatenate stack hstack neg negative pad")
WEIGHED = _named("linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d matmul mm mv rmatmul mul "
                 "multiply rmul div divide true_divide")  # fmt: skip
SHIFTED = _named("linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d")  # third is a bias
DROPOUT = _named("dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout")


@dataclass(frozen=True)
class _Slot:
    """The place of a signal among a function's arguments."""

    number: int


def _opened(trace: Trace, args: Any, kwargs: Any) -> tuple[Any, tuple[int, ...]]:
    """Arguments with a slot in each signal's place, and the signals' nodes."""
    nodes: list[int] = []

    def visit(tree: Any) -> Any:
        if isinstance(tree, dict):
            return {key: visit(value) for key, value in tree.items()}
        if type(tree) in (list, tuple):
            return type(tree)(map(visit, tree))
        if (at := trace.at(tree)) is None:
            return tree
        nodes.append(at)
        return _Slot(len(nodes) - 1)

    return visit((tuple(args), kwargs)), tuple(nodes)


def _fill(tree: Any, values: tuple[Tensor, ...], constant: Callable[[Any], Any] = lambda c: c) -> Any:
    """The arguments again, with values in the slots and ``constant`` of every other tensor or number."""
    if isinstance(tree, _Slot):
        return values[tree.number]
    if isinstance(tree, dict):
        return {key: _fill(value, values, constant) for key, value in tree.items()}
    if type(tree) in (list, tuple):
        return type(tree)(_fill(part, values, constant) for part in tree)
    return constant(tree) if isinstance(tree, Tensor) else tree


def _write(trace: Trace, name: str, parents: Any, value: Tensor, forward: Any, size: Any = None,
           relaxation: Relaxation | None = None) -> Tensor:  # fmt: skip
    from labkit.certificates._graph import Node

    return trace.add(Node(name, tuple(parents), value.shape[1:], forward, size, relaxation), value)


def _reshaped(trace: Trace, name: str, func: Any, args: Any, kwargs: Any) -> Tensor:
    _, nodes = _opened(trace, args, kwargs)
    value = func(*args, **kwargs).clone()
    shape = value.shape[1:]

    def forward(v: Tensor) -> Tensor:
        return v.reshape(len(v), *shape)

    return _write(trace, name, nodes[:1], value, forward, forward)


def _moved(trace: Trace, name: str, func: Any, args: Any, kwargs: Any) -> Any:
    if name == "mT":
        func, args, kwargs = torch.transpose, (args[0], -1, -2), {}
    tree, nodes = _opened(trace, args, kwargs)
    if len(nodes) != 1:
        raise trace.refuse(f"the function {name}, which is told where to look by the input")

    def part(number: int | None) -> Callable[..., Tensor]:
        def forward(*v: Tensor) -> Tensor:
            filled, named = _fill(tree, v)
            result = func(*filled, **named)
            return result if number is None else result[number]

        return forward

    value = func(*args, **kwargs)
    if isinstance(value, Tensor):
        return _write(trace, name, nodes, value.clone(), part(None), part(None))
    return tuple(_write(trace, name, nodes, v.clone(), part(i), part(i)) for i, v in enumerate(value))


def _added(trace: Trace, name: str, func: Any, args: Any, kwargs: Any) -> Tensor:
    """Sums, differences and parts put together: each signal moves the result as far as it moves itself."""
    tree, nodes = _opened(trace, args, kwargs)
    if kwargs.get("alpha", 1) != 1:
        raise trace.refuse(f"the function {name} with alpha")
    joined = name in ("cat", "concat", "concatenate", "stack", "hstack", "pad")

    def forward(*v: Tensor) -> Tensor:
        filled, named = _fill(tree, v)
        return func(*filled, **named)

    def size(*r: Tensor) -> Tensor:
        if not joined:
            return sum(r[1:], start=r[0]).expand(len(r[0]), *value.shape[1:])
        filled, named = _fill(tree, r, torch.zeros_like)
        if name == "pad":
            filled, named = filled[:3], {k: v for k, v in named.items() if k != "value"}
        return func(*filled, **named)

    value = forward(*_values(trace, args, kwargs))
    return _write(trace, name, nodes, value, forward, size)


def _values(trace: Trace, *trees: Any) -> tuple[Tensor, ...]:
    """The signals among arguments, in order."""
    found: list[Tensor] = []
    for tree in trees:
        if isinstance(tree, dict):
            tree = list(tree.values())
        if isinstance(tree, list | tuple):
            found += _values(trace, *tree)
        elif trace.at(tree) is not None:
            found.append(tree)
    return tuple(found)


def _weighed(trace: Trace, name: str, func: Any, args: Any, kwargs: Any) -> Tensor:
    """Linear in one signal: it moves the result as far as the absolute weights say."""
    tree, nodes = _opened(trace, args, kwargs)
    divided = "div" in name and trace.at(args[0]) is None
    if len(nodes) != 1 or divided or kwargs.get("rounding_mode") is not None:
        what = "of two values that both depend on the input" if len(nodes) > 1 else "by a value of the input"
        raise trace.refuse(f"the function {name} {what}")
    bare, options = tree
    if name in SHIFTED:
        absolute = (*bare[:2], None, *bare[3:]), {k: v for k, v in options.items() if k != "bias"}
    else:
        absolute = tuple(map(_absolute, bare)), {k: _absolute(v) for k, v in options.items()}

    def forward(v: Tensor) -> Tensor:
        filled, named = _fill(tree, (v,))
        return func(*filled, **named)

    def size(r: Tensor) -> Tensor:
        filled, named = _fill(absolute, (r,), _absolute)
        return func(*filled, **named)

    return _write(trace, name, nodes, func(*args, **kwargs), forward, size)


def _absolute(value: Any) -> Any:
    mask = isinstance(value, Tensor) and value.dtype == torch.bool
    return abs(value) if isinstance(value, int | float | Tensor) and not mask else value


def _batch_norm(trace: Trace, name: str, func: Any, input: Tensor, running_mean: Any = None, running_var: Any = None,
                weight: Any = None, bias: Any = None, training: bool = False, momentum: float = 0.1,
                eps: float = 1e-5, *_: Any) -> Tensor:  # fmt: skip
    if training or running_mean is None:
        raise trace.refuse("normalisation over the batch")
    scale = (running_var + eps).rsqrt() * (1 if weight is None else weight)
    shift = (0 if bias is None else bias) - running_mean * scale
    scale, shift = (t.reshape(-1, *[1] * (input.ndim - 2)) for t in (scale, shift))

    def forward(v: Tensor) -> Tensor:
        return v * scale + shift

    return _write(trace, name, [trace.at(input)], forward(input), forward, lambda r: r * scale.abs())


def _dropout(trace: Trace, name: str, func: Any, input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    if training:
        raise trace.refuse("dropout that is on")
    return input


def _bent(slope: float | None = None) -> Any:
    """ReLU and its kin: one straight line below zero, another above."""

    def rule(trace: Trace, name: str, func: Any, input: Tensor, negative_slope: float = 0.01) -> Tensor:
        below = negative_slope if slope is None else slope
        if below > 1:
            raise trace.refuse(f"the function {name} with a slope of {below:g} below zero")
        bent = Bent(below)
        return _write(trace, name, [trace.at(input)], bent.value(input), bent.value, relaxation=bent)

    return rule


def _smooth(trace: Trace, name: str, func: Any, input: Tensor) -> Tensor:
    smooth = Smooth(name)
    return _write(trace, name, [trace.at(input)], smooth.value(input), smooth.value, relaxation=smooth)


def _clamp(
    trace: Trace, name: str, func: Any, input: Tensor, low: Any = None, high: Any = None, **named: Any
) -> Tensor:
    low, high = (named.get(key, value) for key, value in (("min", low), ("max", high)))
    if name == "clamp_max":
        low, high = None, low if high is None else high
    with trace:
        if low is not None:
            input = functional.relu(input - low) + low
        return input if high is None else high - functional.relu(high - input)


def _hardtanh(trace: Trace, name: str, func: Any, input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    return _clamp(trace, name, func, input, *((0.0, 6.0) if name == "relu6" else (min_val, max_val)))


def _greatest(trace: Trace, windows: Tensor) -> Tensor:
    """The greatest along the last axis."""
    greatest = Greatest()
    return _write(trace, "max", [trace.at(windows)], greatest.value(windows), greatest.value, relaxation=greatest)


def _amax(trace: Trace, name: str, func: Any, input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    axes = [d % input.ndim for d in (dim if isinstance(dim, list | tuple) else (dim,)) if isinstance(d, int)]
    if not axes or 0 in axes:
        raise trace.refuse(f"the function {name} over something else than some axes of a row")
    with trace:
        last = input.movedim(axes, list(range(-len(axes), 0))).flatten(-len(axes))
    value = _greatest(trace, last)
    if keepdim:
        shape = [1 if d in axes else length for d, length in enumerate(input.shape)]
        with trace:
            value = value.reshape(shape)
    return value if name == "amax" else torch.return_types.max((value, last.argmax(-1)))


def _max_pool(trace: Trace, name: str, func: Any, input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
              dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False) -> Tensor:  # fmt: skip
    out = func(input, kernel_size, stride or kernel_size, padding, dilation, ceil_mode).shape[2:]
    entries = sliding(input.shape[2:], out, kernel_size, stride or kernel_size, padding, dilation)
    return _pooled(trace, name, input, entries, return_indices)


def _adaptive_max_pool(trace: Trace, name: str, func: Any, input: Tensor, output_size: Any,
                       return_indices: bool = False) -> Tensor:  # fmt: skip
    return _pooled(trace, name, input, adaptive(input.shape[2:], output_size), return_indices)


def _pooled(trace: Trace, name: str, input: Tensor, entries: Tensor, return_indices: bool) -> Tensor:
    """Every window's entries on a last axis, and their greatest."""
    if return_indices:
        raise trace.refuse(f"the function {name} with the places of the greatest")
    with trace:
        windows = input.flatten(2).index_select(2, entries.flatten().to(input.device)).unflatten(2, entries.shape)
    return _greatest(trace, windows)


def _spread(rule: Any) -> Any:
    """A rule that takes the function's arguments one by one."""
    return lambda trace, name, func, args, kwargs: rule(trace, name, func, *args, **kwargs)


_EACH: dict[str, Any] = {
    "batch_norm": _batch_norm,
    "relu": _bent(0.0),
    "abs": _bent(-1.0),
    "leaky_relu": _bent(),
    "sigmoid": _smooth,
    "tanh": _smooth,
    **dict.fromkeys(("clamp", "clip", "clamp_min", "clamp_max"), _clamp),
    **dict.fromkeys(("hardtanh", "relu6"), _hardtanh),
    **dict.fromkeys(("amax", "max"), _amax),
    **dict.fromkeys(("max_pool1d", "max_pool2d", "max_pool3d"), _max_pool),
    **dict.fromkeys(("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"), _adaptive_max_pool),
    **dict.fromkeys(DROPOUT, _dropout),
}
RULES: dict[str, Any] = {
    **dict.fromkeys(RESHAPED, _reshaped),
    **dict.fromkeys(MOVED, _moved),
    **dict.fromkeys(ADDED, _added),
    **dict.fromkeys(WEIGHED, _weighed),
    **{name: _spread(rule) for name, rule in _EACH.items()},
}
