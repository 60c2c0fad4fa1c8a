"""How near the nearest training row is, by the kind of data: rows of a table, pictures, texts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from labkit.analyses import _examples
from labkit.core import progress
from labkit.core.resampling import PART
from labkit.data.split import Split

# Pictures are compared at most so large, and their fingerprints are so many cells a side.
SIDE, CELLS = 32, 7
Distances = Callable[[slice], np.ndarray]
Nearest = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Space:
    """What two rows are compared by.

    Attributes:
        about: in words.
        close: how near a copy is, in shares of the usual distance.
        between: (rows asked, rows among) to the least distance of each and which row has it.
    """

    about: str
    close: float
    between: Callable[[np.ndarray, np.ndarray], Nearest]


def space(train: Split, whole: Split, code: np.ndarray) -> Space:
    """The space that fits the data. ``code`` (n,) is the same for rows that are equal: they are left aside, and so are
    a row and itself."""
    if train.schema.modality == "image":
        light = _small(whole.x)
        about = "1 less the correlation of pixels, at the best of small shifts and the mirrored picture"
        return Space(about, 0.05, lambda asked, among: _pictures(light, code, asked, among))
    if train.schema.modality == "text":
        weighed = _words(whole, len(train))
        about = "1 less the cosine of words and pairs of words (TF-IDF)"
        return Space(about, 0.15, lambda asked, among: _cosines(weighed, code, asked, among))
    about, encode = _examples.input_space(replace(train, x=filled(train.x, train.x)))
    vectors = encode(filled(whole.x, train.x)).astype(np.float32)
    return Space(f"distance of {about}", 0.05, lambda asked, among: _vectors(vectors, code, asked, among))


def filled(x: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Numbers with the training mean of their column in place of holes; 0 where training has holes alone."""
    holes = np.isnan(x) if x.dtype.kind == "f" else np.zeros(x.shape, bool)
    if not holes.any():
        return x
    mean = np.nansum(train, 0) / np.maximum((~np.isnan(train)).sum(0), 1)
    return np.where(holes, mean, x)


