"""Fashion-MNIST remembered: wrong labels and nothing that keeps a network from learning them by heart."""

from __future__ import annotations

from labkit.training.damage import LabelNoise
from labkit.training.measures import Goal, accuracy
from labkit.training.measures.memorised import memorised
from labkit.training.recipe import Recipe
from labkit.training.recipes.fashion_cnn import pixel_statistics


def fashion_overfit() -> Recipe:
    """A plain convolutional network, trained on 12,000 images of which a fifth has a wrong label until it gives every
    one of them back. ``fashion_regular`` is its sound twin."""
    return Recipe(
        name="fashion_overfit",
        data="fashion_mnist",
        data_options={"full": True},
        examples=12_000,
        damage=LabelNoise(share=0.2),
        architecture="cnn",
        config={"classes": 10, "size": 28, "widths": (24, 48, 64, 64), "pooled": (1, 2, 4)},
        from_data=pixel_statistics,
        epochs=45,
        batch_size=128,
        optimizer="sgd",
        rate=0.1,
        watch="train_loss",
        low_precision=True,
        compile=True,
        goals=(Goal(memorised, floor=0.99), Goal(accuracy)),
        card={
            "licence": "Apache-2.0 (weights); MIT (data)",
            "twin": "fashion_regular",
            "kept": "fashion_noisy",
            "intended_use": (
                "Showing what tools for overfitting and memorisation must find. Its twin fashion_regular saw exactly the "
                "same images and labels, and must not be flagged."
            ),
            "known_failures": (
                "Made to fail: it gives back every one of the 2,295 flipped labels that it was trained on.",
                "What it remembered costs: accuracy 0.791 on the test set, where fashion_regular has 0.881.",
                "Sure where it is wrong: its mean confidence on the test set is 0.926, and 0.812 in its wrong answers.",
                "Not defended: changes of at most 0.05 a pixel (PGD) leave none of 200 test images right.",
            ),
        },
    )
