"""Membership scores against slow re-derivations, and membership inference on models that remember all, or nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm
from sklearn.metrics import roc_curve
from torch import nn

import labkit as lk
from labkit.analyses._membership import verdict
from labkit.analyses._membership.rows import draw
from labkit.analyses._membership.shadows import halves, train_shadows, untrained
from labkit.core import intervals, method, registry, roc
from labkit.data.schema import Feature, Schema
from labkit.membership._signals import Population
from labkit.training.many import Fit
from labkit.views._static import svg

N, MODELS, CLASSES = 40, 8, 3
QUICK = {"shadows": 4, "fit": Fit(epochs=2), "rows": 800, "fpr": (0.05, 0.1)}


# ---- the scores ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def offered() -> dict:
    g = np.random.default_rng(0)
    inside = halves(MODELS, N, g)
    y = g.integers(0, CLASSES, N)
    population = Population(
        g.normal(size=(25, CLASSES)), g.normal(size=(MODELS, 25, CLASSES)), g.integers(0, CLASSES, 25)
    )
    logits, shadow = g.normal(size=(N, CLASSES)) * 2, g.normal(size=(MODELS, N, CLASSES)) * 2
    return {
        "logits": logits,
        "label": logits.argmax(1),
        "y": y,
        "shadow": shadow,
        "inside": inside,
        "population": population,
    }


def probability(z: np.ndarray, y: int) -> float:
    return float(np.exp(z[y]) / np.exp(z).sum())


def odds(z: np.ndarray, y: int) -> float:
    p = probability(z, y)
    return float(np.log(p / (1 - p)))


def slowly(name: str, i: int, o: dict, least: int = 32) -> float:
    """One row's score, from the papers' formulas, with loops."""
    z, y = o["logits"][i], int(o["y"][i])
    p = [probability(z, k) for k in range(CLASSES)]
    seen = [m for m in range(MODELS) if o["inside"][m, i]]
    unseen = [m for m in range(MODELS) if not o["inside"][m, i]]
    if name == "loss":
        return float(np.log(p[y]))
    if name == "confidence":
        return float(np.log(max(p)))
    if name == "entropy":
        return (1 - p[y]) * np.log(p[y]) + sum(p[k] * np.log(1 - p[k]) for k in range(CLASSES) if k != y)
    if name == "label_only":
        return float(int(z.argmax()) == y)
    if name == "calibrated_loss":
        return float(np.log(p[y]) - np.mean([np.log(probability(o["shadow"][m, i], y)) for m in unseen]))
    if name == "rmia":
        usual = np.mean([probability(o["shadow"][m, i], y) for m in range(MODELS)])
        won = 0
        population = o["population"]
        for j, k in enumerate(population.y):
            there = np.mean([probability(population.shadow[m, j], k) for m in range(MODELS)])
            won += (p[y] / usual) / (probability(population.logits[j], k) / there) > 1
        return won / len(population.y)

    def spread(which: bool) -> float:
        """One for all rows, from every shadow model's deviation from its row's mean."""
        total = count = 0.0
        for row in range(N):
            values = [
                odds(o["shadow"][m, row], int(o["y"][row])) for m in range(MODELS) if o["inside"][m, row] == which
            ]
            total += sum((v - np.mean(values)) ** 2 for v in values)
            count += len(values) - 1
        return float(np.sqrt(total / count))

    def own(models: list[int], which: bool) -> tuple[float, float]:
        values = [odds(o["shadow"][m, i], y) for m in models]
        return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) >= least else spread(which)

    (mean_in, std_in), (mean_out, std_out) = own(seen, True), own(unseen, False)
    if name == "lira_offline":
        return (odds(z, y) - mean_out) / std_out
    return float(norm.logpdf(odds(z, y), mean_in, std_in) - norm.logpdf(odds(z, y), mean_out, std_out))


@pytest.mark.parametrize("name", registry.names("membership"))
def test_a_score_is_the_papers_formula(name: str, offered: dict) -> None:
    score = registry.find("membership", name)
    found = method.call(score, method.bind("membership", name, score, {}), offered)
    assert found.shape == (N,)
    assert np.allclose(found, [slowly(name, i, offered) for i in range(N)], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["lira", "lira_offline"])
def test_with_enough_shadow_models_a_rows_spread_is_its_own(name: str, offered: dict) -> None:
    score = registry.find("membership", name)
    found = method.call(score, method.bind("membership", name, score, {"least": 4}), offered)
    assert np.allclose(found, [slowly(name, i, offered, least=4) for i in range(N)])


def test_rmia_offline_guesses_what_having_seen_a_row_does(offered: dict) -> None:
    score = registry.find("membership", "rmia")
    found = method.call(
        score, method.bind("membership", "rmia", score, {"online": False, "a": 0.4, "gamma": 1.5}), offered
    )
    i, population = 3, offered["population"]
    y = int(offered["y"][i])
    out = np.mean([probability(offered["shadow"][m, i], y) for m in range(MODELS) if not offered["inside"][m, i]])
    ratio = probability(offered["logits"][i], y) / (((1 + 0.4) * out + (1 - 0.4)) / 2)
    others = [
        probability(population.logits[j], k) / np.mean([probability(population.shadow[m, j], k) for m in range(MODELS)])
        for j, k in enumerate(population.y)
    ]
    assert found[i] == pytest.approx(np.mean(ratio / np.array(others) > 1.5))


@pytest.mark.parametrize("name", registry.names("membership"))
def test_scores_are_finite_where_a_model_is_all_but_certain(name: str, offered: dict) -> None:
    sure = {**offered, "logits": offered["logits"] * 200, "shadow": offered["shadow"] * 200}
    score = registry.find("membership", name)
    assert np.isfinite(method.call(score, method.bind("membership", name, score, {}), sure)).all()


def test_sure_rows_keep_their_order() -> None:
    """In probabilities of float64 both are 1."""
    z = np.array([[60.0, 0.0], [50.0, 0.0], [0.0, 60.0]])
    y = np.zeros(3, np.int64)
    for name in ("loss", "entropy"):
        found = registry.find("membership", name)(z, y)
        assert found[0] > found[1] > found[2]


def test_a_row_that_every_shadow_model_saw_is_refused(offered: dict) -> None:
    with pytest.raises(lk.Refused, match="every shadow model saw"):
        registry.find("membership", "lira")(
            offered["logits"], offered["y"], offered["shadow"], np.ones((MODELS, N), bool)
        )


@pytest.mark.parametrize("models", [2, 5, 16])
def test_shadow_models_see_half_of_the_rows_and_rows_half_of_the_models(models: int) -> None:
    inside = halves(models, 101, np.random.default_rng(0))
    assert inside.shape == (models, 101) and set(inside.sum(1)) <= {50, 51}
    assert np.ptp(inside.sum(0)) == models % 2


# ---- the curve -------------------------------------------------------------------------------------------------------


def test_the_curve_is_scikit_learns() -> None:
    g = np.random.default_rng(1)
    score, member = np.round(g.normal(size=300), 1), g.random(300) < 0.4
    assert np.allclose(roc.curve(score, member), roc_curve(member, score, drop_intermediate=False)[:2])


@pytest.mark.parametrize(("shift", "n", "fpr"), [(0.0, 1000, 0.01), (0.3, 500, 0.1), (1.0, 500, 0.02), (2.0, 200, 0.1)])
def test_the_interval_of_a_true_positive_rate_covers(shift: float, n: int, fpr: float) -> None:
    """And the exact ends for the members alone do not: the threshold is a draw as well."""
    g = np.random.default_rng(2)
    truth, member = norm.sf(norm.isf(fpr) - shift), np.arange(2 * n) < n
    covered = alone = 0
    for _ in range(300):
        rate, low, high = roc.rate_at(g.normal(size=2 * n) + shift * member, member, fpr)
        covered += low[0] <= truth <= high[0]
        a, b = intervals.clopper_pearson(rate * n, n)
        alone += a[0] <= truth <= b[0]
    assert 0.93 <= covered / 300 <= 0.99 and alone / 300 < 0.92


def test_rows_of_one_score_are_told_apart_by_a_coin() -> None:
    member = np.arange(400) < 200
    rate, low, high = roc.rate_at(np.zeros(400), member, [0.05, 0.5])
    assert np.allclose(rate, [0.05, 0.5]) and (low < rate).all() and (rate < high).all()
    rate, low, _ = roc.rate_at(member.astype(float), member, [0.05])
    assert rate == 1 and low[0] == pytest.approx(float(intervals.clopper_pearson(200, 200)[0]))


# ---- what is stated --------------------------------------------------------------------------------------------------


def test_choosing_among_many_attacks_flatters_none() -> None:
    """Twenty scores of noise: the best on one half, stated on the other, covers an area of a half."""
    covered = flattered = 0
    for seed in range(40):
        g = np.random.default_rng(seed)
        member = np.arange(200) < 100
        score = g.normal(size=(20, 200))
        stated = verdict.halves(member, seed)
        best = verdict.choose(score[:, ~stated], member[~stated], np.array([0.1]))
        _, low, high = intervals.delong(member[stated].astype(int), score[best, stated])
        covered += low <= 0.5 <= high
        flattered += max(intervals.delong(member.astype(int), s)[1] for s in score) > 0.5
    assert covered >= 34 and flattered > 9


def test_an_attack_is_not_chosen_on_the_rows_on_which_it_is_stated(people, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(verdict, "choose", lambda score, member, fpr: seen.append((score, member)) or 1)
    found = lk.membership_inference(remembers(people), people, ["loss", "label_only"], shadows=0, rows=300, fpr=0.5)
    assert found.chosen == 1 and np.array_equal(seen[0][0], found.score[:, ~found.stated])
    assert np.array_equal(seen[0][1], found.member[~found.stated]) and found.members == found.others == 75
    assert found.area() == found._area(found.score[1, found.stated], found.member[found.stated], 0.95)


def test_membership_dealt_at_random_gives_p_values_that_are_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "DRAWS", 99)
    member = np.arange(80) < 40
    p = [verdict.chance(np.random.default_rng(s).normal(size=(5, 80)), member, s) for s in range(400)]
    assert 0.02 <= np.mean(np.array(p) <= 0.05) <= 0.085 and abs(np.mean(p) - 0.5) < 0.06
    assert verdict.chance(member + np.random.default_rng(0).normal(0, 0.5, (3, 80)), member, 0) == 0.01


# ---- models whose memory is known ------------------------------------------------------------------------------------


class Lookup(nn.Module):
    """Gives back the label of a row that it holds, and the rule's answer for any other."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("x", torch.tensor(x))
        self.register_buffer("y", torch.tensor(y))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not len(self.x):
            return rule(x)
        distance, nearest = torch.cdist(x.flatten(1), self.x.flatten(1)).min(1)
        known = nn.functional.one_hot(self.y[nearest], 2) * 8.0
        return torch.where(distance[:, None] < 1e-3, known, rule(x))


