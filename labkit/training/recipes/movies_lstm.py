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
        card={**like.card, "known_failures": ()},
    )
