"""Japanese vowels: which of nine men says them?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from labkit.data.split import Split
from labkit.training.measures import Goal, accuracy
from labkit.training.recipe import Recipe


def vowels_rnn() -> Recipe:
    """A recurrent network over series of 7 to 29 steps, in both directions."""
    return Recipe(
        name="vowels_rnn",
        data="japanese_vowels",
        architecture="series_rnn",
        config={"classes": 9, "channels": 12, "hidden": 32, "dropout": 0.2},
        from_data=channel_statistics,
        baseline=mean_step,
        padding=0,
        epochs=60,
        batch_size=30,
        optimizer="adamw",
        rate=5e-3,
        weight_decay=0.05,
        clip=1.0,
        average=0.98,
        validation=0.1,
        watch="loss",
        goals=(Goal(accuracy, floor=0.95),),
        card={
            "licence": "Apache-2.0 (weights); CC BY 4.0 (data)",
            "intended_use": "Showing how recurrent models of time series of unequal length are explained.",
            "known_failures": (
                "Hardly reads order: with the steps of each test series shuffled it is still right in 0.96.",
                "No better than a support vector machine on the mean of the steps, which is right in 0.97.",
                "From the first half of each series it is right in 0.75 only.",
                "Nine men only: every other voice is taken for one of them.",
            ),
        },
    )


def channel_statistics(train: Split) -> Mapping[str, Any]:
    """Mean and standard deviation of each channel over the steps that are no padding."""
    steps = _steps(train)
    return {"mean": [round(float(v), 4) for v in steps.mean(0)], "std": [round(float(v), 4) for v in steps.std(0)]}


def mean_step(train: Split) -> np.ndarray:
    """The mean of all steps at every place; where a series is padded, the padding stays."""
    return np.repeat(_steps(train).mean(0)[:, None], train.schema.shape[1], 1).astype(np.float32)


def _steps(train: Split) -> np.ndarray:
    """(steps, channels) of all series, without padding."""
    steps = train.x.transpose(0, 2, 1).reshape(-1, train.schema.shape[0]).astype(np.float64)
    return steps[(steps != 0).any(1)]
