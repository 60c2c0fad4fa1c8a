"""Recommendations: who is ahead, what counts, what is out, what it may cost, and how it is shown."""

from __future__ import annotations

from typing import Annotated

import known_truth
import numpy as np
import pytest
import torch

import labkit as lk
from labkit.analyses._explain.ranking import Judged, lead, rivals, wins
from labkit.attributions.input_x_gradient import input_x_gradient
from labkit.attributions.occlusion import occlusion
from labkit.views._static import svg

FRESH = 101  # models of other seeds than those that the rules were made on
SLOW = ("steps, image", "distractor, image", "steps, tokens")  # left to the page


def again(model, x, target, baseline, batch_size):
    """Occlusion by another name."""
    return occlusion(model, x, target, baseline, batch_size)


def one_place(model, x, target, baseline) -> Annotated[torch.Tensor, "complete"]:
    """Adds up by construction: all of the change on the entry with the least slope."""
    change = (model(x) - model(baseline)).gather(1, target[:, None])
    least = input_x_gradient(model, x, target, baseline).abs().argmin(1, keepdim=True)
    return torch.zeros(x.shape).scatter(1, least, change)


def blind(model, x, target, baseline):
    """A copy of the input: takes no notice of the model."""
    return (x - baseline).double() ** 2


def half(model, x, target, baseline, batch_size) -> Annotated[torch.Tensor, "complete"]:
    """Promises to add up, and gives half."""
    return occlusion(model, x, target, baseline, batch_size) / 2


def broken(model, x, target):
    raise IndexError("no such layer")


@pytest.fixture(scope="module")
def case():
    return known_truth.family(FRESH)["interactions, table"]


@pytest.fixture(scope="module")
def found(case):
    methods = ["occlusion", "integrated_gradients", "saliency", "grad_cam", blind, half, broken, one_place, again]
    return recommended(case, methods=methods, budget=80_000)


def recommended(case, **options):
    settings = {"target": 1, "baseline": 0, "unit": "passes"} | options
    return lk.recommend(case.model, case.x, **settings)


def test_what_cannot_be_believed_is_out_and_says_why(found):
    why = dict(zip(found.excluded, found.reasons))
    assert set(why) == {"grad_cam", "blind", "half", "broken"}
    assert "convolution" in why["grad_cam"] and "add up" in why["half"] and "no such layer" in why["broken"]
    assert "random weights" in why["blind"]
    assert set(found.methods) == {"occlusion", "again", "integrated_gradients", "saliency", "one_place"}


def test_a_map_that_adds_up_by_construction_is_not_ahead(found):
    skill = dict(zip(found.methods, found.skill))
    assert skill["one_place"] < skill["occlusion"] / 2 and skill["one_place"] < skill["integrated_gradients"] / 2
    assert found.methods[-1] in ("one_place", "saliency")


def test_the_same_method_twice_is_not_told_apart(found):
    at = {name: i for i, name in enumerate(found.methods)}
    assert found.skill[at["occlusion"]] == found.skill[at["again"]]
    assert found.win[at["occlusion"]] == pytest.approx(found.win[at["again"]])
    if found.choice in ("occlusion", "again"):
        assert not found.conclusive and {"occlusion", "again"} - {found.choice} <= set(found.rivals)
        assert lk.says(found).startswith("Inconclusive: ")


def test_a_clear_case_is_conclusive(case):
    record = recommended(case, methods=["occlusion", "saliency"], budget=30_000)
    assert record.choice == "occlusion" and record.conclusive and record.win[0] >= 0.95 and record.lead_low > 0
    assert "occlusion is the most faithful" in lk.says(record) and "8 examples" in lk.says(record)


