"""Learning against an adversary who guesses the group from the answer."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor, nn

from labkit.core.method import Range
from labkit.mitigations import Fit, Model
from labkit.mitigations._soft import cross_entropy


def adversarial_debiasing(
    x: np.ndarray,
    y: np.ndarray,
    group: np.ndarray,
    criterion: str,
    fit: Fit,
    seed: int,
    *,
    strength: Annotated[float, Range(0, 1), "share of the adversary's weight"] = 1.0,
    adversary: Annotated[float, Range(0.01, 100, log=True), "its weight beside the learner's own loss"] = 3.0,
    knows: Annotated[
        Literal["by criterion", "answer", "answer and truth"],
        "what it guesses from: the answer for equal selection, the truth as well for equal errors",
    ] = "by criterion",
    width: Annotated[int, Range(1, 512, log=True), "units of its hidden layer"] = 32,
) -> Model:
    """A second network guesses each person's group from the learner's log-probabilities (and from the true class, which
    leaves only unequal errors to be seen), and the learner is moved against it by a reversed gradient.

    Both learn in every step. The published update also takes off the part of the learner's step that would help the
    adversary; this one reverses the gradient alone. There is no early stop: a play of two has no loss that falls. Any number of
    classes and groups.

    Source: Zhang, Lemoine and Mitchell, 2018, arXiv 1801.07593, with the gradient reversal of Ganin et al., 2016, arXiv
    1505.07818.

    Returns:
        x -> (n, classes) probabilities.

    Raises:
        Refused: a learner that takes no objective.
    """
    if strength == 0:
        return fit(x, y)
    truth = knows == "answer and truth" or (knows == "by criterion" and criterion != "selection_rate")
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        guesser = _Adversary(int(y.max()) + 1, int(group.max()) + 1, width, truth, strength * adversary)
    return fit(x, y, objective=guesser)


class _Adversary(nn.Module):
    """The learner's loss and the adversary's; what goes back to the learner from the second is turned round."""

    watched = None  # the last weights stand

    def __init__(self, classes: int, groups: int, width: int, truth: bool, weight: float) -> None:
        super().__init__()
        self.classes, self.truth, self.weight = classes, truth, weight
        inputs = classes * (classes + 1) if truth else classes
        self.guess = nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, groups))

    def forward(self, logits: Tensor, y: Tensor, group: Tensor, weight: Tensor) -> Tensor:
        answer = logits.log_softmax(1)
        # the value is the answer's, the gradient minus ``weight`` times what it would be
        seen = answer.detach() + self.weight * (answer.detach() - answer)
        if self.truth:
            true = nn.functional.one_hot(y, self.classes).to(seen)
            seen = torch.cat([true, (seen[:, :, None] * true[:, None]).flatten(1)], 1)
        return cross_entropy(logits, y, weight) + cross_entropy(self.guess(seen), group, weight)
