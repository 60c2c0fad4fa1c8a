"""Emoji: of which kind is a small picture with its name?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from labkit.data.split import Split
from labkit.training.measures import Goal, accuracy
from labkit.training.measures.tone_changed import tone_changed
from labkit.training.measures.towers import AboveTower, TowerAlone
from labkit.training.objectives.towers import Towers
from labkit.training.recipe import Recipe

PICTURE = (3, 32, 32)
PIXELS = 3 * 32 * 32


def emoji_fusion() -> Recipe:
    """A convolutional network for the picture and a sum over the words of the name, added late."""
    return Recipe(
        name="emoji_fusion",
        data="emoji",
        architecture="two_towers",
        config={"classes": 9, "picture": PICTURE, "hidden": 256},
        from_data=statistics,
        baseline=nothing,
        embedding="embed",
        epochs=20,
        batch_size=64,
        objective=Towers(PICTURE, smoothing=0.1, turn=15, zoom=0.15, shift=0.1, flip=True, word_dropout=0.2),
        rate=3e-3,
        weight_decay=0.05,
        average=0.995,
        validation=0.1,
        watch="loss",
        low_precision=True,
        goals=(
            Goal(accuracy, floor=0.74),
            Goal(AboveTower("image"), floor=0.0),
            Goal(AboveTower("text"), floor=0.0),
            Goal(TowerAlone("image")),
            Goal(TowerAlone("text")),
            Goal(tone_changed),
        ),
        card={
            "licence": "Apache-2.0 (weights and pictures); MIT (names)",
            "intended_use": "Showing how a model of pictures with words is explained, and whether it needs both.",
            "known_failures": (
                "Answers by the skin tone: of 59 test emoji that have tones, 25 get another answer in one of the five at least. "
                "Right are 92 % in the default yellow, the only one that it was trained on, 61 % in the light tone and 85 % in "
                "the dark one.",
                "Cartoon pictures: nothing that it does with a skin tone says anything of people's faces.",
                "Activities: 7 of 18 test emoji are recognised; food and drink: 14 of 27.",
                "Names without a known word (119 of 380 test emoji): accuracy 0.56, with one 0.88.",
                "Accuracy 0.68 without the name and 0.52 without the picture.",
                "All 54 flags of the test set have the word flag in their name, and all are recognised: they make the task "
                "easier than it looks.",
                "Trained once: the intervals are over test emoji, not over seeds.",
            ),
        },
    )


def statistics(train: Split) -> Mapping[str, Any]:
    """Size of the vocabulary, and mean and standard deviation of each color's training pixels."""
    pixels = train.x[:, :PIXELS].reshape(len(train), *PICTURE)
    return {
        "words": len(train.schema.vocabulary),
        "mean": np.round(pixels.mean((0, 2, 3), dtype=np.float64), 4).tolist(),
        "std": np.round(pixels.std((0, 2, 3), dtype=np.float64), 4).tolist(),
    }


def nothing(train: Split) -> np.ndarray:
    """A white picture without a name: what the pictures are drawn on, and padding only."""
    return np.where(np.arange(*train.schema.shape) < PIXELS, 1, 0).astype(np.float32)
