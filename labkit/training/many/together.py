"""Many models of one architecture at once: shadow models, subsets, seeds and the points of a learning curve.

Models that see equally many rows lie stacked in memory and take each step together (torch.func); those that see more or
fewer stand in a stack of their own, and what torch cannot vectorise, such as a recurrent net, is trained one after
another. How the models are spread over stacks changes nothing but the time, since the first weights and the order of model
i follow from its seed alone; but which values dropout leaves out is drawn for a stack as a whole, and so differs.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from labkit.core.draws import check_seed
from labkit.core.refused import Refused
from labkit.models.device import pick
from labkit.training.costs import Costs
from labkit.training.many.fitting import DEFAULT, Fit, Rows, as_tensor
from labkit.training.many.parts import Make, Task
from labkit.training.many.room import EVALUATION, models_at_once


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
    memory: int

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
        stack = models_at_once(pattern, rows, EVALUATION, self.memory) if self.together else 1
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
    fit: Fit = DEFAULT,
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
        seeds: one a model, 0, 1, ... when None: its first weights and its order follow from that, whoever trains beside it.
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
    rows = Rows(np.asarray(x), np.asarray(y), chosen, watch)
    rows.check(title)
    seeds = tuple(range(len(chosen)) if seeds is None else map(int, seeds))
    for seed in seeds:
        check_seed(seed)
    if len(seeds) != len(chosen):
        raise Refused(title, f"{len(seeds)} seeds for {len(chosen)} models", "one a model")
    with torch.random.fork_rng([where] if where.type == "cuda" else []):
        task = Task(make, rows, fit, seeds, where, memory, title)
        states = task.run(Path(checkpoint) if checkpoint else None)
    curves = task.curves if watch else {}
    return Many(task.pattern, states, curves, task.costs, task.seconds, task.together, where, memory)


def _answers(pattern: nn.Module, states: dict[str, Tensor], x: Tensor) -> Tensor:
    """(models, n, classes) float32."""
    with torch.no_grad():
        if len(next(iter(states.values()))) == 1:
            return functional_call(pattern, {k: v[0] for k, v in states.items()}, (x,))[None].float()
        return torch.vmap(lambda state: functional_call(pattern, state, (x,)))(states).float()
