"""Attacks that the caller gave as functions: nobody knows what they draw, raise, or give back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from labkit.analyses._attack.ground import Ground
from labkit.analyses._guard import in_words


@contextmanager
def in_a_room_of_its_own(name: str, seed: int, device: torch.device) -> Iterator[None]:
    """What it raises becomes a refusal, and the global generators begin at ``seed``: they are put back afterwards, so that
    the same call gives the same result and the caller's own draws go on as they would have."""
    python, numpy = random.getstate(), np.random.get_state()
    instead = "an attack that runs on this model: labkit.attack(model, data[:2], ...) shows the error as its cause"
    with torch.random.fork_rng([device] if device.type == "cuda" else []), in_words(f"the attack {name}", instead):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def say_what_came_back(ground: Ground, what: str, rows: np.ndarray, given: np.ndarray, eps: float | None) -> None:
    """Warn of rows that all came back as they were, and of rows further away than the budget: shuffled ones are."""
    if eps == 0:
        return
    if np.array_equal(given, ground.x[rows]):
        ground.run.warn(f"{what} gave every row back as it was, which shows nothing of the model")
    if eps is None or ground.threat.distance is None:
        return
    beyond = int((ground.threat.distance(ground, rows, given) > eps * (1 + 1e-4)).sum())
    if beyond:
        ground.run.warn(f"{what} went beyond the budget on {beyond} of {len(rows)} rows; they were cut back to it")
