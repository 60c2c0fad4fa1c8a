"""Defences by training, from the shipped weights: TRADES, noise for smoothing, interval bounds, and twins without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import labkit as lk
from labkit.certificates.interval_bounds import interval_bounds
from labkit.certificates.randomized_smoothing import randomized_smoothing
from labkit.core.draws import Draws
from labkit.core.intervals import wilson
from labkit.training.measures.under_noise import UnderNoise
from labkit.training.recipes.fashion_certified import fashion_certified
from labkit.training.recipes.fashion_smoothed import fashion_smoothed
from labkit.training.recipes.fashion_trades import fashion_trades

EPS = 0.1


@pytest.fixture(scope="module")
def test_rows():
    return lk.zoo.data("fashion_cnn").test


@pytest.fixture(scope="module")
def undefended():
    return lk.zoo.load("fashion_cnn", device="cpu")


def _card(name, start):
    """The test score whose name begins so."""
    return next(m["score"] for m in lk.zoo.card(name)["test"] if m["measure"].startswith(start))


def _agrees(share, n, score):
    low, high = wilson(round(share * n), n, 0.999)
    return low <= score <= high


@pytest.mark.parametrize("recipe", [fashion_trades, fashion_smoothed, fashion_certified])
def test_every_goal_was_asked_and_reached(recipe):
    asked, tests = recipe().goals, lk.zoo.card(recipe.__name__)["test"]
    assert [goal.floor for goal in asked] == [test["floor"] for test in tests]
    assert all(test["met"] for test in tests)


def test_trades_stands_where_its_undefended_twin_falls(test_rows, undefended):
    rows, options = test_rows[:128], {"steps": 10, "restarts": 1, "loss": "margin"}
    attacked = lk.attack(lk.zoo.load("fashion_trades", device="cpu"), rows, "pgd", eps=EPS, **options)
    share = float((attacked.correct & ~attacked.success).mean())
    assert _agrees(share, len(rows), _card("fashion_trades", "robust accuracy"))
    twin = lk.attack(undefended, rows[:64], "pgd", eps=EPS, **options)
    assert (twin.correct & ~twin.success).mean() <= 0.02 < 0.5 < share


def test_smoothing_holds_for_the_model_that_learned_noise_and_not_for_its_twin(test_rows, undefended):
    model, n = lk.zoo.load("fashion_smoothed", device="cpu"), 32
    vote = UnderNoise(0.25, draws=10)
    few = lk.data.load("fashion_mnist")
    few = replace(few, test=test_rows[:100])
    share = vote(model, few, fashion_smoothed()).value
    assert _agrees(share, 100, _card("fashion_smoothed", "accuracy under noise"))
    assert vote(undefended, few, fashion_smoothed()).value < share - 0.2
    radii = []
    for one in (model, undefended):
        x, y = one.tensor(test_rows.x[:n]), torch.tensor(test_rows.y[:n])
        radii.append(randomized_smoothing(one, x, y, "l2", Draws(0, n), 500, sigma=0.25, choose=10, draws=100))
    certified, without = ((r >= 0.25).float().mean().item() for r in radii)
    assert certified > 0.5 and certified > without + 0.2


def test_what_is_certified_is_never_broken_and_the_sandwich_is_thin(test_rows, undefended):
    model, rows = lk.zoo.load("fashion_certified", device="cpu"), test_rows[:256]
    proven = []
    for one in (model, undefended):
        x, y = one.tensor(rows.x), torch.tensor(rows.y)
        proven.append((interval_bounds(one, x, y, torch.full((len(rows),), EPS), "linf", 500) > 0).numpy())
    assert _agrees(proven[0].mean(), len(rows), _card("fashion_certified", "robust accuracy"))
    assert not proven[1].any()
    attacked = lk.attack(model, rows, "pgd", eps=EPS, steps=20, restarts=1, loss="margin")
    standing = attacked.correct & ~attacked.success
    assert not (proven[0] & ~standing).any() and np.mean(standing) - np.mean(proven[0]) < 0.1