def _least(distances: Distances, asked: np.ndarray, among: np.ndarray, code: np.ndarray) -> Nearest:
    """Least distance and the row that has it, part by part."""
    step = max(1, PART // len(among))
    least, place = np.full(len(asked), np.inf), np.zeros(len(asked), np.int64)
    for start in range(0, len(asked), step):
        progress.step("nearest training rows", start, len(asked))
        part = slice(start, start + step)
        found = distances(part)
        found[code[asked[part], None] == code[among]] = np.inf
        place[part] = found.argmin(1)
        least[part] = found[np.arange(len(found)), place[part]]
    return least, among[place]


def _vectors(x: np.ndarray, code: np.ndarray, asked: np.ndarray, among: np.ndarray) -> Nearest:
    others = x[among]
    size = np.square(others).sum(1)

    def squared(part: slice) -> np.ndarray:
        rows = x[asked[part]]
        return np.asarray(size - 2 * rows @ others.T + np.square(rows).sum(1, keepdims=True))

    _, place = _least(squared, asked, among, code)
    # Differences of large squares lose the small ones that matter here.
    return np.sqrt(np.square(x[asked].astype(np.float64) - x[place]).sum(1)), place


def normalized(text: str) -> str:
    """A text without case, punctuation and spacing."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def lines(split: Split) -> list[str]:
    """Every text, normalised; of bare word numbers the numbers."""
    if split.texts:
        return [normalized(t) for t in split.texts]
    return [" ".join(map(str, row[row != 0])) for row in split.x]


def _words(whole: Split, train: int) -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    counts = HashingVectorizer(
        ngram_range=(1, 2), n_features=2**18, alternate_sign=False, norm=None, token_pattern=r"\S+", lowercase=False
    ).transform(lines(whole))
    return TfidfTransformer(sublinear_tf=True).fit(counts[:train]).transform(counts).tocsr()


def _cosines(weighed: Any, code: np.ndarray, asked: np.ndarray, among: np.ndarray) -> Nearest:
    others = weighed[among].T.tocsr()
    return _least(lambda part: 1 - (weighed[asked[part]] @ others).toarray(), asked, among, code)


def _small(x: np.ndarray) -> np.ndarray:
    """(n, height, width) light of pictures, in blocks where they are larger than SIDE."""
    light = x.mean(1, dtype=np.float32)
    down, across = (-(-n // SIDE) for n in light.shape[1:])
    height, width = light.shape[1] // down * down, light.shape[2] // across * across
    blocks = light[:, :height, :width].reshape(len(light), height // down, down, width // across, across)
    return np.asarray(blocks.mean((2, 4)))


def _unit(flat: np.ndarray) -> np.ndarray:
    """Vectors without their mean and of length 1: neither brightness nor contrast counts."""
    flat = flat - flat.mean(-1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=-1, keepdims=True), 1e-6), np.float32)


def _cells(light: np.ndarray) -> np.ndarray:
    """(n, cells) means of blocks."""
    rows, columns = (np.linspace(0, n, min(CELLS, n) + 1).astype(int)[:-1] for n in light.shape[-2:])
    sums = np.add.reduceat(np.add.reduceat(light, rows, -2), columns, -1)
    return _unit(sums.reshape(*light.shape[:-2], -1))


def _pictures(light: np.ndarray, code: np.ndarray, asked: np.ndarray, among: np.ndarray) -> Nearest:
    """Candidates by fingerprints of shifted and mirrored pictures; the nearest of them by its pixels."""
    far = max(1, min(light.shape[1:]) // 14)
    height, width = light.shape[1:]

    def cut(rows: np.ndarray, mirrored: bool = False, down: int = 0, across: int = 0) -> np.ndarray:
        """The inside of pictures, moved by so many pixels."""
        picture = light[rows][:, :, ::-1] if mirrored else light[rows]
        return picture[:, far + down : height - far + down, far + across : width - far + across]

    some, every = (-far, 0, far), range(-far, far + 1)
    candidates = _candidates(cut, [(m, d, a) for m in (False, True) for d in some for a in some], code, asked, among)
    inside = [_unit(cut(among[c]).reshape(len(asked), -1)) for c in candidates.T]
    best, place = np.full(len(asked), -1.0), np.zeros(len(asked), np.int64)
    for move in [(m, d, a) for m in (False, True) for d in every for a in every]:
        own = _unit(cut(asked, *move).reshape(len(asked), -1))
        for candidate, other in zip(candidates.T, inside):
            alike = np.where(code[asked] == code[among[candidate]], -1, (own * other).sum(1))
            place = np.where(alike > best, candidate, place)
            best = np.maximum(best, alike)
    return 1 - best, among[place]


def _candidates(
    cut: Callable[..., np.ndarray],
    moves: list[tuple[bool, int, int]],
    code: np.ndarray,
    asked: np.ndarray,
    among: np.ndarray,
) -> np.ndarray:
    """(asked, 3) rows among the others whose fingerprints are the most alike under any of the moves."""
    fingerprints, chosen = _cells(cut(among)).T, []
    step = max(1, PART // len(among))
    for start in range(0, len(asked), step):
        progress.step("nearest training pictures", start, len(asked))
        rows = asked[start : start + step]
        same = code[rows, None] == code[among]
        best, place = [], []
        for move in moves:
            alike = _cells(cut(rows, *move)) @ fingerprints
            alike[same] = -2
            place.append(alike.argmax(1))
            best.append(alike.max(1))
        order = np.argsort(-np.stack(best, 1), axis=1, kind="stable")[:, :3]
        chosen.append(np.take_along_axis(np.stack(place, 1), order, 1))
    return np.concatenate(chosen)
