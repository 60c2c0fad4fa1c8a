"""Many models of one architecture at once: shadow models, subsets, seeds and the points of a learning curve.

Models that see equally many rows lie stacked in memory and take each step together (torch.func); those that see more or
fewer stand in a stack of their own, and what torch cannot vectorise, such as a recurrent net, is trained one after
another. How the models are spread over stacks changes nothing but the time: the weights and the order of model i follow
from its seed alone.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from labkit.core import progress
from labkit.core.record import array_digest
from labkit.core.refused import Refused
from labkit.models.classifier import state_digest
from labkit.models.device import pick
from labkit.training import checkpoint as disk
from labkit.training.costs import Costs
from labkit.training.loop import epoch_seed
from labkit.training.members import Members

Make = Callable[[int], nn.Module]
CURVES = ("train_loss", "train_accuracy", "watch_loss", "watch_accuracy")
EVALUATION = 1024  # rows answered at once, memory permitting


@dataclass(frozen=True)
class Fit:
    """How each model learns: cross-entropy in batches, for a fixed number of epochs; nothing is held out.

    Attributes:
        epochs: passes over the rows that the model sees, each in a new order.
        batch_size: at most so many rows a step; an epoch's steps are as equal as can be and leave no row out.
        rate: learning rate.
        weight_decay: pulls weights of two axes and more to zero, biases and gains never.
        optimizer: "adamw", or "sgd" with Nesterov's momentum 0.9.
        schedule: the rate stays "constant", or falls to zero along half a "cosine".
    """

    epochs: int = 20
    batch_size: int = 64
    rate: float = 1e-3
    weight_decay: float = 0.0
    optimizer: Literal["adamw", "sgd"] = "adamw"
    schedule: Literal["constant", "cosine"] = "constant"

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size) < 1 or not self.rate > 0 or self.weight_decay < 0:
            raise Refused(
                "how models are to learn", repr(self), "epochs, batch_size and rate above 0, weight_decay from 0"
            )
        if self.optimizer not in ("adamw", "sgd") or self.schedule not in ("constant", "cosine"):
            raise Refused(
                "how models are to learn", repr(self), "optimizer 'adamw' or 'sgd', schedule 'constant' or 'cosine'"
            )

    def rate_at(self, share: float) -> float:
        """The learning rate after this share of all steps."""
        return self.rate * (1 + math.cos(math.pi * share)) / 2 if self.schedule == "cosine" else self.rate


@dataclass(frozen=True, eq=False)
class Many:
    """Models that were trained together.

    Attributes:
        states: name -> (models, ...) weights and buffers.
        curves: name -> (models, epochs) ``train_loss``, ``train_accuracy`` (each model's on the rows that it saw),
            ``watch_loss``, ``watch_accuracy``, in evaluation mode after each epoch; empty unless rows were watched.
        costs: passes and greatest memory.
        seconds: that training took, over all of its parts when it was interrupted.
        together: whether they ran as stacks.
    """

    pattern: nn.Module = field(repr=False)
    states: Mapping[str, Tensor] = field(repr=False)
    curves: Mapping[str, np.ndarray] = field(repr=False)
    costs: Costs = field(repr=False)
    seconds: float
    together: bool
    device: torch.device
    memory: int = 2**30

    @property
    def count(self) -> int:
        """How many models there are."""
        return len(next(iter(self.states.values())))

    def module(self, i: int) -> nn.Module:
        """Model i by itself, in evaluation mode."""
        module = copy.deepcopy(self.pattern)
        module.load_state_dict({k: v[i] for k, v in self.states.items()})
        return module.eval()

    def logits(self, x: np.ndarray) -> np.ndarray:
        """(models, n, classes) float32 what each model answers to (n, ...) inputs."""
        rows = as_tensor(x, self.device)
        pattern = copy.deepcopy(self.pattern).eval()
        stack = _stack_size(pattern, rows, EVALUATION, self.memory) if self.together else 1
        found = []
        for i in range(0, self.count, stack):
            states = {k: v[i : i + stack].to(self.device) for k, v in self.states.items()}
            found.append(torch.cat([_answers(pattern, states, part).cpu() for part in rows.split(EVALUATION)], 1))
        return torch.cat(found).numpy()


def fit_many(
    make: Make,
    x: np.ndarray,
    y: np.ndarray,
    chosen: np.ndarray,
    *,
    fit: Fit = Fit(),
    seeds: Sequence[int] | None = None,
    device: str = "auto",
    memory: int = 2**30,
    checkpoint: str | Path | None = None,
    title: str = "training models",
    watch: tuple[np.ndarray, np.ndarray] | None = None,
) -> Many:
    """Train one model a row of ``chosen``, each on its own rows of the data.

    Args:
        make: a fresh module from a seed; it gives (n, classes) logits. Torch's generator is seeded before the call.
        x, y: (n, ...) inputs; (n,) labels from 0, or (models, n) labels of each model's own.
        chosen: (models, n) whether a model sees a row.
        seeds: one a model, 0, 1, ... when None: weights and order of a model follow from its seed, whoever trains beside it.
        memory: bytes that a stack of models may take; more models than that are trained in parts.
        checkpoint: a file; training that was interrupted goes on from it and ends the same.
        title: what listeners hear.
        watch: (x, y) of other rows: then curves are kept.

    Raises:
        Refused: inputs of other lengths, a model without rows, labels that are no classes of the module, a loss that is
            not finite, a checkpoint of another run.
    """
    where = pick(device)
    chosen = np.asarray(chosen)
    _check(x, y, chosen, title)
    seeds = tuple(range(len(chosen)) if seeds is None else map(int, seeds))
    if len(seeds) != len(chosen):
        raise Refused(title, f"{len(seeds)} seeds for {len(chosen)} models", "one a model")
    with torch.random.fork_rng([where] if where.type == "cuda" else []):
        task = _Task(make, fit, seeds, where, memory, title, x, y, chosen, watch)
        return task.run(Path(checkpoint) if checkpoint else None)


def as_tensor(x: np.ndarray, device: torch.device) -> Tensor:
    """Inputs on the device; fractions as float32."""
    tensor = torch.tensor(np.asarray(x), device=device)
    return tensor.float() if tensor.is_floating_point() else tensor


class _Task:
    """One call of ``fit_many``: the parts it is cut into, what is finished, and where it stands."""

    def __init__(
        self,
        make: Make,
        fit: Fit,
        seeds: tuple[int, ...],
        device: torch.device,
        memory: int,
        title: str,
        x: np.ndarray,
        y: np.ndarray,
        chosen: np.ndarray,
        watch: tuple[np.ndarray, np.ndarray] | None,
    ) -> None:
        self.make, self.fit, self.seeds, self.device, self.memory, self.title = make, fit, seeds, device, memory, title
        self.x, self.y = as_tensor(x, device), torch.tensor(np.asarray(y), dtype=torch.int64, device=device)
        self.rows = [np.flatnonzero(row) for row in chosen]
        self.watch = None if watch is None else (as_tensor(watch[0], device), torch.tensor(watch[1], device=device))
        self.pattern = self.fresh(0)
        self.together = vectorises(self.pattern, self.x[:2])
        classes = self.pattern.eval()(self.x[:2]).shape[-1]
        if int(self.y.max()) >= classes:
            raise Refused(title, f"the label {int(self.y.max())} for modules of {classes} outputs", "labels from 0")
        self.steps = [math.ceil(len(r) / fit.batch_size) for r in self.rows]
        self.done: dict[int, dict[str, Tensor]] = {}
        self.curves = {name: np.full((len(seeds), fit.epochs), np.nan) for name in CURVES}
        self.costs = Costs(device)
        self.seconds = 0.0
        initial = state_digest(self.pattern.state_dict())
        told = [np.asarray(v) for v in (x, y, chosen, *(watch or ()))]
        self.identity = {"fit": asdict(fit), "seeds": list(seeds), "data": array_digest(*told), "model": initial}

    def fresh(self, i: int) -> nn.Module:
        torch.manual_seed(self.seeds[i])
        return self.make(self.seeds[i]).to(self.device).train()

    def run(self, path: Path | None) -> Many:
        """Train every part that is not finished yet."""
        saved = disk.read(path, self.identity) if path else None
        under_way = self._restore(saved) if saved else None
        todo = self._parts([i for i in range(len(self.seeds)) if i not in self.done], under_way)
        while todo:
            part = todo.pop(0)
            try:
                self._train(part, path, under_way if under_way and under_way[0]["part"] == part else None)
            except torch.OutOfMemoryError:
                if len(part) == 1:
                    raise Refused(
                        self.title, "a single model that does not fit into memory", "smaller batches"
                    ) from None
                todo[:0] = [part[: len(part) // 2], part[len(part) // 2 :]]
        states = {k: torch.stack([self.done[i][k] for i in range(len(self.seeds))]) for k in self.done[0]}
        curves = self.curves if self.watch else {}
        return Many(self.pattern, states, curves, self.costs, self.seconds, self.together, self.device, self.memory)

    def _restore(self, saved: tuple[dict[str, Any], dict[str, dict[str, Tensor]]]) -> Any:
        told, parts = saved
        for i in told["done"]:
            self.done[i] = parts[f"model {i}"]
        self.curves = {k: np.array(v, float) for k, v in told["curves"].items()}
        self.costs.restore(told["costs"])
        self.seconds = told["seconds"]
        return (told, parts) if told["part"] else None

    def _parts(self, left: list[int], under_way: Any) -> list[list[int]]:
        """Models of equally many rows, as many at once as memory holds; a part under way goes first, as it was."""
        first = [under_way[0]["part"]] if under_way else []
        left = [i for i in left if not first or i not in first[0]]
        size = _stack_size(self.pattern, self.x, self.fit.batch_size, self.memory, 3) if self.together else 1
        parts = []
        for n in sorted({len(self.rows[i]) for i in left}):
            alike = [i for i in left if len(self.rows[i]) == n]
            parts += [alike[j : j + size] for j in range(0, len(alike), size)]
        return first + parts

    def _train(self, part: list[int], path: Path | None, under_way: Any) -> None:
        members = Members([self.fresh(i) for i in part])
        optimizer = _optimizer(members, self.fit)
        own = [torch.from_numpy(self.rows[i]).to(self.device) for i in part]
        steps = self.steps[part[0]]
        started = 0
        if under_way:
            started = under_way[0]["epoch"]
            members.load_state_dict(under_way[1]["members"])
            disk.restore_optimizer(optimizer, under_way[1].get("optimizer", {}))
        before = sum(self.steps[i] for i in self.done) * self.fit.epochs
        total = sum(self.steps) * self.fit.epochs
        for epoch in range(started, self.fit.epochs):
            began = time.perf_counter()
            order = torch.stack([r[_order(len(r), self.seeds[i], epoch).to(self.device)] for i, r in zip(part, own)])
            torch.manual_seed(epoch_seed(*(self.seeds[i] for i in part), epoch, 1))
            lost = torch.zeros(len(part), device=self.device)
            members.train()
            for step, rows in enumerate(order.tensor_split(steps, 1)):
                now = epoch * steps + step
                for group in optimizer.param_groups:
                    group["lr"] = self.fit.rate_at(now / (self.fit.epochs * steps))
                losses = self._losses(members, part, rows)
                optimizer.zero_grad(set_to_none=True)
                losses.sum().backward()
                optimizer.step()
                lost += losses.detach()
                progress.step(self.title, before + (now + 1) * len(part), total)
            if not torch.isfinite(lost).all():
                which = part[int((~torch.isfinite(lost)).nonzero()[0])]
                given = f"a loss of model {which} that is not finite in epoch {epoch + 1}"
                raise Refused(self.title, given, f"a rate below {self.fit.rate:g}")
            if self.watch:
                self._judge(members, part, own, epoch)
            self.seconds += time.perf_counter() - began
            self.costs.add(members)
            if path and epoch + 1 < self.fit.epochs:
                tensors = {"members": members.state_dict(), "optimizer": disk.optimizer_tensors(optimizer)}
                self._write(path, part, epoch + 1, tensors)
        self.costs.restore(self.costs.told())
        for j, i in enumerate(part):
            self.done[i] = {k: v.detach().cpu().clone() for k, v in members.state(j).items()}
        if path:
            self._write(path, [], 0, {})

    def _write(self, path: Path, part: list[int], epoch: int, tensors: dict[str, dict[str, Tensor]]) -> None:
        told = {
            "done": list(self.done),
            "part": part,
            "epoch": epoch,
            "curves": {k: v.tolist() for k, v in self.curves.items()},
            "costs": self.costs.told(),
            "seconds": self.seconds,
        }
        disk.write(path, self.identity, told, {f"model {i}": v for i, v in self.done.items()} | tensors)

    def _labels(self, part: list[int], rows: Tensor) -> Tensor:
        if self.y.ndim == 1:
            return self.y[rows]
        return self.y[torch.tensor(part, device=self.device)[:, None], rows]

    def _losses(self, members: Members, part: list[int], rows: Tensor) -> Tensor:
        seen = self.x.index_select(0, rows.flatten()).unflatten(0, rows.shape)
        return _losses(members(seen), self._labels(part, rows)).mean(1)

    @torch.no_grad()
    def _judge(self, members: Members, part: list[int], own: list[Tensor], epoch: int) -> None:
        assert self.watch
        members.eval()
        x, y = self.watch
        rows = torch.stack(own)
        kept = [(self.x[r.flatten()].unflatten(0, r.shape), self._labels(part, r)) for r in rows.split(EVALUATION, 1)]
        out = [
            (a.expand(len(part), *a.shape), b.expand(len(part), -1))
            for a, b in zip(x.split(EVALUATION), y.split(EVALUATION))
        ]
        for name, every in (("train", kept), ("watch", out)):
            found = [(members(a), b) for a, b in every]
            loss = torch.cat([_losses(z, b) for z, b in found], 1).mean(1)
            right = torch.cat([z.argmax(2) == b for z, b in found], 1).float().mean(1)
            self.curves[f"{name}_loss"][part, epoch] = loss.cpu()
            self.curves[f"{name}_accuracy"][part, epoch] = right.cpu()


def _losses(logits: Tensor, y: Tensor) -> Tensor:
    """(models, n) cross-entropy."""
    return nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none").view(y.shape)


def _order(n: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(epoch_seed(seed, epoch)))


def _optimizer(members: Members, fit: Fit) -> torch.optim.Optimizer:
    trained = [p for p in members.parameters() if p.requires_grad]
    wide = [p for p in trained if members.axes(p) > 1]
    plain = [p for p in trained if members.axes(p) <= 1]
    groups = [{"params": wide, "weight_decay": fit.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    if fit.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=fit.rate, momentum=0.9, nesterov=True, fused=True)
    return torch.optim.AdamW(groups, lr=fit.rate, fused=True)


def vectorises(module: nn.Module, x: Tensor) -> bool:
    """Whether torch can run copies of a module as one stack."""
    if any(isinstance(m, nn.RNNBase) for m in module.modules()):
        return False
    try:
        members = Members([copy.deepcopy(module), copy.deepcopy(module)])
        members(torch.stack([x, x])).sum().backward()
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, NotImplementedError, ValueError):
        return False
    return True


def _answers(pattern: nn.Module, states: dict[str, Tensor], x: Tensor) -> Tensor:
    """(models, n, classes) float32."""
    with torch.no_grad():
        if len(next(iter(states.values()))) == 1:
            return functional_call(pattern, {k: v[0] for k, v in states.items()}, (x,))[None].float()
        return torch.vmap(lambda s: functional_call(pattern, s, (x,)))(states).float()


def _stack_size(pattern: nn.Module, x: Tensor, batch: int, memory: int, copies: int = 0) -> int:
    """How many models fit: weights, ``copies`` more of them for gradients and moments, and what a batch leaves behind."""
    weights = sum(v.numel() for v in pattern.state_dict().values()) * 4 * (1 + copies)
    sizes: list[int] = []
    hooks = [m.register_forward_hook(lambda _, __, out: sizes.append(_numbers(out))) for m in pattern.modules()]
    probe = copy.deepcopy(pattern).eval()
    for h in hooks:
        h.remove()
    with torch.no_grad():
        probe(x[:1])
    each = (sum(sizes) + x[0].numel()) * 4 * min(batch, len(x)) * (2 if copies else 1)
    return max(1, memory // max(1, weights + each))


def _numbers(value: Any) -> int:
    return value.numel() if isinstance(value, Tensor) else 0


def _check(x: np.ndarray, y: np.ndarray, chosen: np.ndarray, title: str) -> None:
    y = np.asarray(y)
    if chosen.dtype != bool or chosen.ndim != 2 or not len(chosen):
        given = f"{chosen.dtype} of shape {chosen.shape} for which rows each model sees"
        raise Refused(title, given, "booleans of shape (models, rows)")
    if chosen.shape[1] != len(x) or y.shape not in ((len(x),), chosen.shape):
        given = f"{len(x)} inputs, labels of shape {y.shape} and a choice of shape {chosen.shape}"
        raise Refused(title, given, "(n, ...) inputs, (n,) or (models, n) labels, and (models, n) booleans")
    if not chosen.any(1).all():
        raise Refused(title, f"no rows for model {int(np.argmin(chosen.any(1)))}", "one row or more a model")
    if y.dtype.kind not in "iu" or y.min() < 0:
        raise Refused(title, f"labels of type {y.dtype} from {y.min()}", "whole numbers from 0")
