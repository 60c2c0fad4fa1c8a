"""Counting what models do: every example that goes through one, its gradient, and the operations that it takes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from labkit.core.cost import DONE

_Known = dict[tuple[torch.Size, torch.dtype], float | None]
SEEN = 8  # examples that operations are counted on: texts differ in length
_known: WeakKeyDictionary[nn.Module, _Known] = WeakKeyDictionary()


def count(module: nn.Module, x: Tensor, output: Tensor) -> None:
    """Count the (n, *shape) examples that just went through a module, and their gradients when they come back."""
    each = flops(module, x)
    DONE.add(len(x), 0, each)
    if output.requires_grad and not _inside(output):
        output.register_hook(lambda gradient: DONE.add(0, len(gradient), each))


def flops(module: nn.Module, x: Tensor) -> float | None:
    """Operations that an example takes on its way through: those of matrix products and convolutions, two for each
    multiplication with its addition, counted by torch on the first examples of each shape. None where none can be seen."""
    known = _known.setdefault(module, {})
    kind = (x.shape[1:], x.dtype)
    # a mode that follows every function, as bounds do, must not see the counting
    followed = torch._C._len_torch_function_stack() > 0  # type: ignore[attr-defined]
    if kind not in known and len(x) and not followed and not _inside(x):
        known[kind] = None  # in case that counting is itself counted
        known[kind] = _counted(module, x[:SEEN].detach())
    return known.get(kind)


def _counted(module: nn.Module, x: Tensor) -> float | None:
    try:
        bare = copy.deepcopy(module).eval()
        for part in bare.modules():  # without what others have hooked into it
            for hooks in (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks, part._backward_pre_hooks):
                hooks.clear()
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), torch.random.fork_rng([x.device] if x.is_cuda else []), _product_by_product(), counter:
            bare(x.clone())
    except Exception:
        return None  # a model that cannot be copied: its answers are right all the same
    return counter.get_total_flops() / len(x) or None


@contextmanager
def _product_by_product() -> Iterator[None]:
    """Without the kernels that hold a whole layer and show no product."""
    fast, onednn = torch.backends.mha.get_fastpath_enabled(), torch._C._get_mkldnn_enabled()  # type: ignore[attr-defined]
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        torch._C._set_mkldnn_enabled(False)  # type: ignore[attr-defined]
        with torch.backends.cudnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch._C._set_mkldnn_enabled(onednn)  # type: ignore[attr-defined]


def _inside(x: Tensor) -> bool:
    """Whether a tensor stands for many, within a transform of torch.func."""
    return bool(torch._C._functorch.is_functorch_wrapped_tensor(x))  # type: ignore[attr-defined]
