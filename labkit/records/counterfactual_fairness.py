"""What a model would answer people had they been of the other group, under a stated graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

PerGroup = Annotated[np.ndarray, Dims("group")]
PerPath = Annotated[np.ndarray, Dims("path", "group")]


@dataclass(frozen=True, kw_only=True)
class CounterfactualFairness(Record):
    """Answers in the world as it is and in one where the attribute is the other one, by the group that people are of.
    Intervals are at 95 %, over people; the equations are taken as fitted.

    Attributes:
        attribute: the sensitive feature. groups: the two groups. positive: the class that counts as positive.
        edges: of the stated graph, as far as they lead from the attribute: "parent → child". assumed: what is taken for
            true and cannot be told from the data.
        nodes: columns that descend from the attribute; ``node_kind``: number, levels (a number with many
            equal values) or category; ``equations``: how they were fitted.
        explained: how much of each column its parents tell on the people asked about, from 0 to 1: of the variance, or of
            the deviance. beyond: the share of people whose value had to be kept within the range of the data.
        n: people of each group. draws: of what the equations leave open, for each person. fitted: rows of the fit.
        share, share_low, share_high: of people whose answer would differ. promoted: those who would get the positive
            class; demoted: those who would lose it.
        shift, shift_low, shift_high: mean change of the positive class's probability.
        path: "direct" (the model reads the attribute) and "through X" (first edge to X), each switched alone.
        path_share, path_shift (with ends): the same for each path. rest: what the paths leave of the whole change.
        edge_share, edge_shift: the whole again, under the graph without each of ``edges``.
        null_share, null_shift: what comes through the graph when the attribute is dealt out at random and everything is
            fitted again; one a placebo. through_share, through_shift: the same of the attribute as it is.
    """

    attribute: str
    groups: tuple[str, str]
    positive: str
    edges: tuple[str, ...]
    assumed: tuple[str, ...]
    nodes: tuple[str, ...]
    node_kind: tuple[str, ...]
    equations: str
    explained: Annotated[np.ndarray, Dims("node")]
    beyond: Annotated[np.ndarray, Dims("node")]
    n: PerGroup
    draws: int
    fitted: int
    share: PerGroup
    share_low: PerGroup
    share_high: PerGroup
    promoted: PerGroup
    demoted: PerGroup
    shift: PerGroup
    shift_low: PerGroup
    shift_high: PerGroup
    path: tuple[str, ...]
    path_share: PerPath
    path_shift: PerPath
    path_low: PerPath
    path_high: PerPath
    rest: PerGroup
    edge_share: Annotated[np.ndarray, Dims("edge", "group")]
    edge_shift: Annotated[np.ndarray, Dims("edge", "group")]
    through_share: PerGroup
    through_shift: PerGroup
    null_share: Annotated[np.ndarray, Dims("placebo", "group")]
    null_shift: Annotated[np.ndarray, Dims("placebo", "group")]

    @property
    def worst(self) -> int:
        """The group of which more people's answers would differ."""
        return int(np.argmax(self.share))
