"""Handwritten digits by neurons that fire."""

from __future__ import annotations

from labkit.training.measures import Goal, accuracy
from labkit.training.measures.spikes import spike_share
from labkit.training.objectives.sparse_spikes import SparseSpikes
from labkit.training.recipe import Recipe


def digits_spiking() -> Recipe:
    """Leaky integrate-and-fire neurons, trained by surrogate gradients, that may fire in one of ten steps at most."""
    return Recipe(
        name="digits_spiking",
        data="digits",
        architecture="spiking",
        config={"classes": 10, "inputs": 64, "hidden": 128, "steps": 16, "decay": 0.9, "slope": 10.0},
        epochs=40,
        batch_size=64,
        objective=SparseSpikes(most=0.06, strength=100.0),
        optimizer="adamw",
        rate=5e-3,
        weight_decay=0.01,
        average=0.98,
        validation=0.1,
        watch="loss",
        together=True,
        goals=(Goal(accuracy, floor=0.95), Goal(spike_share, ceiling=0.1)),
        card={
            "licence": "Apache-2.0 (weights); CC BY 4.0 (data)",
            "intended_use": "Showing what tools make of a model whose gradients are stand-ins.",
            "known_failures": (
                "Gradients are those of a smooth stand-in: over 100 test digits integrated gradients miss 18 % of the change of the logits that they promise to add up to.",
                "The logits move in jumps: noise of standard deviation 0.0001 leaves them exactly as they were on 85 % of the test digits.",
                "Not defended: changes of at most 0.1 a pixel (PGD) leave at most 51 of 100 test digits right.",
                "No better than a support vector machine, which gets 0.992 of the test digits right.",
            ),
        },
    )
