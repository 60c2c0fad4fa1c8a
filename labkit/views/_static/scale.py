"""One axis of one panel: from a figure's values to positions, and from positions to tick labels."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from typing import Any

import numpy as np

_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_STYLE = re.compile(r"</?(?:b|i|em|strong|sub|sup|span)(?:\s+style=\"[^\"<>]*\")?>", re.IGNORECASE)


def plain(text: Any) -> str:
    """Plotly's text as plain text: its line breaks kept, its style tags dropped, anything else literal."""
    return "" if text is None else _STYLE.sub("", _BREAK.sub("\n", str(text)))


def wrapped(title: str, width: float) -> str:
    """A title in lines that fit so many pixels, at the 9 that a letter of it takes."""
    return "\n".join(part for line in title.split("\n") for part in textwrap.wrap(line, int(width / 9)) or [""])


class Scale:
    """Positions along an axis. ``kind`` is "linear", "log" or "category".

    Args:
        axis: the layout's axis.
        values: everything that the traces place along it, which settles the categories.
    """

    def __init__(self, axis: Any, values: Iterable[Any]) -> None:
        self.axis = axis
        flat = [v for group in values if group is not None for v in np.asarray(group, object).ravel()]
        named = axis.type == "category" or (axis.type is None and any(isinstance(v, str) for v in flat))
        if axis.type not in (None, "-", "linear", "log", "category"):
            raise NotImplementedError(f"an axis of type {axis.type!r} in a static figure")
        self.kind = "category" if named else "log" if axis.type == "log" else "linear"
        self.names: list[str] = []
        if named:
            given = list(axis.categoryarray if axis.categoryarray is not None else ())
            self.names = list(dict.fromkeys(str(v) for v in [*given, *flat]))
            if axis.categoryorder in ("category ascending", "category descending"):
                self.names.sort(reverse=axis.categoryorder.endswith("descending"))

    def __call__(self, values: Any) -> np.ndarray:
        """Positions of values; missing values become NaN."""
        items = np.atleast_1d(np.asarray(values, object))
        if self.kind == "category":
            where = {name: i for i, name in enumerate(self.names)}
            return np.array([where[str(v)] if isinstance(v, str) or str(v) in where else v for v in items], float)
        return np.array([np.nan if v is None else v for v in items], float)

    def annotation(self, value: Any) -> float:
        """The position of an annotation; plotly gives it as an exponent on log axes."""
        position = float(self([value])[0])
        return 10**position if self.kind == "log" else position

    def limits(self) -> tuple[float, float] | None:
        """The range asked for, in positions, or None."""
        given = self.axis.range
        if given is None or None in given:
            if self.kind != "category":
                return None
            ends = (-0.5, len(self.names) - 0.5)
            return ends[::-1] if self.reversed else ends
        low, high = (float(v) for v in given)
        return (10**low, 10**high) if self.kind == "log" else (low, high)

    @property
    def reversed(self) -> bool:
        return self.axis.autorange == "reversed"

    def ticks(self) -> tuple[np.ndarray, list[str]] | None:
        """Tick positions and labels where the figure, or a category axis, fixes them."""
        axis = self.axis
        if axis.tickvals is not None:
            texts = axis.ticktext if axis.ticktext is not None else [self.label(v) for v in axis.tickvals]
            return self(axis.tickvals), [plain(t) for t in texts]
        if self.kind == "category":
            return np.arange(len(self.names)), [plain(n) for n in self.names]
        return None

    def label(self, value: Any) -> str:
        """A tick's value as plotly would print it, for the common formats."""
        form = (self.axis.tickformat or "").replace("~", "")
        if isinstance(value, str):
            text = value
        else:
            try:
                text = format(float(value), form) if form else f"{float(value):.6g}"
            except ValueError:
                text = f"{float(value):.6g}"
        return f"{self.axis.tickprefix or ''}{text}{self.axis.ticksuffix or ''}".replace("-", "−", 1)
