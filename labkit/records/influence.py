"""The training examples that made a model answer as it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

Rows = Annotated[np.ndarray, Dims("example")]
Near = Annotated[np.ndarray, Dims("example", "place")]
Trained = Annotated[np.ndarray, Dims("trained")]


@dataclass(frozen=True, kw_only=True)
class Influence(Record):
    """How far a step on each training example lowers the loss of an example: TracIn by the last linear layer.

    Influences are in units of loss (nats) for steps of the rates given. Positive: the example's loss falls.

    Attributes:
        checkpoints: how many states of the model are summed. rates: the learning rate at each.
        label: (example,) what the loss is taken for: the true class, or the predicted one where ``true`` is False.
        predicted: the model's answers.
        proponent, opponent: numbers of the training examples with the largest and the smallest influence, the extreme
            first; proponent_value, opponent_value: their influence; proponent_label, opponent_label: their labels.
        trained: training examples searched. own: (trained,) the influence of each on itself; total: its mean influence
            on the examples.
        mislabeled: how many training examples are known to have a wrong label; 0 where nobody said.
        found: (value, low, high) area under the ROC curve with which ``own`` tells them from the others, DeLong; nan
            where none is known. found_by_loss: the same by the loss alone, the plain way.
        found_harm: the same by a low ``total``.
    """

    checkpoints: int
    rates: tuple[float, ...]
    classes: tuple[str, ...]
    true: bool
    label: Rows
    predicted: Rows
    proponent: Near
    proponent_value: Near
    proponent_label: Near
    opponent: Near
    opponent_value: Near
    opponent_label: Near
    trained: int
    own: Trained
    total: Trained
    mislabeled: int = 0
    found: tuple[float, float, float]
    found_by_loss: tuple[float, float, float]
    found_harm: tuple[float, float, float]
    pictures: Annotated[np.ndarray, Dims("shown", "...")] | None = None
    proponent_pictures: Annotated[np.ndarray, Dims("shown", "place", "...")] | None = None
    opponent_pictures: Annotated[np.ndarray, Dims("shown", "place", "...")] | None = None
    texts: tuple[str, ...] = ()
    proponent_texts: tuple[tuple[str, ...], ...] = ()
    opponent_texts: tuple[tuple[str, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.label)
