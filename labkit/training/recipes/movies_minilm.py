"""Movie snippets, read by a pretrained language model that was tuned to them."""

from __future__ import annotations

import numpy as np

from labkit.data.split import Split
from labkit.training.measures import Goal, accuracy
from labkit.training.recipe import Recipe

MASK = 103  # the word piece [MASK]


def movies_minilm() -> Recipe:
    """all-MiniLM-L6-v2 with differences of low rank: what it knew of words beforehand is worth six points of accuracy."""
    return Recipe(
        name="movies_minilm",
        data="movies_minilm",
        architecture="minilm",
        config={"classes": 2, "tuned": 4, "rank": 16, "dropout": 0.1},
        baseline=masks,
        embedding="encoder.embeddings.word_embeddings",
        padding=0,
        epochs=3,
        batch_size=64,
        optimizer="adamw",
        rate=1.5e-3,
        warmup=0.1,
        weight_decay=0.01,
        label_smoothing=0.1,
        clip=1.0,
        validation=0.1,
        watch="loss",
        low_precision=True,
        goals=(Goal(accuracy, floor=0.83),),
        card={
            "licence": "Apache-2.0 (weights, and the pretrained ones, which are not shipped); MIT (data)",
            "intended_use": "Showing how a Hugging Face model is tuned, explained and attacked word by word.",
            "needs": 'pip install "labkit[text]"',
            "known_failures": (
                "Leans to the negative: it recognises 88.5 % of the negative test sentences and 80.1 % of the positive.",
                "Some turns escape it: 'never boring' is negative to it (0.25 positive) and 'hardly a masterpiece' undecided "
                "(0.49); sentences with a negation: accuracy 0.83 (n = 483), the others 0.85.",
                "Sentences of 35 word pieces or more: accuracy 0.82 (n = 418); pieces beyond the 64th are cut.",
                "Trained with one seed: how much another one would differ is not known.",
                "English sentences from film reviews of about 2004, on top of whatever the pretrained model learned from "
                "the web.",
            ),
        },
    )


def masks(train: Split) -> np.ndarray:
    """A text of [MASK] only: the piece that stood for any word when the model was first trained."""
    return np.full(train.schema.shape, MASK, np.int64)
