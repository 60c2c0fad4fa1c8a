"""Models over two workers, one of which is killed: what comes out is that of one process."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import labkit as lk
from labkit.core import progress
from labkit.training.many import fit_many
from labkit.training.many.fitting import Fit

ray = pytest.importorskip("ray")
from labkit.training.many import sharded  # noqa: E402
from labkit.training.many.sharded import fit_sharded  # noqa: E402

pytestmark = pytest.mark.slow
FIT = Fit(epochs=3, batch_size=16)


def small(seed: int) -> nn.Module:
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2))


@pytest.fixture(scope="module")
def machine():
    sharded._joined("a test", 2)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def asked() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(80, 5)).astype(np.float32)
    chosen = np.zeros((6, 80), bool)
    for row, size in zip(chosen, (40, 60, 40, 40, 60, 40)):
        row[generator.permutation(80)[:size]] = True
    return x, (x[:, 0] > 0).astype(np.int64), chosen


def test_a_killed_worker_changes_nothing(machine, asked, tmp_path: Path) -> None:
    marker, watch = tmp_path / "killed", (asked[0][:30], asked[1][:30])

    def deadly(seed: int) -> nn.Module:
        if seed == 3 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return small(seed)

    heard: list[tuple[int, int]] = []
    with progress.listening(lambda _, done, total: heard.append((done, total))):
        shared = fit_sharded(deadly, *asked, fit=FIT, watch=watch, workers=2, checkpoint=tmp_path / "shards")
    assert marker.exists() and heard[-1][0] == heard[-1][1] == len(list((tmp_path / "shards").iterdir())) == 6
    alone = fit_many(small, *asked, fit=FIT, watch=watch)
    np.testing.assert_allclose(shared.logits(asked[0]), alone.logits(asked[0]), atol=1e-4)
    for name, values in alone.curves.items():
        np.testing.assert_allclose(shared.curves[name], values, atol=1e-4)
    assert shared.count == 6 and shared.costs.forwards == alone.costs.forwards
    x = torch.tensor(asked[0])
    np.testing.assert_allclose(shared.module(1)(x).detach(), shared.logits(asked[0])[1], atol=1e-5)


def test_a_refusal_comes_through(machine, asked) -> None:
    x, y, chosen = asked
    with pytest.raises(lk.Refused, match="not finite"):
        fit_sharded(small, np.where(x > 2, np.inf, x).astype(np.float32), y, chosen, fit=FIT)
    with pytest.raises(lk.Refused, match="booleans"):
        fit_sharded(small, x, y, chosen[0], fit=FIT)
    with pytest.raises(lk.Refused, match="workers"):
        fit_sharded(small, x, y, chosen, workers=0)


def test_labels_of_its_own_and_the_number_of_shards(machine, asked) -> None:
    x, y, chosen = asked
    own = np.stack([np.roll(y, i) for i in range(6)])
    alone = fit_many(small, x, own, chosen, fit=FIT, seeds=[9, 8, 7, 6, 5, 4])
    for workers in (1, 2):
        shared = fit_sharded(small, x, own, chosen, fit=FIT, seeds=[9, 8, 7, 6, 5, 4], workers=workers)
        np.testing.assert_allclose(shared.logits(x), alone.logits(x), atol=1e-4)


def test_without_ray_it_says_what_to_install(asked, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(lk.Refused, match=r"labkit\[ray\]"):
        fit_sharded(small, *asked, fit=FIT)