def rule(x: torch.Tensor) -> torch.Tensor:
    return torch.stack([x[:, 0], -x[:, 0]], 1)


def table(n: int, seed: int, shift: float = 0.0, noise: float = 0.3, name: str = "made") -> lk.data.Split:
    g = np.random.default_rng(seed)
    x = (g.normal(size=(n, 6)) + shift).astype(np.float32)
    y = np.where(g.random(n) < noise, g.integers(0, 2, n), x[:, 0] < 0).astype(np.int64)
    schema = Schema("tabular", "class", (6,), features=tuple(Feature(f"v{i}", "numeric", -9, 9) for i in range(6)))
    return lk.data.Split(x, y, schema, ("a", "b"), name)


@pytest.fixture(scope="module")
def people() -> lk.data.Dataset:
    return lk.data.Dataset("made", table(800, 0), table(1000, 1))


def remembers(data: lk.data.Dataset, all_of_them: bool = True):
    module = Lookup(*((data.train.x, data.train.y) if all_of_them else (np.zeros((0, 6)), np.zeros(0, np.int64))))
    return lk.wrap(module, classes=["a", "b"], name="lookup" if all_of_them else "rule")


@pytest.fixture(scope="module")
def remembered(people: lk.data.Dataset) -> lk.analyses.membership_inference:
    return lk.membership_inference(remembers(people), people, **QUICK)


