"""Numbers as a person reads them in a sentence."""

from __future__ import annotations

import math


def share(value: float, low: float = math.nan, high: float = math.nan) -> str:
    """A proportion as a natural frequency with its interval: "71 of 100 (64 to 78)"."""
    digits = 0 if 0.095 <= value <= 0.905 or value in (0, 1) else 1
    of_100 = f"{100 * value:.{digits}f} of 100"
    return of_100 if math.isnan(low) else f"{of_100} ({100 * low:.{digits}f} to {100 * high:.{digits}f})"


def counted(hits: int, n: int, low: float = math.nan, high: float = math.nan, what: str = "") -> str:
    """A count, with the interval of the share: "18 of 20 rows (share 0.70 to 0.97)"."""
    plain = f"{hits} of {n:,}{' ' + what if what else ''}"
    return plain if math.isnan(low) else f"{plain} (share {low:.2f} to {high:.2f})"


def number(value: float, low: float = math.nan, high: float = math.nan, digits: int = 0) -> str:
    """A value with its 95 % interval: "0.71 (0.64 to 0.78)"; with so many ``digits``, or as many as its size asks for."""
    digits = digits or (2 if abs(value) >= 0.095 or value == 0 else 3)
    # what rounds to 0 has no sign
    plain, below, above = (f"{round(v, digits) + 0.0:.{digits}f}" for v in (value, low, high))
    return plain if math.isnan(low) else f"{plain} ({below} to {above})"


def lead(ahead: float, low: float, high: float) -> str:
    """How far one is ahead of another, with its 95 % interval: "0.110 (0.086 to 0.133) ahead", or so much behind."""
    if ahead < 0:
        return f"{number(-ahead, -high, -low, digits=3)} behind"
    return f"{number(ahead, low, high, digits=3)} ahead"


def less(value: float, low: float, high: float) -> str:
    """How much less one has than another, with its 95 % interval: "0.110 (0.086 to 0.133) less", or so much more."""
    if value < 0:
        return f"{number(-value, -high, -low, digits=3)} more"
    return f"{number(value, low, high, digits=3)} less"


def p_value(p: float) -> str:
    """A p-value: "p = 0.03", or its order of magnitude where it is small."""
    if p >= 0.001:
        return f"p = {p:.2g}"
    return f"p = {p:.0e}" if p > 0 else "p < 1e-300"


def spoken(name: str) -> str:
    """A name in code as words: "selection rate"."""
    return name.replace("_", " ")


def quantity(value: float, unit: str) -> str:
    """A number with its unit and the prefix that its size asks for: "3.5 GFLOP"; "unknown FLOP" for nan."""
    if math.isnan(value):
        return f"unknown {unit}"
    power = min(max(int(math.log10(abs(value)) // 3), 0), 6) if value else 0
    return f"{value / 1000**power:.3g} {('', 'k', 'M', 'G', 'T', 'P', 'E')[power]}{unit}"
