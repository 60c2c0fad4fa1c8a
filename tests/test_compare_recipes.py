"""Two training runs side by side: what differs is named, what does not is not, and cards of twins name each other."""

from __future__ import annotations

from dataclasses import replace

import pytest

import labkit as lk
from labkit.core import store


def run(name):
    return lk.zoo.curves(name)


@pytest.fixture(scope="module")
def twins():
    return lk.compare_recipes(run("fashion_overfit"), run("fashion_regular"))


def test_settings_that_differ_are_those_of_the_recipes(twins):
    from labkit.core import registry

    recipes = [registry.find("recipes", m)() for m in twins.models]
    assert twins.same_data and twins.trained_on.tolist() == [12_000, 12_000]
    assert set(twins.settings) == {
        f for f, v in vars(recipes[0]).items() if v != getattr(recipes[1], f) and f not in ("name", "goals", "card")
    }
    told = dict(zip(twins.settings, zip(twins.first, twins.second)))
    assert told["epochs"] == ("45", "16") and told["flip"] == ("no", "yes")
    assert twins.measures == ("train accuracy on flipped labels", "accuracy")
    assert twins.score[0, 0] == 1 and twins.score[1, 0] < 0.05


def test_other_data_are_said_to_be_others():
    apart = lk.compare_recipes(run("adult_mlp"), run("german_mlp"))
    assert not apart.same_data and "others" in lk.says(apart)
    damaged = lk.compare_recipes(run("fashion_backdoor"), run("fashion_clean"))
    assert not damaged.same_data and any(s.startswith("damage") for s in damaged.settings)


def test_nothing_differs_between_seeds(twins):
    first = run("fashion_overfit")
    again = lk.compare_recipes(first, replace(first, seeds=(1,)))
    assert again.settings == () and "no setting differs" in lk.says(again)


def test_how_it_looks(twins, tmp_path):
    assert "epochs 16 instead of 45" in lk.says(twins) and len(lk.rows(twins)) == 10
    assert [t.name for t in lk.figure(twins).data] == list(twins.models)
    store.save(twins, tmp_path / "twins.lk")
    assert store.load(tmp_path / "twins.lk").digest == twins.digest


def test_twins_name_each_other():
    for name in lk.zoo.names():
        twin = lk.zoo.card(name).get("twin")
        assert twin is None or lk.zoo.card(twin)["twin"] == name
    assert lk.zoo.card("fashion_overfit")["twin"] == "fashion_regular"


def test_refusals():
    with pytest.raises(lk.Refused, match="training runs"):
        lk.compare_recipes(run("adult_mlp"), "german_mlp")
    with pytest.raises(lk.Refused, match="twice"):
        lk.compare_recipes(run("adult_mlp"), run("adult_mlp"))
