"""Value zeroing: how far a token's state moves when another token's value is nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from labkit.attributions._attention import INSTEAD, Attended, attended, explained, product
from labkit.core.draws import Draws
from labkit.core.refused import Refused
from labkit.models.attention import attending, attention_layers, tokens_first
from labkit.models.classifier import Classifier


@dataclass(frozen=True, eq=False)
class _Block:
    """A submodule, whether its states are (tokens, n, width), and its (n, tokens, width) states of these rows."""

    module: nn.Module
    tokens_first: bool
    states: Tensor


def value_zeroing(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    generator: Draws,
    batch_size: int,
    *,
    layers: Annotated[Literal["all", "last"], "all layers rolled out, or the last one's"] = "all",
) -> tuple[Tensor, dict[str, Tensor]]:
    """In each layer a token's value vector is set to zero while the maps stay, and the cosine distance by which the whole
    block's output of every token moves is taken, as a share of the sum over the zeroed tokens; the shares of all layers
    are multiplied like a rollout's, without an identity, since the way around the block is in them (Mohebbi et al., 2023,
    arXiv 2301.12971). Outputs only; it does not depend on the target.

    A token is zeroed in all layers at once, and behind each block the states that it had are put back: one pass a token.

    Returns:
        Like x, from 0 to 1, and the facts of ``attention``.

    Raises:
        Refused: what ``attention`` refuses, and a layer that runs more than once.
    """
    found = attended("value_zeroing", model, x, target)
    moved = _moved(found, batch_size)
    shares = [m / m.sum(2, keepdim=True).clamp_min(torch.finfo(m.dtype).tiny) for m in moved]
    return explained(found, product(shares if layers == "all" else shares[-1:]), baseline, generator, batch_size)


def _moved(found: Attended, batch_size: int) -> list[Tensor]:
    """One a layer, (n, to, from): the cosine distance of each token's state with another's value at zero."""
    n, tokens = found.reads.shape
    blocks, x = _blocks(found), found.x
    distances = [torch.zeros(n, tokens, tokens, dtype=torch.float64, device=x.device) for _ in blocks]
    each = max(1, batch_size // n)
    for chosen in torch.arange(tokens, device=x.device).split(each):
        handles = []
        try:
            with torch.no_grad(), attending(found.model.module, values=partial(_zeroed, chosen)):
                for block, distance in zip(blocks, distances):
                    hook = partial(_compared, block, distance, chosen)
                    handles.append(block.module.register_forward_hook(hook))
                found.model(x.repeat(len(chosen), *[1] * (x.ndim - 1)))
        finally:
            for handle in handles:
                handle.remove()
    return distances


def _zeroed(chosen: Tensor, _run: int, values: Tensor) -> Tensor:
    """Stacked copies of the value vectors, in each of which one token's are zero."""
    copies = values.unflatten(0, (len(chosen), -1)).clone()
    copies[torch.arange(len(chosen), device=chosen.device), :, chosen] = 0
    return copies.flatten(0, 1)


def _compared(block: _Block, distance: Tensor, chosen: Tensor, _module: nn.Module, _inputs: object, output: Any) -> Any:
    """Notes how far the block's states have moved, and puts back those that they were."""
    states = _states(output, block.tokens_first).unflatten(0, (len(chosen), -1))
    distance[:, :, chosen] = _distance(states, block.states).permute(1, 2, 0)
    back = block.states.repeat(len(chosen), 1, 1)
    back = back.transpose(0, 1) if block.tokens_first else back
    return (back, *output[1:]) if isinstance(output, tuple) else back


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """1 - cosine along the last axis, from the difference of unit vectors: exact where they are nearly the same."""
    a, b = (nn.functional.normalize(v.double(), dim=-1) for v in (a, b))
    return (a - b).square().sum(-1) / 2


def _blocks(found: Attended) -> list[_Block]:
    """For each attention layer the largest submodule around it that holds no other and gives states of the same tokens."""
    module, names = found.model.module, list(attention_layers(found.model.module))
    if len(names) != len(found.maps):
        given = f"{len(names)} attention layers that run {len(found.maps)} times"
        raise Refused(f"value_zeroing on {found.model.name}", given, f"attention, attention_rollout, {INSTEAD}")
    blocks: dict[str, _Block] = {}

    def keep(name: str, _module: nn.Module, _inputs: object, output: Any) -> None:
        first = tokens_first(module.get_submodule(name))
        states = _states(output, first)
        if states.ndim == 3 and states.shape[:2] == found.reads.shape:
            blocks[name] = _Block(_module, first, states)  # what holds a block finishes after it

    handles = []
    try:
        for name in names:
            for around in _ancestors(name):
                if sum(f"{other}.".startswith(f"{around}.") for other in names) == 1:
                    handles.append(module.get_submodule(around).register_forward_hook(partial(keep, name)))
        with torch.no_grad(), attending(module):
            found.model(found.x)
    finally:
        for handle in handles:
            handle.remove()
    return [blocks[name] for name in names]


def _ancestors(name: str) -> list[str]:
    """The submodule itself and those that hold it, from the inside out."""
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(len(parts), 0, -1)]


def _states(output: Any, first: bool) -> Tensor:
    """(n, tokens, width) of what a block gives."""
    states = output[0] if isinstance(output, tuple) else output
    return states.transpose(0, 1) if first else states