def test_the_scores_are_those_of_the_measures_and_the_choice_repeats_itself(case, found, tmp_path):
    assert {name.partition(",")[0] for name in found.scores} == {
        "deletion", "insertion", "sensitivity_n", "infidelity", "planted_truth",
    }  # fmt: skip
    assert found.controls == ("random", "constant", "input", "edge")
    methods = ["saliency", "occlusion"]
    first, second = (recommended(case, methods=methods, budget=30_000) for _ in range(2))
    assert first.digest == second.digest == lk.load(lk.save(first, tmp_path / "r.lk")).digest
    small = recommended(case, methods=methods, budget=30_000, batch_size=3)
    np.testing.assert_allclose(small.skill, first.skill, atol=1e-4)
    at = first.methods.index("occlusion")
    own = lk.explain(case.model, case.x, "occlusion", 1, 0, evidence=()).attribution
    sums = own.astype(np.float64).sum()
    assert np.isfinite(sums) and first.value[at, first.scores.index("infidelity")] < 0.5


def test_a_budget_is_kept_and_what_does_not_fit_is_not_begun(case):
    names = ["occlusion", "input_x_gradient", "saliency", "integrated_gradients", "kernel_shap", "exact_shapley"]
    for budget in (6_000, 20_000):
        record = recommended(case, methods=names, budget=budget)
        assert record.passes <= 1.2 * budget and record.methods
        late = [why for why in record.reasons if "left" in why]
        assert late and all("passes" in why for why in late)
    assert len(record.methods) > 2
    none = recommended(case, methods=names, budget=300)
    assert none.status == "not_measured" and "budget" in none.reason and none.passes <= 360
    assert lk.says(none).startswith("Not measured") and len(lk.rows(none)) == 0 and lk.figure(none) is not None


def test_seconds_are_kept_too(case):
    record = lk.recommend(case.model, case.x, 1, 0, budget=0.5, methods=["occlusion", "saliency", "kernel_shap"])
    assert record.unit == "seconds" and record.status in ("measured", "not_measured")
    assert record.provenance.options["budget"] == 0.5


@pytest.mark.parametrize(
    ("options", "given"),
    [
        ({"budget": 0}, "0"),
        ({"budget": float("nan")}, "nan"),
        ({"unit": "minutes"}, "passes"),
        ({"methods": ["occlusoin"]}, "occlusion"),
        ({"target": 7}, "7"),
    ],
)
def test_what_cannot_be_asked_is_refused(case, options, given):
    with pytest.raises(lk.Refused, match=given):
        recommended(case, **options)


def test_no_method_that_can_be_believed(case):
    record = recommended(case, methods=[blind, half], budget=20_000)
    assert record.status == "not_measured" and "blind" in record.reason and not record.choice


def test_the_model_is_left_as_it_was_and_any_number_of_it_will_do(case):
    before, methods = case.model.digest, ["saliency", "input_x_gradient"]
    margin = recommended(case, target=lambda out: out[:, 1] - out[:, 0], budget=40_000, methods=methods)
    assert case.model.digest == before and margin.n == 8 and margin.choice == "input_x_gradient"


def judged(values, beside, sign=(1.0,), scores=("insertion",)):
    """Scores (methods, scores, examples) and controls' as the ranking takes them."""
    methods = tuple(f"m{i}" for i in range(len(values)))
    return Judged(methods, ("random", "constant"), scores, np.array(sign), np.array(values), np.array(beside))


def test_a_score_that_ranks_a_control_first_is_struck_out_and_its_twin_is_not():
    steady = np.linspace(-0.01, 0.01, 8)
    good, fair, nothing = 0.9 + steady, 0.6 + steady, 0.2 + steady[::-1]
    sound = judged([[good], [fair]], [[nothing], [fair - 0.1]])
    assert sound.struck() == [""]
    fooled = judged([[good], [fair]], [[nothing], [good + 0.05]])
    assert fooled.struck() == ["the constant map comes first"]
    noise = np.random.default_rng(0).normal(0.3, 1, 8)
    assert judged([[noise + 0.1]], [[noise[::-1]], [noise - 9]]).struck() == ["no method is clearly better than chance"]
    assert judged([[good * np.nan]], [[nothing], [fair]]).struck() == ["undefined here"]


