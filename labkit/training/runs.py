"""Training runs: how far the models of a stack are, and what each one ends as."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from labkit.training.costs import Costs
from labkit.training.members import Members

Curves = dict[str, list[float]]
CURVES = ("train_loss", "valid_loss", "valid_accuracy", "rate", "seconds")


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained module at its best epoch, how it got there, and on what.

    Attributes:
        config: every option of the architecture.
        curves: one value an epoch: train_loss, valid_loss, valid_accuracy (nan where an objective knows no right answer),
            rate, seconds (of several models trained at once, each one's share).
        best: the epoch whose weights these are, from 0.
        steps: of the optimizer.
        costs: passes and memory of this model, or of the stack that it was trained in.
    """

    module: nn.Module
    config: dict[str, Any]
    curves: Curves
    best: int
    seed: int
    steps: int
    hardware: str
    precision: str
    costs: Costs


class Runs:
    """How far the models of a stack are: their curves, and their best states so far."""

    def __init__(self, count: int, judged: Members) -> None:
        self.judged = judged
        self.curves: list[Curves] = [{name: [] for name in CURVES} for _ in range(count)]
        self.best = [-1] * count
        self.best_score = [-math.inf] * count
        self.best_states = {f"best{i}": _copy(judged.state(i)) for i in range(count)}

    @property
    def epochs(self) -> int:
        return max(len(c["rate"]) for c in self.curves)

    def stopped(self, i: int, epoch: int, patience: int) -> bool:
        """Whether this model's best is too long ago for it to go on with this epoch."""
        return bool(patience) and epoch - self.best[i] > patience

    def all_stopped(self, epoch: int, patience: int) -> bool:
        return all(self.stopped(i, epoch, patience) for i in range(len(self.best)))

    def add(self, values: dict[str, Tensor], scores: Tensor, patience: int) -> None:
        """One more epoch; a model that has stopped stays as it was, though its stack goes on."""
        epoch = self.epochs
        for i, score in enumerate(scores.tolist()):
            if self.stopped(i, epoch, patience):
                continue
            for name, value in values.items():
                self.curves[i][name].append(float(value[i]))
            if score > self.best_score[i]:
                self.best[i], self.best_score[i] = epoch, score
                self.best_states[f"best{i}"] = _copy(self.judged.state(i))

    def told(self) -> dict[str, Any]:
        return {"curves": self.curves, "best": self.best, "best_score": self.best_score}

    def restore(self, told: dict[str, Any], parts: dict[str, dict[str, Tensor]], device: torch.device) -> None:
        self.curves, self.best, self.best_score = told["curves"], told["best"], told["best_score"]
        self.best_states = {k: {n: v.to(device) for n, v in parts[k].items()} for k in self.best_states}

    def ended(
        self,
        modules: Sequence[nn.Module],
        config: dict[str, Any],
        seeds: Sequence[int],
        steps: int,
        hardware: str,
        precision: str,
        costs: Costs,
    ) -> list[Trained]:
        for i, module in enumerate(modules):
            module.load_state_dict(self.best_states[f"best{i}"])
        made = [steps * len(c["rate"]) for c in self.curves]
        return [
            Trained(module.eval(), config, self.curves[i], self.best[i], seed, made[i], hardware, precision, costs)
            for i, (module, seed) in enumerate(zip(modules, seeds))
        ]


def _copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in state.items()}
