"""Does a model hear what a stranger says? Accuracy on each speaker by a model that was trained on the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import labkit as lk
from labkit.core.intervals import mean
from labkit.data.split import Dataset, Split
from labkit.training.measures import Score, share
from labkit.training.recipe import Recipe

_answered: dict[tuple[str, str, str], np.ndarray] = {}  # a speaker's own score and the mean share one training


@dataclass(frozen=True)
class LeftOut:
    """Accuracy on all recordings of one speaker, training and test takes alike, by the recipe trained anew on the
    training takes of all others, with seed 0."""

    speaker: str

    def __call__(self, model: Any, data: Dataset, recipe: Recipe) -> Score:
        hits = _hits(model, data, recipe, self.speaker)
        name = f"accuracy on the speaker {self.speaker}, left out of training"
        return share(name, hits, "95 %, Wilson, over recordings of this speaker")


def every_speaker_left_out(model: Any, data: Dataset, recipe: Recipe) -> Score:
    """The mean of ``LeftOut`` over all speakers, each of whom is a stranger once."""
    each = np.array([_hits(model, data, recipe, str(s)).mean() for s in np.unique(data.train.groups["speaker"])])
    name = "accuracy on a speaker left out of training, mean of all"
    return Score(name, float(each.mean()), *mean(each), len(each), "95 %, Student, over speakers")


def _hits(model: Any, data: Dataset, recipe: Recipe, speaker: str) -> np.ndarray:
    """(n,) whether each of the speaker's recordings is understood by a model that never heard the voice, trained on
    the device of this one."""
    key = str(recipe.hyperparameters), data.train.digest, speaker
    if key not in _answered:
        from labkit.training.loop import fit
        from labkit.training.shipping import as_model

        others = data.train[data.train.groups["speaker"] != speaker]
        plan = replace(recipe, name=f"{recipe.name} without {speaker}")
        stranger = as_model(fit(plan, others, device=str(model.device)), plan, data)
        own = [part[part.groups["speaker"] == speaker] for part in data]
        _answered[key] = np.concatenate([_right(stranger, part) for part in own])
    return _answered[key]


def _right(model: Any, part: Split) -> np.ndarray:
    p = lk.predict(model, part)
    return p.label == p.y
