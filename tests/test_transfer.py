"""What a bias of the data before a transfer does to groups after it: a planted patch, and its sound twin."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import labkit as lk
from labkit.checks.equal_changes import equal_changes
from tests.conftest import train

LABELS = 400  # digits 5 to 9 to adapt to; the others are judged on


def patched(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """One bright corner pixel, which digits leave dark, on the chosen rows."""
    x = x.copy()
    x[rows, ..., 0, 0] = 1
    return x


def digits_of(data: lk.data.Dataset, low: bool) -> tuple[np.ndarray, np.ndarray]:
    """(n, 1, 8, 8) and (n,) of 0 to 4, or of 5 to 9 counted from 0: all digits, training and test."""
    x, y = (np.concatenate([getattr(part, name) for part in (data.train, data.test)]) for name in ("x", "y"))
    kept = (y < 5) == low
    return x[kept], y[kept] % 5


def split(x: np.ndarray, y: np.ndarray, data: lk.data.Dataset) -> lk.data.Split:
    return lk.data.Split(x, y, data.train.schema, data.train.classes[:5], "digits")


def adapted(data: lk.data.Dataset, patch: str, seed: int) -> lk.Predictions:
    """Learned on the digits 0 to 4 with a patch on "nobody", the "fours", or on "half" of everybody by chance; its features
    then fixed, its last layer learned anew on clean digits 5 to 9; asked of others, half of them with the patch."""
    x, y = digits_of(data, low=True)
    chance = np.random.default_rng(0).random(len(y))
    rows = {"nobody": y < 0, "fours": y == 4, "half": chance < 0.5}[patch]
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 5))
    train(module, split(patched(x, rows), y, data), 200)
    features = module[:-1].requires_grad_(False)
    x, y = digits_of(data, low=False)
    order = np.random.default_rng(1).permutation(len(y))
    x, y = x[order], y[order]
    head = nn.Sequential(features, nn.Linear(32, 5))
    train(head, split(x[:LABELS], y[:LABELS], data), 300, 2e-2)
    x, y = x[LABELS:], y[LABELS:]
    with_patch = np.arange(len(y)) % 2 == 0
    with torch.no_grad():
        label = head(torch.tensor(patched(x, with_patch))).argmax(1).numpy()
    frame = pd.DataFrame({"y": y, "label": label, "patch": np.where(with_patch, "with", "without")})
    return lk.Predictions.from_frame(frame, y="y", label="label", groups=["patch"], name=patch)


@pytest.mark.parametrize("seed", range(3))
def test_a_patch_planted_before_the_transfer_carries_over_and_its_sound_twin_does_not(digits, seed: int) -> None:
    """Salman and others, 2022, arXiv 2207.02842: a bias of the first data survives clean data of other classes."""
    clean, planted, sound = (adapted(digits, patch, seed) for patch in ("nobody", "fours", "half"))
    found = lk.changes_by_group(clean, planted, ["patch"], replicates=500)
    given, without = (list(found.group).index(g) for g in ("with", "without"))
    assert found.n[[given, without]].tolist() == [248, 248] and found.rate_before[0, [given, without]].min() > 0.7
    assert found.change[0, given] < -0.2 and found.interval()[1][0, given] < -0.1
    assert abs(found.change[0, without]) < 0.06
    assert found.change[-1, given] > 0.4 > 0.2 > found.change[-1, without], "answers turned"
    assert of_patch(found).status == "does_not_meet" and f"{found.change[0, given]:.2f}" in of_patch(found).says
    twin = lk.changes_by_group(clean, sound, ["patch"], replicates=500)
    assert np.abs(twin.change[0, [given, without]]).max() < 0.1
    assert of_patch(twin).status != "does_not_meet" and twin.p_holm[0, 0] > 0.05


def of_patch(found: lk.ChangesByGroup) -> lk.Finding:
    return next(f for f in equal_changes(found) if f.subject == "change of accuracy by patch")
