"""Networks as learners: a small dense one, and the user's own trained anew.

The loop of ``labkit.training`` makes the reference models: recipes with augmentation, checkpoints and stacks of seeds. Here
a loss must see each person's group and weight, and the module may be anybody's. So this loop is its own, and short.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from labkit.analyses._guard import check_classifier
from labkit.core import progress
from labkit.core.refused import Refused
from labkit.data.split import Split
from labkit.mitigations import Model
from labkit.mitigations._soft import cross_entropy
from labkit.models.classifier import Classifier
from labkit.training.learners import LARGE, forget

HELD_OUT = 0.1  # share of the people on whom the best pass is chosen
EVALUATION = 4096  # people answered at once


@dataclass(frozen=True)
class Plan:
    """How a network learns: Adam in batches, the rate falling along half a cosine to zero, stopped when ``patience`` passes
    brought nothing better on the people held out.

    ``batch`` 0 is a 32nd of the people, from 256 to 1024: each has to hold people of every group.
    """

    passes: int = 30
    batch: int = 0
    rate: float = 3e-3
    patience: int = 5


@dataclass(frozen=True)
class Dense:
    """Two hidden layers of 64 and 32 units with ReLU on standardised inputs."""

    classes: int
    seed: int
    about: str = (
        "network of two hidden layers (64, 32), Adam, best of at most 30 passes by its loss on a tenth held out"
    )

    def __call__(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray, objective: Any, group: Any) -> Any:
        x = x.reshape(len(x), -1).astype(np.float32)
        middle, spread = x.mean(0), x.std(0)
        spread = np.where(spread > 0, spread, 1).astype(np.float32)

        def ready(x: np.ndarray) -> Tensor:
            return torch.from_numpy((x.reshape(len(x), -1).astype(np.float32) - middle) / spread)

        with torch.random.fork_rng([]):
            torch.manual_seed(self.seed)
            module = nn.Sequential(
                nn.Linear(x.shape[1], 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, self.classes)
            )
            passes = _learn(module, module, ready(x), y, weight, objective, group, self.seed, Plan())
        return _answers(module, module, ready), passes


@dataclass(frozen=True, eq=False)
class Anew:
    """A copy of the user's module, trained anew on its own inputs; the original is never touched."""

    model: Classifier
    fresh: bool
    seed: int
    about: str

    def __call__(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray, objective: Any, group: Any) -> Any:
        where = self.model.device
        with torch.random.fork_rng([where] if where.type == "cuda" else []):
            torch.manual_seed(self.seed)
            module = copy.deepcopy(self.model.module)
            for parameter in module.parameters():
                parameter.requires_grad_(parameter.is_floating_point())
            if self.fresh:
                forget(module)
            net = replace(self.model, module=module)
            plan = Plan(rate=1e-3) if self.fresh else Plan(passes=3, batch=32, rate=2e-5)
            passes = _learn(module, net, net.tensor(x), y, weight, objective, group, self.seed, plan)
            module.requires_grad_(False)
        return _answers(module, net, net.tensor), passes


def anew(given: nn.Module | Classifier | None, split: Split, seed: int) -> Anew:
    """The learner of a module or of an audited model.

    Raises:
        Refused: no model, one whose outputs are no classes or follow their inputs in steps, other classes than the data's.
    """
    if given is None:
        raise Refused("learner='own'", "no model", "the audited torch model beside its data, or learner='network'")
    model = given if isinstance(given, Classifier) else Classifier(copy.deepcopy(given), split.classes, name="module")
    check_classifier(model, "a learner")
    model.require("gradients", "training", "learner='logistic', 'trees' or 'network'")
    if len(model.classes) != len(split.classes):
        raise Refused(f"training {model.name}", f"{len(model.classes)} classes", f"{len(split.classes)}, as the data")
    numbers = sum(p.numel() for p in model.module.parameters())
    if not numbers:
        raise Refused(
            f"training {model.name}", "a module without parameters", "learner='logistic', 'trees' or 'network'"
        )
    fresh = numbers <= LARGE  # a larger one is trained on from its own weights
    how = "new weights" if fresh else "its own weights on, as it is large"
    return Anew(model, fresh, seed, f"{model.name}, a copy trained from {how}, Adam, best pass on a tenth held out")


def _learn(
    module: nn.Module,
    net: Callable[[Tensor], Tensor],
    x: Tensor,
    y: np.ndarray,
    weight: np.ndarray,
    objective: Any,
    group: np.ndarray | None,
    seed: int,
    plan: Plan,
) -> int:
    """Train a module in place; how many passes that took.

    An objective may be a module with parameters, which are trained along. ``objective.watched`` is what is judged on the
    people held out, the objective itself unless it says otherwise; None lets the last pass stand.
    """
    where = x.device
    told = [torch.as_tensor(v, device=where) for v in (y, np.zeros_like(y) if group is None else group)]
    told.append(torch.as_tensor(weight, dtype=torch.float32, device=where))
    lost = _plain if objective is None else objective
    watched = getattr(lost, "watched", lost)
    beside = lost.to(where) if isinstance(lost, nn.Module) else nn.Module()
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(y))).to(where)
    held = max(1, round(HELD_OUT * len(y)))
    judges, learners = order[:held], order[held:]
    batch = min(plan.batch or min(1024, max(256, len(learners) // 32)), len(learners))
    steps = len(learners) // batch
    adam = torch.optim.Adam([*module.parameters(), *beside.parameters()], lr=plan.rate, fused=True)
    best, since, kept = math.inf, 0, copy.deepcopy(module.state_dict())
    for done in range(plan.passes):
        module.train()
        beside.train()
        mixed = learners[torch.randperm(len(learners), device=where)]
        for i in range(steps):
            share = (done + i / steps) / plan.passes
            adam.param_groups[0]["lr"] = plan.rate * (1 + math.cos(math.pi * share)) / 2
            rows = mixed[i * batch : (i + 1) * batch]
            adam.zero_grad(set_to_none=True)
            lost(net(x[rows]), *(v[rows] for v in told)).backward()
            adam.step()
        progress.step("training a network", done + 1, plan.passes)
        module.eval()
        beside.eval()
        logits = _logits(net, x[judges])
        if not torch.isfinite(logits).all():
            raise Refused("training a network", f"answers that are not finite in pass {done + 1}", "milder settings")
        if watched is None:
            continue
        with torch.no_grad():
            merit = float(watched(logits, *(v[judges] for v in told)))
        since = 0 if merit < best else since + 1
        if since == 0:
            best, kept = merit, copy.deepcopy(module.state_dict())
        if since >= plan.patience:
            break
    if watched is not None:
        module.load_state_dict(kept)
    return done + 1


def _plain(logits: Tensor, y: Tensor, group: Tensor, weight: Tensor) -> Tensor:
    return cross_entropy(logits, y, weight)


@torch.no_grad()
def _logits(net: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return torch.cat([net(part) for part in x.split(EVALUATION)])


def _answers(module: nn.Module, net: Callable[[Tensor], Tensor], ready: Callable[[np.ndarray], Tensor]) -> Model:
    module.eval()
    return lambda x: _logits(net, ready(x)).double().softmax(1).cpu().numpy()
