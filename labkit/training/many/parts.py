"""The parts that the training of many models is cut into, and how one of them learns."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from labkit.core import progress
from labkit.core.refused import Refused
from labkit.models.classifier import state_digest
from labkit.models.device import out_of_memory
from labkit.training import checkpoint as disk
from labkit.training.costs import Costs
from labkit.training.loop import epoch_seed
from labkit.training.many.fitting import Fit, Rows, as_tensor
from labkit.training.many.room import models_at_once, rows_at_once
from labkit.training.many.stacked import Stacked, stacked
from labkit.training.members import Members

Make = Callable[[int], nn.Module]
CURVES = ("train_loss", "train_accuracy", "watch_loss", "watch_accuracy")
WRITING = 0.05  # at most so large a share of the time goes into checkpoints of unfinished work


class Task:
    """One call of ``fit_many``: what is finished, and what is under way.

    Attributes:
        pattern: one of the modules, with weights of no meaning.
        together: whether models stand in stacks.
        curves: name -> (models, epochs); not a number where nothing was watched.
    """

    def __init__(
        self,
        make: Make,
        data: Rows,
        fit: Fit,
        seeds: tuple[int, ...],
        device: torch.device,
        memory: int,
        title: str,
    ) -> None:
        self.make, self.fit, self.seeds, self.device, self.memory, self.title = make, fit, seeds, device, memory, title
        self.x, self.y = as_tensor(data.x, device), as_tensor(data.y, device)
        self.watch = data.watch and tuple(as_tensor(v, device) for v in data.watch)
        self.rows = [torch.from_numpy(np.flatnonzero(row)).to(device) for row in data.chosen]
        self.steps = [math.ceil(len(r) / fit.batch_size) for r in self.rows]
        self.pattern = self.fresh(0)
        initial = state_digest(self.pattern.state_dict())
        self.identity = {"fit": asdict(fit), "seeds": list(seeds), "data": data.digest, "model": initial}
        self._check_labels()
        self.together = stacked([self.pattern]) is not None or vectorises(self.pattern, self.x[:2])
        self.done: dict[int, dict[str, Tensor]] = {}
        self.curves = {name: np.full((len(seeds), fit.epochs), np.nan) for name in CURVES}
        self.costs = Costs(device)
        self.seconds = 0.0
        self._wrote, self._writing = -math.inf, 0.0

    def fresh(self, i: int) -> nn.Module:
        """Model i before it has learnt anything."""
        torch.manual_seed(self.seeds[i])
        module = self.make(self.seeds[i])
        if not isinstance(module, nn.Module):
            raise Refused(
                self.title, f"a {type(module).__name__} for a model", "a function from a seed to a torch module"
            )
        return module.to(self.device).train()

    def run(self, path: Path | None) -> dict[str, Tensor]:
        """Train what is not finished yet; name -> (models, ...) states."""
        saved = disk.read(path, self.identity) if path else None
        under_way = self._restore(*saved) if saved else None
        todo = self._parts(under_way[0]["part"] if under_way else [])
        while todo:
            part = todo.pop(0)
            try:
                self._train(part, path, under_way)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                if len(part) == 1:
                    raise Refused(self.title, "a model that does not fit into memory", "a smaller batch_size") from None
                todo[:0] = [part[: len(part) // 2], part[len(part) // 2 :]]
            under_way = None
        if path:
            self._write(path, [], 0, {})
        return {k: torch.stack([self.done[i][k] for i in range(len(self.seeds))]) for k in self.done[0]}

    def _parts(self, first: list[int]) -> list[list[int]]:
        """Models of equally many rows, as many at once as memory holds; a part under way goes first, as it was."""
        left = [i for i in range(len(self.seeds)) if i not in self.done and i not in first]
        size = 1
        if self.together:
            size = models_at_once(self.pattern, self.x, self.fit.batch_size, self.memory, learning=True)
        parts = [first] if first else []
        for n in sorted({len(self.rows[i]) for i in left}):
            alike = [i for i in left if len(self.rows[i]) == n]
            parts += [alike[j : j + size] for j in range(0, len(alike), size)]
        return parts

    def _train(self, part: list[int], path: Path | None, under_way: Any) -> None:
        modules = [self.fresh(i) for i in part]
        members = stacked(modules) or Members(modules)
        front = members.front(self.x) if isinstance(members, Stacked) else (self.x,)
        optimizer = _optimizer(members, self.fit)
        started = 0
        if under_way:
            started = under_way[0]["epoch"]
            members.load_state_dict(under_way[1]["members"])
            disk.restore_optimizer(optimizer, under_way[1].get("optimizer", {}))
        for epoch in range(started, self.fit.epochs):
            began = time.perf_counter()
            self._epoch(part, members, front, optimizer, epoch)
            if self.watch:
                self._judge(part, members, front, epoch)
            self.seconds += time.perf_counter() - began
            self.costs.add(members)
            if path and epoch + 1 < self.fit.epochs and self._due():
                tensors = {"members": members.state_dict(), "optimizer": disk.optimizer_tensors(optimizer)}
                self._write(path, part, epoch + 1, tensors)
        self.costs.restore(self.costs.told())
        for j, i in enumerate(part):
            self.done[i] = {k: v.detach().cpu().clone() for k, v in members.state(j).items()}
        if path and self._due():
            self._write(path, [], 0, {})

    def _epoch(
        self, part: list[int], members: Any, front: Sequence[Tensor], optimizer: torch.optim.Optimizer, epoch: int
    ) -> None:
        steps = self.steps[part[0]]
        before = sum(self.steps[i] for i in self.done) * self.fit.epochs
        orders = [self.rows[i][_order(len(self.rows[i]), self.seeds[i], epoch).to(self.device)] for i in part]
        torch.manual_seed(epoch_seed(*(self.seeds[i] for i in part), epoch, 1))
        lost = torch.zeros(len(part), device=self.device)
        members.train()
        for step, rows in enumerate(torch.stack(orders).tensor_split(steps, 1)):
            now = epoch * steps + step
            for group in optimizer.param_groups:
                group["lr"] = self.fit.rate_at(now / (self.fit.epochs * steps))
            losses = _losses(members(*_taken(front, rows)), self._labels(part, rows)).mean(1)
            optimizer.zero_grad(set_to_none=True)
            losses.sum().backward()
            optimizer.step()
            lost += losses.detach()
            progress.step(self.title, before + (now + 1) * len(part), sum(self.steps) * self.fit.epochs)
        for i, loss in zip(part, lost.tolist()):
            if not math.isfinite(loss):
                given = f"a loss of model {i} (seed {self.seeds[i]}) that is not finite in epoch {epoch + 1}"
                raise Refused(self.title, given, f"finite inputs, or a rate below {self.fit.rate:g}")

    @torch.no_grad()
    def _judge(self, part: list[int], members: Any, front: Sequence[Tensor], epoch: int) -> None:
        """This epoch's curves, in evaluation mode: on the rows that each model sees, and on those that are watched."""
        assert self.watch
        members.eval()
        x, y = self.watch
        outside = members.front(x) if isinstance(members, Stacked) else (x,)
        every = torch.arange(len(y), device=self.device).expand(len(part), -1)
        size = rows_at_once(self.pattern, self.x, len(part), self.memory)
        for name, values, rows, label in (
            ("train", front, torch.stack([self.rows[i] for i in part]), lambda r: self._labels(part, r)),
            ("watch", outside, every, lambda r: y[r]),
        ):
            told = [(members(*_taken(values, r)), label(r)) for r in rows.split(size, 1)]
            loss = torch.cat([_losses(logits, labels) for logits, labels in told], 1).double().mean(1)
            right = torch.cat([logits.argmax(2) == labels for logits, labels in told], 1).double().mean(1)
            self.curves[f"{name}_loss"][part, epoch] = loss.cpu()
            self.curves[f"{name}_accuracy"][part, epoch] = right.cpu()

    def _labels(self, part: list[int], rows: Tensor) -> Tensor:
        if self.y.ndim == 1:
            return self.y[rows]
        return self.y[torch.tensor(part, device=self.device)[:, None], rows]

    def _check_labels(self) -> None:
        try:
            with torch.no_grad():
                out = copy.deepcopy(self.pattern).eval()(self.x[:2])
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            if isinstance(error, RuntimeError) and out_of_memory(error):
                raise
            given = f"a module that fails on inputs of shape {tuple(self.x.shape)}: {str(error).splitlines()[0]:.120}"
            raise Refused(self.title, given, "modules for such inputs") from None
        if not isinstance(out, Tensor) or out.ndim != 2:
            raise Refused(
                self.title, "modules that give no (n, classes) logits", "modules whose output is one tensor of logits"
            )
        most = max(int(v.max()) for v in (self.y, *(self.watch[1:] if self.watch else ())))
        if most >= out.shape[1]:
            raise Refused(self.title, f"the label {most} for modules of {out.shape[1]} outputs", "an output a class")

    def _due(self) -> bool:
        """Whether writing now keeps its share of the time small."""
        return time.perf_counter() - self._wrote > self._writing / WRITING

    def _write(self, path: Path, part: list[int], epoch: int, tensors: dict[str, dict[str, Tensor]]) -> None:
        began = time.perf_counter()
        told = {
            "done": list(self.done),
            "part": part,
            "epoch": epoch,
            "curves": {k: v.tolist() for k, v in self.curves.items()},
            "costs": self.costs.told(),
            "seconds": self.seconds,
        }
        disk.write(path, self.identity, told, {f"model {i}": v for i, v in self.done.items()} | tensors)
        self._wrote = time.perf_counter()
        self._writing = self._wrote - began

    def _restore(self, told: dict[str, Any], parts: dict[str, dict[str, Tensor]]) -> Any:
        self.done = {i: parts[f"model {i}"] for i in told["done"]}
        self.curves = {k: np.array(v, float) for k, v in told["curves"].items()}
        self.costs.restore(told["costs"])
        self.seconds = told["seconds"]
        return (told, parts) if told["part"] else None


