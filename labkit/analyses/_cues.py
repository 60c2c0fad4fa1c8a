"""What is cheap to read off an input: a number or a category that takes no understanding of what is in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.data.split import Split


@dataclass(frozen=True, eq=False)
class Cue:
    """One reading of every row.

    Attributes:
        values: (n,) numbers, or whole-number codes where ``coded``.
        where: the rows and columns of the pixels that it is read from, or the column of a table; () elsewhere.
    """

    name: str
    values: np.ndarray
    coded: bool = False
    where: tuple[slice | int, ...] = ()


def cues(split: Split) -> list[Cue]:
    """The cues of a split, by its kind: a table's columns; light, contrast, edges and corners of images; the length of
    texts and their share of unknown words; mean, spread, range and roughness of sounds and series."""
    schema = split.schema
    if schema.modality == "tabular":
        return [
            Cue(f.name, split.x[:, i].astype(np.float64), f.kind == "categorical", (i,))
            for i, f in enumerate(schema.features)
        ]
    pixels = schema.pixels
    if schema.modality == "image":
        return _of_images(split.x)
    if schema.modality == "image+text":
        picture = split.x[:, :pixels].reshape(len(split), *schema.picture)
        return [*_of_images(picture), *_of_texts(split.x[:, pixels:])]
    return _of_texts(split.x) if schema.modality == "text" else _of_signals(split.x)


def _of_texts(x: np.ndarray) -> list[Cue]:
    length = np.count_nonzero(x, axis=1).astype(float)
    return [Cue("length in words", length), Cue("unknown words", (x == 1).sum(1) / np.maximum(length, 1))]


def _of_signals(x: np.ndarray) -> list[Cue]:
    flat = x.reshape(len(x), -1).astype(np.float64)
    rough = np.abs(np.diff(flat, axis=1)).mean(1)
    named = {"mean": flat.mean(1), "spread": flat.std(1), "range": np.ptp(flat, axis=1), "roughness": rough}
    return [Cue(name, values) for name, values in named.items()]


def _of_images(x: np.ndarray) -> list[Cue]:
    height, width = x.shape[2:]
    light = x.mean(1, dtype=np.float64)
    inside = np.zeros((height, width), bool)
    side, across = max(1, height // 14), max(1, width // 14)
    inside[side:-side, across:-across] = True
    named = {
        "mean brightness": light.mean((1, 2)),
        "contrast": light.std((1, 2)),
        "brightness of the edge": light[:, ~inside].mean(1),
        "sharpness": np.abs(np.diff(light, axis=2)).mean((1, 2)),
    }
    return [*(Cue(name, values) for name, values in named.items()), *corners(light)]


def corners(light: np.ndarray) -> list[Cue]:
    """The mean of each corner, a quarter of the side wide, of (n, height, width) pictures."""
    height, width = (max(1, n // 4) for n in light.shape[1:])
    places = {
        "upper left corner": (slice(None, height), slice(None, width)),
        "upper right corner": (slice(None, height), slice(-width, None)),
        "lower left corner": (slice(-height, None), slice(None, width)),
        "lower right corner": (slice(-height, None), slice(-width, None)),
    }
    return [Cue(name, light[:, r, c].mean((1, 2)), where=(r, c)) for name, (r, c) in places.items()]
