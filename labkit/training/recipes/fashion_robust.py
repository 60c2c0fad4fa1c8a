"""Fashion-MNIST, trained against an adversary."""

from __future__ import annotations

from labkit.training.measures import Goal, accuracy
from labkit.training.measures.robust import Robust
from labkit.training.objectives.adversarial import Adversarial
from labkit.training.recipe import Recipe
from labkit.training.recipes.fashion_cnn import pixel_statistics

EPS = 0.1


def fashion_robust() -> Recipe:
    """A convolutional network that learned from images which an adversary had changed by up to 0.1 a pixel."""
    return Recipe(
        name="fashion_robust",
        data="fashion_mnist",
        data_options={"full": True},
        architecture="strided_cnn",
        config={"classes": 10, "size": 28, "widths": (32, 32, 64, 64), "halved": (1, 3), "hidden": 128},
        from_data=pixel_statistics,
        epochs=12,
        batch_size=128,
        objective=Adversarial(eps=EPS, steps=2, step=0.06),
        optimizer="adamw",
        rate=2e-3,
        warmup=0.2,
        weight_decay=5e-4,
        average=0.998,
        validation=0.03,
        low_precision=True,
        goals=(Goal(Robust(EPS), floor=0.70, once=True), Goal(accuracy, floor=0.85)),
        card={
            "licence": "Apache-2.0 (weights); MIT (data)",
            "intended_use": "Showing what a defence by adversarial training gives and costs, beside fashion_cnn without one.",
            "known_failures": (
                "Shirts: 525 of the 1,000 test images are recognised unchanged; 228 are taken for T-shirts, 131 for pullovers.",
                "Defended up to the budget that it learned from, not beyond: of the first 400 test images 352 are right "
                "unchanged, at most 316 at eps 0.1 and at most 1 at eps 0.2 (PGD of 40 steps from 4 starts, Square of 1,000 "
                "queries). The same budget of 0.1 leaves fashion_cnn none of its 379.",
                "Attacks bound robust accuracy from above and certify nothing. On these images they show no hidden gradients: "
                "no row broke by Square, one step or noise that PGD had not broken, and 80 steps broke none of 128 beyond 40.",
                "Other changes than of each pixel on its own (L2, shifts, rotations, contrast) were neither learned nor measured.",
                "The defence costs accuracy: fashion_cnn recognises 0.93 of the same test images.",
                "Grey images of 28 x 28 pixels on a black ground only, without rotation or clutter.",
            ),
        },
    )
