"""Movie snippets, read by a transformer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labkit.data.split import Split
from labkit.training.measures import Goal, accuracy
from labkit.training.recipe import Recipe
from labkit.training.recipes.movies_gru import unknown_words, vocabulary_size


def movies_transformer() -> Recipe:
    """A small transformer with learned embeddings, from scratch, whose attention maps can be read."""
    return Recipe(
        name="movies_transformer",
        data="movies",
        architecture="text_transformer",
        config={
            "classes": 2,
            "width": 64,
            "heads": 4,
            "blocks": 2,
            "hidden": 64,
            "word_noise": 0.5,
            "dropout": 0.5,
        },
        from_data=sizes,
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
        goals=(Goal(accuracy, floor=0.77),),
        card={
            "licence": "Apache-2.0 (weights); MIT (data)",
            "intended_use": "Showing how attention is read, and how text models are explained and attacked word by word.",
            "known_failures": (
                "Depends on the seed: the one with the best validation score reaches 0.784 on the test set, the other two 0.760 "
                "and 0.762, below the floor.",
                "Hardly reads word order: shuffling the words of each test sentence leaves its accuracy at 0.79.",
                "Sentences with a negation (not, n't, never, no, without, hardly): accuracy 0.70 (n = 483), the others 0.81; "
                "'never boring' is negative to it, and 'not good' positive.",
                "Sentences with four or more unknown words: accuracy 0.72 (n = 258), without any 0.82 (n = 644).",
                "English sentences from film reviews of about 2004 only; words beyond the 48th are cut.",
            ),
        },
    )


def sizes(train: Split) -> Mapping[str, Any]:
    """How many word numbers there are, and how many words a text has at most."""
    return {**vocabulary_size(train), "longest": train.schema.shape[0]}