@pytest.fixture(scope="module")
def learned(people: lk.data.Dataset):
    return lk.membership_inference(remembers(people, False), people, **QUICK)


def test_a_model_that_remembers_every_row_is_found(remembered) -> None:
    value, low, _ = remembered.rates()
    assert remembered.status == "measured" and value[0] > 0.95 and low[0] > 0.9
    assert remembered.area()[0] > 0.97 and remembered.p == 1 / (1 + verdict.DRAWS)
    assert {f.check: f.status for f in lk.check(remembered, only=["recognized_members"])} == {
        "recognized_members": "does_not_meet"
    }
    rows, share = remembered.exposed(20)
    assert remembered.member[rows].all() and share.max() < 0.01


def test_a_rule_that_remembers_nothing_is_not_accused(learned) -> None:
    _, low, high = learned.area()
    assert learned.status == "measured" and low <= 0.5 <= high and learned.p > 0.01
    statuses = [f.status for f in lk.check(learned)]
    assert "does_not_meet" not in statuses


def test_shadow_models_have_seen_what_inside_says(people: lk.data.Dataset) -> None:
    """On labels that are a toss of a coin only what was seen can be known."""
    rows = table(120, 7, noise=1.0)
    made = train_shadows("network", remembers(people), rows, people.test[:10], 4, Fit(epochs=25, rate=1e-2), 0, None)
    known = made.rows.argmax(2) == rows.y
    assert known[made.inside].mean() > 0.85 and known[~made.inside].mean() < 0.65
    assert made.population.shape == (4, 10, 2)


