"""The suite of known truths is itself true, and the page shows what is measured."""

from __future__ import annotations

import known_truth
import numpy as np
import pytest
import torch

import labkit as lk

MEASURED = {
    "table": ["interactions"],
    "image": ["planted"],
    "tokens": ["steps"],
}  # of each kind a column; more takes long
ROUNDING = 0.021  # of two tables that print two digits
WORDS = {"-", "withheld"}


def column(of: known_truth.Case) -> np.ndarray:
    """(n, positions) what the model reads of each entry."""
    x = of.model.tensor(of.x)
    with torch.no_grad():
        return of.model.module.read(of.model.module.stem(x)).flatten(1).double().numpy()


@pytest.mark.parametrize("kind", known_truth.SHAPES)
def test_enumerated_shapley_values_are_the_closed_forms(kind):
    linear, additive = (known_truth.case(kind, truth) for truth in ("linear", "additive"))
    weight = linear.model.module.first.weight.double().numpy().sum(0)
    np.testing.assert_allclose(linear.exact, column(linear) * weight, atol=1e-5)
    h = column(additive) * additive.model.module.first.weight.double().numpy().sum(0)
    parts = np.tanh(2 * h) + np.maximum(h - 0.5, 0)
    np.testing.assert_allclose(additive.exact, parts, atol=1e-5)


def test_a_product_is_shared_evenly_and_all_adds_up():
    of = known_truth.case("table", "interactions")
    weight = of.model.module.first.weight.double().numpy()
    places, h = np.abs(weight).argmax(1), of.x @ weight.T
    np.testing.assert_allclose(of.exact[:, places[0]], h[:, 0] * h[:, 1] / 2, atol=1e-5)
    np.testing.assert_allclose(of.exact[:, places[3]], h[:, 2] * h[:, 3] * h[:, 4] / 3, atol=1e-5)
    with torch.no_grad():
        x = of.model.tensor(of.x)
        change = (of.model(x) - of.model(torch.zeros_like(x)))[:, 1].numpy()
    np.testing.assert_allclose(of.exact.sum(1), change, atol=1e-5)


@pytest.mark.parametrize("kind", known_truth.SHAPES)
def test_dead_inputs_and_distractors_move_nothing_and_twins_move_alike(kind):
    draw = np.random.default_rng(0)
    for truth in ("dead", "planted", "distractor"):
        of = known_truth.case(kind, truth)
        unread = of.dead if of.dead is not None else ~of.planted
        other = of.x.copy().reshape(len(of.x), -1)
        other[:, unread] = draw.permutation(other[:, unread].ravel()).reshape(len(other), -1)
        with torch.no_grad():
            first, second = (of.model(of.model.tensor(v.reshape(of.x.shape))) for v in (of.x, other))
            none = of.model(of.model.tensor(np.zeros_like(of.x)))
        assert torch.allclose(first, second, atol=1e-5) and not torch.allclose(first, none, atol=0.05)
    of = known_truth.case(kind, "symmetric")
    other = of.x.copy().reshape(len(of.x), -1)
    assert np.array_equal(other, other[:, of.twin])
    other[:, 0] = other[:, 1]
    mirrored = other[:, of.twin]
    with torch.no_grad():
        first, second = (of.model(of.model.tensor(v.reshape(of.x.shape).copy())) for v in (other, mirrored))
    assert torch.allclose(first, second, atol=1e-5)


def test_an_error_is_0_for_the_truth_and_large_for_another():
    for truth in ("linear", "interactions"):
        of = known_truth.case("table", truth)
        assert of.error(of.exact, complete=True) < 1e-12 and of.error(5 * of.exact) < 1e-12
        assert of.error(of.exact / 2, complete=True) == pytest.approx(0.5)
        assert of.error(-of.exact) == pytest.approx(1) and of.error(np.roll(of.exact, 1, 1)) > 0.5
    of = known_truth.case("image", "planted")
    flags = np.tile(of.planted, (3, 1)).astype(float)
    assert (
        of.error(flags) == 0 and of.error(1 - flags) == 1 and of.error(np.ones(flags.shape)) == pytest.approx(135 / 144)
    )
    of = known_truth.case("tokens", "dead")
    flags = np.tile(of.dead, (3, 1)).astype(float)
    assert of.error(flags) == 1 and of.error(1 - flags) == 0 and of.error(np.ones(flags.shape)) == pytest.approx(0.5)
    of = known_truth.case("tokens", "symmetric")
    one_sided = np.zeros((3, 10))
    one_sided[:, 0] = 1
    assert of.error(one_sided) == 1 and of.error(np.ones((3, 10))) == 0
    assert 0.6 < known_truth.chance(of) < 0.8


@pytest.mark.parametrize("kind", MEASURED)
def test_the_page_shows_what_is_measured(kind):
    lines = [line.strip("| ").split(" | ") for line in known_truth.shown(kind).splitlines()]
    head, rows = lines[0], {row[0].strip("`"): row[1:] for row in lines[2:]}
    assert head[1:] == list(known_truth.TRUTHS)
    assert set(rows) == {"a random map", *lk.names("attributions")}, "python tests/known_truth.py brings it up to date"
    for truth in MEASURED[kind]:
        of = known_truth.case(kind, truth)
        for name in lk.names("attributions"):
            there, found = rows[name][known_truth.TRUTHS.index(truth)], known_truth.measured(of, name)
            if WORDS & {there, found}:
                assert there == found, (name, truth)
            else:
                assert float(there) == pytest.approx(float(found), abs=ROUNDING), (name, truth)


def test_shapley_methods_have_no_error_but_their_sampling_where_shapley_values_are_the_truth():
    for kind in ("table", "tokens"):
        for truth in ("linear", "additive", "steps"):
            of = known_truth.case(kind, truth)
            values = known_truth.attributed(of, "exact_shapley")
            assert of.error(values, complete=True) < 1e-4, (kind, truth)
            assert of.error(known_truth.attributed(of, "permutation_shapley"), complete=True) < 0.02, (kind, truth)


def test_the_page_says_that_the_recommended_method_is_nearest_to_the_truth():
    lines = [line.strip("| ").split(" | ") for line in known_truth.shown("recommend").splitlines()]
    recommended, *fixed = (float(cell) for cell in lines[-1][1:])
    assert len(lines) == 3 + len(known_truth.family(0, rows=1)) and recommended < min(fixed)
