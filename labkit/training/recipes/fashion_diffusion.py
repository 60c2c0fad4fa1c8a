"""Fashion-MNIST, made from noise step by step."""

from __future__ import annotations

from labkit.training.measures import Goal
from labkit.training.measures.frechet import Frechet
from labkit.training.objectives.flow_matching import FlowMatching
from labkit.training.recipe import Recipe
from labkit.training.recipes.fashion_cnn import pixel_statistics


def fashion_diffusion() -> Recipe:
    """A small U-Net trained by flow matching: diffusion along straight lines, sampled in 16 steps.

    The ceiling is half of the distance of a normal distribution's samples, set before training.
    """
    return Recipe(
        name="fashion_diffusion",
        data="fashion_mnist",
        data_options={"full": True},
        architecture="unet_flow",
        config={"shape": (1, 28, 28), "widths": (32, 64), "steps": 16},
        from_data=pixel_statistics,
        epochs=3,
        batch_size=64,
        objective=FlowMatching(),
        optimizer="adamw",
        rate=2e-3,
        warmup=0.1,
        weight_decay=0.01,
        clip=1.0,
        average=0.999,
        watch="loss",
        low_precision=True,
        compile=True,
        goals=(
            Goal(Frechet(), ceiling=35.0, once=True),
            Goal(Frechet("training images"), once=True),
            Goal(Frechet("gaussian"), once=True),
        ),
        card={
            "licence": "Apache-2.0 (weights); MIT (data)",
            "intended_use": "Showing samples of a generative model, and how far they are from real images.",
            "known_failures": (
                "Noisy cloth and broken outlines: fashion_cnn is less than half sure of 28 in 100 samples, of 3 in 100 test "
                "images (n = 500).",
                "Few pullovers (4 of 100 samples, by fashion_cnn) and many shirts (18): in the data both are 10.",
                "Three passes over the data, as many as a shared processor had time for: more would help.",
                "It has no encoder and no likelihood: it can make images and judge none.",
            ),
        },
    )
