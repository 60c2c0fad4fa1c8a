"""Self-attention written out, each step a module of its own, and the door to the attention maps of any model."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from labkit.core.draws import Draws
from labkit.core.refused import Refused

if TYPE_CHECKING:
    from labkit.models.classifier import Classifier

PROBES = 4
INSTEAD = "input_x_gradient or integrated_gradients, which need no maps"
Edit = Callable[[int, Tensor], Tensor]
Keep = Callable[[Tensor], Tensor]


class Block(nn.Module):
    """x plus attention over x, then plus two dense layers with GELU: (n, tokens, width) -> the same shape.

    A transformer's encoder layer (Vaswani et al., 2017, arXiv 1706.03762) that normalises before each part (Xiong et
    al., 2020, arXiv 2002.04745).

    Args:
        width: length of a token's vector, a multiple of ``heads``.
        heads: how many attention maps.
        hidden: width between the two dense layers.
        dropout: after the attention maps and between the dense layers, while training.
    """

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads, dropout)
        self.norm2 = nn.LayerNorm(width)
        self.dense = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width))

    def forward(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        """(n, tokens, width); ``real`` is (n, tokens), false for tokens that stand for nothing and get no attention."""
        x = x + self.attention(self.norm1(x), real)
        return x + self.dense(self.norm2(x))


class Attention(nn.Module):
    """Scaled dot-product attention of all tokens to all tokens; ``softmax`` gives the (n, heads, to, from) maps."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.softmax = nn.Softmax(dim=-1)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        """See ``Block.forward``."""
        query, key, value = (
            f(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
        if real is not None:
            scores = scores.masked_fill(~real[:, None, None, :], -1e9)
        return self.out((self.dropout(self.softmax(scores)) @ value).transpose(1, 2).flatten(2))


@dataclass
class Seen:
    """What the attention layers did in one forward pass, one entry a run, in their order.

    Attributes:
        maps: (n, heads, to, from), as they were used.
        entering, leaving: (n, tokens, width) states before and after the layer, without what runs around it.
    """

    maps: list[Tensor] = field(default_factory=list)
    entering: list[Tensor] = field(default_factory=list)
    leaving: list[Tensor] = field(default_factory=list)


def attention_layers(module: nn.Module) -> dict[str, nn.Module]:
    """The submodules whose attention maps can be had: labkit's own, torch's, and those that transformers builds."""
    return {name: part for name, part in module.named_modules() if _kind(part) is not None}


@contextmanager
def attending(module: nn.Module, maps: Edit | None = None, values: Edit | None = None) -> Iterator[Seen]:
    """For one forward pass inside: its attention maps, which gradients reach.

    Args:
        maps: a function of a run's number and its (n, heads, to, from) maps, which gives those used in their place.
        values: likewise of the (n, tokens, width) value vectors, before they are divided among heads.
    """
    seen, handles = Seen(), list[Any]()
    map_runs, value_runs = count(), count()
    maps_of, values_of = maps or _as_they_are, values or _as_they_are

    def used(given: Tensor) -> Tensor:
        if given.ndim != 4 or given.shape[2] != given.shape[3]:
            shape = " x ".join(map(str, given.shape[1:]))
            raise Refused("attention maps", f"maps of {shape}, which are not from tokens to the same tokens", INSTEAD)
        seen.maps.append(maps_of(next(map_runs), given))
        return seen.maps[-1]

    def valued(given: Tensor) -> Tensor:
        return values_of(next(value_runs), given)

    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it gives no maps
    try:
        for part in attention_layers(module).values():
            handles += _kind(part)(part, seen, used, valued)  # type: ignore[misc]
        yield seen
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for handle in handles:
            handle.remove()


def standing(model: Classifier, x: Tensor) -> Tensor:
    """(n, tokens, entries) how the value of each token is shared out over the entries of its input, or (1, ...) where all
    rows are alike: evenly over the entries that reach the token before the first attention, which is measured by
    gradients. Zero for a token that no entry reaches, such as one that answers.

    Where a token is reached by all that any token is reached by, as behind a recurrent layer, and there are as many
    tokens as places, they stand for the places in their order.

    Raises:
        Refused: tokens of which nothing says where they stand.
    """
    probe = x
    if model.embedding is None and model.bounds is not None:  # a picture has dark places, from which no gradient comes
        low, high = model.bounds
        noise = torch.from_numpy(Draws(0, PROBES).uniform(*x.shape[1:])).to(x)
        probe = low + (high - low) * noise
    z, forward = model.relax(probe)
    with torch.enable_grad(), attending(model.module) as seen:
        z = z.detach().requires_grad_()
        forward(z)
    if not seen.entering or not seen.entering[0].requires_grad:
        raise Refused(f"the tokens of {model.name}", "attention that does not follow the input", INSTEAD)
    states = seen.entering[0]
    # a sum over the width would be constant behind a layer norm
    values = states @ torch.from_numpy(Draws(0, 1).normal(states.shape[2])[0]).to(states)
    reached = torch.stack([_reached(values[:, token], z, probe) for token in range(values.shape[1])], 1)
    if probe is not x:
        reached = reached.any(0, keepdim=True)
    shares = reached / reached.sum(2, keepdim=True).clamp_min(1)
    mixed = (reached == reached.any(1, keepdim=True)).all(2).any(1) & (reached.any(2).sum(1) > 1)
    if not mixed.any():
        return shares
    places, tokens = x.shape[-1], values.shape[1]
    if x.ndim > 3 or tokens != places:
        given = f"{tokens} tokens, of which some are reached by the whole input"
        raise Refused(f"the tokens of {model.name}", given, INSTEAD)
    channels = x[0].numel() // places
    return torch.where(mixed[:, None, None], torch.eye(places).to(shares).repeat(1, channels) / channels, shares)


def _reached(values: Tensor, z: Tensor, x: Tensor) -> Tensor:
    """(n, entries) whether each entry reaches a row's value."""
    (slope,) = torch.autograd.grad(values.sum(), z, retain_graph=True)
    slope = slope.abs() if slope.shape == x.shape else slope.abs().sum(-1)
    return slope.flatten(1) > 0


