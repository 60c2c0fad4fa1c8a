"""A classifier as an attack sees it: counted, with the gradients that a way gives, and watched for what it finds."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from labkit.analyses._attack.ways import Way
from labkit.attacks._search import margin
from labkit.models.classifier import Classifier


class Shown(nn.Module):
    """Counts the rows answered and those that gradients are taken of. Takes and gives single precision, whatever the model's.

    With ``watched`` rows and classes it keeps, for calls with as many rows, the most adversarial point asked about.
    """

    def __init__(self, model: Classifier, way: Way, watched: tuple[Tensor, Tensor] | None = None) -> None:
        super().__init__()
        self.inner, self.model, self.way = model.module, model, way
        self.dtype = model.dtype
        self.queries = self.gradients = self.calls = 0
        self.y = None if watched is None else watched[1]
        self.best = None if watched is None else (watched[0].clone(), torch.full(watched[1].shape, -torch.inf))

    def classifier(self) -> Classifier:
        """The model with this in the place of its module."""
        embedding = None if self.model.embedding is None else f"inner.{self.model.embedding}"
        return replace(self.model, module=self.eval(), outputs="logits", read=None, embedding=embedding)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        logits = self.way(self._counted, x, self.calls)
        if self.best is not None and self.y is not None and x.shape == self.best[0].shape:
            found = margin(logits.detach().float(), self.y).cpu()
            better = found > self.best[1]
            self.best[0][better.to(x.device)], self.best[1][better] = x.detach()[better.to(x.device)], found[better]
        return logits

    def _counted(self, x: Tensor) -> Tensor:
        logits = self.model(x.to(self.dtype) if x.is_floating_point() else x).float()
        self.queries += len(x)
        self.gradients += len(x) if logits.requires_grad else 0
        return logits