def test_skill_is_0_for_chance_and_1_for_the_best_over_the_scores_that_count():
    best, chance, wrong = np.full(8, 0.1), np.full(8, 0.9), np.full(8, 1.7)
    scores = ("deletion", "deletion, noise", "planted_truth")
    unknown = np.full(8, np.nan)
    values = [[best, best, unknown], [chance, best, 1 - chance], [wrong, wrong, 1 - best]]
    beside = [[chance, chance, 1 - chance], [chance, chance, 1 - chance]]
    skill = judged(values, beside, (-1.0, -1.0, 1.0), scores).skill(["", "", ""])
    np.testing.assert_allclose(skill.mean(1), [(1 + 0.5) / 2, (0.5 + 0) / 2, (-1 + 1) / 2], atol=1e-12)
    only = judged(values, beside, (-1.0, -1.0, 1.0), scores).skill(["", "struck", ""])
    np.testing.assert_allclose(only.mean(1), [0.75, 0, 0], atol=1e-12)


def test_a_choice_among_equals_is_rarely_called_sure():
    draw, sure = np.random.default_rng(1), 0
    for i in range(200):
        skill = draw.normal(size=(4, 10))
        skill = skill[np.argsort(-skill.mean(1))]
        sure += not rivals(skill, wins(skill, np.random.default_rng(i)))
    assert sure <= 18, "5 of 100 allowed, with room for chance"
    apart = draw.normal(size=(4, 10)) * 0.1 + np.array([[3], [2], [1], [0]])
    assert not rivals(apart, wins(apart, draw)) and lead(apart[0], apart[1])[1] > 0.5
    assert rivals(apart[:, :1], wins(apart[:, :1], draw)) == [1, 2, 3], "one example says nothing"


def test_it_is_shown(found):
    figure = lk.figure(found)
    stars = [trace for trace in figure.data if trace.marker.symbol == "star"]
    assert len(stars) == 2 and figure.layout.yaxis.ticktext[int(stars[0].y[0])] == found.choice
    assert found.choice in svg(figure, name="recommend")
    table = lk.rows(found)
    assert list(table["outcome"]).count("chosen") == 1 and list(table["outcome"]).count("control") == 4
    assert list(table[table.outcome == "out"].method) == list(found.excluded)
    struck = [name for name, why in zip(found.scores, found.struck) if why]
    assert all(f"{name}, struck out" in table for name in struck)


def test_on_planted_truth_its_choice_beats_every_fixed_one():
    """A method that refuses a model, or is withheld, counts as a random map on it."""
    cases = known_truth.family(FRESH, rows=5)
    cases = {name: cases[name] for name in cases if name not in SLOW}
    methods = ["integrated_gradients", "input_x_gradient", "kernel_shap", "permutation_shapley", "occlusion", "lrp"]
    chosen: list[float] = []
    fixed: dict[str, list[float]] = {name: [] for name in lk.names("attributions")}
    for of in cases.values():
        by_chance = known_truth.chance(of)
        for name, errors in fixed.items():
            values = known_truth.attributed(of, name)
            errors.append(by_chance if isinstance(values, str) else of.error(values))
        record = recommended(of, budget=40_000, methods=methods)
        chosen.append(fixed[record.choice][-1] if record.choice else by_chance)
    best = min(np.mean(errors) for errors in fixed.values())
    assert np.mean(chosen) < best and np.mean(chosen) < 0.1, (chosen, best)


def test_gradients_that_are_right_and_gradients_that_are_nothing():
    """The same candidates: where steps have no gradient the choice takes outputs only, where detail is fine it does not."""
    family, names = known_truth.family(FRESH), ["integrated_gradients", "kernel_shap", "occlusion"]
    steps = recommended(family["steps, tokens"], methods=names, budget=60_000)
    fine = recommended(family["fine detail, image"], methods=names, budget=100_000)
    assert steps.choice != "integrated_gradients" and fine.choice == "integrated_gradients" and fine.conclusive
    assert "integrated_gradients" in steps.excluded
