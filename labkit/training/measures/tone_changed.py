"""Does another skin tone of the same picture change the answer?"""

from __future__ import annotations

from typing import Any

import numpy as np

import labkit as lk
from labkit.data.split import Dataset
from labkit.training.measures import Score, share
from labkit.training.recipe import Recipe


def tone_changed(model: Any, data: Dataset, recipe: Recipe) -> Score:
    """Share of the test emoji with skin tones that get another answer in at least one of five tones than in the default
    one. Each is one example, however many of its tones differ: they are not independent of each other.

    A counterfactual in the sense of M. Kusner et al., 2017, arXiv 1703.06856, with the pairs drawn and not inferred: the
    same name, and the same picture but for the tone.
    """
    tones = lk.data.load(data.name, **recipe.data_options, tones=True).test
    answer = lk.predict(model, tones).label
    tone = tones.groups["skin_tone"]
    has = tone != ""
    of = np.cumsum(tone == "default")[has]  # each base comes before its tones
    default = answer[tone == "default"][of - 1]
    changed = np.bincount(of - 1, weights=answer[has] != default) > 0
    return share(
        "emoji whose answer changes with the skin tone", changed, "95 %, Wilson, over test emoji with skin tones"
    )
