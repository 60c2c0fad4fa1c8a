"""Time series in the text form of the UCR and UEA archive, read from the files that the package sktime carries.

sktime itself is never imported: two of its files are all that is asked of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labkit.core import extras
from labkit.core.refused import Refused
from labkit.data.schema import Schema
from labkit.data.split import Dataset, Split


def archived(
    problem: str, digests: Mapping[str, str], *, name: str, target: str, classes: Sequence[str], card: Mapping[str, Any]
) -> Dataset:
    """A set of the archive with its own training and test parts: x (n, channels, steps), shorter series filled up with 0.

    Args:
        problem: what the archive calls it.
        digests: SHA-256 of the files "TRAIN" and "TEST".
        classes: their names, in the order of the labels in the files, which are 1, 2, ...

    Raises:
        Refused: sktime is not installed, or its files are others.
    """
    parts = {}
    for part, sha256 in digests.items():
        file = f"{problem}_{part}.ts"
        raw = extras.content("sktime", f"datasets/data/{problem}/{file}", sha256, "timeseries")
        parts[part] = read_ts(raw.decode(), file)
    steps = max(s.shape[1] for series, _ in parts.values() for s in series)
    schema = Schema("series", target, (len(parts["TRAIN"][0][0]), steps))

    def split(part: str) -> Split:
        series, labels = parts[part]
        x = np.stack([np.pad(s, ((0, 0), (0, steps - s.shape[1]))) for s in series])
        y = np.array(labels, np.int64) - 1
        return Split(x, y, schema, tuple(classes), f"{name}/{part.lower()}")

    return Dataset(name, split("TRAIN"), split("TEST"), card)


def read_ts(text: str, name: str) -> tuple[list[np.ndarray], list[str]]:
    """Series (channels, steps), float32, and their labels: in a line channels end with ":", and the label comes last.

    Raises:
        Refused: anything but equally spaced numbers, as many in each channel of a series.
    """
    lines = [line.strip() for line in text.partition("@data")[2].splitlines()]
    series, labels = [], []
    for i, line in enumerate(filter(None, lines), start=1):
        *channels, label = line.split(":")
        try:
            series.append(np.array([c.split(",") for c in channels]).astype(np.float32))
        except ValueError as error:
            raise Refused(f"series {i} of {name}", str(error), "numbers, as many in each channel") from None
        labels.append(label)
    if not series:
        raise Refused(f"the series of {name}", "no line after @data", "a .ts file of the UCR and UEA archive")
    return series, labels
