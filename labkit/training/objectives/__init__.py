"""What a training step makes small: cross-entropy by default, and one file for each objective that is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from labkit.training.members import Members


class Objective:
    """What is minimised, and what an epoch is judged by on examples held out.

    A recipe's objective is a frozen dataclass whose fields are its hyperparameters. ``answer(*inputs)`` gives what the
    architecture's ``forward`` returns, in float32, for several models at once: every tensor that goes in or comes out
    has the models as its first axis and the examples as its second. Random numbers come from torch's own generator,
    which the loop seeds.

    Attributes:
        classifies: whether the architecture's answer is logits, so that the trained module is a Classifier.
    """

    classifies: ClassVar[bool] = True

    def at(self, share: float) -> Objective:
        """What is minimised after this share of all steps: the objective itself, unless it follows a schedule."""
        return self

    def loss(self, answer: Members, x: Tensor, y: Tensor) -> Tensor:
        """(models, n, *shape) inputs and (models, n) labels -> (models,) mean losses, to be differentiated."""
        raise NotImplementedError

    def judge(self, answer: Members, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """(models, n) loss and (models, n) 1 where right, 0 where wrong, of each example; nan where there is no right.

        The loop calls it in evaluation mode. Cross-entropy and hits of a classifier, unless a subclass says otherwise.
        """
        with torch.no_grad():
            logits = answer(x)
        return cross_entropy(logits, y), (logits.argmax(-1) == y).float()


@dataclass(frozen=True)
class CrossEntropy(Objective):
    """Mean cross-entropy; ``smoothing`` is the share of the target spread over all classes (Szegedy et al., 2016,
    arXiv 1512.00567)."""

    smoothing: float = 0.0

    def loss(self, answer: Members, x: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(answer(x), y, label_smoothing=self.smoothing).mean(1)


def cross_entropy(logits: Tensor, y: Tensor, **options: Any) -> Tensor:
    """(models, n, classes) logits and (models, n) labels -> (models, n) losses."""
    return functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none", **options).view(y.shape)
