"""Neighbors, influence and prototypes against the slow way, scikit-learn and retraining; their worth on planted cases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from torch import nn

import labkit as lk
from labkit.analyses._examples import input_space
from labkit.core import store
from labkit.core.intervals import delong
from labkit.models.features import layer
from labkit.training.damage import LabelNoise
from labkit.views._static import svg
from tests.conftest import train

CASES = ("neighbors", "influence", "prototypes")


def features(model, split) -> np.ndarray:
    x = model.tensor(split.x)
    with torch.no_grad():
        return layer(model, x[:4])(x)[0].double().numpy()


def drawn(record, tmp_path) -> None:
    """What every record of this kind owes: a sentence with its n, a table, a picture, and a file that holds it."""
    assert len(lk.rows(record)) and lk.says(record).endswith(".")
    assert svg(lk.figure(record), name="f").startswith("<svg")
    assert store.load(lk.save(record, tmp_path / "r.lk")).digest == record.digest


# neighbors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("batch_size", [19, 256])
def test_neighbors_are_the_nearest(mlp, digits, metric, batch_size) -> None:
    query, among = digits.test[:40], digits.train[:300]
    found = lk.neighbors(mlp, query, among, k=4, metric=metric, batch_size=batch_size)
    for index, distance, mine, theirs in (
        (found.index, found.distance, features(mlp, query), features(mlp, among)),
        (found.input_index, None, query.x.reshape(40, -1), among.x.reshape(300, -1)),
    ):
        wanted, at = NearestNeighbors(n_neighbors=4, metric=metric, algorithm="brute").fit(theirs).kneighbors(mine)
        np.testing.assert_array_equal(index, at)
        if distance is not None:
            np.testing.assert_allclose(distance, wanted, atol=1e-5)
    np.testing.assert_array_equal(found.neighbor_label, among.y[found.index])
    answers = lk.predict(mlp, among).label
    np.testing.assert_array_equal(found.neighbor_predicted, answers[found.index])


def test_an_example_is_not_its_own_neighbor(mlp, digits) -> None:
    found = lk.neighbors(mlp, digits.train[:30], digits.train[:200], k=3)
    assert found.copies == 30 and (found.index != np.arange(30)[:, None]).all()
    assert lk.neighbors(mlp, digits.test[:30], digits.train[:200], k=3).copies == 0


def test_the_worth_of_neighbors_is_theirs(mlp, digits) -> None:
    query, among = digits.test[:150], digits.train[:600]
    sound = lk.neighbors(mlp, query, among)
    assert sound.hit[0] == pytest.approx((among.y[sound.index] == query.y[:, None]).mean())
    assert sound.hit[1] > 0.85 and sound.gain[1] < sound.gain[0] < sound.gain[2]
    shuffled = replace(among, y=np.random.default_rng(0).permutation(among.y))
    broken = lk.neighbors(mlp, query, shuffled)
    assert broken.hit[1] < broken.chance < broken.hit[2], "labels that say nothing are hit by chance"
    assert "of 600 training examples" in lk.says(sound) and "150 inputs" in lk.says(sound)


def test_credibility_is_low_where_neighbors_disagree(mlp, digits) -> None:
    among, held = digits.train[:600], digits.test[200:350]
    found = lk.neighbors(mlp, digits.test[:60], among, calibration=held)
    usual = (lk.neighbors(mlp, held, among).neighbor_label != held.y[:, None]).sum(1)
    against = (found.neighbor_label != found.predicted[:, None]).sum(1)
    np.testing.assert_allclose(found.credibility, [(usual >= a).mean() for a in against])
    noise = np.random.default_rng(0).uniform(size=(60, 1, 8, 8)).astype(np.float32)
    odd = lk.neighbors(mlp, noise, among, calibration=held)
    assert not odd.true and odd.credibility.mean() < 0.5 < found.credibility.mean()


def test_inputs_are_compared_as_their_kind_asks() -> None:
    adult, movies = lk.data.load("adult").train[:200], lk.data.load("movies").train[:60]
    _, encode = input_space(adult)
    code = next(i for i, f in enumerate(adult.schema.features) if f.kind == "categorical")
    x = adult.x[[0, 0]].copy()
    x[1, code] = (x[0, code] + 1) % adult.schema.sizes[code]
    assert np.linalg.norm(np.diff(encode(x), axis=0)) == pytest.approx(1)
    name, weigh = input_space(movies)
    shuffled = movies.x[:5, ::-1]
    np.testing.assert_allclose(weigh(movies.x[:5]), weigh(shuffled))
    assert "TF-IDF" in name and np.linalg.norm(weigh(movies.x), axis=1) == pytest.approx(np.ones(60))


# influence -----------------------------------------------------------------------------------------------------------


def _gradients(module: nn.Module, head: nn.Linear, x: np.ndarray, y: np.ndarray) -> torch.Tensor:
    """(n, weights and bias) gradients of each example's loss, one backward pass each."""
    head.requires_grad_()
    found = []
    for row, label in zip(torch.tensor(x), torch.tensor(y)):
        loss = nn.functional.cross_entropy(module(row[None]), label[None])
        found.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, (head.weight, head.bias))]))
    head.requires_grad_(False)
    return torch.stack(found).double()


