"""One pass forward and back: what reaches each layer's output, and each step of the input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from labkit.analyses._guard import Run, batched
from labkit.models.classifier import Classifier

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d)
MOST = 2**24  # numbers in the weights' gradients of some examples at once
ALONE = 32  # examples whose weights' gradients are taken one by one, where they cannot be taken together


@dataclass
class Flow:
    """What came back to the layers and to the input.

    Attributes:
        norms: (examples,) norms at a layer's output, batch by batch.
        zeros, entries: of each layer's gradient: those that are exactly 0, and all; of examples that have any.
        alive: (units,) whether any example's gradient of a unit is not 0.
    """

    norms: dict[str, list[Tensor]] = field(default_factory=dict)
    zeros: dict[str, int] = field(default_factory=dict)
    entries: dict[str, int] = field(default_factory=dict)
    alive: dict[str, Tensor] = field(default_factory=dict)

    def add(self, name: str, module: nn.Module, rows: list[Tensor], some: Tensor) -> None:
        """The gradients (examples, ...) at a layer's output, one a run; and (examples,) which have any at the last layer."""
        self.norms.setdefault(name, []).append(_norm(rows).cpu())
        self.zeros[name] = self.zeros.get(name, 0) + sum(int((r[some] == 0).sum()) for r in rows)
        self.entries[name] = self.entries.get(name, 0) + sum(r[some].numel() for r in rows)
        last_is_unit = not isinstance(module, CONVOLUTIONS) or rows[0].ndim == 2
        by_unit = [(r.movedim(-1, 1) if last_is_unit else r).flatten(2) if r.ndim > 2 else r[:, :, None] for r in rows]
        alive = torch.stack([(r != 0).any(2).any(0) for r in by_unit]).any(0)
        self.alive[name] = alive | self.alive[name] if name in self.alive else alive


def _norm(rows: list[Tensor]) -> Tensor:
    """(examples,) over all entries of all runs."""
    return torch.stack([r.double().flatten(1).square().sum(1) for r in rows]).sum(0).sqrt()


def weighted(model: Classifier) -> dict[str, nn.Module]:
    """The outermost modules that have a matrix or a kernel of their own, by name; without the whole model."""
    own = {n: m for n, m in model.module.named_modules() if n and any(p.ndim > 1 for p in m.parameters(recurse=False))}
    if not own:  # a single layer is the whole model
        return {"": model.module}
    return {n: m for n, m in own.items() if not any(n.startswith(f"{other}.") for other in own)}


def flow(run: Run, model: Classifier, x: np.ndarray, y: np.ndarray, what: str) -> tuple[Flow, np.ndarray]:
    """Gradients of each example's loss at the layers, and (n, *z) at the input as the model takes it."""
    found, layers = Flow(), weighted(model)

    def part(rows: slice) -> Tensor:
        with torch.enable_grad():
            z, forward = model.relax(model.tensor(x[rows]))
            z = z.detach().clone().requires_grad_()
            with _listening(layers, len(z)) as kept:
                loss = _loss(forward(z), y[rows])
            first = [] if model.embedding is None else [(model.embedding, 0, z)]
            at = [
                *first,
                *((name, axis, out) for name, runs in kept.items() for out, axis in runs if out.requires_grad),
            ]
            grads = torch.autograd.grad(loss, [z, *(out for *_, out in at)], allow_unused=True)
        runs: dict[str, list[Tensor]] = {}
        for (name, axis, _), g in zip(at, grads[1:]):
            if g is not None:
                runs.setdefault(name, []).append(g.movedim(axis, 0))
        for name, of in runs.items():
            found.add(name, layers.get(name, model.module), of, _norm(runs[next(reversed(runs))]) > 0)
        return torch.zeros_like(z) if grads[0] is None else grads[0].double()

    steps = batched(run, what, part, len(x)).numpy()
    return found, steps


def _loss(logits: Tensor, y: np.ndarray) -> Tensor:
    """The sum of the examples' losses: an example's gradient in it is that of its own."""
    return cross_entropy(logits.double(), torch.from_numpy(np.array(y)).to(logits.device), reduction="sum")


@contextmanager
def _listening(layers: dict[str, nn.Module], n: int) -> Iterator[dict[str, list[tuple[Tensor, int]]]]:
    """While inside, the outputs of the layers are kept, by layer and run, with the axis along which examples lie."""
    kept: dict[str, list[tuple[Tensor, int]]] = {}

    def keeper(name: str) -> Any:
        def keep(module: nn.Module, _given: Any, out: Any) -> Any:
            value = out[0] if isinstance(out, tuple) and out else out
            axis = _examples_axis(module, value, n)
            if axis is None:
                return None
            kept.setdefault(name, []).append((value, axis))
            onward = value.clone()  # what follows may work in place
            return (onward, *out[1:]) if isinstance(out, tuple) else onward

        return keep

    handles = [module.register_forward_hook(keeper(name)) for name, module in layers.items()]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def _examples_axis(module: nn.Module, value: Any, n: int) -> int | None:
    """Along which axis of a layer's output the examples lie; None for what is no plain tensor of them."""
    if not isinstance(value, Tensor) or type(value) is not Tensor or not value.is_floating_point() or value.ndim < 2:
        return None
    second = isinstance(module, nn.RNNBase | nn.MultiheadAttention) and not module.batch_first
    for axis in (1, 0) if second else (0, 1):
        if value.shape[axis] == n:
            return axis
    return None


def weights(run: Run, model: Classifier, x: np.ndarray, y: np.ndarray, layers: list[str]) -> np.ndarray:
    """(layers, examples) norms of the gradients of each example's loss with respect to the layers' parameters. Fewer
    examples than given where torch cannot take them together."""
    own = {n: p.detach() for n, p in model.module.named_parameters() if p.is_floating_point()}
    of = [[n for n in own if n.startswith(f"{name}.") or not name] for name in layers]

    def loss(parameters: dict[str, Tensor], row: Tensor, label: Tensor) -> Tensor:
        output = functional_call(model.module, parameters, (row[None],))
        logits = model.logits(output) if model.read is None else model.read(output)
        return cross_entropy(logits.double(), label[None])

    each = vmap(grad(loss), in_dims=(None, 0, 0))

    def squares(g: dict[str, Tensor]) -> Tensor:
        """(examples, layers)"""
        by = {n: v.double().flatten(1).square().sum(1) for n, v in g.items()}
        return torch.stack([torch.stack([by[n] for n in names]).sum(0) for names in of], 1)

    def together(rows: slice) -> Tensor:
        label = torch.from_numpy(np.array(y[rows])).to(model.device)
        return squares(each(own, model.tensor(x[rows]), label)).sqrt()

    def alone(rows: slice) -> Tensor:
        label = torch.from_numpy(np.array(y[rows])).to(model.device)
        row = model.tensor(x[rows])
        found = [grad(loss)(own, row[i], label[i]) for i in range(len(row))]
        return squares({n: torch.stack([g[n] for g in found]) for n in own}).sqrt()

    size = max(1, min(run.batch_size, MOST // sum(p.numel() for p in own.values())))
    what = "gradients of weights"
    try:
        with torch.backends.cudnn.flags(enabled=False):
            together(slice(0, 2))
            return batched(run, what, together, len(x), batch_size=size).numpy().T
    except RuntimeError:
        few = min(ALONE, len(x))
        if few < len(x):
            run.warn(f"weights' gradients are those of {few} examples: this model's cannot be taken of many at once")
        with torch.backends.cudnn.flags(enabled=False):
            return batched(run, what, alone, few, batch_size=min(size, 8)).numpy().T
