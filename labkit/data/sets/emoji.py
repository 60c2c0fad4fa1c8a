"""Noto emoji: a small picture and its name, and of which kind it is."""

from __future__ import annotations

import math

import numpy as np

from labkit.data import embedded
from labkit.data.holdout import holdout
from labkit.data.idx import read_idx
from labkit.data.schema import Schema
from labkit.data.split import Dataset, Split
from labkit.data.tabular import labels
from labkit.data.text import encode_texts, vocabulary

_PICTURE, _WORDS = (3, 32, 32), 12
_CLASSES = (
    "Smileys & Emotion",
    "People & Body",
    "Animals & Nature",
    "Food & Drink",
    "Travel & Places",
    "Activities",
    "Objects",
    "Symbols",
    "Flags",
)


def emoji(tones: bool = False) -> Dataset:
    """1,906 base emoji of nine categories, four fifths to train on: a picture of 32 x 32 pixels and a name each.

    A row of x holds the 3 * 32 * 32 pixel values from 0 to 1, red first, then 12 word numbers, 0 for padding and 1 for
    unknown; the vocabulary is every word that occurs in two training names. Kin (man, woman and adult of one occupation,
    one direction and the other, equal pictures) are on one side of the split. The group skin_tone is "default" where a
    picture can take other tones and "" where it cannot.

    Args:
        tones: also the 1,580 pictures in another skin tone (light, medium-light, medium, medium-dark, dark), under the
            same name and on the same side as theirs, each after its base: the same picture, but for the tone.

    Source: Google, Noto Emoji (Apache-2.0), as packed in emoji-datasource-google 16.0.0 by C. Henderson, 2024 (MIT).
    """
    frame = embedded.table("emoji")
    pictures = read_idx(embedded.content("emoji", "pictures-idx4-ubyte.gz"), "pictures")
    y = frame["category"].map(_CLASSES.index).to_numpy().astype(np.int64)
    texts = np.array([str(t).lower() for t in frame["name"]], dtype=object)
    base = (frame["code"] == frame["base"]).to_numpy()
    chosen = holdout((k.encode() for k in frame["kin"][base]), y[base], 0.2)
    held_out = frame["base"].isin(frame["code"][base][chosen]).to_numpy()
    words = vocabulary(texts[base & ~held_out])
    numbers = encode_texts(tuple(texts), Schema("text", "", (_WORDS,), vocabulary=words))
    pixels = pictures.transpose(0, 3, 1, 2).reshape(len(y), -1) / np.float32(255)
    x = np.concatenate([pixels, numbers.astype(np.float32)], 1)
    tone = labels(frame["skin_tone"], missing="")
    name = "emoji_tones" if tones else "emoji"
    schema = Schema(
        "image+text",
        "the category of the emoji",
        (math.prod(_PICTURE) + _WORDS,),
        picture=_PICTURE,
        vocabulary=words,
        groups=("skin_tone",),
    )

    def part(side: np.ndarray, which: str) -> Split:
        rows = side & (base | tones)
        groups, kept = {"skin_tone": tone[rows]}, tuple(texts[rows])
        return Split(x[rows], y[rows], schema, _CLASSES, f"{name}/{which}", groups=groups, texts=kept)

    return Dataset(name, part(~held_out, "train"), part(held_out, "test"), embedded.card("emoji"))
