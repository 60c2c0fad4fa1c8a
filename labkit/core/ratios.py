"""Intervals for the ratio of two proportions. ``labkit.core.intervals`` has those for proportions and differences."""

from __future__ import annotations

import numpy as np

from labkit.core.intervals import Counts, Ends, deviate, share_of, wilson


def log_ratio(hits: Counts, n: Counts, other_hits: Counts, other_n: Counts, level: float = 0.95) -> Ends:
    """Interval for the ratio of two independent proportions, first over other, normal on the log scale.

    Katz, Baptista, Azen and Pike, 1978, doi 10.2307/2530610. For large counts; nan where either has no hits.
    """
    p, q = share_of(hits, n), share_of(other_hits, other_n)
    with np.errstate(divide="ignore", invalid="ignore"):
        half = deviate(level) * np.sqrt((1 - p) / np.asarray(hits, float) + (1 - q) / np.asarray(other_hits, float))
        low, high = np.exp(np.log(p / q) - half), np.exp(np.log(p / q) + half)
    none = (p == 0) | (q == 0)
    return np.where(none, np.nan, low), np.where(none, np.nan, high)


def score_ratio(hits: Counts, n: Counts, other_hits: Counts, other_n: Counts, level: float = 0.95) -> Ends:
    """Interval for the ratio of two independent proportions, recovered from their Wilson intervals.

    Donner and Zou, 2012, doi 10.1177/0962280210383764. Holds for small counts and for 0 of n; the upper end is
    infinite where the other proportion may be 0.
    """
    p, q = share_of(hits, n), share_of(other_hits, other_n)
    (low_p, high_p), (low_q, high_q) = wilson(hits, n, level), wilson(other_hits, other_n, level)
    with np.errstate(divide="ignore", invalid="ignore"):
        under = (p * q) ** 2 - low_p * high_q * (2 * p - low_p) * (2 * q - high_q)
        low = (p * q - np.sqrt(np.maximum(under, 0))) / (high_q * (2 * q - high_q))
        over = (p * q) ** 2 - high_p * low_q * (2 * p - high_p) * (2 * q - low_q)
        high = (p * q + np.sqrt(np.maximum(over, 0))) / (low_q * (2 * q - low_q))
    # Where 2q = high_q the lower end is 0/0 and its limit is low_p (2p - low_p) / (2 p q).
    limit = low_p * (2 * p - low_p) / np.where(p * q > 0, 2 * p * q, np.nan)
    low = np.where(np.abs(2 * q - high_q) < 1e-9, limit, low)
    low = np.where(p == 0, 0.0, np.maximum(low, 0))
    high = np.where(low_q > 0, high, np.inf)
    empty = np.isnan(p) | np.isnan(q) | (q == 0)
    return np.where(empty, np.nan, low), np.where(empty, np.nan, high)


def ratio(hits: Counts, n: Counts, other_hits: Counts, other_n: Counts, level: float = 0.95) -> Ends:
    """Interval for the ratio of two independent proportions: ``log_ratio``, or ``score_ratio`` where either has
    fewer than 30 rows or fewer than 5 hits."""
    plenty = np.minimum(n, other_n) >= 30
    plenty &= np.minimum(hits, other_hits) >= 5
    large, small = (f(hits, n, other_hits, other_n, level) for f in (log_ratio, score_ratio))
    return np.where(plenty, large[0], small[0]), np.where(plenty, large[1], small[1])
