"""How alike are two maps?"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from labkit.faithfulness._positions import positions


def alike(one: Tensor, other: Tensor, where: Tensor, *, signed: bool = False) -> Tensor:
    """(n,) Spearman's correlation of two attributions over the positions ``where``, of their sizes or with their signs;
    nan where one of them is constant."""
    mine, theirs = (positions(v).double().cpu().numpy() for v in (one, other))
    if not signed:
        mine, theirs = np.abs(mine), np.abs(theirs)
    found = [spearman(a[w], b[w]) for a, b, w in zip(mine, theirs, where.cpu().numpy())]
    return torch.tensor(found, dtype=torch.float64)


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation; nan where one of the two is constant."""
    from scipy.stats import rankdata

    a, b = rankdata(a), rankdata(b)
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b))) if len(a) else 0.0
    return float(a @ b) / size if size else float("nan")
