"""The answer alone."""

from __future__ import annotations

import numpy as np


def label_only(label: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n,) 1 where the answer is the label and 0 where it is not: what anyone can tell who sees nothing but answers.

    Source: the gap attack of Yeom et al., 2018, arXiv 1709.01604; named by Choquette-Choo et al., 2021, arXiv 2007.14321.
    """
    return (label == y).astype(float)