def test_influence_is_the_product_of_gradients_summed_over_checkpoints(mlp, digits) -> None:
    torch.manual_seed(1)
    start = lk.wrap(
        nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)), classes=digits.classes
    )
    query, among = digits.test[:6], digits.train[:25]
    record = lk.influence(mlp, query, among, checkpoints=[start, mlp], rates=[0.5, 0.1], k=25, batch_size=7)
    wanted, own = torch.zeros(6, 25).double(), torch.zeros(25).double()
    for model, rate in ((start, 0.5), (mlp, 0.1)):
        head = model.module[3]
        mine, theirs = (_gradients(model.module, head, s.x, s.y) for s in (query, among))
        wanted += rate * mine @ theirs.T
        own += rate * theirs.square().sum(1)
    values = np.take_along_axis(wanted.numpy(), record.proponent, 1)
    np.testing.assert_allclose(record.proponent_value, values, rtol=1e-4, atol=1e-6)
    assert (np.diff(record.proponent_value, axis=1) <= 0).all() and (np.diff(record.opponent_value, axis=1) >= 0).all()
    np.testing.assert_allclose(record.opponent_value[:, ::-1], record.proponent_value, atol=1e-9)
    np.testing.assert_allclose(record.own, own, rtol=1e-4)
    np.testing.assert_allclose(record.total, wanted.mean(0), rtol=1e-3, atol=1e-6)


def test_influence_agrees_with_leaving_out_and_training_again(digits) -> None:
    """Logistic regression, whose optimum is exact: what the mean loss of test examples does without each training one."""
    among, query = digits.train[:80], digits.test[:100]
    x, held = (s.x.reshape(len(s), -1).astype(np.float64) for s in (among, query))

    def fitted(rows: np.ndarray) -> LogisticRegression:
        return LogisticRegression(C=0.5 * 80 / len(rows), tol=1e-6, max_iter=500).fit(x[rows], among.y[rows])

    def loss(model: LogisticRegression) -> float:
        return float(-model.predict_log_proba(held)[np.arange(100), query.y].mean())

    whole = fitted(np.arange(80))
    head = nn.Linear(64, 10)
    head.weight.data, head.bias.data = (torch.tensor(v).float() for v in (whole.coef_, whole.intercept_))
    model = lk.wrap(nn.Sequential(nn.Flatten(), head), classes=digits.classes, bounds=(0, 1))
    record = lk.influence(model, query, among)
    rows = np.arange(80)
    risen = np.array([loss(fitted(np.delete(rows, i))) for i in range(40)]) - loss(whole)
    assert spearmanr(record.total[:40], risen).statistic > 0.6
    assert abs(spearmanr(np.random.default_rng(0).permutation(record.total[:40]), risen).statistic) < 0.4


