"""What remedies give: stated on people who were not looked at, found where there is something and not where there is nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pytest

import labkit as lk
from labkit.analyses._mitigate import stated
from labkit.analyses._mitigate.encoding import encoding, telling
from labkit.analyses._mitigate.stated import Criterion, Judges
from labkit.analyses._mitigate.sweep import Watched
from labkit.core import intervals, resampling
from labkit.core.method import Range
from labkit.data.schema import Feature, Schema
from labkit.data.split import Dataset, Split
from labkit.mitigations import decides
from labkit.records.mitigate import Mitigation
from labkit.views import mitigate as view
from labkit.views._static import svg

STRENGTH = Annotated[float, Range(0, 1), "how much of it"]
THRESHOLDS = ["group_thresholds", "reject_option"]


def frame(seed: int = 0, n: int = 4000, shift: float = 1.0, groups: int = 2) -> pd.DataFrame:
    """Equally able groups; the score of group a is lower by ``shift`` for no reason, and at 0 is as good as any."""
    generator = np.random.default_rng(seed)
    group, able = generator.integers(0, groups, n), generator.normal(size=n)
    y = generator.random(n) < 1 / (1 + np.exp(-2 * able))
    score = 1 / (1 + np.exp(-2 * able + shift * (group == 0) + 0.5 * generator.normal(size=n)))
    return pd.DataFrame({"y": y.astype(int), "score": score, "group": np.array(list("abcdefgh"))[group]})


def told(people: pd.DataFrame, threshold: float = 0.5) -> lk.Predictions:
    return lk.Predictions.from_frame(people, y="y", score="score", threshold=threshold, groups=["group"])


def remedies(people: pd.DataFrame, methods: Any = THRESHOLDS, **more: Any) -> Mitigation:
    return lk.mitigate(told(people), None, "group", methods, **{"strengths": (0.5, 1.0), **more})


@pytest.fixture(scope="module")
def biased() -> Mitigation:
    return remedies(frame())


@pytest.fixture(scope="module")
def table() -> Dataset:
    """Women (a column gives them away) are positive less often; half of what is learned is labels that were unfair."""

    def split(n: int, seed: int) -> Split:
        generator = np.random.default_rng(seed)
        woman = generator.integers(0, 2, n)
        x = np.column_stack([generator.normal(size=(n, 2)), woman, generator.integers(0, 3, n)]).astype(np.float32)
        y = (generator.random(n) < 1 / (1 + np.exp(-x[:, 0] * 1.5 + 1.5 * woman))).astype(np.int64)
        features = (Feature("skill", "numeric"), Feature("noise", "numeric"), Feature("code", "categorical", categories=("m", "w")),
                    Feature("town", "categorical", categories=("x", "y", "z")))  # fmt: skip
        schema = Schema("tabular", "hired", (4,), features=features, groups=("sex",))
        return Split(x, y, schema, ("no", "yes"), f"people {seed}", {"sex": np.array(["man", "woman"])[woman]})

    return Dataset("people", split(3000, 0), split(4000, 1))


def test_a_biased_score_has_a_less_discriminatory_alternative_that_is_confirmed(biased: Mitigation) -> None:
    (finding,) = lk.check(biased, only=["less_discriminatory"])
    assert finding.status == "does_not_meet" and biased.found
    at = biased.least
    assert biased.gain_low[at] > 0.1 and biased.disparity[at] < 0.08 < biased.disparity[0]
    assert biased.cost[at] < 0, "an unfounded shift costs accuracy, and its remedy gives it back"


def test_a_sound_score_is_not_accused() -> None:
    for seed in range(12):
        found = remedies(frame(seed, 1500, 0.0, 2 + seed % 3), strengths=(1.0,), seed=seed)
        assert lk.check(found)[0].status != "does_not_meet"
    odds = remedies(frame(3, 1500, 0.0), "equalized_odds_postprocessing", criterion="equalized_odds")
    assert lk.check(odds)[0].status != "does_not_meet"


def test_who_learns_who_chooses_and_who_is_stated_on_are_different_people(biased: Mitigation) -> None:
    assert biased.n_rule + biased.n_choose + biased.n == 4000 and biased.n_learn == 0
    assert abs(biased.n - 2000) < 5 and len(np.unique(biased.person)) == biased.n
    seen: list[int] = []

    def keeps(score: np.ndarray, y: np.ndarray, *, strength: STRENGTH = 1.0) -> Any:
        seen.extend(score[:, 1].tolist())
        return decides(lambda score: np.eye(2)[score.argmax(1)])

    people = frame()
    found = remedies(people, keeps, strengths=(1.0,))
    assert len(seen) == found.n_rule
    assert not set(np.round(people.score.to_numpy()[found.person], 12)) & set(np.round(seen, 12))


def test_people_with_equal_inputs_are_on_one_side(table: Dataset) -> None:
    twice = np.tile(np.arange(1000), 2)
    p = lk.mitigate(
        None, Dataset("t", table.train, table.test[twice]), "sex", "group_thresholds", positive="yes", strengths=(1,)
    )
    assert set(p.person % 1000) & set(np.setdiff1d(np.arange(2000), p.person) % 1000) == set()


def test_what_is_stated_is_what_its_decisions_show(biased: Mitigation) -> None:
    people, at = frame().iloc[biased.person], biased.least
    a, y = people.group.to_numpy() == "a", people.y.to_numpy()
    answer, before = biased.decision, (people.score >= 0.5).to_numpy().astype(int)
    assert biased.accuracy[at] == pytest.approx((answer == y).mean())
    assert biased.disparity[at] == pytest.approx(abs(answer[a].mean() - answer[~a].mean()))
    assert biased.cost[at] == pytest.approx((before == y).mean() - (answer == y).mean())
    assert biased.balanced_accuracy[at] == pytest.approx(
        ((answer == y)[y == 1].mean() + (answer == y)[y == 0].mean()) / 2
    )
    low, high = intervals.newcombe(answer[a].sum(), a.sum(), answer[~a].sum(), (~a).sum())
    ends = sorted(abs(v) for v in (low, high)) if low * high > 0 else [0.0, max(-low, high)]
    assert [biased.disparity_low[at], biased.disparity_high[at]] == pytest.approx(ends)
    for r, rate in enumerate(biased.rates):
        among = {
            "selection_rate": y >= 0,
            "true_positive_rate": y == 1,
            "false_positive_rate": y == 0,
            "accuracy": y >= 0,
        }[rate]
        hit = answer == (y if rate == "accuracy" else 1)
        for g, inside in enumerate((a, ~a)):
            assert biased.rate[at, r, g] == pytest.approx(hit[inside & among].mean())
            assert biased.rate_of[at, r, g] == (inside & among).sum()
    for g, inside in enumerate((a, ~a)):
        up, down = inside & (answer > before), inside & (answer < before)
        assert (biased.selected[at, g], biased.deselected[at, g]) == (up.sum(), down.sum())
        assert (biased.selected_right[at, g], biased.deselected_right[at, g]) == (y[up].sum(), (1 - y[down]).sum())
    from sklearn.metrics import roc_auc_score

    assert biased.auc[0] == pytest.approx(roc_auc_score(y, people.score)) and np.isnan(biased.auc[at])


def test_front_and_choice_are_told_on_the_people_to_choose_by(biased: Mitigation) -> None:
    points = list(zip(biased.chosen_accuracy, biased.chosen_disparity))
    for i, (accuracy, disparity) in enumerate(points):
        beaten = any(a >= accuracy and d <= disparity and (a, d) != (accuracy, disparity) for a, d in points)
        assert biased.front[i] == (not beaten)
    affordable = np.flatnonzero(biased.affordable)
    assert biased.chosen_disparity[biased.least] == biased.chosen_disparity[affordable].min()
    strict = remedies(frame(), tolerance=0.0, seed=1)
    assert strict.affordable.sum() <= biased.affordable.sum() and strict.affordable[0]


def test_a_lottery_says_how_many_answers_it_draws_and_draws_them_from_the_seed() -> None:
    def coin(score: np.ndarray, *, strength: STRENGTH = 1.0) -> Any:
        return decides(lambda score: np.tile([0.7, 0.3], (len(score), 1)))

    drawn = [remedies(frame(), coin, strengths=(1.0,), tolerance=0.9, seed=s) for s in (0, 0, 1)]
    assert drawn[0].least == 1 and drawn[0].lots[1] == pytest.approx(2 * 0.7 * 0.3)
    assert (drawn[0].decision == drawn[1].decision).all()
    assert drawn[0].decision.mean() == pytest.approx(0.3, abs=0.04)
    both = np.intersect1d(drawn[0].person, drawn[2].person)
    answers = [d.decision[np.isin(d.person, both)] for d in (drawn[0], drawn[2])]
    assert (answers[0] != answers[1]).mean() == pytest.approx(0.42, abs=0.07)
    assert "42.0 % of its answers would change" in lk.says(drawn[0])
    assert drawn[0].accuracy[1] == pytest.approx(0.7 - 0.4 * frame().y[drawn[0].person].mean(), abs=1e-6)


def test_equalized_odds_is_the_larger_of_two_differences() -> None:
    found = remedies(frame(), "equalized_odds_postprocessing", criterion="equalized_odds")
    rates = [found.rates.index(n) for n in stated.ODDS]
    assert found.disparity == pytest.approx(np.ptp(found.rate[:, rates], axis=2).max(1))
    assert found.lots[1:].min() > 0 and found.lots[0] == 0
    assert found.disparity[-1] < found.disparity[0] / 2 and found.stage.tolist() == ["none", "after", "after"]


def test_answers_at_another_threshold_are_where_rules_begin() -> None:
    people = frame()
    p = told(people, 0.3)
    found = lk.mitigate(p, None, "group", "group_thresholds", strengths=(1e-6,))
    assert found.rate[0] == pytest.approx(found.rate[1], abs=0.005)
    assert found.rate[0, 0] == pytest.approx(
        [(people.score[found.person][people.group[found.person] == g] >= 0.3).mean() for g in "ab"]
    )
    assert any("turn at a score of 0.3" in w for w in found.warnings)


def test_people_without_a_group_and_tiny_groups_take_no_part_and_are_named() -> None:
    people = frame()
    people.loc[:99, "group"] = None
    people.loc[100:107, "group"] = "tiny"
    found = remedies(people)
    assert set(found.group) == {"a", "b"} and found.n_rule + found.n_choose + found.n == 4000 - 108
    assert "100 people have no known group" in found.warnings[0].replace("of 4000 ", "")
    assert "tiny (8 people)" in found.warnings[1]


def test_methods_of_all_stages_on_a_table(table: Dataset) -> None:
    found = lk.mitigate(None, table, "sex", ["reweighing", "resampling", "correlation_removal", "blind_thresholds"], positive="yes",
                        strengths=(0.5, 1.0))  # fmt: skip
    assert found.status == "measured" and found.n_learn == 3000
    strongest = [found.points_of(m)[-1] for m in ("reweighing", "resampling")]
    assert (found.disparity[strongest] < 0.6 * found.disparity[0]).all()
    assert found.reads.tolist() == ["a column"] * 5 + ["the group"] * 2 + ["a column"] * 2
    assert found.stage[[1, -1]].tolist() == ["before", "after"] and found.method[0] == "unmitigated learner"
    unaware = Dataset("u", *(replace(s, x=s.x[:, [0, 1, 3]], schema=replace(s.schema, shape=(3,), features=tuple(s.schema.features[i] for i in (0, 1, 3)))) for s in table))  # fmt: skip
    assert set(lk.mitigate(None, unaware, "sex", "reweighing", positive="yes", strengths=(1,)).reads) == {"nothing"}
    assert set(remedies(frame()).reads) == {"unknown", "the group"}


def test_a_model_in_use_stands_beside_the_learner(table: Dataset) -> None:
    import torch

    module = torch.nn.Linear(4, 2)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[0.0, 0, 0, 0], [1.5, 0, -2.5, 0]]))
        module.bias.zero_()
    model = lk.wrap(module, classes=["no", "yes"])
    found = lk.mitigate(
        model, table, "sex", ["reweighing", "group_thresholds", "last_layer_refit"], positive="yes", strengths=(1,)
    )
    assert found.method.tolist() == [
        "model as it is",
        "unmitigated learner",
        "reweighing",
        "group_thresholds",
        "last_layer_refit",
    ]
    plain = lk.predict(model, table.test[found.person])
    assert found.accuracy[0] == pytest.approx((plain.label == plain.y).mean())
    alone = lk.mitigate(
        lk.predict(model, table.test), table, "sex", ["group_thresholds"], positive="yes", strengths=(1,)
    )
    assert (alone.rate[2] == found.rate[3]).all(), "its predictions alone serve as well"


def test_all_methods_that_fit_are_tried_and_the_others_say_why(table: Dataset) -> None:
    found = lk.mitigate(told(frame(n=1500)), None, "group", None, strengths=(1.0,))
    assert set(found.method) >= {"group_thresholds", "reject_option"}
    why = dict(zip(found.left_out, found.why))
    assert "no data to train on" in why["reweighing"] and "blind" in why["blind_thresholds"]
    assert "no error rate" in why["calibrated_equalized_odds"]
    assert set(found.method[1:]) | set(found.left_out) == set(lk.names("mitigations"))


def test_columns_that_give_a_group_away_are_found(table: Dataset) -> None:
    assert telling(table.train, ("sex",)) == [2]
    wide, blind = encoding(table.train)(table.test.x), encoding(table.train, [2])(table.test.x)
    assert wide.shape == (4000, 7) and blind.shape == (4000, 5)
    assert wide[:, 0] == pytest.approx(
        (table.test.x[:, 0] - table.train.x[:, 0].mean()) / table.train.x[:, 0].std(), abs=1e-5
    )
    assert (wide[:, 2:4].argmax(1) == table.test.x[:, 2]).all() and (wide[:, 4:].sum(1) == 1).all()


def test_the_gain_covers_also_the_largest_of_many() -> None:
    generator = np.random.default_rng(0)

    def draw(n: int) -> tuple[np.ndarray, ...]:
        group, able = generator.integers(0, 4, n), generator.normal(size=n)
        able = able - 0.4 * (group == 0)
        y = (generator.random(n) < 1 / (1 + np.exp(-2 * able))).astype(int)
        return group, y, able > 0.3, able > np.where(group == 0, 0.1, 0.3)

    def judged(group: np.ndarray, y: np.ndarray) -> Judges:
        return Judges(y, group, 4, 1, Criterion("equalized_odds", stated.ODDS), np.ones(4, bool))

    group, y, before, after = draw(400_000)
    truth = judged(group, y).disparity(np.eye(2)[before.astype(int)]) - judged(group, y).disparity(
        np.eye(2)[after.astype(int)]
    )
    held, runs = 0, 60
    for seed in range(runs):
        group, y, before, after = draw(300)
        ends = judged(group, y)._gained(
            np.eye(2)[after.astype(int)], np.eye(2)[before.astype(int)], resampling.stream(seed, "t")
        )
        held += ends["gain_low"] <= truth <= ends["gain_high"]
    assert held >= 0.93 * runs - 3, "a percentile bootstrap of the largest holds 0.7 of them here"


def test_average_share_covers_and_is_wilsons_for_one() -> None:
    hits, n = np.array([[30.0, 5], [10, 10]]), np.array([[50.0, 20], [40, 10]])
    low, high = intervals.average_share(hits, n)
    assert ((low < (hits / n).mean(1)) & ((hits / n).mean(1) < high)).all()
    alone = intervals.average_share(hits[:, :1], n[:, :1])
    assert np.array(alone) == pytest.approx(np.array(intervals.wilson(hits[:, 0], n[:, 0])))
    generator = np.random.default_rng(0)
    drawn = generator.binomial([40, 120], [0.7, 0.9], (2000, 2))
    low, high = intervals.average_share(drawn, np.array([40, 120]))
    assert 0.93 < ((low <= 0.8) & (high >= 0.8)).mean() < 0.97


def test_the_check_concludes_nothing_that_the_intervals_do_not_bear(biased: Mitigation) -> None:
    def status(**changed: Any) -> str:
        arrays = {
            k: np.where(np.arange(len(biased.method)) == biased.least, v, getattr(biased, k))
            for k, v in changed.items()
        }
        return lk.check(replace(biased, **arrays))[0].status

    assert status(gain_low=-0.01) == "inconclusive" and status(cost=0.03) == "inconclusive"
    assert status(gain=0.004, gain_low=0.001, gain_high=0.008) == "meets"
    assert status(gain=0.005, gain_low=0.001, gain_high=0.02) == "inconclusive"
    chance = np.where(np.arange(len(biased.method)) == 0, 0.4, biased.p)
    assert lk.check(replace(biased, p=chance))[0].status == "inconclusive"
    none = replace(biased, least=0)
    assert lk.check(none)[0].status == "inconclusive" and "No alternative" in lk.check(none)[0].says
    tight = replace(none, gain_high=np.full(len(biased.method), 0.005))
    assert lk.check(tight)[0].status == "meets", "so many people that nothing worth it is left"
    alone = replace(none, affordable=np.arange(len(biased.method)) == 0)
    assert lk.check(alone)[0].status == "inconclusive"


def test_figures_rows_and_words(biased: Mitigation, tmp_path: Any) -> None:
    said = lk.says(biased)
    for part in (
        "by group",
        "equal groups reach",
        "Its accuracy is",
        "Answers change: a",
        "reads the group at decision time",
    ):
        assert part in said
    assert "certified" not in said and "compliant" not in said
    figure, changes = lk.figure(biased), view.changes(biased)
    assert {"model as it is", "group thresholds", "reject option", "least discriminatory alternative found"} == {
        t.name for t in figure.data
    }
    assert len(changes.data) == 4
    for name, drawn in (("front", figure), ("changes", changes)):
        assert "<svg" in svg(drawn, name=name)
    rows = lk.rows(biased)
    assert len(rows) == len(biased.method) * 2 and rows["least discriminatory"].sum() == 2
    lk.save(biased, tmp_path / "m.lk")
    assert lk.load(tmp_path / "m.lk").digest == biased.digest
    assert remedies(frame()).digest == biased.digest, "same inputs and seed, same record"


def test_what_cannot_be_told_is_not_measured() -> None:
    few = remedies(frame(n=110))
    assert (
        few.status == "not_measured"
        and "it takes more" in few.reason
        and lk.says(few).startswith("Not measured because")
    )
    assert lk.check(few)[0].status == "not_measured" and lk.figure(few) is not None
    constant = remedies(frame().assign(score=lambda f: 0.1 + 0.01 * f.score), "group_thresholds")
    assert constant.status == "not_measured" and "one answer" in constant.reason


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"by": ""}, "no sensitive feature"),
        ({"by": "height"}, "height"),
        ({"methods": "prayer"}, "mitigations"),
        ({"methods": "reweighing"}, "no data to train on"),
        ({"methods": "blind_thresholds"}, "blind"),
        ({"criterion": "auc"}, "no rate"),
        ({"criterion": "beauty"}, "beauty"),
        ({"strengths": (0.0,)}, "above 0"),
        ({"strengths": ()}, "above 0"),
        ({"tolerance": 1.5}, "from 0 to 1"),
        ({"model": None}, "neither a model"),
        ({"data": "adult"}, "data of type str"),
        ({"positive": "maybe"}, "maybe"),
    ],
)
def test_what_makes_no_sense_is_refused(more: dict[str, Any], match: str) -> None:
    asked = {"model": told(frame(n=400)), "data": None, "by": "group", "methods": ["group_thresholds"], **more}
    with pytest.raises(lk.Refused, match=match):
        lk.mitigate(**asked)


def test_predictions_of_other_people_and_one_group_alone_are_refused(table: Dataset) -> None:
    with pytest.raises(lk.Refused, match="other rows"):
        lk.mitigate(told(frame(n=400)), table, "group", "group_thresholds")
    with pytest.raises(lk.Refused, match="1 groups"):
        remedies(frame(n=400).assign(group="a"))


def test_the_same_fit_is_made_once_and_another_one_anew() -> None:
    asked: list[Any] = []

    def learner(x: np.ndarray, y: np.ndarray, weight: Any = None, objective: Any = None) -> Any:
        asked.append((y, weight, objective))
        return lambda x: np.ones((len(x), 2)) / 2

    x, y = np.zeros((6, 1)), np.array([0, 1, 0, 1, 1, 0])
    fit = Watched(learner, x, y)  # type: ignore[arg-type]
    weight = np.arange(6.0)
    first = fit(x, y, weight)
    assert fit(x, y.copy(), weight.copy()) is first and len(asked) == 1
    for other in ((x, 1 - y, weight), (x, y, weight + 1), (x, y), (x.copy(), y, weight), (x, y, weight, len)):
        count = len(asked)
        assert fit(*other) is not first and len(asked) == count + 1
    assert fit(x, y) is fit.plain and fit.fits == 8
