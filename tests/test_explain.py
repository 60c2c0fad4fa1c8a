"""Explanations: the record, the evidence in it, the checks that read it, and the pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import labkit as lk
from labkit.core.draws import Draws
from labkit.faithfulness._ranks import spearman
from labkit.faithfulness._redrawn import redrawn
from labkit.faithfulness._removing import order_by
from labkit.faithfulness.planted_truth import _hit_rate
from labkit.records.explain import Explanation


@pytest.fixture(scope="module")
def record(cnn, digits) -> Explanation:
    return lk.explain(cnn, digits.test[:8], "integrated_gradients")


def finding(record, name, subject="", **thresholds):
    found = lk.check(record, only=[name], thresholds={name: thresholds})
    (one,) = [f for f in found if f.subject == subject]
    return one


def test_the_record_says_what_was_explained(record, cnn, digits):
    x = torch.tensor(digits.test.x[:8])
    logits, at_zero = cnn(x), cnn(torch.zeros_like(x))
    label, rows = logits.argmax(1), torch.arange(8)
    assert record.status == "measured" and record.complete and record.modality == "image"
    assert np.array_equal(record.target, label) and np.array_equal(record.y, digits.test.y[:8])
    np.testing.assert_allclose(record.proba, logits.softmax(1)[rows, label], rtol=1e-5)
    np.testing.assert_allclose(record.baseline_proba, at_zero.softmax(1)[rows, label], rtol=1e-5)
    np.testing.assert_allclose(record.change, (logits - at_zero)[rows, label], rtol=1e-4)
    assert set(record.options) == {"tolerance", "steps", "max_steps"}
    costly = {"baseline_stability", "cascading_weights", "max_sensitivity", "randomized_labels", "seed_stability"}
    assert set(record.scores) == set(lk.names("faithfulness")) - costly
    assert all(set(s.controls) == {"random", "constant", "input", "edge"} for s in record.scores.values())


def test_it_survives_the_disk_and_repeats_itself(record, cnn, digits, tmp_path):
    assert lk.load(lk.save(record, tmp_path / "a.lk")).digest == record.digest
    assert lk.explain(cnn, digits.test[:8], "integrated_gradients").digest == record.digest


def test_batch_size_changes_no_score(record, cnn, digits):
    small = lk.explain(cnn, digits.test[:8], "integrated_gradients", batch_size=3)
    np.testing.assert_allclose(small.attribution, record.attribution, atol=1e-5)
    for name, score in record.scores.items():
        np.testing.assert_allclose(small.scores[name].values, score.values, atol=0.02, err_msg=name)


def test_targets_baselines_and_options(mlp, digits):
    x = digits.test.x[:3]
    assert (lk.explain(mlp, x, "saliency", target=4, evidence=()).target == 4).all()
    assert lk.explain(mlp, x, "saliency", target=[1, 2, 3], evidence=()).target.tolist() == [1, 2, 3]
    assert (lk.explain(mlp, x, "occlusion", baseline=0.5, evidence=()).baseline == 0.5).all()
    own = replace(mlp, baseline=np.full((1, 8, 8), 0.25, np.float32))
    assert (lk.explain(own, x, "occlusion", evidence=()).baseline == 0.25).all()
    tensor = lk.explain(mlp, torch.tensor(x), "saliency", evidence=())
    assert np.array_equal(tensor.attribution, lk.explain(mlp, x, "saliency", evidence=()).attribution)


@pytest.mark.parametrize(
    ("settings", "given"),
    [
        ({"stesp": 5}, "stesp"),
        ({"steps": 0}, "0"),
        ({"method": "integrated_gradient"}, "integrated_gradients"),
        ({"target": 10}, "10"),
        ({"target": 1.5}, "float"),
        ({"baseline": np.zeros(3)}, "shape"),
        ({"baseline": 2.0}, "bounds"),
        ({"baseline": float("nan")}, "finite"),
        ({"baseline": "black"}, "type"),
        ({"evidence": ["deletoin"]}, "deletion"),
    ],
)
def test_bad_requests_are_refused(settings, given, mlp, digits):
    with pytest.raises(lk.Refused, match=given):
        lk.explain(mlp, digits.test.x[:3], **{"method": "integrated_gradients", **settings})


def test_a_baseline_equal_to_an_input_is_refused_and_a_near_one_is_said(mlp, digits):
    x = digits.test.x[:3].copy()
    with pytest.raises(lk.Refused, match="equal to the input on 1 of 3"):
        lk.explain(mlp, x, "occlusion", baseline=x[1])
    near = lk.explain(mlp, x, "occlusion", baseline=np.clip(x * 0.98, 0, 1), evidence=())
    assert any("hardly happens" in w for w in near.warnings)
    assert not any("hardly" in w for w in lk.explain(mlp, x, "occlusion", evidence=()).warnings)


def test_a_plain_function_is_a_method(mlp, digits):
    def twice(model, x: Tensor, target: Tensor, *, factor: Annotated[float, "how much"] = 2.0) -> Tensor:
        return factor * x

    record = lk.explain(mlp, digits.test.x[:4], twice, factor=3)
    assert record.method == "twice" and record.options == {"factor": 3.0} and not record.complete
    np.testing.assert_allclose(record.attribution, 3 * digits.test.x[:4])


def test_a_method_that_works_in_place_or_gives_the_wrong_shape_does_no_harm(mlp, digits):
    def careless(x: Tensor) -> Tensor:
        return x.mul_(2)

    def short(x: Tensor) -> Tensor:
        return x.sum(1)

    x = digits.test.x[:3].copy()
    record = lk.explain(mlp, x, careless, evidence=())
    assert np.array_equal(record.x, digits.test.x[:3]) and np.array_equal(x, digits.test.x[:3])
    with pytest.raises(lk.Refused, match="shape"):
        lk.explain(mlp, x, short)


# Faithfulness measures, derived again.


def test_deletion_is_the_mean_height_of_a_curve_drawn_by_hand(record, cnn):
    score = record.scores["deletion"]
    for i in (0, 5):
        order = np.argsort(-record.attribution[i].ravel(), kind="stable")
        order = order[record.x[i].ravel()[order] != 0]
        heights = []
        for step in range(21):
            x = record.x[i].copy().ravel()
            x[order[: int(np.ceil(len(order) * step / 20))]] = 0
            heights.append(cnn(torch.tensor(x).reshape(1, 1, 8, 8)).softmax(1)[0, record.target[i]].item())
        np.testing.assert_allclose(score.more["curve"][i], heights, atol=1e-5)
        assert score.values[i] == pytest.approx(np.trapezoid(heights, dx=1 / 20), abs=1e-5)


def test_ties_go_in_an_order_by_chance_and_what_stays_goes_last():
    removable = torch.ones(50, 8, dtype=torch.bool)
    removable[:, 3] = False
    ranks = order_by(torch.ones(50, 8), removable, Draws(0, 50)).double()
    assert (ranks[:, 3] == 7).all() and (ranks.std(0)[[0, 7]] > 1).all()
    np.testing.assert_allclose(ranks.mean(0)[[0, 1, 2, 4, 5, 6, 7]], 3, atol=1)


def test_randomized_weights_ranks_only_the_support(record):
    from scipy.stats import spearmanr

    score = record.scores["randomized_weights"]
    for i in range(8):
        mine, other = (np.abs(v[i].ravel()) for v in (record.attribution, record.control))
        lit = record.x[i].ravel() != 0
        assert score.values[i] == pytest.approx(spearmanr(mine[lit], other[lit]).statistic, abs=1e-9)
        assert score.more["whole"][i] == pytest.approx(spearmanr(mine, other).statistic, abs=1e-9)
    assert score.more["whole"].mean() > 0.85 > 0.7 > score.values.mean()  # the plain check would have flagged it
    np.testing.assert_allclose(score.controls["input"].values, 1)


def test_random_weights_keep_shape_size_and_buffers_and_share_nothing(mlp):
    forgot = redrawn(mlp.module, 0)
    for old, new in zip(mlp.module.parameters(), forgot.parameters()):
        assert old.shape == new.shape
        assert new.square().mean().sqrt() == pytest.approx(old.square().mean().sqrt().item(), rel=0.2)
        assert abs(np.corrcoef(old.flatten(), new.flatten())[0, 1]) < 4 / np.sqrt(old.numel())
    assert all(torch.equal(a, b) for a, b in zip(forgot.parameters(), redrawn(mlp.module, 0).parameters()))
    assert np.isnan(spearman(np.ones(4), np.arange(4)))


def test_planted_truth_is_found_by_sound_methods_and_missed_by_controls(record):
    score = record.scores["planted_truth"]
    assert (score.values == 1).all()
    chance = [round(0.1 * lit) / lit for lit in (record.x[:, 0] != 0).sum((1, 2))]
    assert score.controls["random"].values.mean() < 3 * np.mean(chance)


def test_hits_are_shared_out_among_ties():
    chosen, where = torch.tensor([1, 1, 0, 0, 0, 1]).bool(), torch.tensor([1, 1, 1, 1, 1, 0]).bool()
    assert _hit_rate(torch.tensor([9.0, 8, 1, 1, 1, 1]), torch.tensor([1, 1, 0, 0, 0, 0]).bool(), where) == 1
    assert _hit_rate(torch.ones(6), chosen & where, where) == pytest.approx(2 / 5)
    assert _hit_rate(torch.tensor([0.0, 1, 1, 1, 0, 0]), chosen & where, where) == pytest.approx(1 / 3)


@pytest.mark.parametrize("name", ["saliency", "input_x_gradient", "integrated_gradients", "occlusion", "kernel_shap"])
def test_a_truth_planted_behind_an_embedding_is_found(name):
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Embedding(9, 4), nn.Linear(48, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.embed(x).flatten(1).tanh())

    torch.manual_seed(0)
    model = lk.wrap(Table(), classes=["no", "yes"], embedding="embed")
    x = np.random.default_rng(0).integers(1, 9, (4, 12))
    options = {"max_samples": 200} if name == "kernel_shap" else {}
    score = lk.explain(model, x, name, evidence=["planted_truth"], **options).scores["planted_truth"]
    assert (score.values == 1).all() and score.controls["random"].values.mean() < 0.5


# Checks.


def test_checks_of_a_sound_explanation(record):
    assert finding(record, "completeness").status == "meets"
    assert finding(record, "zero_map").status == "meets"
    assert finding(record, "beats_controls", "deletion").status == "meets"
    weights = finding(record, "randomized_weights")
    assert weights.status in ("meets", "inconclusive") and "Planted truth found: 1.00 (random" in weights.says
    assert finding(record, "randomized_weights", threshold=0.0).status == "inconclusive"  # the planted truth is found


def test_completeness_counts_what_is_missing(record):
    n = len(record)
    for factor, status in [(1.03, "meets"), (1.08, "does_not_meet")]:
        found = finding(replace(record, attribution=record.attribution * factor), "completeness")
        assert found.status == status and found.estimate == (status == "meets") and found.n == n
    one = record.attribution.copy()
    one[2] *= 1.08
    found = finding(replace(record, attribution=one), "completeness")
    assert (
        found.status == "does_not_meet" and found.estimate == pytest.approx((n - 1) / n) and "example 2" in found.says
    )
    assert finding(replace(record, complete=False), "completeness").status == "not_applicable"
    assert finding(record, "completeness", tolerance=0.0).status == "does_not_meet"


def test_beats_controls_says_when_chance_or_the_input_does_as_well(record):
    score = record.scores["deletion"]
    lost = replace(score, values=score.controls["random"].values + 0.01)
    found = finding(replace(record, scores={"deletion": lost}), "beats_controls", "deletion")
    assert found.status == "does_not_meet" and "explains nothing does as well" in found.says
    half = np.where(np.arange(8) % 2, score.values, 1.0)
    found = finding(replace(record, scores={"deletion": replace(score, values=half)}), "beats_controls", "deletion")
    assert found.status == "inconclusive" and found.low < 0.5 < found.high
    copied = {**score.controls, "input": replace(score.controls["input"], values=score.values)}
    found = finding(replace(record, scores={"deletion": replace(score, controls=copied)}), "beats_controls", "deletion")
    assert found.status == "meets" and "copy of the input does about as well" in found.says


def test_absent_and_inapplicable_evidence_never_passes(cnn, digits):
    bare = lk.explain(cnn, digits.test[:3], "saliency", evidence=())
    assert finding(bare, "randomized_weights").status == "not_measured"
    assert not lk.check(bare, only=["beats_controls"])
    assert "no faithfulness measure" in lk.says(bare)
    cam = lk.explain(cnn, digits.test[:3], "grad_cam", evidence=["planted_truth", "completeness_gap"])
    assert {f.status for f in lk.check(cam, only=["beats_controls", "completeness"])} == {"not_applicable"}


# Views.


def test_the_picture_of_images_stands_beside_its_control(record):
    figure = lk.figure(record)
    titles = [a.text for a in figure.layout.annotations]
    assert sum(t.startswith("random weights") for t in titles) == sum(t.startswith("attribution") for t in titles) == 4
    signed = [t for t in figure.data if t.type == "heatmap" and t.zmin == -1]
    assert all(t.zmax == 1 and np.abs(t.z).max() <= 1 for t in signed)
    np.testing.assert_allclose(signed[0].customdata, record.attribution[0].sum(0))


def test_rows_are_one_entry_each_and_the_sentence_names_no_reason(record):
    rows = lk.rows(record)
    assert len(rows) == record.x.size
    row = rows[(rows.example == 2) & (rows.row == 3) & (rows.column == 4)].iloc[0]
    assert row.attribution == record.attribution[2, 0, 3, 4] and row.control == record.control[2, 0, 3, 4]
    sentence = lk.says(record)
    assert "8 examples" in sentence and "95 % interval" in sentence
    assert "because" not in sentence and "why" not in sentence and "decided" not in sentence


@pytest.mark.parametrize("modality", ["tabular", "text"])
def test_tables_and_texts_are_drawn_as_bars_in_the_readers_words(modality):
    if modality == "tabular":
        features = (
            lk.data.Feature("age", "numeric", 0, 99, unit="years"),
            lk.data.Feature("job", "categorical", categories=("(other)", "<b>cook</b>", "smith")),
        )
        schema = lk.data.Schema("tabular", "t", (2,), features=features)
        x = np.array([[40, 1], [20, 2]], np.float32)
        model = lk.wrap(nn.Sequential(nn.Linear(2, 2)), classes=["no", "yes"])
    else:
        schema = lk.data.Schema("text", "t", (4,), vocabulary=("", "?", "good", "film"))
        x = np.array([[2, 3, 2, 0], [3, 2, 1, 0]])
        model = lk.wrap(
            nn.Sequential(nn.Embedding(4, 3), nn.Flatten(), nn.Linear(12, 2)), classes=["no", "yes"], embedding="0"
        )
    split = lk.data.Split(x, np.array([0, 1]), schema, ("no", "yes"), "toy")
    record = lk.explain(model, split, "input_x_gradient", evidence=["randomized_weights"])
    labels = {str(v) for trace in lk.figure(record).data if trace.type == "bar" for v in trace.y}
    rows = lk.rows(record)
    if modality == "tabular":
        assert "age = 40 years" in labels and rows.feature.tolist() == ["age", "job"] * 2
        assert rows.value.tolist()[1] == "<b>cook</b>"
    else:
        assert labels >= {"good · 1", "good · 3", "film · 2"} and not any(v.endswith("· 4") for v in labels)
    assert {"attribution", "control"} <= set(rows.columns)


def test_the_example_in_the_documentation_works(mlp, digits):
    page = (Path(__file__).parent.parent / "docs" / "add_an_attribution.md").read_text()
    names: dict[str, object] = {}
    exec(compile(page.split("```python\n")[1].split("```")[0], "docs", "exec", dont_inherit=True), names)  # noqa: S102
    record = lk.explain(mlp, digits.test[:4], names["smoothgrad_squared"], samples=8)
    assert record.status == "measured" and (record.attribution >= 0).all() and record.attribution.any()


def test_a_row_that_misses_its_own_change_is_withheld_whatever_its_company(digits):
    class Ten(nn.Module):
        def forward(self, x):
            value = 10 * x.sum(1)
            return torch.stack([0 * value, value], 1)

    def third(x, baseline) -> Annotated[Tensor, "complete"]:
        values = 10 * (x - baseline)
        values[x[:, 0] < 0.1] *= 0.3
        return values

    model = lk.wrap(Ten(), classes=["no", "yes"])
    x = np.random.default_rng(0).uniform(0.2, 1, (6, 4)).astype(np.float32)
    sound = lk.explain(model, x, third, 1, evidence=["deletion"])
    assert not sound.withheld.any() and not sound.warnings
    assert finding(sound, "completeness").status == "meets"
    x[0] = 0.02  # beside the others its change is next to nothing
    record = lk.explain(model, x, third, 1, evidence=["deletion"])
    assert record.status == "measured" and record.withheld.tolist() == [True] + [False] * 5
    assert "1 of 6 rows" in record.warnings[0] and np.isnan(record.scores["deletion"].values[0])
    assert finding(record, "completeness").status == "inconclusive"
    assert len(record.shown()) == 5 and "5 examples (1 more withheld)" in lk.says(record)
    assert lk.figure(record).data and len(lk.rows(record)) == 24
    assert lk.explain(model, x[:1], third, 1, evidence=()).status == "not_measured"
    assert lk.rows(lk.agreement(model, x, [third, "occlusion"], 1)).notna().any().any()
