"""Vectors of words: given by name, or what a text model makes of a word, or of sentences that it stands in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from labkit.analyses._guard import Run, batched, in_words, unchanged
from labkit.core.refused import Refused
from labkit.data import text, wordpiece
from labkit.data.schema import Schema
from labkit.models.classifier import Classifier
from labkit.models.features import layer as found_layer


@dataclass(frozen=True)
class Vocabulary:
    """Words in their order, frequent ones first as far as the order says, and unit vectors of any of them.

    Attributes:
        place: of each word in the order.
        vectors: from words that are known to (words, width) vectors of length 1.
        spelt: from a word to how it is known, or None.
        near: how many words near a target word stand for it in random sets: fewer where each costs passes of a model.
    """

    place: Mapping[str, int]
    vectors: Callable[[Sequence[str]], np.ndarray]
    spelt: Callable[[str], str | None]
    near: int = 100


def given(asked: str, vectors: Mapping[str, np.ndarray]) -> Vocabulary:
    """Word vectors by word. Words are found as they are spelt, or in lower case."""
    sizes = {np.shape(v) for v in vectors.values()}
    if len(sizes) != 1 or len(next(iter(sizes))) != 1:
        raise Refused(asked, f"vectors of shapes {sorted(sizes)[:3]}", "one vector a word, all of one length")

    def look(words: Sequence[str]) -> np.ndarray:
        return unit(asked, np.array([vectors[w] for w in words], float), words)

    def spelt(word: str) -> str | None:
        return next((w for w in (word, word.lower()) if w in vectors), None)

    return Vocabulary({w: i for i, w in enumerate(vectors)}, look, spelt)


def of_model(run: Run, model: Classifier, schema: Schema, templates: Sequence[str], layer: str) -> Vocabulary:
    """A text model's own word vectors (the mean over a word's pieces); with templates, the mean over the sentences of its
    features at a layer, each brought to length 1 first, since sentences of one word are no words of their own."""
    asked = f"{run.analysis} of {model.name}"
    if schema.modality != "text" or (not templates and model.embedding is None):
        given = f"{schema.modality} data and a model {'with' if model.embedding else 'without'} an embedding"
        raise Refused(
            asked, given, "a text model and its data; templates= where its words have no vectors of their own"
        )
    bad = [t for t in templates if t.count("{}") != 1]
    if bad or (layer and not templates):
        given = f"the template {bad[0]!r}" if bad else f"the layer {layer!r} and no templates"
        raise Refused(asked, given, 'templates with one {} each, such as "This is {}."')
    unknown = {i for i, w in enumerate(schema.vocabulary[:2000]) if w in (text.UNKNOWN, wordpiece.UNKNOWN)}
    lines = templates or ("{}",)

    def look(words: Sequence[str]) -> np.ndarray:
        x = text.encode_texts([line.format(w) for w in words for line in lines], schema)
        with unchanged(model):
            values = _features(run, model, x, layer) if templates else _embedded(run, model, x)
        names = [f"{w} in {line!r}" if templates else w for w in words for line in lines]
        each = unit(asked, values.astype(float), names).reshape(len(words), len(lines), -1)
        return unit(asked, each.mean(1), words)

    def spelt(word: str) -> str | None:
        pieces = text.encode_texts([word], schema)[0]
        return None if unknown & set(pieces.tolist()) else word.lower()

    whole = [w for w in schema.vocabulary if w.isalpha() and text.kind(w) == text.WHOLE]
    return Vocabulary({w: i for i, w in enumerate(whole)}, look, spelt, 10 if templates else 100)


def _embedded(run: Run, model: Classifier, x: np.ndarray) -> np.ndarray:
    padding = 0 if model.padding is None else model.padding

    def part(rows: slice) -> Tensor:
        tokens = model.tensor(x[rows])
        inside = (tokens != padding).unsqueeze(-1)
        return (model.relax(tokens)[0] * inside).sum(1) / inside.sum(1)

    with torch.no_grad(), in_words(run.analysis, "a text model whose embedding takes word numbers"):
        return batched(run, "word vectors", part, len(x)).float().numpy()


def _features(run: Run, model: Classifier, x: np.ndarray, layer: str) -> np.ndarray:
    place = found_layer(model, model.tensor(x[:4]), layer)
    with torch.no_grad():
        return batched(run, "sentences", lambda rows: place(model.tensor(x[rows]))[0], len(x)).float().numpy()


def unit(asked: str, vectors: np.ndarray, words: Sequence[str]) -> np.ndarray:
    """Vectors brought to length 1. Raises Refused for one of zeros, or one that is not finite."""
    size = np.linalg.norm(vectors, axis=-1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(size[:, 0]) & (size[:, 0] > 0)))
    if len(bad):
        given = f"a vector of {words[bad[0]]!r} that is zero or not finite ({len(bad)} in all)"
        raise Refused(asked, given, "vectors with a direction")
    return np.asarray(vectors / size)