def vectorises(module: nn.Module, x: Tensor) -> bool:
    """Whether torch can run copies of a module as one stack. Recurrent layers it cannot."""
    if any(isinstance(m, nn.RNNBase) for m in module.modules()):
        return False
    try:
        members = Members([copy.deepcopy(module), copy.deepcopy(module)]).train()
        members(torch.stack([x, x])).sum().backward()
    except (RuntimeError, ValueError) as error:
        return out_of_memory(error)
    return True


def _taken(values: Sequence[Tensor], rows: Tensor) -> list[Tensor]:
    """(n, ...) values and (models, batch) rows -> (models, batch, ...)."""
    return [v.index_select(0, rows.flatten()).unflatten(0, rows.shape) for v in values]


def _losses(logits: Tensor, y: Tensor) -> Tensor:
    """(models, n) cross-entropy."""
    return nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none").view(y.shape)


def _order(n: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(epoch_seed(seed, epoch)))


def _optimizer(members: Any, fit: Fit) -> torch.optim.Optimizer:
    trained = [p for p in members.parameters() if p.requires_grad]
    wide = [p for p in trained if members.axes(p) > 1]
    plain = [p for p in trained if members.axes(p) <= 1]
    groups = [{"params": wide, "weight_decay": fit.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    if fit.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=fit.rate, momentum=0.9, nesterov=True, fused=True)
    return torch.optim.AdamW(groups, lr=fit.rate, fused=True)