def test_a_model_without_a_linear_head_is_sent_to_its_neighbors(digits) -> None:
    model = lk.zoo.load("digits_spiking", device="cpu")
    with pytest.raises(lk.Refused) as refused:
        lk.influence(model, digits.test[:4], digits.train[:20])
    assert "labkit.neighbors" in refused.value.instead
    assert lk.neighbors(model, digits.test[:4], digits.train[:20], layer="outputs").status == "measured"


@pytest.fixture(scope="module")
def noisy(digits):
    """Digits with flipped labels, a model trained on them, and which they are."""
    among = digits.train[:500]
    damage = LabelNoise(share=0.15)
    seen = damage(among)
    torch.manual_seed(0)
    module = train(nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)), seen, 60)
    return lk.wrap(module, classes=digits.classes, bounds=(0, 1), name="noisy"), seen, seen.y != among.y


def test_flipped_labels_influence_themselves_and_others_do_not(noisy, digits) -> None:
    model, seen, wrong = noisy
    record = lk.influence(model, digits.test[:50], seen, mislabeled=wrong)
    assert record.mislabeled == wrong.sum() and record.found[1] > 0.85
    assert record.found == delong(wrong, record.own)
    random = lk.influence(model, digits.test[:50], seen, mislabeled=np.random.default_rng(0).permutation(wrong))
    assert abs(random.found[0] - 0.5) < 0.1
    assert "plain loss" in lk.says(record)
    assert "not measured because none are known" in lk.says(lk.influence(model, digits.test[:5], seen))


def test_the_flipped_labels_of_fashion_overfit_are_found_better_than_by_chance() -> None:
    from labkit.core import registry
    from labkit.training.loop import hold_out

    try:
        data = lk.data.load("fashion_mnist", full=True)
    except lk.Refused:
        pytest.skip("the full Fashion-MNIST is not here")
    recipe = registry.find("recipes", "fashion_overfit")()
    true, seen = (hold_out(r.prepared(data.train), r.validation)[0] for r in (replace(recipe, damage=None), recipe))
    wrong = true.y != seen.y
    assert wrong.sum() == 2295
    rows = np.arange(0, len(seen), 8)
    model = lk.zoo.load("fashion_overfit", device="cpu")
    record = lk.influence(model, data.test[:20], seen[rows], mislabeled=wrong[rows])
    assert record.found[1] > 0.65, "0.740 (0.728 to 0.751) over all 11,400"


# prototypes ----------------------------------------------------------------------------------------------------------


def _discrepancy(z: np.ndarray, chosen: list[int], gamma: float) -> float:
    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.exp(-gamma * np.square(a[:, None] - b[None]).sum(2)).mean())

    return kernel(z, z) - 2 * kernel(z, z[chosen]) + kernel(z[chosen], z[chosen])


def test_prototypes_take_the_discrepancy_down_most(mlp, digits) -> None:
    split = digits.train[:250]
    record = lk.prototypes(mlp, split, count=3, criticisms=1, draws=2)
    z = features(mlp, split)
    for c in (0, 7):
        rows = np.flatnonzero(split.y == c)
        chosen = [int(np.flatnonzero(rows == i)[0]) for i in record.index[c]]
        for size in (1, 2, 3):
            rest = [i for i in range(len(rows)) if i not in chosen[: size - 1]]
            left = {i: _discrepancy(z[rows], [*chosen[: size - 1], i], record.gamma[c]) for i in rest}
            assert min(left, key=lambda i: left[i]) == chosen[size - 1]
            assert record.cover[c, size - 1] == pytest.approx(left[chosen[size - 1]], abs=1e-9)
        kernel = np.exp(-record.gamma[c] * np.square(z[rows][:, None] - z[rows][None]).sum(2))
        missed = np.abs(kernel.mean(1) - kernel[:, chosen].mean(1))
        missed[chosen] = -1
        assert record.criticism[c, 0] == rows[missed.argmax()]


