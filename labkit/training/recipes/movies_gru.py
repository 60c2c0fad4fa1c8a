"""Movie snippets: is a sentence from a film review positive?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from labkit.data.split import Split
from labkit.training.augment import UNKNOWN
from labkit.training.measures import Goal, accuracy
from labkit.training.recipe import Recipe


def movies_gru() -> Recipe:
    """A bidirectional GRU with learned embeddings, from scratch: 8,455 sentences teach words and hardly their order."""
    return Recipe(
        name="movies_gru",
        data="movies",
        architecture="recurrent",
        config={"cell": "gru", "classes": 2, "width": 64, "hidden": 32, "word_noise": 0.5, "dropout": 0.5},
        from_data=vocabulary_size,
        baseline=unknown_words,
        embedding="embed",
        padding=0,
        epochs=5,
        batch_size=128,
        optimizer="adamw",
        rate=3e-3,
        weight_decay=0.05,
        label_smoothing=0.1,
        clip=1.0,
        average=0.995,
        word_dropout=0.2,
        validation=0.1,
        watch="loss",
        goals=(Goal(accuracy, floor=0.76),),
        card={
            "licence": "Apache-2.0 (weights); MIT (data)",
            "intended_use": "Showing how text models are explained and attacked word by word.",
            "known_failures": (
                "Hardly reads word order: shuffling the words of each test sentence leaves its accuracy at 0.78.",
                "Sentences with a negation (not, n't, never, no, without, hardly): accuracy 0.71 (n = 483), the others 0.80; "
                "'never boring' is negative to it, and 'not a good film' positive.",
                "Sentences with four or more unknown words: accuracy 0.71 (n = 258), without any 0.81 (n = 644).",
                "No better than TF-IDF with logistic regression, which reaches 0.787 on the same test set.",
                "English sentences from film reviews of about 2004 only; words beyond the 48th are cut.",
            ),
        },
    )


def vocabulary_size(train: Split) -> Mapping[str, Any]:
    """How many word numbers there are."""
    return {"words": len(train.schema.vocabulary)}


def unknown_words(train: Split) -> np.ndarray:
    """A text of unknown words only. Word dropout has trained that word to mean nothing in particular; padding would
    change how long the text is, and with it which words count."""
    return np.full(train.schema.shape, UNKNOWN, np.int64)
