"""Abstention and out-of-distribution scores: areas and bounds re-derived, guarantees simulated, planted faults with twins."""

from __future__ import annotations

import zlib
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from scipy import special, stats
from scipy.spatial.distance import cdist
from scipy.stats import binom
from sklearn.metrics import roc_auc_score
from torch import nn

import labkit as lk
from labkit.analyses import abstention as home
from labkit.analyses import out_of_distribution as ood_home
from labkit.analyses._groups.grouping import grouping
from labkit.analyses._unfamiliar import familiarity
from labkit.analyses._unfamiliar.rows import MADE
from labkit.checks.knows_what_it_does_not_know import knows_what_it_does_not_know
from labkit.checks.knows_when_it_is_wrong import knows_when_it_is_wrong
from labkit.core import resampling
from labkit.core.draws import Draws
from labkit.core.record import Provenance
from labkit.corruptions._applying import Ground, corrupt, corruption
from labkit.data.schema import Feature, Schema
from labkit.records.out_of_distribution import OutOfDistribution
from labkit.views import abstention as abstention_view
from labkit.views._static import svg


def answers(confidence: np.ndarray, wrong: np.ndarray, **groups: Any) -> lk.Predictions:
    return lk.Predictions(
        provenance=Provenance(analysis="predict", version=lk.__version__),
        y=wrong.astype(np.int64),
        label=np.zeros(len(wrong), np.int64),
        proba=np.column_stack([confidence, 1 - confidence]),
        classes=("no", "yes"),
        groups={name: np.asarray(values) for name, values in groups.items()},
    )


