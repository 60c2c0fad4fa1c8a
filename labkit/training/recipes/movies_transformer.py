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
            "known_failures": (),
        },
    )


def sizes(train: Split) -> Mapping[str, Any]:
    """How many word numbers there are, and how many words a text has at most."""
    return {**vocabulary_size(train), "longest": train.schema.shape[0]}