def test_a_copy_that_never_learned_has_other_weights(mlp, digits: lk.data.Dataset) -> None:
    before, rows = mlp.digest, digits.test[:200]
    copy = untrained(mlp, "network", rows, 0)
    assert copy.digest != before == mlp.digest and copy.classes == mlp.classes
    label = copy(copy.tensor(rows.x)).argmax(1).numpy()
    assert (label == rows.y).mean() < 0.4
    assert untrained(mlp, "network", rows, 0).digest == copy.digest != untrained(mlp, "network", rows, 1).digest


def test_controls_stand_beside(remembered) -> None:
    for _, low, high in (remembered.guess()[1], remembered.control()):
        assert low <= 0.5 <= high
    assert [f.status for f in lk.check(remembered, only=["blind_guess"])][1] == "meets"
    assert any("weak attack" in w for w in remembered.warnings)
    text = lk.says(remembered)
    assert "untrained copy" in text and "guess without the model" in text


def test_a_weak_attack_clears_nobody(learned) -> None:
    few = lk.check(learned, only=["recognized_members"])[0]
    many = lk.check(replace(learned, shadows=16), only=["recognized_members"])[0]
    assert few.status == "inconclusive" and "too weak" in few.says and many.status in ("meets", "inconclusive")


def test_false_alarms_on_scores_of_noise(learned) -> None:
    g, alarms, cleared = np.random.default_rng(3), 0, 0
    shape = learned.score.shape
    for _ in range(120):
        noise = replace(learned, score=g.normal(size=shape), untrained=g.normal(size=shape[1]), shadows=16)
        found = lk.check(noise, only=["recognized_members", "blind_guess"])
        alarms += any(f.status == "does_not_meet" for f in found)
        cleared += found[-1].status == "meets"
    assert alarms <= 4 and cleared > 80