def drawn(draw: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated confidences from 0.5 to 1: the risk above a confidence c is (1 - c) / 2."""
    confidence = draw.uniform(0.5, 1, n)
    return confidence, draw.random(n) > confidence


def test_the_area_is_the_mean_risk_over_all_orders_of_equal_confidences() -> None:
    confidence, wrong = np.array([0.9, 0.9, 0.9, 0.8, 0.7, 0.7]), np.array([0, 1, 0, 1, 1, 0])
    each = []
    for order in permutations(range(6)):
        if (np.diff(confidence[list(order)]) <= 0).all():
            each.append(np.mean(np.cumsum(wrong[list(order)]) / np.arange(1, 7)))
    record = lk.abstention(answers(confidence, wrong))
    assert record.aurc[0] == pytest.approx(np.mean(each))
    assert record.best == pytest.approx(np.mean([0, 0, 0, 1 / 4, 2 / 5, 3 / 6]))
    assert record.random == 0.5 and float(home.area(np.array([6]), np.array([3]))) == pytest.approx(0.5)
    assert record.kept.tolist() == [3, 4, 6] and record.wrong.tolist() == [1, 2, 3]


def test_the_order_of_the_rows_does_not_matter_and_equal_runs_are_equal() -> None:
    draw = np.random.default_rng(0)
    confidence, wrong = drawn(draw, 400)
    confidence = confidence.round(2)
    record, mixed = lk.abstention(answers(confidence, wrong)), draw.permutation(400)
    again = lk.abstention(answers(confidence[mixed], wrong[mixed]))
    for name in ("kept", "wrong", "coverage", "random_low"):
        np.testing.assert_array_equal(getattr(record, name), getattr(again, name))
    assert record.aurc == again.aurc and record.p == again.p
    assert lk.abstention(answers(confidence, wrong)).digest == record.digest


def test_intervals_of_the_area_cover_and_confidence_that_says_nothing_is_not_told_apart() -> None:
    order = home._order(*drawn(np.random.default_rng(99), 400_000))
    truth = home.area(order.n, order.wrong)
    covered, alarms = 0, 0
    for seed in range(60):
        draw = np.random.default_rng(seed)
        confidence, wrong = drawn(draw, 150)
        _, low, high = home._areas(confidence, wrong, 150, seed)["aurc"]
        covered += low <= truth <= high
        alarms += home._areas(confidence, draw.permutation(wrong), 100, seed)["p"] < 0.05
    assert covered >= 52 and alarms <= 8


def test_the_guarantee_holds_as_often_as_it_says() -> None:
    """Over 400 data sets from a source whose risk above every confidence is known, a wanted risk is exceeded seldom."""
    failed = tried = 0
    for seed in range(400):
        draw = np.random.default_rng(seed)
        found = home._guaranteed(*drawn(draw, 500), (0.1, 0.2), 0.05)
        for wanted, above in zip(found["wanted"], found["least_confidence"]):
            if not np.isnan(above):
                tried += 1
                failed += (1 - max(above, 0.5)) / 2 > wanted
    assert tried > 400 and failed <= binom.ppf(0.99, tried, 0.05)


def test_the_bound_is_the_exact_one_and_the_coverage_the_largest_that_it_allows() -> None:
    draw = np.random.default_rng(4)
    confidence, wrong = drawn(draw, 800)
    record = lk.abstention(answers(confidence, wrong), risks=(0.15,), delta=0.1)
    kept = confidence > record.least_confidence[0]
    assert record.coverage[0] == kept.mean() and record.risk[0] == wrong[kept].mean()
    # were the risk as high as the bound, so few errors would come up with a chance of delta / 20
    assert binom.cdf(wrong[kept].sum(), kept.sum(), record.risk_bound[0]) == pytest.approx(0.1 / 20, rel=1e-6)
    ranked = -np.sort(-confidence)
    for share in home.COVERAGES[record.coverage[0] + 0.01 < home.COVERAGES]:
        rows = confidence > (ranked[int(np.ceil(share * 800)) - 1] if share < 1 else 0)
        assert binom.cdf(wrong[rows].sum(), rows.sum(), 0.15) > 0.1 / 20
    sure = lk.abstention(answers(confidence, np.zeros(800, bool)), risks=(0.05,))
    assert sure.coverage[0] == 1 and sure.least_confidence[0] < 0 and np.isnan(sure.gain)
    assert lk.abstention(answers(confidence[:40], wrong[:40]), risks=(0.01,)).coverage[0] == 0


def test_confidence_that_says_nothing_is_named_and_its_twin_is_not() -> None:
    draw = np.random.default_rng(6)
    confidence, wrong = drawn(draw, 600)
    (good,) = lk.check(lk.abstention(answers(confidence, wrong)))
    (blind,) = lk.check(lk.abstention(answers(confidence, draw.permutation(wrong))))
    assert good.status == "meets" and blind.status == "does_not_meet"
    (few,) = lk.check(lk.abstention(answers(confidence[:50], draw.permutation(wrong)[:50])))
    assert few.status == "inconclusive"


def test_a_group_whose_errors_are_hidden_is_named_and_its_twin_is_not() -> None:
    """In group b the model is the surer the more it errs; over all rows abstention still helps."""
    draw = np.random.default_rng(8)
    confidence, wrong = drawn(draw, 3000)
    hidden = draw.random(3000) < 0.2
    upside_down = np.where(hidden, draw.random(3000) > 1.5 - confidence, wrong)
    group = np.where(hidden, "b", "a")
    whole, by = lk.check(lk.abstention(answers(confidence, upside_down, kind=group)), only=["knows_when_it_is_wrong"])
    assert whole.status == "meets" and by.status == "does_not_meet" and " b has " in by.says
    sound = lk.check(lk.abstention(answers(confidence, wrong, kind=group)))
    assert [f.status for f in sound] == ["meets", "meets", "info"]
    record = lk.abstention(answers(confidence, upside_down, kind=group))
    table = abstention_view.groups(record)
    assert table[table["coverage of all"] == 1].answered.tolist() == [(~hidden).sum(), hidden.sum()]


def test_equal_groups_are_seldom_named() -> None:
    """200 records in which confidence says nothing within either group, so that only chance could put errors first."""
    flagged, group = 0, np.repeat(["a", "b"], [100, 200])
    draw = np.random.default_rng(0)
    first = answers(draw.uniform(0.5, 1, 300), draw.random(300) < 0.2, kind=group)
    record, features = lk.abstention(first, replicates=100), [grouping("a test", first, "kind")]
    for _ in range(200):
        parts = home._groups(draw.uniform(0.5, 1, 300), draw.random(300) < 0.2, features)
        _, found = knows_when_it_is_wrong(replace(record, **parts))
        flagged += found.status == "does_not_meet"
    assert flagged <= 2


def test_pictures_tables_and_refusals_of_abstention(tmp_path) -> None:
    draw = np.random.default_rng(3)
    confidence, wrong = drawn(draw, 300)
    p = answers(confidence, wrong, kind=draw.choice(["a", "b"], 300))
    record = lk.abstention(p)
    assert "300 rows" in svg(lk.figure(record), name="f")
    assert "a (n = " in svg(abstention_view.by_group(record, "kind"), name="g")
    assert len(lk.rows(record)) == 201 and len(abstention_view.rules(record)) == 3
    assert "300 rows" in lk.says(record) and "sure to 95%" in lk.says(record)
    lk.save(record, tmp_path / "a.lk")
    assert lk.load(tmp_path / "a.lk").digest == record.digest
    with pytest.raises(lk.Refused, match="feature"):
        abstention_view.by_group(record, "age")
    for wrong_call in ({"risks": ("x",)}, {"risks": 1.5}, {"delta": 0}, {"replicates": 3}, {"by": ["age"]}):
        with pytest.raises(lk.Refused):
            lk.abstention(p, **wrong_call)


LOGIT_SCORES = ("max_probability", "max_logit", "energy", "entropy")


@pytest.fixture(scope="module")
def told(mlp, digits) -> OutOfDistribution:
    data = replace(digits, test=digits.test[:160])
    return lk.out_of_distribution(mlp, data, near=["gaussian_noise", "rotate"])


def test_scores_are_what_their_formulas_say() -> None:
    draw = np.random.default_rng(0)
    z = draw.normal(0, 3, (50, 4))
    p = special.softmax(z, 1)
    np.testing.assert_allclose(np.exp(familiarity.max_probability(z)), p.max(1))
    np.testing.assert_allclose(familiarity.energy(z), special.logsumexp(z, 1))
    np.testing.assert_allclose(familiarity.entropy(z), -stats.entropy(p, axis=1))
    sure = familiarity.max_probability(np.array([[60.0, 0], [50, 0], [40, 0]]))
    assert (np.diff(sure) < 0).all(), "answers that are all but certain are still told apart"
    known, y = draw.normal(size=(6000, 5)) * [1, 2, 0.5, 1, 1], np.arange(6000) % 3
    known, found = known + 2 * y[:, None], draw.normal(size=(20, 5))
    means = np.stack([known[y == c].mean(0) for c in range(3)])
    inverse = np.linalg.inv(np.cov((known - means[y]).T, bias=True))
    want = -(cdist(found, means, "mahalanobis", VI=inverse).min(1) ** 2)
    np.testing.assert_allclose(familiarity.mahalanobis(known, y)(found), want, rtol=0.02)
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (found, known)]
    np.testing.assert_allclose(familiarity.neighbors(known, 7)(found), -np.sort(cdist(*unit), 1)[:, 6], atol=1e-6)


def test_areas_are_those_of_the_rows_themselves(told, mlp, digits) -> None:
    split = digits.test[:160]
    known, held = np.array_split(resampling.stream(0, "out_of_distribution", "halves").permutation(160), 2)
    assert told.known == told.held == 80 and not set(known) & set(held)
    chosen, ground = corruption("rotate"), Ground(split.schema, (0.0, 1.0), digits.train.x)
    x = corrupt(chosen, split.x[held], 3, Draws(0, 160)[held].spawn(zlib.crc32(b"rotate")), ground)
    with torch.no_grad():
        a, b, same = (mlp(torch.tensor(v)).numpy() for v in (split.x[known], x, split.x[held]))
    truth = np.repeat([1, 0], 80)
    for i, name in enumerate(LOGIT_SCORES):
        score = familiarity.OF_LOGITS[name]
        assert told.scores[i] == name
        assert told.auroc[i, 1] == pytest.approx(roc_auc_score(truth, np.concatenate([score(a), score(b)])))
        assert told.control[i] == pytest.approx(roc_auc_score(truth, np.concatenate([score(a), score(same)])))
        threshold = np.sort(score(a))[4]
        assert (score(a) >= threshold).mean() >= 0.95 and told.accepted[i, 1] == (score(b) >= threshold).mean()
    assert told.accuracy[1] == (b.argmax(1) == split.y[held]).mean() and np.isnan(told.accuracy[2:]).all()
    assert told.status == "measured" and (told.control_low < 0.5).all() and (told.control_high > 0.5).all()
    assert told.far.tolist() == [False, False, True, True] and (told.low <= told.auroc).all()


def test_the_batch_size_does_not_matter_and_equal_runs_are_equal(told, mlp, digits) -> None:
    data, near = replace(digits, test=digits.test[:160]), ["gaussian_noise", "rotate"]
    assert lk.out_of_distribution(mlp, data, near=near).digest == told.digest
    small = lk.out_of_distribution(mlp, data, near=near, batch_size=33)
    np.testing.assert_allclose(small.auroc, told.auroc, atol=1e-3)
    np.testing.assert_allclose(small.accepted, told.accepted, atol=0.02)


def test_the_share_that_passes_has_an_interval_that_covers() -> None:
    """Known scores are standard normal and shifted ones lie one lower, so that the share is known."""
    truth, covered = stats.norm.sf(stats.norm.ppf(0.05) + 1), 0
    for seed in range(200):
        draw = np.random.default_rng(seed)
        _, low, high = ood_home.accepted(draw.normal(size=150), draw.normal(-1, 1, 120), draw)
        covered += low <= truth <= high
    assert covered >= 184
    assert ood_home.accepted(np.arange(100.0), np.full(50, -1.0), draw)[2] > 0.02
    assert np.isnan(ood_home.accepted(np.arange(9.0), np.zeros(0), draw)).all()


def test_a_score_that_tells_halves_of_the_same_rows_apart_is_broken(mlp, digits) -> None:
    asked = iter(range(1000))

    def how_late(z: np.ndarray) -> np.ndarray:
        return np.full(len(z), float(next(asked)))

    record = lk.out_of_distribution(mlp, digits.test[:80], near=[], far="shuffled", scores=[how_late, "energy"])
    assert record.status == "contradicted" and "how_late" in record.reason
    assert {f.status for f in lk.check(record)} == {"inconclusive"}
    assert lk.out_of_distribution(mlp, digits.test[:80], near=[], far="shuffled", scores="energy").status == "measured"


class Rough(nn.Module):
    """A model that is the surer, or the less sure, the rougher a picture is."""

    def __init__(self, inner: nn.Module, power: float) -> None:
        super().__init__()
        self.inner, self.power = inner, power

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rough = (x - x.roll(1, -1)).abs().flatten(1).mean(1, keepdim=True) + (x - x.roll(1, -2)).abs().flatten(1).mean(
            1, keepdim=True
        )
        return self.inner(x) * (3 * rough) ** self.power


def test_a_model_that_is_surer_of_noise_is_named_and_its_twin_is_not(mlp_module, digits) -> None:
    found = {}
    for power in (8.0, -8.0):
        model = lk.wrap(Rough(mlp_module, power), classes=digits.classes, bounds=(0, 1), name="rough")
        record = lk.out_of_distribution(model, digits.test[:200], near=[], far="uniform_noise", scores="max_logit")
        (found[power],) = lk.check(record)
    assert found[8.0].status == "does_not_meet" and found[8.0].high < 0.5
    assert found[-8.0].status == "meets"


def test_scores_that_say_nothing_are_seldom_accused(told) -> None:
    flagged, shape = 0, told.auroc.shape
    for seed in range(200):
        draw = np.random.default_rng(seed)
        known = draw.normal(size=60)
        areas = np.array([ood_home._area(known, draw.normal(size=60)) for _ in range(shape[1])])
        value, low, high = (np.broadcast_to(a, shape) for a in areas.T)
        findings = list(knows_what_it_does_not_know(replace(told, auroc=value, low=low, high=high)))
        flagged += findings[0].status in ("does_not_meet", "meets")
    assert flagged <= 4  # two-sided, so that one in a hundred is accused


def test_made_shifts_are_what_they_say() -> None:
    draw, draws = np.random.default_rng(0), Draws(3, 40)
    images = Schema("image", "digit", (2, 3, 4), (0.0, 1.0))
    x = draw.random((40, 2, 3, 4)).astype(np.float32)
    ground = Ground(images, (0.0, 1.0), x)
    noise, mixed = (MADE[name](x, ground, draws) for name in ("uniform_noise", "shuffled"))
    assert (
        noise.dtype == x.dtype
        and noise.min() >= 0
        and noise.max() <= 1
        and stats.kstest(noise.ravel(), "uniform").pvalue > 0.01
    )
    for one, other in zip(x.reshape(40, 2, 12), mixed.reshape(40, 2, 12)):
        assert sorted(map(tuple, one.T)) == sorted(map(tuple, other.T)), "channels of a place stay together"
    assert (x != mixed).any()
    words = tuple(f"w{i}" for i in range(30))
    texts = np.where(np.arange(12) < draw.integers(1, 12, (40, 1)), draw.integers(2, 30, (40, 12)), 0)
    ground = Ground(Schema("text", "tone", (12,), vocabulary=words), None, texts)
    noise, mixed = (MADE[name](texts, ground, draws) for name in ("uniform_noise", "shuffled"))
    for other in (noise, mixed):
        np.testing.assert_array_equal(other == 0, texts == 0)
    assert noise.dtype == texts.dtype and noise[noise > 0].min() >= 2 and noise.max() < 30
    np.testing.assert_array_equal(np.sort(mixed, 1), np.sort(texts, 1))
    columns = (Feature("age", "numeric", 0, 90), Feature("job", "categorical", categories=("a", "b", "c")))
    table = np.column_stack([draw.uniform(20, 60, 40), draw.integers(0, 3, 40)]).astype(np.float32)
    ground = Ground(Schema("tabular", "risk", (2,), features=columns), None, table)
    noise, mixed = (MADE[name](table, ground, draws) for name in ("uniform_noise", "shuffled"))
    assert set(noise[:, 1]) == {0, 1, 2} and noise[:, 0].min() >= 20 and noise[:, 0].max() <= 60
    assert set(mixed[:, 0]) <= set(table[:, 0]) and (mixed[:, 0] != table[:, 0]).any()


def test_other_splits_missing_answers_and_shared_rows(mlp, mlp_module, digits) -> None:
    class Fails(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            dark = x.flatten(1).mean(1, keepdim=True) < 0.05
            return torch.where(dark, torch.nan, 1.0) * mlp_module(x)

    x = digits.train.x[:60].copy()
    x[:10] = 0
    other = replace(digits.train[:60], x=x, classes=("thing",) * 10, name="others")
    model = lk.wrap(Fails(), classes=digits.classes, bounds=(0, 1), name="fails")
    split = digits.test[:80]
    record = lk.out_of_distribution(model, split, near=split.named("again"), far=[other], scores="max_logit")
    assert record.n.tolist() == [80, 50] and record.shifts == ("again", "others")
    assert "10 answers" in " ".join(record.warnings) and "40 rows of again are among" in " ".join(record.warnings)
    assert 0 <= record.auroc[0, 1] <= 1 and set(record.provenance.data) == {"rows", "again", "others"}


def test_pictures_tables_and_refusals_of_familiarity(told, mlp, digits, tmp_path) -> None:
    assert "far: uniform noise" in svg(lk.figure(told), name="f")
    assert len(lk.rows(told)) == len(told.scores) * (len(told.shifts) + 1)
    assert "0.5 is expected" in lk.says(told) and len(lk.check(told)) == len(told.scores) == 6
    lk.save(told, tmp_path / "o.lk")
    assert lk.load(tmp_path / "o.lk").digest == told.digest
    split = digits.test[:60]
    narrow = replace(split, x=split.x[:, :, :4])

    def two_numbers(z: np.ndarray) -> np.ndarray:
        return z[:, :2]

    calls: list[dict[str, Any]] = [
        {"scores": "odd"}, {"scores": "neighbors"}, {"scores": two_numbers}, {"scores": []}, {"scores": ["energy"] * 2},
        {"near": "odd"}, {"near": 3}, {"far": narrow}, {"near": [], "far": []}, {"far": ["shuffled"] * 2},
        {"severity": 9}, {"scores": "neighbors", "background": digits.train, "k": 0}, {"seed": None},
        {"scores": "neighbors", "background": split}, {"layer": "odd", "scores": "mahalanobis", "background": digits.train},
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(lk.Refused):
            lk.out_of_distribution(mlp, split, **call)
    for data in (split[:30], split.x):
        with pytest.raises(lk.Refused):
            lk.out_of_distribution(mlp, data)
    probable = lk.wrap(
        nn.Sequential(mlp.module, nn.Softmax(1)), classes=digits.classes, bounds=(0, 1), outputs="probabilities"
    )
    with pytest.raises(lk.Refused, match="probabilities"):
        lk.out_of_distribution(probable, split, scores="energy")
    assert lk.out_of_distribution(probable, split, near=[]).scores == ("max_probability", "entropy")
