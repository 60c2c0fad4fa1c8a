"""Fashion-MNIST: ten kinds of clothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from labkit.data.split import Split
from labkit.training.measures import Goal, accuracy
from labkit.training.recipe import Recipe


def fashion_cnn() -> Recipe:
    """A plain convolutional network, trained on all 60,000 images with shifts and mirror images, no defence."""
    return Recipe(
        name="fashion_cnn",
        data="fashion_mnist",
        data_options={"full": True},
        architecture="cnn",
        config={"classes": 10, "size": 28, "widths": (24, 48, 64, 64), "pooled": (1, 2, 4)},
        from_data=pixel_statistics,
        epochs=30,
        batch_size=256,
        optimizer="sgd",
        rate=0.1,
        weight_decay=5e-4,
        label_smoothing=0.05,
        average=0.998,
        shift=2,
        flip=True,
        low_precision=True,
        compile=True,
        goals=(Goal(accuracy, floor=0.93),),
        card={
            "licence": "Apache-2.0 (weights); MIT (data)",
            "intended_use": "Showing how image models are explained, attacked and audited.",
            "known_failures": (
                "Shirts: 774 of the 1,000 test images are recognised; most others are taken for T-shirts, coats or pullovers.",
                "Not defended: changes of at most 0.05 a pixel (PGD, 20 steps) leave none of 200 test images right.",
                "Grey images of 28 x 28 pixels on a black ground only, without rotation or clutter.",
            ),
        },
    )


def pixel_statistics(train: Split) -> Mapping[str, Any]:
    """Mean and standard deviation of the training pixels."""
    return {
        "mean": round(float(train.x.mean(dtype=np.float64)), 4),
        "std": round(float(train.x.std(dtype=np.float64)), 4),
    }
