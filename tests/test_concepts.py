"""Features of layers against the slow way; concept directions against scikit-learn; planted concepts and random ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

import labkit as lk
from labkit.analyses._explain.directions import directions
from labkit.analyses.concepts import _at
from labkit.core import store
from labkit.core.intervals import clopper_pearson
from labkit.models.features import heads, layer
from labkit.training.recipes.fashion_clean import BACKDOOR
from labkit.views._static import svg


class Towers(nn.Module):
    """Two linear heads whose outputs are added; one layer runs twice, one not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.idle = nn.Linear(64, 10), nn.Linear(5, 10, bias=False), nn.Linear(3, 3)
        self.shared = nn.Tanh()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = self.shared(self.shared(x.flatten(1)))
        return self.left(flat) + self.right(flat[:, :5])


class OverBatch(nn.Module):
    """A layer that depends on the rest of its batch, whose influence cancels before the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.middle, self.head = nn.Identity(), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.flatten(1).mean(0)
        return self.head(self.middle(x.flatten(1) + mean) - mean)


def wrapped(module: nn.Module, digits: lk.data.Dataset):
    torch.manual_seed(0)
    return lk.wrap(module, classes=digits.classes, bounds=(0, 1), name="small")


# features ------------------------------------------------------------------------------------------------------------


def test_features_are_what_the_layer_gives(cnn, digits) -> None:
    x = cnn.tensor(digits.test.x[:5])
    maps = cnn.module[1](cnn.module[0](x))
    pooled, out = layer(cnn, x, "1")(x)
    torch.testing.assert_close(pooled, maps.mean((2, 3)))
    torch.testing.assert_close(layer(cnn, x, "1", pooled=False)(x)[0], maps.flatten(1))
    torch.testing.assert_close(out, cnn(x))
    torch.testing.assert_close(layer(cnn, x)(x)[0], cnn.module[:6](x))
    torch.testing.assert_close(layer(cnn, x, "outputs")(x)[0], cnn(x))


@pytest.mark.parametrize("pooled", [True, False])
def test_slopes_are_those_of_the_rest_of_the_network(cnn, digits, pooled) -> None:
    x, target = cnn.tensor(digits.test.x[:4]), torch.tensor([3, 1, 4, 1])
    found = layer(cnn, x, "1", pooled=pooled).slopes(x, target)
    maps = cnn.module[:2](x).detach()
    if not pooled:
        maps.requires_grad_()
        (wanted,) = torch.autograd.grad(cnn.module[2:](maps).gather(1, target[:, None]).sum(), maps)
        torch.testing.assert_close(found, wanted.flatten(1))
        return
    more = maps.double()
    rest = nn.Sequential(*cnn.module[2:]).double()
    for channel in (0, 5):
        more_of_it = more.clone()
        more_of_it[:, channel] += 1e-6
        rise = (rest(more_of_it) - rest(more)).gather(1, target[:, None])[:, 0] / 1e-6
        torch.testing.assert_close(found[:, channel].double(), rise, rtol=1e-3, atol=1e-4)
    rest.float()


def test_what_follows_in_place_does_not_reach_the_features(digits) -> None:
    model = wrapped(nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(inplace=True), nn.Linear(20, 10)), digits)
    x = model.tensor(digits.test.x[:4])
    kept, _ = layer(model, x, "1")(x)
    assert (kept < 0).any(), "before the ReLU"
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.module.modules())
    slopes = layer(model, x, "1").slopes(x, torch.zeros(4, dtype=torch.int64))
    torch.testing.assert_close(slopes, (kept > 0) * model.module[3].weight[0])


def test_a_head_may_have_several_towers(digits) -> None:
    model = wrapped(Towers(), digits)
    x = model.tensor(digits.test.x[:4])
    assert set(heads(model, x)) == {model.module.left, model.module.right}
    features, _ = layer(model, x)(x)
    assert features.shape == (4, 69) and torch.equal(features[:, :5], features[:, 64:])


@pytest.mark.parametrize("name", ["shared", "idle", "no_such_layer"])
def test_a_layer_without_one_meaning_is_refused(digits, name) -> None:
    model = wrapped(Towers(), digits)
    with pytest.raises(lk.Refused) as refused:
        layer(model, model.tensor(digits.test.x[:4]), name)
    assert "head" in refused.value.instead or "head" in str(refused.value)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.module.modules())


def test_features_that_depend_on_the_batch_are_refused_and_those_beside_them_are_not(digits) -> None:
    model = wrapped(OverBatch(), digits)
    x = model.tensor(digits.test.x[:4])
    with pytest.raises(lk.Refused, match="rest of the batch"):
        layer(model, x, "middle")
    layer(model, x)


def test_a_model_without_a_linear_head_is_refused_by_name(digits) -> None:
    model = lk.zoo.load("digits_spiking", device="cpu")
    with pytest.raises(lk.Refused, match="outputs"):
        lk.neighbors(model, digits.test[:4], digits.train[:50])
    assert lk.neighbors(model, digits.test[:4], digits.train[:50], layer="outputs").layer == "outputs"


# directions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [5, 100])
@pytest.mark.parametrize("apart", [0.0, 3.0])
def test_directions_are_those_of_scikit_learn(width, apart) -> None:
    g = np.random.default_rng(0)
    group, others = g.normal(size=(1, 24, width)) + apart / np.sqrt(width), g.normal(size=(2, 24, width))
    direction, accuracy = directions(group, others)
    wanted = np.zeros(width)
    for j in range(2):
        mine = np.roll(group[0], j * 12, 0)
        fit = LogisticRegression(tol=1e-9, max_iter=5000)
        fit.fit(np.concatenate([mine[8:], others[j, 8:]]), np.repeat([1, 0], 16))
        wanted += fit.coef_[0] / np.linalg.norm(fit.coef_) / 2
        assert accuracy[0, j] == pytest.approx(
            (fit.predict(mine[:8]).mean() + 1 - fit.predict(others[j, :8]).mean()) / 2
        )
    np.testing.assert_allclose(direction[0], wanted, atol=1e-6)


def _slope_data(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    g = np.random.default_rng(seed)
    mixing = g.normal(size=(12, 12)) * np.linspace(0.2, 2, 12)
    return np.maximum(g.normal(size=(n, 12)) @ mixing, 0), g.normal(size=(30, 12)) + 1


def test_random_concepts_are_significant_as_often_as_they_should_be_and_by_the_test_of_means_far_more_often() -> None:
    from scipy.stats import ttest_ind

    p, naive = [], []
    for seed in range(12):
        features, slopes = _slope_data(seed, 58 * 24)
        sets = features.reshape(58, 24, 12)
        cell = _at(sets, slopes, 15, 3)
        p += list(cell.p)
        # the paper's: scores of one concept against many sets, and of random sets among themselves
        for c in range(3 if seed < 4 else 0):
            own = [(slopes @ directions(sets[[c]], sets[[j]])[0].T).mean() for j in range(18, 38)]
            null = [(slopes @ directions(sets[[j]], sets[[j + 20]])[0].T).mean() for j in range(18, 38)]
            naive.append(ttest_ind(own, null).pvalue)
    hits = int((np.array(p) <= 0.05).sum())
    low, high = clopper_pearson(hits, len(p), 0.999)
    assert low <= 0.05 <= high, f"{hits} of {len(p)}"
    assert np.mean(np.array(naive) <= 0.05) > 0.2


def test_a_direction_that_the_score_follows_is_found() -> None:
    features, _ = _slope_data(0, 58 * 24)
    sets = features.reshape(58, 24, 12).copy()
    sets[0, :, 4] += 3 * features.std()
    cell = _at(sets, np.eye(12)[[4]] * np.ones((30, 1)), 2, 3)
    assert cell.p[0] < 1e-3 < cell.p[1] and cell.share[0] == 1 and cell.accuracy[0, 0] > 0.9 and cell.same


# the whole -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def planted():
    """A backdoored model and its sound twin, asked for the patch, for another mark, and for images without any."""
    data = lk.data.load("fashion_mnist")
    marked = data.test.x[100:140].copy()
    marked[:, :, 10:12] = 1.0
    concepts = {"patch": BACKDOOR.stamped(data.test[:40]), "stripe": marked, "images": data.test[200:240]}
    options = {"target": 1, "layers": ["relu3", "head"], "size": 24, "sets": 4, "random": 30}
    models = {name: lk.zoo.load(name, device="cpu") for name in ("fashion_backdoor", "fashion_clean")}
    return {n: lk.concepts(m, data.test[:300], concepts, data.train[:1200], **options) for n, m in models.items()}


def test_a_planted_patch_is_significant_and_nothing_else_is(planted) -> None:
    record = planted["fashion_backdoor"]
    assert record.significant[0, 1] and not record.significant[1:].any()
    assert record.p[0, 0] < 0.05, "whether it lasts through the correction at the layer before depends on the draw"
    assert (record.share[0] > 0.8).all() and (record.slope[0] > 0).all()
    assert "patch" in lk.says(record) and "significant" in lk.says(record)


def test_the_sound_twin_encodes_the_patch_and_does_not_follow_it(planted) -> None:
    record = planted["fashion_clean"]
    assert record.encoded[0, 0] and not record.significant.any()


def test_a_concept_that_the_layer_does_not_encode_is_not_measured(planted) -> None:
    record = planted["fashion_backdoor"]
    assert not record.encoded[2].any() and not record.significant[2].any()
    assert "not measured because the layer does not encode" in lk.says(record)
    assert record.same_slope.tolist() == [False, True]
    data = lk.data.load("fashion_mnist")
    model = lk.zoo.load("fashion_clean", device="cpu")
    alone = lk.concepts(model, data.test[:50], {"images": data.test[200:240]}, data.train[:1200], target=1, random=19)
    assert alone.status == "not_measured" and lk.says(alone).startswith("Not measured because")


def test_the_record_is_drawn_stored_and_tabled(planted, tmp_path) -> None:
    record = planted["fashion_backdoor"]
    assert len(lk.rows(record)) == 6
    assert "not encoded" in svg(lk.figure(record), name="c")
    assert store.load(lk.save(record, tmp_path / "c.lk")).digest == record.digest


def test_answers_follow_from_the_seed_and_not_from_the_batch(mlp, digits) -> None:
    concepts = {"sevens": digits.test[digits.test.y == 7]}
    options = {"target": 1, "size": 14, "sets": 2, "random": 20}
    one, two, other = (
        lk.concepts(mlp, digits.test[:60], concepts, digits.train[:400], **options, seed=seed, batch_size=size)
        for seed, size in ((0, 256), (0, 37), (1, 256))
    )
    np.testing.assert_allclose(one.slope, two.slope, atol=1e-5)
    np.testing.assert_allclose(one.p, two.p, atol=1e-4)
    assert abs(one.slope - other.slope).max() > 1e-4


@pytest.mark.parametrize(
    "change",
    [
        {"background": slice(0, 100)},
        {"concepts": {"few": slice(0, 5)}},
        {"concepts": {}},
        {"target": -1},
        {"layers": "no_such_layer"},
        {"size": 3},
    ],
    ids=lambda c: next(iter(c)),
)
def test_what_cannot_be_tested_is_refused(mlp, digits, change) -> None:
    given = {"target": 1, "size": 14, "sets": 2, "random": 20, "layers": ""} | change
    concepts = {k: digits.test[v] for k, v in given.pop("concepts", {"some": slice(0, 30)}).items()}
    background = digits.train[given.pop("background", slice(0, 400))]
    with pytest.raises(lk.Refused):
        lk.concepts(mlp, digits.test[:60], concepts, background, **given)


def test_a_target_by_its_name(mlp, digits) -> None:
    given = {"size": 14, "sets": 2, "random": 20, "layers": "head"}
    rows = digits.test[:60], {"some": digits.test[:30]}, digits.train[:400]
    by_name, by_number = (lk.concepts(mlp, *rows, target=t, **given) for t in (mlp.classes[1], 1))
    assert by_name.target == 1 and np.array_equal(by_name.share, by_number.share)
    with pytest.raises(lk.Refused, match="one of"):
        lk.concepts(mlp, *rows, target="no such class", **given)


def test_concepts_of_another_shape_are_refused(mlp, digits) -> None:
    with pytest.raises(lk.Refused, match="shape"):
        lk.concepts(
            mlp, digits.test[:60], {"wide": digits.test.x[:30, :, :, :5]}, digits.train[:400], target=1, size=14
        )


def test_a_model_without_gradients_is_refused_and_neighbors_fit_it() -> None:
    model, data = lk.zoo.load("adult_glassbox", device="cpu"), lk.data.load("adult")
    with pytest.raises(lk.Refused, match="neighbors"):
        lk.concepts(model, data.test[:50], {"some": data.test[:30]}, data.train[:900], target=1)
    assert lk.neighbors(model, data.test[:5], data.train[:60], layer="outputs").status == "measured"
