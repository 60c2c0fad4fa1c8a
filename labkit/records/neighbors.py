"""The training examples that a model takes to be most like an input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

Rows = Annotated[np.ndarray, Dims("example")]
Near = Annotated[np.ndarray, Dims("example", "neighbor")]


@dataclass(frozen=True, kw_only=True)
class Neighbors(Record):
    """The nearest training examples by what a layer made of them, beside those by the inputs themselves.

    Attributes:
        layer, metric: where and how distances are taken: "euclidean", or "cosine" (1 minus the cosine, 0 to 2).
        space: what inputs are compared by where no model is asked.
        among: training examples searched; copies: of those, how many equal an input exactly and were left out.
        label: (example,) what the neighbors' labels are held against: the true class, or the predicted one where
            ``true`` is False.
        predicted: the model's answers to the examples.
        index, distance: the neighbors' numbers among the training examples, nearest first, and how far they are.
        neighbor_label, neighbor_predicted: their labels, and the model's answers to them.
        input_index, input_label: the same number of neighbors by the inputs.
        hits, input_hits: (example,) the share of the neighbors that have the label. Means with 95 % intervals over the
            examples: ``hit`` (value, low, high), ``input_hit``, and their difference ``gain``.
        chance: the share of the label among the training examples, on average.
        credibility: (example,) the share of calibration examples whose neighbors disagree with their label at least as
            much as the example's do with the model's answer; None without calibration examples.
        calibration: how many these are.
        pictures, neighbor_pictures: of the first examples, for images.
        texts, neighbor_texts: the entries of tables and texts.
    """

    layer: str
    metric: str
    space: str
    classes: tuple[str, ...]
    among: int
    copies: int
    true: bool
    label: Rows
    predicted: Rows
    index: Near
    distance: Near
    neighbor_label: Near
    neighbor_predicted: Near
    input_index: Near
    input_label: Near
    hits: Rows
    input_hits: Rows
    hit: tuple[float, float, float]
    input_hit: tuple[float, float, float]
    gain: tuple[float, float, float]
    chance: float
    credibility: Rows | None = None
    calibration: int = 0
    pictures: Annotated[np.ndarray, Dims("shown", "...")] | None = None
    neighbor_pictures: Annotated[np.ndarray, Dims("shown", "neighbor", "...")] | None = None
    texts: tuple[str, ...] = ()
    neighbor_texts: tuple[tuple[str, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.label)