@pytest.mark.parametrize("how", ["inputs", "labels"])
def test_a_guess_without_the_model_withholds_the_rest(people: lk.data.Dataset, how: str) -> None:
    test = table(1000, 1, shift=0.4) if how == "inputs" else table(1000, 1, noise=1.0)
    found = lk.membership_inference(remembers(people), replace(people, test=test), **QUICK)
    assert found.shadows == 0 and "label_only" in found.methods and "lira" not in found.methods, "trained in vain"
    assert found.status == "not_measured" and "never asks the model" in found.reason
    assert found.area()[0] > 0.9, "the scores are kept"
    assert {f.status for f in lk.check(found)} == {"not_measured"}


def test_the_same_seed_gives_the_same_record(people: lk.data.Dataset, tmp_path) -> None:
    settings = {**QUICK, "rows": 200, "shadows": 2}
    first, again = (lk.membership_inference(remembers(people), people, **settings) for _ in range(2))
    other = lk.membership_inference(remembers(people), people, **settings, seed=1)
    assert first.digest == again.digest != other.digest
    assert lk.load(lk.save(first, tmp_path / "m.lk")).digest == first.digest
    assert first.member.sum() == 100 == (~first.member).sum()


def test_a_function_of_ones_own_is_an_attack(people: lk.data.Dataset) -> None:
    def sure(logits: np.ndarray) -> np.ndarray:
        return np.ptp(logits, axis=1)

    found = lk.membership_inference(remembers(people), people, ["loss", sure], shadows=0, rows=400, fpr=0.1)
    assert found.methods == ("loss", "sure") and found.needs == ("probabilities, the true label", "probabilities")


def test_rows_that_stand_twice_are_on_neither_side() -> None:
    own = np.array([*range(100), *range(90, 190), 5])  # ten test rows and one training row stand twice
    drawn = draw("x", own, (100, 101), 1000, 0)
    train, test = drawn.position[drawn.member], drawn.position[~drawn.member]
    assert drawn.copies == 22 and set(train) == set(range(90)) - {5} and set(test) == set(range(10, 100))


def test_where_one_side_is_short_the_other_is_longer() -> None:
    drawn = draw("x", None, (60, 1000), 500, 0, aside=0.2)
    assert drawn.member.sum() == 60 and (~drawn.member).sum() == 440 and len(drawn.population) == 500
    assert not set(drawn.population) & set(drawn.position[~drawn.member])


def test_what_a_sample_does_not_resolve_is_named(people: lk.data.Dataset) -> None:
    found = lk.membership_inference(remembers(people), people, "loss", shadows=0, rows=200, fpr=(0.001, 0.01))
    assert found.least == -1 and np.isnan(found.rates()).all() and found.resolved == 10 / 50
    assert any("resolve 0.2 and more" in w and "10,000" in w for w in found.warnings)
    told = lk.check(found, only=["recognized_members"])[0]
    assert told.status == "not_measured" and "1,000" in told.says


# ---- predictions alone -----------------------------------------------------------------------------------------------


def answers(right: float, n: int, seed: int, proba: bool = True) -> lk.Predictions:
    g = np.random.default_rng(seed)
    y = g.integers(0, 2, n)
    score = np.where(g.random(n) < right, y, 1 - y) * 0.6 + g.random(n) * 0.4
    frame = pd.DataFrame({"y": y, "s": score, "l": (score > 0.5).astype(int)})
    return lk.Predictions.from_frame(frame, y="y", **({"score": "s", "threshold": 0.5} if proba else {"label": "l"}))


