"""Recurrent layers, unrolled into their gates: gates are constant, the signal that they weigh takes all (Arras, Montavon,
Müller and Samek, 2017, arXiv 1706.07206)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from labkit.attributions._propagation import Propagation

State = tuple[Tensor, ...]  # what a cell hands on; its first tensor is the output
Cell = Callable[[Tensor, Tensor, State], State]


def _gate(z: Tensor) -> Tensor:
    return torch.sigmoid(z.detach())


def _lstm(from_input: Tensor, from_state: Tensor, state: State) -> State:
    take, keep, new, show = (from_input + from_state).chunk(4, -1)
    memory = state[1] * _gate(keep) + torch.tanh(new) * _gate(take)
    return torch.tanh(memory) * _gate(show), memory


def _gru(from_input: Tensor, from_state: Tensor, state: State) -> State:
    (reset, keep, new), (reset_state, keep_state, new_state) = from_input.chunk(3, -1), from_state.chunk(3, -1)
    keep = _gate(keep + keep_state)
    fresh = torch.tanh(new + new_state * _gate(reset + reset_state))
    return (fresh * (1 - keep) + state[0] * keep,)


def _tanh(from_input: Tensor, from_state: Tensor, state: State) -> State:
    return (torch.tanh(from_input + from_state),)


def _relu(from_input: Tensor, from_state: Tensor, state: State) -> State:
    return (torch.relu(from_input + from_state),)


CELLS: dict[str, Cell] = {"lstm": _lstm, "gru": _gru, "rnn_tanh": _tanh, "rnn_relu": _relu}


def _one_step(kind: str) -> Callable[..., Any]:
    """torch's ``lstm_cell``, ``gru_cell`` and their kin."""

    def rule(mode: Propagation, function: Any, /, x: Tensor, state: Any, *weights: Any) -> Any:
        before = tuple(state) if kind == "lstm" else (state,)
        w, u, b, c = (*weights, None, None)[:4]
        with mode:
            after = CELLS[kind](functional.linear(x, w, b), functional.linear(before[0], u, c), before)
        return after if kind == "lstm" else after[0]

    return rule


def _all_steps(kind: str) -> Callable[..., Any]:
    """torch's ``lstm``, ``gru`` and their kin, over padded or packed sequences."""

    def rule(mode: Propagation, function: Any, /, x: Tensor, *args: Any) -> Any:
        packed = isinstance(args[0], Tensor) and (kind == "lstm" or isinstance(args[1], Tensor))
        sizes = args[0].tolist() if packed else None
        start, weights, biased, layers, _, _, both, *first = args[1:] if packed else args
        ways = 2 if both else 1
        if len(weights) != layers * ways * (4 if biased else 2):
            raise mode.refuse(f"a {kind} with a projection of its state")
        starts = tuple(start) if kind == "lstm" else (start,)
        with mode:
            turned = bool(first and first[0])
            x = x.transpose(0, 1) if turned else x
            steps = sizes or [x.shape[1]] * x.shape[0]
            flat = x if sizes else x.flatten(0, 1)
            ends: list[State] = []
            each = len(weights) // (layers * ways)
            for layer in range(layers):
                outs = []
                for way in range(ways):
                    i = layer * ways + way
                    out, end = _read(
                        kind, flat, steps, tuple(s[i] for s in starts), weights[i * each :][:each], way == 1
                    )
                    outs.append(out)
                    ends.append(end)
                flat = torch.cat(outs, -1) if both else outs[0]
            out = flat if sizes else flat.unflatten(0, x.shape[:2])
            out = out.transpose(0, 1) if turned else out
            return out, *(torch.stack(parts) for parts in zip(*ends))

    return rule


def _read(
    kind: str, x: Tensor, sizes: Sequence[int], state: State, weights: Sequence[Any], backward: bool
) -> tuple[Tensor, State]:
    """One layer in one direction. ``x`` holds the steps one after another, ``sizes`` how many rows each has."""
    w, u, b, c = (*weights, None, None)[:4]
    steps = functional.linear(x, w, b).split(list(sizes))
    outs: list[Any] = [None] * len(steps)
    for t in reversed(range(len(steps))) if backward else range(len(steps)):
        rows = len(steps[t])
        now = tuple(s[:rows] for s in state)
        now = CELLS[kind](steps[t], functional.linear(now[0], u, c), now)
        outs[t] = now[0]
        state = tuple(torch.cat([new, old[rows:]]) if rows < len(old) else new for new, old in zip(now, state))
    return torch.cat(outs), state


RULES = {kind: _all_steps(kind) for kind in CELLS} | {f"{kind}_cell": _one_step(kind) for kind in CELLS}
