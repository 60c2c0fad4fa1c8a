"""Proxies: a group told from the other inputs, the columns that tell it, and independent columns that do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score
from torch import nn

import labkit as lk
from labkit.analyses._groups import probes
from labkit.core import areas, intervals
from labkit.data.schema import Feature, Schema
from labkit.data.split import Dataset, Split

QUICK = {"permutations": 5, "folds": 2, "rows": 400}


@pytest.fixture(autouse=True)
def few_trees(monkeypatch) -> None:
    monkeypatch.setitem(probes.TREES, "max_iter", 12)


def table(seed: int, n: int = 400, noise: float = 1.0, groups: int = 2, more: bool = False) -> Split:
    """Noise, a noisy copy of the group (useless at ``noise=1``), another category; with ``more`` the group itself,
    under another name, and a number that determines it."""
    generator = np.random.default_rng(seed)
    code = generator.integers(0, groups, n)
    copy = np.where(generator.random(n) < noise, generator.integers(0, groups, n), code)
    columns = [generator.normal(size=n), copy, generator.integers(0, 4, n), generator.normal(size=n)]
    names = tuple("abcdefg"[:groups])
    features = [
        Feature("income", "numeric"),
        Feature("title", "categorical", categories=names),
        Feature("town", "categorical", categories=("p", "q", "r", "s")),
        Feature("height", "numeric"),
    ]
    if more:
        columns += [code, code * 7 + generator.integers(0, 7, n), code + generator.random(n) * 0.9]
        features += [Feature("sex", "categorical", categories=names)]
        features += [Feature("status", "numeric"), Feature("age", "numeric")]
    x = np.column_stack(columns).astype(np.float32)
    schema = Schema("tabular", "y", (x.shape[1],), features=tuple(features), groups=("sex",))
    return Split(x, generator.integers(0, 2, n), schema, ("no", "yes"), "data", {"sex": np.array(names)[code]})


def test_a_noisy_copy_is_found_and_independent_columns_are_not() -> None:
    found = lk.proxies(table(0, noise=0.5), "sex", **QUICK)
    assert found.columns[int(found.column_auc[0, :, 0].argmax())] == "title"
    assert (found.column_p_holm[0] < 0.05).tolist() == [False, True, False, False]
    assert found.low[0, 0, 0] > 0.6 and found.p_holm[0].max() < 0.001 and found.null95[0, 0, 0] < found.low[0, 0, 0]
    assert found.features[int(found.importance[0, :, 0].argmax())] == "title"
    assert (found.importance_p[0, :, 0] < 0.05).tolist() == [False, True, False, False]
    assert "Most rests on title" in lk.says(found)
    sound = lk.proxies(table(2), "sex", **QUICK)
    assert sound.column_p_holm.min() > 0.05 and sound.p_holm.min() > 0.05 and sound.importance_p.min() > 0.05
    assert abs(sound.null_mean - 0.5).max() < 0.08 and sound.memorized[0, 0, 0] > 0.65
    assert "no more than chance" in lk.says(sound)
    assert [f.status for f in lk.check(sound, found, only=["proxied_groups"])] == ["meets", "does_not_meet"]


def test_independent_columns_are_seldom_named_whatever_their_kind() -> None:
    wrong, p = 0, []
    for seed in range(80):
        generator = np.random.default_rng(seed)
        code = (generator.random(300) < 0.3).astype(int)
        columns = [generator.normal(size=300) for _ in range(10)] + [
            generator.integers(0, k, 300) for k in range(2, 12)
        ]
        of_all = [probes.independent(probes.levels(c, i >= 10), code, 2) for i, c in enumerate(columns)]
        wrong += intervals.holm(np.array(of_all)).min() < 0.05
        p += of_all
    assert wrong <= 9, "one in twenty of 80, and a little"
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.08


def test_learners_on_noise_stay_in_their_null() -> None:
    p = []
    for seed in range(12):
        generator = np.random.default_rng(seed)
        x, code = generator.normal(size=(150, 3)), np.arange(150) % 2
        fold = probes.dealt_folds(code, 3, generator)
        linear = probes.learners(None, 0)["logistic regression"]
        own = probes.area(code, 1, probes.crossed(linear, x, code, 2, fold).proba[:, 1])
        p.append(own[0])
        assert own[0] == pytest.approx(roc_auc_score(code, probes.crossed(linear, x, code, 2, fold).proba[:, 1]))
    assert abs(np.mean(p) - 0.5) < 0.06


def test_the_attribute_under_another_name_is_named_and_left_out() -> None:
    found = lk.proxies(table(0, more=True), "sex", **QUICK)
    told = dict(zip(found.columns, found.tells))
    assert told == {
        "income": "", "title": "", "town": "", "height": "",
        "sex": "the attribute", "status": "determines it", "age": "determines it",
    }  # fmt: skip
    assert found.features == ("income", "title", "town", "height") and found.p_holm.min() > 0.05
    assert any("status determines the group" in w for w in found.warnings)
    statuses = {f.subject: f.status for f in lk.check(found, only=["proxied_groups"])}
    assert statuses["sex by status"] == statuses["sex by age"] == "does_not_meet" and statuses["sex by sex"] == "info"


def test_german_and_compas_have_columns_that_determine_a_group() -> None:
    for name, by, column in (("german", "sex", "personal_status"), ("compas", "age_band", "age")):
        split = lk.data.load(name).train
        code = np.unique(split.groups[by], return_inverse=True)[1]
        names = [f.name for f in split.schema.features]
        told = [n for n, c in zip(names, split.x.T) if probes.tells(c, code)]
        assert told == [column]


def test_a_rare_group_or_values_that_never_repeat_determine_nothing() -> None:
    generator = np.random.default_rng(0)
    code = (generator.random(3000) < 0.0005).astype(int)
    code[0] = 1
    assert probes.tells(np.zeros(3000), code) == ""
    assert probes.tells(generator.normal(size=3000), generator.integers(0, 2, 3000)) == ""
    assert probes.tells(np.sort(generator.normal(size=3000)), np.repeat([0, 1], 1500)) == "determines it"


def test_areas_of_two_scores_are_compared_as_a_jackknife_does() -> None:
    generator = np.random.default_rng(0)
    y = np.arange(120) % 3 == 0
    score = generator.normal(size=120) + y
    others = [score + generator.normal(size=120) for _ in range(2)]
    value, error = areas.difference(y, score, others)

    def wins(rows, s):
        return np.sign(s[rows][y[rows]][:, None] - s[rows][~y[rows]]).mean() / 2

    def apart(rows):
        return wins(rows, score) - np.mean([wins(rows, o) for o in others])

    assert value == pytest.approx(apart(np.arange(120)))
    left_out = np.array([apart(np.delete(np.arange(120), i)) for i in range(120)])
    assert error == pytest.approx(np.sqrt(119 / 120 * ((left_out - left_out.mean()) ** 2).sum()), rel=0.05)
    assert areas.placements(y, score)[0].mean() == pytest.approx(intervals.delong(y, score)[0])
    guesses = [wins(np.arange(120), generator.normal(size=120)) for _ in range(500)]
    assert areas.guessing_error(40, 80) == pytest.approx(np.std(guesses), rel=0.15)


def test_a_column_alone_is_scored_by_the_other_folds() -> None:
    generator = np.random.default_rng(0)
    level, code = generator.integers(0, 4, 90), generator.integers(0, 3, 90)
    fold = probes.dealt_folds(code, 3, generator)
    assert all(np.ptp(np.bincount(fold[code == g])) <= 1 for g in range(3))
    found = probes.of_levels(level, code, 3, fold)
    for i in range(0, 90, 7):
        rest = code[(fold != fold[i])]
        alike = code[(fold != fold[i]) & (level == level[i])]
        prior = np.bincount(rest, minlength=3) / len(rest)
        assert found[i] == pytest.approx((np.bincount(alike, minlength=3) + 5 * prior) / (len(alike) + 5))
    level, code = generator.integers(0, 4, 900), generator.integers(0, 3, 900)
    plain = stats.chi2_contingency(np.histogram2d(level, code, (4, 3))[0]).pvalue
    assert probes.independent(level, code, 3) == pytest.approx(plain)


def test_parts_several_groups_and_columns_together() -> None:
    train, test = table(0, noise=0.3, groups=3), table(1, noise=0.3, groups=3)
    data = Dataset("d", train.named("train"), test.named("test"))
    linked = {"town & height": ["town", 3]}
    found = lk.proxies(data, "sex", together=linked, rows=150, folds=2, permutations=5)
    assert found.parts == ("train", "test") and found.targets == ("a", "b", "c")
    assert found.features == ("town & height", "income", "title") and found.auc.shape == (2, 2, 3)
    assert (found.column_p_holm[:, 1] < 0.01).all() and (found.n_fit == 150).all()
    assert (found.low <= found.auc).all() and (found.auc <= found.high).all()


class Keeping(nn.Module):
    """Its hidden layer holds the inputs, or only the first of them."""

    def __init__(self, wide: bool) -> None:
        super().__init__()
        self.hidden = nn.Linear(3, 3)
        self.head = nn.Linear(3, 2)
        with torch.no_grad():
            self.hidden.weight.copy_(torch.diag(torch.tensor([1.0, float(wide), float(wide)])))

    def forward(self, x):
        return self.head(self.hidden(x))


@pytest.mark.parametrize("wide", [True, False])
def test_a_representation_tells_the_group_or_has_lost_it(wide) -> None:
    generator = np.random.default_rng(0)
    group = generator.integers(0, 2, 400)
    x = generator.normal(size=(400, 3)).astype(np.float32)
    x[:, 1] += 2 * group
    features = tuple(Feature(n, "numeric") for n in "uvw")
    schema = Schema("tabular", "y", (3,), features=features, groups=("g",))
    split = Split(x, np.arange(400) % 2, schema, ("no", "yes"), "data", {"g": group.astype(str)})
    model = lk.wrap(Keeping(wide), classes=["no", "yes"])
    found = lk.proxies(split, "g", model=model, **QUICK)
    assert found.learners == ("linear probe",) and found.layer == "head" and found.columns == ()
    if wide:
        assert found.low[0, 0, 0] > 0.85 and found.selectivity[0, 0, 0] > 0.3
        assert "told from the layer head" in lk.says(found)
    else:
        assert found.p_holm[0, 0, 0] > 0.05 and abs(found.selectivity[0, 0, 0]) < 0.15
    assert lk.figure(found).data and len(lk.rows(found)) == 1


def test_texts_are_read_word_by_word() -> None:
    generator = np.random.default_rng(0)
    group = np.repeat(["a", "b"], 100)
    x = generator.integers(2, 30, (200, 8))
    x[:, 0] = np.where(group == "a", 30, 31)
    schema = Schema("text", "y", (8,), vocabulary=tuple(map(str, range(32))), groups=("g",))
    split = Split(x.astype(np.int64), np.arange(200) % 2, schema, ("n", "p"), "texts", {"g": group})
    found = lk.proxies(split, "g", permutations=5, folds=2)
    assert found.learners == ("logistic regression",) and found.low[0, 0, 0] > 0.9


def test_what_is_refused_and_left_out() -> None:
    split = table(0)
    with pytest.raises(lk.Refused, match="two groups of 30"):
        lk.proxies(replace(split, groups={"sex": np.full(400, "a")}), "sex")
    with pytest.raises(lk.Refused):
        lk.proxies(split, "nowhere")
    with pytest.raises(lk.Refused, match="five permutations"):
        lk.proxies(split, "sex", permutations=1)
    alone = Schema("tabular", "y", (1,), features=(Feature("sex", "numeric"),), groups=("sex",))
    with pytest.raises(lk.Refused, match="other columns"):
        lk.proxies(replace(split, x=split.x[:, :1], schema=alone), "sex")
    names = split.groups["sex"].copy()
    names[:5], names[5:20] = "", "z"
    found = lk.proxies(replace(split, groups={"sex": names}), "sex", **QUICK)
    assert found.groups == ("a", "b") and found.n[0] == 380
    assert any("z (15)" in w for w in found.warnings) and any("5 of 400" in w for w in found.warnings)


def test_it_is_kept_and_the_same_again(tmp_path) -> None:
    split = table(0, noise=0.5, more=True)
    found, again = (lk.proxies(split, "sex", rows=150, folds=2, permutations=5) for _ in range(2))
    assert found.digest == again.digest
    lk.save(found, tmp_path / "a.lk")
    assert lk.load(tmp_path / "a.lk").digest == found.digest
    assert len(lk.rows(found)) == 2 + 7 + 4 and lk.figure(found).data
