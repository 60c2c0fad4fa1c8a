"""Mitigations: what makes a decision rule differ less between groups, one method a file.

``(what it names among the below, *, strength, other tunables) -> answer``. Offered by name:

* ``x`` (n, d) floats, ``y`` (n,) class indices, ``group`` (n,) group codes from 0: the people to learn from;
* ``positive``: the index of the class whose answers are to be shared out evenly;
* ``score`` (n, classes): what the model as it is answers; ``features`` (n, k): what it makes of people before its last
  layer; ``blind`` (n, d): ``x`` without the columns that give the group away. A leaf that names ``score`` or ``features`` sees
  people who were not trained on, with their ``x``, ``y`` and ``group``;
* ``fit(x, y, weight=None, objective=None) -> (x -> (n, classes) probabilities)``: the learner. An
  ``objective(logits, y, group, weight)`` is the loss that it lowers instead of its own; ``fit.takes_objective`` says
  whether it can;
* ``criterion``: the rate whose difference between groups is to shrink, or "equalized_odds";
* ``generator``, ``seed``: for what is drawn.

Pre-processing ends in ``fit(x', y', weight=w)``, in-processing in ``fit(x, y, objective=...)``, post-processing in a
rule of ``score``. The ``answer`` is a function of what it names among ``x``, ``score``, ``features``, ``blind`` and ``group`` of
new people (what ``fit`` gives is one as it stands) and gives (n, classes) chances of each answer: probabilities of a learner, decided by the largest; or, where it
has the attribute ``decides`` (``@decides``), the chances with which each answer is given: 0 or 1, or between where the rule
draws lots. A group that it has not seen is refused, never guessed.

``strength`` runs from 0, nothing changed, to 1, the method as published.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

Answer = Callable[..., np.ndarray]
Model = Callable[[np.ndarray], np.ndarray]


class Fit(Protocol):
    """A learner: see above."""

    classes: int
    takes_objective: bool

    def __call__(self, x: np.ndarray, y: np.ndarray, weight: Any = None, objective: Any = None) -> Model: ...


def decides(answer: Answer) -> Answer:
    """Mark an answer whose chances are those of its decisions, not probabilities of the truth."""
    answer.decides = True  # type: ignore[attr-defined]
    return answer