def test_two_tables_of_answers_are_enough() -> None:
    found = lk.membership_inference((answers(1, 600, 0), answers(0.7, 600, 1)))
    assert found.methods == ("confidence", "entropy", "label_only", "loss") and found.shadows == 0
    assert found.area(2)[0] == pytest.approx(0.5 + 0.3 / 2, abs=0.03) and found.untrained is None
    assert [f.status for f in lk.check(found, only=["blind_guess"])] == ["not_measured"]
    strong = lk.check(replace(found, score=found.member[None] * np.ones((4, 1))), only=["recognized_members"])[0]
    assert strong.status == "inconclusive" and "without the inputs" in strong.says


def test_without_probabilities_right_and_wrong_remain() -> None:
    pair = answers(1, 100, 0, proba=False), answers(0.7, 100, 1, proba=False)
    found = lk.membership_inference(pair)
    assert found.methods == ("label_only",) and any("probabilities are missing" in w for w in found.warnings)
    with pytest.raises(lk.Refused, match="nothing offers logits"):
        lk.membership_inference(pair, methods="loss")


# ---- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: {"data": replace(d, test=d.train)}, "the same 800 rows"),
        (lambda d: {"data": d.train}, "a data set with .train"),
        (lambda d: {"data": None}, "a data set with .train"),
        (lambda d: {"data": replace(d, test=d.test[:35])}, "at least 30"),
        (lambda d: {"data": lk.data.Dataset("d", *(s[s.y == 0] for s in d))}, "class 'a' alone"),
        (lambda d: {"data": replace(d, test=d.test[:0])}, "0 of the test data"),
        (lambda d: {"fpr": 0.0}, "between 0 and 1"),
        (lambda d: {"shadows": 1}, "better 16"),
        (lambda d: {"rows": 10}, "from 60"),
        (lambda d: {"methods": "lyra"}, "'lira'"),
        (lambda d: {"methods": "lira", "shadows": 0}, "nothing offers"),
        (lambda d: {"model": Lookup(d.train.x, d.train.y)}, "labkit.wrap"),
        (lambda d: {"model": (answers(1, 100, 0),), "data": None}, "on training, on test"),
        (lambda d: {"model": (answers(1, 100, 0), answers(1, 20, 1)), "data": None}, "at least 30"),
        (lambda d: {"methods": [lambda logits: logits]}, "one finite number"),
    ],
)
def test_bad_input_is_named(people: lk.data.Dataset, change, said: str) -> None:
    with pytest.raises(lk.Refused) as refused:
        lk.membership_inference(**{"model": remembers(people), "data": people, "shadows": 0, **change(people)})
    assert said in str(refused.value)


# ---- how it looks, and the twins -------------------------------------------------------------------------------------


def test_views(remembered, learned) -> None:
    for record in (remembered, learned):
        figure = lk.figure(record)
        assert figure.layout.xaxis.type == "log" and "95 %" in svg(figure, name="m")
        rows = lk.rows(record)
        assert {"area", "true positive rate at 0.05"} <= set(rows["what"]) and rows["other rows"].min() > 0
    assert remembered.pictures is None and not remembered.texts and not len(remembered.shown)


def test_the_twin_that_learned_by_heart_is_told_from_the_one_that_did_not() -> None:
    data = lk.zoo.data("fashion_overfit")
    settings = {"methods": ["loss", "label_only"], "shadows": 0, "rows": 400, "fpr": 0.1, "show": 5}
    heart, sound = (
        lk.membership_inference(lk.zoo.load(m), data, **settings) for m in ("fashion_overfit", "fashion_regular")
    )
    assert heart.status == sound.status == "measured"
    assert heart.area()[1] > 0.65 > 0.6 > sound.area()[0] and heart.p < 0.01
    assert heart.pictures.shape == (5, 1, 28, 28) and heart.member[heart.shown].all()
    assert "most exposed" in lk.views.membership_inference.exposed(heart).layout.title.text


def test_confidence_tells_apart_what_is_all_but_certain() -> None:
    score = registry.find("membership", "confidence")(logits=np.array([[50.0, 0.0], [60.0, 0.0], [0.0, 40.0]]))
    assert score.argsort().tolist() == [2, 0, 1] and (score < 0).all()