def test_prototypes_are_worth_more_than_random_examples_but_not_where_features_say_nothing(mlp, digits) -> None:
    sound = lk.prototypes(mlp, digits.train, digits.test, count=1, criticisms=0)
    assert sound.accuracy[1] > 0.85 and sound.better[1] > 0
    assert (sound.cover < sound.random_cover).all()
    split = digits.train[:600]
    shuffled = replace(split, y=np.random.default_rng(0).permutation(split.y))
    broken = lk.prototypes(mlp, shuffled, digits.test, count=1, criticisms=0)
    assert broken.better[1] < 0.05 and broken.accuracy[2] < 0.3
    assert "500 test examples" in lk.says(sound)


def test_what_prototypes_do_not_stand_for_is_a_criticism(mlp, digits) -> None:
    rows = np.flatnonzero(digits.train.y == 0)[:60]
    strange = np.flatnonzero(digits.train.y == 7)[:6]
    split = digits.train[np.concatenate([rows, strange])]
    split = replace(split, y=np.zeros(66, np.int64))
    record = lk.prototypes(mlp, split, count=3, criticisms=2)
    assert (record.index < 60).any() and (record.criticism >= 60).any()
    assert record.classes == ("0",) and (record.criticism_predicted[record.criticism >= 60] == 7).all()


# all -----------------------------------------------------------------------------------------------------------------


def _record(name, model, train, test):
    if name == "neighbors":
        return lk.neighbors(model, test[:2], train, k=3)
    if name == "influence":
        return lk.influence(model, test[:2], train, k=3)
    return lk.prototypes(model, train, test, count=2, criticisms=1, draws=3)


@pytest.mark.parametrize("zoo", ["digits", "adult_mlp", "movies_gru", "emoji_fusion", "vowels_rnn"])
def test_every_kind_of_input_is_shown(zoo, mlp, digits, tmp_path) -> None:
    model, data = (mlp, digits) if zoo == "digits" else (lk.zoo.load(zoo, device="cpu"), lk.zoo.data(zoo))
    some = data.train[np.random.default_rng(0).permutation(len(data.train))[:120]]
    common = np.flatnonzero(np.bincount(some.y, minlength=len(data.classes)) >= 8)[:2]
    digest = model.digest
    for name in CASES[:1] if zoo == "emoji_fusion" else CASES:
        train = some[np.isin(some.y, common)] if name == "prototypes" else some
        record = _record(name, model, train, data.test[:30])
        drawn(record, tmp_path)
        assert record.status == "measured"
    assert model.digest == digest


@pytest.mark.parametrize("name", CASES)
def test_answers_do_not_depend_on_the_batch(name, mlp, digits) -> None:
    found = []
    for size in (13, 256):
        if name == "prototypes":
            record = lk.prototypes(mlp, digits.train[:200], digits.test[:50], count=2, batch_size=size)
        elif name == "influence":
            record = lk.influence(mlp, digits.test[:20], digits.train[:100], batch_size=size)
        else:
            record = lk.neighbors(mlp, digits.test[:20], digits.train[:100], batch_size=size)
        table = lk.rows(record)
        found.append(table.select_dtypes("number").to_numpy(float))
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("neighbors", {"k": 0}),
        ("neighbors", {"k": 2000}),
        ("neighbors", {"metric": "manhattan"}),
        ("neighbors", {"layer": "no_such_layer"}),
        ("influence", {"rates": [-1.0]}),
        ("influence", {"rates": [0.1, 0.2]}),
        ("influence", {"mislabeled": np.zeros(60, bool)}),
        ("influence", {"mislabeled": np.ones(3)}),
        ("prototypes", {"count": 50}),
        ("prototypes", {"draws": 1}),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused(mlp, digits, name, change) -> None:
    few = digits.train[:60]
    with pytest.raises(lk.Refused):
        if name == "prototypes":
            lk.prototypes(mlp, few, **change)
        else:
            getattr(lk, name)(mlp, digits.test[:5], few, **change)
    with pytest.raises(lk.Refused):
        getattr(lk, name)(mlp, *([digits.test[:5]] if name != "prototypes" else []), few.x)
