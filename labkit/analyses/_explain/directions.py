"""Many small linear classifiers at once: the directions in which groups of examples differ from others."""

from __future__ import annotations

import numpy as np

HELD = 1 / 3  # of each group, for the accuracy
STEPS, ENOUGH, FLATTEST = 50, 1e-8, 1e-6


def directions(groups: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean unit normal from other sets of examples to each group, and how well each set is told from it.

    Logistic regression with the penalty |w|^2 / 2 and an intercept, as scikit-learn's with C = 1, fitted to two thirds of
    the group and of the set; the rest is held out, another third of the group for each set. Solved in the span of the
    examples, which are few where features are many.

    Args:
        groups: (groups, size, width). others: (sets, size, width).

    Returns:
        (groups, width) directions and (groups, sets) accuracies on the examples held out.
    """
    found = [_Pairs(group, others) for group in groups]
    return np.array([f.direction for f in found]), np.array([f.accuracy for f in found])


class _Pairs:
    """One group against every set. Products of examples are all that is needed of the features."""

    def __init__(self, group: np.ndarray, others: np.ndarray) -> None:
        sets, size, width = others.shape
        flat = others.reshape(sets * size, width)
        held = max(2, round(HELD * size))
        own, cross = group @ group.T, group @ flat.T
        order = np.array([np.roll(np.arange(size), j * size // sets) for j in range(sets)])
        kernel = np.empty((sets, 2 * size, 2 * size))
        for j, mine in enumerate(order):
            theirs = slice(j * size, (j + 1) * size)
            kernel[j, :size, :size] = own[np.ix_(mine, mine)]
            kernel[j, :size, size:] = cross[mine, theirs]
            kernel[j, size:, :size] = kernel[j, :size, size:].T
            kernel[j, size:, size:] = others[j] @ others[j].T
        fitted = np.r_[held:size, size + held : 2 * size]
        tested = np.r_[:held, size : size + held]
        y = np.repeat([1.0, 0.0], size)
        inner = kernel[:, fitted[:, None], fitted]
        weight, intercept = logistic(inner, y[fitted])
        margin = np.einsum("jtf,jf->jt", kernel[:, tested[:, None], fitted], weight) + intercept[:, None]
        self.accuracy = ((margin > 0) == (y[tested] > 0)).mean(1)
        norm = np.sqrt(np.maximum(np.einsum("ja,jab,jb->j", weight, inner, weight), 1e-24))
        spread = np.zeros((sets, 2 * size))
        spread[:, fitted] = weight / (norm * sets)[:, None]
        mine_spread = np.zeros(size)
        np.add.at(mine_spread, order, spread[:, :size])
        self.direction = mine_spread @ group + spread[:, size:].ravel() @ flat


def logistic(kernel: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the examples and intercepts, by Newton's method (iteratively reweighted least squares).

    Args:
        kernel: (problems, n, n) products of the examples. y: (n,) 1 or 0.
    """
    problems, n = kernel.shape[:2]
    system = np.zeros((problems, n + 1, n + 1))
    system[:, :n, n] = system[:, n, :n] = 1.0  # the intercept has no penalty, so the weights add up to nothing
    margin, solved = np.zeros((problems, n)), np.zeros((problems, n + 1))
    for _ in range(STEPS):
        proba = 1 / (1 + np.exp(-margin))
        curve = np.maximum(proba * (1 - proba), FLATTEST)
        system[:, :n, :n] = kernel
        system[:, range(n), range(n)] += 1 / curve
        wanted = np.concatenate([margin + (y - proba) / curve, np.zeros((problems, 1))], 1)
        before, solved = solved, np.linalg.solve(system, wanted[..., None])[..., 0]
        margin = np.einsum("pij,pj->pi", kernel, solved[:, :n]) + solved[:, n:]
        if np.abs(solved - before).max() < ENOUGH:
            break
    return solved[:, :n], solved[:, n]
