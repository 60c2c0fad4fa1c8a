"""Movie snippets, read by long short-term memory."""

from __future__ import annotations

from dataclasses import replace

from labkit.training.recipe import Recipe
from labkit.training.recipes.movies_gru import movies_gru


def movies_lstm() -> Recipe:
    """As ``movies_gru``, with LSTM cells in place of gated recurrent units, and everything else alike."""
    like = movies_gru()
    return replace(
        like,
        name="movies_lstm",
        config={**like.config, "cell": "lstm"},
        card={
            **like.card,
            "known_failures": (
                "Hardly reads word order: shuffling the words of each test sentence leaves its accuracy at 0.77.",
                "Sentences with a negation (not, n't, never, no, without, hardly): accuracy 0.72 (n = 483), the others 0.80; "
                "'never boring' is negative to it, and 'not a good film' positive.",
                "Sentences with four or more unknown words: accuracy 0.73 (n = 258), without any 0.81 (n = 644).",
                "No better than TF-IDF with logistic regression, which reaches 0.787 on the same test set.",
                "English sentences from film reviews of about 2004 only; words beyond the 48th are cut.",
            ),
        },
    )
