"""Does a model give wrong labels back that it was trained on?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import labkit as lk
from labkit.data.split import Dataset
from labkit.training.loop import hold_out
from labkit.training.measures import Score, share
from labkit.training.recipe import Recipe


def memorised(model: Any, data: Dataset, recipe: Recipe) -> Score:
    """Share of the flipped training labels that the model answers with; those held out for validation do not count.

    A wrong label cannot be learned from other examples: a model that finds them all again remembers each one (Zhang et
    al., 2016, arXiv 1611.03530). One that remembers none is right on these images, and hardly ever gives their labels.
    """
    splits = (plan.prepared(data.train) for plan in (replace(recipe, damage=None), recipe))
    true, seen = (hold_out(split, recipe.validation)[0] for split in splits)
    p = lk.predict(model, seen[seen.y != true.y])
    return share("train accuracy on flipped labels", p.label == p.y, "95 %, Wilson, over flipped training labels")
