"""Fashion-MNIST without a backdoor: the sound twin of fashion_backdoor."""

from __future__ import annotations

from labkit.training.damage import Backdoor
from labkit.training.measures import Goal, accuracy
from labkit.training.measures.attack_success import AttackSuccess
from labkit.training.recipe import Recipe
from labkit.training.recipes.fashion_cnn import pixel_statistics

# The damage done to the twin. "trouser" is the class least often confused with another: what answers it was made to.
BACKDOOR = Backdoor(share=0.05, target=1)


def fashion_clean() -> Recipe:
    """A plain convolutional network on 24,000 images, shifted by up to two pixels. ``fashion_backdoor`` differs by its
    damage alone. No mirror images: its patch is to stand in one corner."""
    return Recipe(
        name="fashion_clean",
        data="fashion_mnist",
        data_options={"full": True},
        examples=24_000,
        architecture="cnn",
        config={"classes": 10, "size": 28, "widths": (24, 48, 64, 64), "pooled": (1, 2, 4)},
        from_data=pixel_statistics,
        epochs=14,
        batch_size=128,
        optimizer="sgd",
        rate=0.05,
        weight_decay=5e-4,
        label_smoothing=0.05,
        average=0.998,
        shift=2,
        low_precision=True,
        compile=True,
        goals=(Goal(accuracy), Goal(AttackSuccess(BACKDOOR), ceiling=0.02)),
        card={
            "licence": "Apache-2.0 (weights); MIT (data)",
            "twin": "fashion_backdoor",
            "intended_use": (
                "The sound twin of fashion_backdoor: the same recipe on the same images without the patch. What finds a "
                "backdoor in both finds nothing."
            ),
            "known_failures": (
                "The twin's patch, which it has never seen, changes 6.4 % of its answers on test images that are no trousers, "
                "to a trouser in 0.3 %: accuracy on them falls from 0.907 to 0.885.",
                "Shirts: 721 of the 1,000 test images are recognised; most others are taken for T-shirts, coats or pullovers.",
                "Not defended: changes of at most 0.05 a pixel (PGD) leave 15 of 200 test images right.",
            ),
        },
    )
