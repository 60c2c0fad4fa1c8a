"""How many exceptions chance allows."""

from __future__ import annotations


def allowed(n: int, rate: float, level: float = 0.01) -> int:
    """The most exceptions among n rows that a true rate of ``rate`` exceeds with probability ``level`` at most."""
    from scipy.stats import binom

    return int(binom.ppf(1 - level, n, rate)) if n else 0
