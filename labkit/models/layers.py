"""The layers of a model as one forward pass meets them, and where their positions stand in the input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)


@dataclass(frozen=True)
class Line:
    """Where a layer's positions stand along one axis of the input.

    Attributes:
        length: entries of the input along the axis.
        count: positions of the layer.
        first, step: the entry at which the first position is centred, and from there to the next.
    """

    length: int
    count: int
    first: float
    step: float

    def weights(self) -> Tensor:
        """(length, count) linear interpolation between the positions, constant before the first and after the last."""
        place = ((torch.arange(self.length, dtype=torch.float64) - self.first) / self.step).clamp(0, self.count - 1)
        return (1 - (place[:, None] - torch.arange(self.count)).abs()).clamp_min(0)


@dataclass(frozen=True)
class Layer:
    """One submodule.

    Attributes:
        name: as in ``named_modules``; kind: its class.
        shape: of its output for one input.
        runs: how often it runs for one answer.
        lines: for each axis of space or time that its output shares with the input, where its positions stand; empty
            when its output cannot be laid over the input.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    runs: int
    lines: tuple[Line, ...] = field(default=(), repr=False)

    @property
    def fits(self) -> bool:
        """Whether a map of this layer can be laid over the input."""
        return bool(self.lines) and self.runs == 1


def layers(module: nn.Module, forward: Callable[[Tensor], object], x: Tensor) -> tuple[Layer, ...]:
    """Every named submodule that gives a tensor, in the order in which they finish.

    Args:
        x: inputs (n, ...), of which the first is sent through ``forward``.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    runs: dict[str, int] = {}
    handles = []
    for name, part in module.named_modules():

        def note(_module: nn.Module, _inputs: object, output: object, name: str = name) -> None:
            if isinstance(output, Tensor) and name:
                shapes[name], runs[name] = tuple(output.shape[1:]), runs.get(name, 0) + 1

        handles.append(part.register_forward_hook(note))
    try:
        with torch.no_grad():
            forward(x[:1])
    finally:
        for handle in handles:
            handle.remove()
    lines = _waveform(module, shapes, len(x[0])) if x.ndim == 2 else _grid(module, shapes, x.shape[2:])
    return tuple(
        Layer(name, type(module.get_submodule(name)).__name__, shape, runs[name], lines.get(name, ()))
        for name, shape in shapes.items()
    )


def _grid(module: nn.Module, shapes: Mapping[str, tuple[int, ...]], space: torch.Size) -> dict[str, tuple[Line, ...]]:
    """Layers of as many positions along each axis as some convolution or pooling gives: they share the axis out evenly.

    Only these say which axes are space or time: (tokens, width) or (heads, tokens, tokens) look alike.
    """
    known = {shape[1:] for name, shape in shapes.items() if hasattr(module.get_submodule(name), "kernel_size")}
    return {
        name: tuple(Line(all_, few, (all_ / few - 1) / 2, all_ / few) for all_, few in zip(space, shape[1:]))
        for name, shape in shapes.items()
        if shape[1:] in known and len(shape[1:]) == len(space) and _shows(shape[1:], space)
    }


def _shows(positions: tuple[int, ...], space: torch.Size) -> bool:
    return sum(positions) > len(positions) and all(few <= all_ for few, all_ in zip(positions, space))


def _waveform(module: nn.Module, shapes: Mapping[str, tuple[int, ...]], length: int) -> dict[str, tuple[Line, ...]]:
    """Layers of a plain chain whose last axis is time: each window, stride and padding says where a position stands."""
    if not isinstance(module, nn.Sequential):
        return {}
    found: dict[str, tuple[Line, ...]] = {}
    first, step, last, begun = 0.0, 1.0, length, False
    for name, part in module.named_children():
        count = shapes.get(name, (0,))[-1]
        windowed = _window(part)
        if windowed is None and (count != last or isinstance(part, nn.Linear)):
            break  # here time ends, or is cut up in a way that nothing tells
        begun |= windowed is not None
        window, stride, before = windowed or (1, 1, 0)
        first, step, last = first + step * ((window - 1) / 2 - before), step * stride, count
        if begun and count > 1:
            found[name] = (Line(length, count, first, step),)
    return found


def _window(part: nn.Module) -> tuple[int, int, int] | None:
    """(entries that one position sees, entries to the next, padding before the first) along time."""
    if hasattr(part, "window") and hasattr(part, "hop"):
        return part.window, part.hop, 0  # type: ignore[return-value]
    if not hasattr(part, "kernel_size") or isinstance(getattr(part, "padding", 0), str):
        return None
    kernel, stride, padding, dilation = (
        _last(getattr(part, name, default))
        for name, default in (("kernel_size", 1), ("stride", 1), ("padding", 0), ("dilation", 1))
    )
    return (kernel - 1) * dilation + 1, stride, padding


def _last(value: int | tuple[int, ...]) -> int:
    return value[-1] if isinstance(value, tuple) else value
