"""Rows that stand in two parts: how many, with which labels, and whether chance could have made them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.analyses._leakage.found import Found, counted
from labkit.analyses._leakage.near import Space
from labkit.core import resampling
from labkit.core.clusters import clustered
from labkit.data.split import Dataset
from labkit.records.leakage import COPIES, NEAR, WITHIN

DEALS = 999
# Labels that differ in so large a share of the equal rows of a table say that these are different people.
CONFLICT = 0.02
# Chance makes copies where it is expected to make one of so many of those found, columns taken for independent.
RARE = 1e-6
# Rows whose distances tell the pace at which these fall.
ENOUGH = 20


@dataclass(frozen=True, eq=False)
class Twins:
    """Test rows that equal, or nearly equal, a training row.

    Attributes:
        rows: (k,) of the test part; twin: (k,) of the training part. distance: (k,) 0 for equal ones.
        usual: the median distance of a training row from the nearest other one.
        asked: how many test rows were looked at for near ones. about, close: as in ``Space``.
    """

    rows: np.ndarray
    twin: np.ndarray
    distance: np.ndarray
    usual: float
    found: tuple[Found, ...]


def search(data: Dataset, space: Space, code: np.ndarray, rows: int, seed: int) -> Twins:
    """Copies and near copies, judged against the distances within the training data."""
    train, test = data
    n = len(train)
    own, new = code[:n], code[n:]
    first = np.full(code.max() + 1, -1)
    first[own[::-1]] = np.arange(n)[::-1]
    copied = np.flatnonzero(first[new] >= 0)
    stream = resampling.stream(seed, "leakage", "rows")
    among = np.arange(n)
    compared = np.sort(stream.permutation(n)[: max(1, rows // 2)])
    usual = space.between(compared, among)[0]
    fresh = np.setdiff1d(stream.permutation(len(test))[:rows], copied)
    distance, nearest = space.between(n + fresh, among) if len(fresh) else (np.zeros(0), np.zeros(0, int))
    middle = float(np.median(usual[np.isfinite(usual)])) if np.isfinite(usual).any() else 0.0
    close = distance < space.close * middle
    near = fresh[close]
    twin = np.concatenate([first[new[copied]], nearest[close]]).astype(np.int64)
    found = (
        _copies(data, own, new, copied, seed),
        _near(data, near, nearest[close], (usual, distance), middle, space),
        _within(own),
    )
    both = np.concatenate([copied, near]).astype(np.int64)
    return Twins(both, twin, np.concatenate([np.zeros(len(copied)), distance[close]]), middle, found)


def _copies(data: Dataset, own: np.ndarray, new: np.ndarray, copied: np.ndarray, seed: int) -> Found:
    train, test = data
    classes = len(data.classes)
    table = np.bincount(own * classes + train.y, minlength=(max(own.max(), new.max()) + 1) * classes)
    table = table.reshape(-1, classes)
    other = int((table[new[copied], test.y[copied]] == 0).sum())
    times = table.sum(1)
    usual = float((times[own] > 1).mean())
    chance = len(train) * len(test) * _coincidence(data)
    evidence = [_beyond(own, new, seed)]
    alike = train.schema.modality == "tabular" and other >= CONFLICT * len(copied)
    if not alike and chance < RARE * len(copied):
        evidence.append(RARE)
    note = f"{other} of them have another label in training, as different examples that look alike may"
    p = min(1.0, 2 * min(evidence)) if len(copied) else 1.0
    return counted(COPIES, "inputs", len(copied), len(test), usual=usual, p=p, note=note)


def _coincidence(data: Dataset) -> float:
    """How likely two rows of a table are equal by chance if columns were independent. A picture, sound, series or text is
    taken never to be."""
    if data.schema.modality != "tabular":
        return 0.0
    equal = [np.square(np.unique(c, return_counts=True)[1] / len(c)).sum() for c in data.train.x.T]
    return float(np.prod(equal))


def _beyond(own: np.ndarray, new: np.ndarray, seed: int) -> float:
    """p-value: how often rows dealt anew to the two parts leave as large a share of the test rows in training, less the
    share of training rows that have a twin there."""
    n, whole = len(own), np.concatenate([own, new])
    stream, size = resampling.stream(seed, "leakage", "deal"), int(whole.max()) + 1
    if len(np.unique(whole)) == len(whole):
        return 1.0

    def excess(own: np.ndarray, new: np.ndarray) -> float:
        times = np.bincount(own, minlength=size)
        return float((times[new] > 0).mean() - (times[own] > 1).mean())

    # Rows without any twin count nowhere: only the others are dealt, among as many places as all have.
    drawn = np.empty(DEALS)
    for i in range(DEALS):
        mixed = stream.permutation(whole)
        drawn[i] = excess(mixed[:n], mixed[n:])
    return resampling.share_as_large(drawn, excess(own, new))


def _near(
    data: Dataset,
    near: np.ndarray,
    twin: np.ndarray,
    distances: tuple[np.ndarray, np.ndarray],
    usual: float,
    space: Space,
) -> Found:
    """Near copies, beside the share of training rows that have one, and beside how many a smooth fall of distances to 0
    would make, whose number falls with a power of the distance at the pace seen where they are still many. Copies that
    were there before the split are in both parts alike, and break that fall; copies made after it break the likeness."""
    from scipy.stats import poisson

    own, new = distances
    if not usual or not len(new):
        return Found(
            NEAR, "inputs", missing="every test row has an equal one in training, or training rows are all alike"
        )
    k, inside = len(near), int((own < space.close * usual).sum())
    half, whole, at = _counts(new, usual, k)
    pace = max(1.0, float(np.log2((whole + 1) / (half + 1))))
    smooth = float(poisson.sf(k - 1, (half + 1) * (space.close / at) ** pace))
    more = resampling.exact_difference(np.array([k, inside]), np.array([len(new), len(own)]))
    p = min(1.0, 2 * min(smooth, more if k * len(own) > inside * len(new) else 1.0)) if k else 1.0
    other = int((data.test.y[near] != data.train.y[twin]).sum())
    note = (
        f"nearer than {space.close:.0%} of the usual {usual:.3g} between training rows ({space.about}); {other} of them have "
        "another label"
    )
    return counted(NEAR, "inputs", k, len(new), usual=inside / len(own), p=p, note=note)


def _counts(distance: np.ndarray, usual: float, near: int) -> tuple[int, int, float]:
    """How many rows but the near copies are nearer than a share of the usual distance, and than twice that share: a
    quarter, or half where too few are so near; and the share."""
    for share in (0.25, 0.5):
        half, whole = (int((distance < s * usual).sum()) - near for s in (share, 2 * share))
        if whole >= ENOUGH or share == 0.5:
            break
    return max(half, 0), max(whole, 0), share


def _within(own: np.ndarray) -> Found:
    times = np.unique(own, return_counts=True)[1]
    hits = np.where(times > 1, times, 0)
    return Found(WITHIN, "inputs", int(hits.sum()), len(own), *clustered(hits, times))  # equal rows come together
