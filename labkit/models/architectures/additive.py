"""A model that can be read: a sum of looked-up terms."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

LINE = 0


def additive(*, classes: int, terms: Sequence[Sequence[Sequence[int]]]) -> nn.Module:
    """See ``Additive``."""
    return Additive(classes, terms)


class Additive(nn.Module):
    """An intercept and a sum of terms, each in one feature or two: a generalized additive model (Hastie and Tibshirani,
    1986, doi 10.1214/ss/1177013604), with pairs (Lou, Caruana, Gehrke and Hooker, 2013, doi 10.1145/2487575.2487579).

    The same sum as a fitted explainable boosting machine's, or a logistic regression's. Nothing stands between the
    terms and the logits, so that the terms are the whole explanation of an answer.

    Args:
        classes: how many outputs.
        terms: for each term its features, one or two, each as (column, cells): a table over so many intervals of the
            column, or for one column with ``LINE`` cells a straight line.

    Attributes:
        terms: the terms as modules; each has ``features`` and maps (n, features) inputs to (n, classes) logits.
    """

    def __init__(self, classes: int, terms: Sequence[Sequence[Sequence[int]]]) -> None:
        super().__init__()
        self.intercept = nn.Parameter(torch.zeros(classes))
        self.terms = nn.ModuleList(
            Line(term[0][0], classes) if term[0][1] == LINE else Table(term, classes) for term in terms
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, features) in the data's own units, categories as whole-number codes -> (n, classes) logits."""
        return self.intercept + self.contributions(x).sum(1)

    def contributions(self, x: Tensor) -> Tensor:
        """(n, terms, classes) what each term adds to the logits."""
        return torch.stack([term(x) for term in self.terms], 1)


class Table(nn.Module):
    """A step function of one feature, or of two: the value of the cell that the input falls into.

    A cell begins at its cut: k cuts, in the feature's own unit, make k + 1 cells. A category's cuts lie halfway between
    its codes.
    """

    differentiable = False

    def __init__(self, term: Sequence[Sequence[int]], classes: int) -> None:
        super().__init__()
        self.features = tuple(feature for feature, _ in term)
        cells = [count for _, count in term]
        for feature, count in term:
            self.register_buffer(f"cuts{feature}", torch.arange(1.0, count) - 0.5)
        self.values = nn.Parameter(torch.randn(*cells, classes) / math.sqrt(len(term)))

    def forward(self, x: Tensor) -> Tensor:
        cells = [torch.bucketize(x[:, i].contiguous(), self.get_buffer(f"cuts{i}"), right=True) for i in self.features]
        return self.values[tuple(cells)]


class Line(nn.Module):
    """A straight line in one feature, which is normalised first."""

    mean: Tensor
    std: Tensor

    def __init__(self, feature: int, classes: int) -> None:
        super().__init__()
        self.features = (feature,)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))
        self.slope = nn.Parameter(torch.randn(classes))

    def forward(self, x: Tensor) -> Tensor:
        return ((x[:, self.features[0]] - self.mean) / self.std)[:, None] * self.slope
