"""What every rule is made of: a function's value, split into the part that passes relevance on and a constant.

The signal is whatever depends on the input: tensors that require gradients, since a Classifier's weights do not. A rule
gives a tensor with the function's own value whose gradient, times the signal, is the relevance that goes back. Beside
each signal goes what constants make of it (its ``kept`` part), passed forward by the same rules: at the output it says
what biases absorbed, without asking what the inputs got.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

Linear = Callable[..., Tensor]


def signals(tree: Any) -> Iterator[Tensor]:
    """The tensors among (nested) arguments or results that depend on the input."""
    if isinstance(tree, Tensor):
        if tree.requires_grad:
            yield tree
    elif isinstance(tree, dict):
        yield from signals(list(tree.values()))
    elif isinstance(tree, list | tuple):
        for part in tree:
            yield from signals(part)


def is_signal(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


def swap(tree: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """The same arguments with ``function`` of every signal in the signal's place."""
    if is_signal(tree):
        return function(tree)
    if isinstance(tree, dict):
        return {key: swap(value, function) for key, value in tree.items()}
    if type(tree) in (list, tuple):
        return type(tree)(swap(part, function) for part in tree)
    return tree


def label(signal: Tensor, kept: Tensor | None) -> Tensor:
    """Remember what constants make of a signal; None for nothing."""
    signal.kept = kept  # type: ignore[attr-defined]
    return signal


def is_labelled(signal: Tensor) -> bool:
    """Whether a rule has made it."""
    return hasattr(signal, "kept")


def kept(signal: Tensor) -> Tensor:
    """What constants make of a signal, like it."""
    found = signal.kept  # type: ignore[attr-defined]
    return torch.zeros_like(signal.detach()) if found is None else found


def also(linear: Linear, *sources: Tensor) -> Tensor | None:
    """What ``linear`` makes of the sources' constants."""
    if all(s.kept is None for s in sources):  # type: ignore[attr-defined]
        return None
    with torch.no_grad():
        return linear(*map(kept, sources))


def passed(linear: Linear, *sources: Tensor) -> Tensor:
    """``linear`` of the sources, and of their constants."""
    return label(linear(*sources), also(linear, *sources))


def settle(linear: Linear, source: Tensor, value: Tensor) -> Tensor:
    """``value``, of which ``linear`` of the source passes relevance on and the rest is constant."""
    return complete(linear(source), value, also(linear, source))


def complete(part: Tensor, value: Tensor, before: Tensor | None) -> Tensor:
    """``value``, of which ``part`` passes relevance on; ``before`` is what earlier constants make of that part."""
    rest = value.detach() - part.detach()
    return label(part + rest, rest if before is None else before + rest)


def over(a: Tensor, b: Tensor) -> Tensor:
    """a / b without gradient, and 0 where b is 0."""
    a, b = a.detach(), b.detach()
    return torch.where(b == 0, 0.0, a / torch.where(b == 0, 1.0, b))


def mark_gate(tensor: Tensor) -> None:
    """Remember that a tensor weighs signals and is none itself: in a product the signal takes all."""
    tensor.is_gate = True  # type: ignore[attr-defined]


def is_gate(tensor: Tensor) -> bool:
    return getattr(tensor, "is_gate", False)


def carrier(tensor: Tensor) -> Tensor | None:
    """Ones that followed an input entry to this tensor, if nothing but moving and scaling lies between."""
    return getattr(tensor, "carrier", None)


def set_carrier(tensor: Tensor, ones: Tensor | None) -> None:
    tensor.carrier = ones  # type: ignore[attr-defined]