def tokens_first(part: nn.Module) -> bool:
    """Whether the states of a layer are (tokens, n, width)."""
    return isinstance(part, nn.MultiheadAttention) and not part.batch_first


def _as_they_are(_run: int, given: Tensor) -> Tensor:
    return given


def _kind(part: nn.Module) -> Callable[..., list[Any]] | None:
    """How the maps of this module are had, if it is an attention layer."""
    if isinstance(part, Attention):
        return _own
    if isinstance(part, nn.MultiheadAttention):
        return _torchs
    if hasattr(part, "num_attention_heads") and all(hasattr(part, name) for name in ("query", "key", "value")):
        return _transformers
    return None


def _own(part: Any, seen: Seen, used: Keep, valued: Keep) -> list[Any]:
    def around(_module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        seen.entering.append(inputs[0])
        seen.leaving.append(output)

    return [
        part.value.register_forward_hook(lambda _m, _i, output: valued(output)),
        part.softmax.register_forward_hook(lambda _m, _i, output: used(output)),
        part.register_forward_hook(around),
    ]


def _transformers(part: Any, seen: Seen, used: Keep, valued: Keep) -> list[Any]:
    held: list[Tensor] = []

    def value(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        held[:] = [valued(output)]
        return held[0]

    def around(_module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> Any:
        mixed, given, *rest = output if isinstance(output, tuple) and len(output) > 1 else (output, None)
        if not isinstance(given, Tensor):
            raise Refused("attention maps", "a layer that keeps none", f"attn_implementation='eager', or {INSTEAD}")
        maps = used(given)
        if maps is not given:
            mixed = _mixed(maps, held[0])
        seen.entering.append(inputs[0] if inputs else named["hidden_states"])
        seen.leaving.append(mixed)
        return (mixed, maps, *rest)

    return [part.value.register_forward_hook(value), part.register_forward_hook(around, with_kwargs=True)]


def _torchs(part: nn.MultiheadAttention, seen: Seen, used: Keep, valued: Keep) -> list[Any]:
    asked: dict[str, Any] = {}
    signature = inspect.signature(part.forward)

    def before(_module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any]:
        bound = signature.bind(*inputs, **named)
        bound.apply_defaults()
        asked.update(bound.arguments)
        if bound.arguments["query"].ndim != 3 or part.bias_k is not None or part.add_zero_attn:
            given = "a MultiheadAttention of single inputs, or with added keys"
            raise Refused("attention maps", given, f"one of batches, without bias_k and add_zero_attn, or {INSTEAD}")
        return (), {**bound.arguments, "need_weights": True, "average_attn_weights": False}

    def after(_module: nn.Module, _inputs: object, named: dict[str, Any], output: Any) -> tuple[Tensor, Tensor | None]:
        # The maps that it gives are a copy. What it answers is put together again from them, so that gradients reach
        # them and other maps or values can stand in their place.
        turned = (lambda t: t) if part.batch_first else (lambda t: t.transpose(0, 1))
        weight = part.in_proj_weight.chunk(3)[2] if part.in_proj_weight is not None else part.v_proj_weight
        bias = None if part.in_proj_bias is None else part.in_proj_bias.chunk(3)[2]
        values = valued(turned(nn.functional.linear(named["value"], weight, bias)))
        maps = used(output[1])
        seen.entering.append(turned(named["query"]))
        seen.leaving.append(part.out_proj(_mixed(maps, values)))
        given = maps.mean(1) if asked["average_attn_weights"] else maps
        return turned(seen.leaving[-1]), given if asked["need_weights"] else None

    return [
        part.register_forward_pre_hook(before, with_kwargs=True),
        part.register_forward_hook(after, with_kwargs=True),
    ]


def _mixed(maps: Tensor, values: Tensor) -> Tensor:
    """(n, tokens, width) values, each head's mixed by its map."""
    return (maps @ values.unflatten(2, (maps.shape[1], -1)).transpose(1, 2)).transpose(1, 2).flatten(2)
