"""Attention that torch computes in one function, written out so that each step meets its own rule (Achtibat et al., 2024,
arXiv 2402.05602)."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from labkit.attributions._propagation import Propagation


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    """(..., to, width) and the (..., to, from) maps. ``mask`` is added to the scores."""
    scores = query @ key.transpose(-2, -1) * scale
    maps = torch.softmax(scores if mask is None else scores + mask, -1)
    return maps @ value, maps


def _added(mask: Tensor | None, hides: bool, like: Tensor) -> Tensor | None:
    """A mask as what is added to scores; ``hides`` says which truth takes an entry away."""
    if mask is None or mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill(mask if hides else ~mask, -torch.inf)


def scaled_dot_product_attention(
    mode: Propagation,
    function: Any,
    /,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    if is_causal:
        attn_mask = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
    with mode:
        if enable_gqa:
            key, value = (t.repeat_interleave(query.shape[-3] // t.shape[-3], -3) for t in (key, value))
        root = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
        return _attend(query, key, value, _added(attn_mask, False, query.detach()), root)[0]


def multi_head_attention_forward(mode: Propagation, function: Any, /, *args: Any, **options: Any) -> Any:
    bound = inspect.signature(function).bind(*args, **options)
    bound.apply_defaults()
    given = bound.arguments
    if given["bias_k"] is not None or given["add_zero_attn"] or given["static_k"] is not None:
        raise mode.refuse("attention with further keys (bias_k, add_zero_attn or static_k)")
    with mode:
        return _multi_head(given)


def _multi_head(given: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
    """(to, n, width) for inputs (tokens, n, width), or without n; and the maps where they are asked for."""
    alone = given["query"].ndim == 2
    heads = given["num_heads"]
    parts = []
    for i, name in enumerate(("query", "key", "value")):
        x = given[name].unsqueeze(1) if alone else given[name]
        bias = None if given["in_proj_bias"] is None else given["in_proj_bias"].chunk(3)[i]
        own = given["use_separate_proj_weight"]
        weight = given[f"{name[0]}_proj_weight"] if own else given["in_proj_weight"].chunk(3)[i]
        parts.append(functional.linear(x, weight, bias).unflatten(-1, (heads, -1)).permute(1, 2, 0, 3))
    query, key, value = parts
    found, maps = _attend(query, key, value, _masks(given, query.detach()), 1 / math.sqrt(query.shape[-1]))
    out = functional.linear(found.permute(2, 0, 1, 3).flatten(-2), given["out_proj_weight"], given["out_proj_bias"])
    maps = maps.mean(1) if given["average_attn_weights"] else maps
    if alone:
        out, maps = out.squeeze(1), maps.squeeze(0)
    return out, maps if given["need_weights"] else None


def _masks(given: dict[str, Any], query: Tensor) -> Tensor | None:
    """Both masks as one that is added to (n, heads, to, from) scores."""
    mask = _added(given["attn_mask"], True, query)
    if mask is not None and mask.ndim == 3:
        mask = mask.unflatten(0, query.shape[:2])
    padding = _added(given["key_padding_mask"], True, query)
    if padding is None:
        return mask
    padding = padding.reshape(-1, 1, 1, padding.shape[-1])
    return padding if mask is None else mask + padding


RULES = {
    "scaled_dot_product_attention": scaled_dot_product_attention,
    "multi_head_attention_forward": multi_head_attention_forward,
}
