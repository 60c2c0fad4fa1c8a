"""What a flip test asks a model: the same inputs with one thing exchanged, and with something else exchanged."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(eq=False)
class Exchange:
    """One direction: inputs of one group, made those of another.

    Attributes:
        rows: (k,) the inputs' places. x: (k, ...) the inputs after.
        words: what was exchanged, in words, for each.
        odd: (k,) inputs that hardly occur as they are now. pair: (k,) which pair of words was exchanged; 0 in tables.
    """

    source: str
    target: str
    rows: np.ndarray
    x: np.ndarray
    words: list[str]
    odd: np.ndarray
    pair: np.ndarray


@dataclass(eq=False)
class Control:
    """Something else exchanged in the same inputs: from one input to another, and what that is called.

    Attributes:
        rows: (k,) the inputs' places. before, after: (k, ...) inputs.
    """

    name: str
    rows: np.ndarray
    before: np.ndarray
    after: np.ndarray


@dataclass(eq=False)
class Design:
    """Everything that is asked of the model.

    Attributes:
        x: (n, ...) inputs as they are. unit: (n,) what counts as one observation: a person, a sentence, a template.
        exchanges: the directions. controls: what else is exchanged.
        chance: pairs of neutral words, each exchanged in several inputs; ``rows`` says which pair. None in tables.
        left_out: inputs without a known group, or without a word of one. unknown: words that the model does not know,
            and how often they stood in the way.
    """

    x: np.ndarray
    unit: np.ndarray
    exchanges: list[Exchange]
    controls: list[Control]
    chance: Control | None = None
    left_out: int = 0
    unknown: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
