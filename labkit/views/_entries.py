"""The entries of an input as a person reads them: words instead of their pieces, columns instead of their one-hot parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.records.explain import Explanation

PIECE = "##"  # begins a piece that goes on with the word before it


@dataclass(frozen=True)
class Entries:
    """What one input is made of.

    Attributes:
        labels: one for each part, unlike any other's.
        words: the same without their place, for reading one after the other.
        owner: for each entry of the input the part that it belongs to; -1 for padding.
    """

    labels: tuple[str, ...]
    words: tuple[str, ...]
    owner: np.ndarray

    def summed(self, values: np.ndarray) -> np.ndarray:
        """(parts,) sums of one input's values."""
        flat, inside = np.asarray(values, np.float64).ravel(), self.owner >= 0
        return np.bincount(self.owner[inside], flat[inside], minlength=len(self.labels))


def entries(record: Explanation, i: int) -> Entries:
    """The parts of example ``i`` of a table or a text."""
    shown = record.texts[i] if record.texts else tuple(f"{v:g}" for v in record.x[i].ravel())
    if record.modality == "text":
        return _words(shown)
    names = record.names or tuple(f"{place + 1}" for place in range(len(shown)))
    if record.features is None:
        labels = [f"{name} = {text}" if record.names else f"{text} · {name}" for name, text in zip(names, shown)]
        # what equals the baseline has nothing to be credited with, which says nothing of its influence
        same = record.x[i].ravel() == record.baseline[i].ravel()
        labels = [f"{label} (as the baseline)" if s else label for label, s in zip(labels, same)]
        return Entries(tuple(labels), tuple(shown), np.arange(len(shown)))
    owner = record.features.ravel()
    called = record.feature_names or tuple(f"feature {k}" for k in range(int(owner.max()) + 1))
    labels = []
    for k, name in enumerate(called):
        places = np.flatnonzero(owner == k)
        parts = [f"{names[p]} {shown[p]}" for p in places if record.x[i].ravel()[p] != 0] or ["none"]
        labels.append(f"{name} = {shown[places[0]] if len(places) == 1 else ', '.join(parts[:3])}")
    return Entries(tuple(labels), tuple(called), owner)


def _words(pieces: tuple[str, ...]) -> Entries:
    words: list[str] = []
    owner = np.full(len(pieces), -1)
    for place, piece in enumerate(pieces):
        if not piece:
            continue
        if piece.startswith(PIECE) and words:
            words[-1] += piece.removeprefix(PIECE)
        else:
            words.append(piece)
        owner[place] = len(words) - 1
    first = [int(np.flatnonzero(owner == k)[0]) + 1 for k in range(len(words))]
    return Entries(tuple(f"{word} · {place}" for word, place in zip(words, first)), tuple(words), owner)
