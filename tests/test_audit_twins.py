"""Ways in which a bias audit can mislead without a wrong number, each planted beside its sound twin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import labkit as lk
from labkit.cli.bias import bias
from labkit.data.split import Dataset


def people(n: int, seed: int, copies: int = 1) -> tuple[lk.Predictions, lk.data.Split]:
    """Errors that fall on people by chance, in a table of numbers; each person so many times."""
    generator = np.random.default_rng(seed)
    columns = {name: generator.normal(size=n) for name in "uvwx"}
    truth = generator.integers(0, 2, n)
    answer = np.where(generator.random(n) < 0.75, truth, 1 - truth)
    frame = pd.DataFrame(columns | {"y": truth, "p": answer, "g": generator.choice(["a", "b"], n)})
    frame = pd.concat([frame] * copies, ignore_index=True)
    p = lk.Predictions.from_frame(frame, y="y", label="p", groups=["g"])
    return p, lk.data.from_frame(frame[[*"uvwx", "g"]], groups=["g"])


@pytest.mark.parametrize("analysis", [lk.find_slices, lk.error_cohorts])
def test_copies_of_people_do_not_confirm_themselves_without_a_word(analysis) -> None:
    copied, table = people(300, 0, copies=4)
    assert any("as copies have" in w for w in analysis(copied, table, depth=2, replicates=100).warnings)
    sound, table = people(1200, 0)
    assert not analysis(sound, table, depth=2, replicates=100).warnings


def test_people_who_are_merely_alike_are_no_copies() -> None:
    test = lk.data.load("compas").test
    alike = len(test) - len(np.unique(test.x, axis=0))
    p = lk.Predictions.from_frame(pd.DataFrame({"y": test.y, "p": test.y[::-1]}), y="y", label="p")
    assert alike > len(test) / 10
    assert not lk.find_slices(replace(p, classes=test.classes), test, depth=1, replicates=100).warnings


def test_a_number_with_holes_is_refused_by_name() -> None:
    p, table = people(300, 1)
    holes = table.x.astype(float).copy()
    holes[7, 2] = np.nan
    for asked in (
        lambda split: lk.find_slices(p, split, replicates=100),
        lambda split: lk.error_cohorts(p, split, replicates=100),
        lambda split: lk.conditional_parity(p, "g", ["w"], data=split, replicates=100),
    ):
        with pytest.raises(lk.Refused, match="column w"):
            asked(replace(table, x=holes))
        asked(table)


def selected(rates: list[float], n: int, seed: int) -> lk.Predictions:
    generator = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(rates)), n)
    answer = (generator.random(len(group)) < np.asarray(rates)[group]).astype(int)
    frame = pd.DataFrame({"p": answer, "g": [f"g{g:02d}" for g in group]})
    return lk.Predictions.from_frame(frame, y=None, label="p", groups=["g"])


def four_fifths(p: lk.Predictions) -> lk.check:
    audit = lk.audit_groups(p, ["selection_rate"], by=["g"], positive=1, replicates=200)
    (found,) = lk.check(audit, only=["four_fifths"])
    return found


def test_the_least_of_many_ratios_is_not_held_against_groups_for_having_been_picked() -> None:
    """Twenty groups whose least ratio is 0.82: the lowest and highest of 500 people each look further apart."""
    many = [four_fifths(selected([0.41, 0.5] * 10, 500, seed)) for seed in range(25)]
    assert sum(f.status == "does_not_meet" for f in many) <= 2
    assert sum(f.low <= 0.82 <= f.high for f in many) >= 22
    worse = [four_fifths(selected([0.25] + [0.5] * 19, 500, seed)) for seed in range(3)]
    assert all(f.status == "does_not_meet" for f in worse)
    assert all("for what people want" in f.says for f in worse)


def test_two_groups_have_the_interval_of_their_ratio() -> None:
    audit = lk.audit_groups(selected([0.3, 0.5], 400, 0), ["selection_rate"], by=["g"], positive=1, replicates=200)
    (found,) = lk.check(audit, only=["four_fifths"])
    assert found.low == pytest.approx(audit.ratio_low[0, 0]) and found.high == pytest.approx(audit.ratio_high[0, 0])


def test_one_group_alone_is_not_the_worst_of_any() -> None:
    generator = np.random.default_rng(0)
    group, truth = np.repeat(["a", "b"], 300), generator.integers(0, 2, 600)
    frame = pd.DataFrame({"y": np.where(group == "b", 0, truth), "p": generator.integers(0, 2, 600), "g": group})
    for table, status in ((frame, {"not_measured"}), (frame.assign(y=truth), {"meets", "inconclusive"})):
        p = lk.Predictions.from_frame(table, y="y", label="p", groups=["g"])
        audit = lk.audit_groups(p, ["true_positive_rate", "selection_rate"], by=["g"], replicates=200)
        (found,) = lk.check(audit, only=["worst_group"])
        assert found.subject.startswith("true positive rate") and found.status in status


def test_groups_that_are_known_of_half_of_the_people_alone_are_no_sound_base() -> None:
    p = selected([0.4, 0.5], 300, 0)
    for share, status in ((0.5, "inconclusive"), (0.05, "meets")):
        lost = np.random.default_rng(0).random(600) < share
        known = replace(p, groups={"g": np.where(lost, "", p.groups["g"])})
        audit = lk.audit_groups(known, ["selection_rate"], by=["g"], positive=1, replicates=200)
        assert [f.status for f in lk.check(audit, only=["small_groups"])] == [status]


def test_impact_ratios_say_what_they_take_for_wanted() -> None:
    flagged = replace(selected([0.3, 0.5, 0.4], 300, 0), classes=("no new arrest", "new arrest"))
    said = lk.says(lk.impact_ratios(flagged, ["g"], positive="new arrest", replicates=200))
    assert "What people want is taken to be 'new arrest'." in said and "of these two alone" in said
    pair = lk.says(lk.impact_ratios(selected([0.3, 0.5], 300, 0), ["g"], positive=1, replicates=200))
    assert "alone" not in pair


def three_classes(n: int = 900) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"y": generator.choice(list("xyz"), n), "g": generator.choice(["a", "b"], n)})
    frame["p"] = np.where(generator.random(n) < 0.7, frame.y, "x")
    return frame.assign(h=np.where(frame.g == "a", generator.choice(["u", "v"], n), "u"))


def test_no_remedy_that_could_be_tried_is_not_the_least_of_none() -> None:
    p = lk.Predictions.from_frame(three_classes(), y="y", label="p", groups=["g"])
    found = lk.mitigate(p, None, "g", positive="x")
    assert "No remedy could be tried: " in lk.says(found)
    assert [f.status for f in lk.check(found, only=["less_discriminatory"])] == ["not_measured"]
    frame = three_classes()
    scored = frame.assign(**{f"of {c}": np.where(frame.p == c, 0.6, 0.2) for c in "xyz"})
    p = lk.Predictions.from_frame(scored, y="y", proba=["of x", "of y", "of z"], classes=list("xyz"), groups=["g"])
    assert not lk.mitigate(p, None, "g", positive="x", strengths=[1.0]).why_none


@pytest.mark.filterwarnings("error")
def test_an_intersection_of_nobody_leaves_the_other_intervals_as_they_are() -> None:
    frame = three_classes()
    p = lk.Predictions.from_frame(frame, y="y", label="p", groups=["g", "h"])
    found = lk.bias_amplification(p, by=("g", "h"), replicates=200)
    empty = [g for g, name in enumerate(found.groups) if name == "b & v"]
    known = np.delete(found.term_low[0], empty, axis=0)
    assert np.isnan(found.term_low[0][empty]).all() and not np.isnan(known).any()
    assert np.isfinite([found.low[0], found.high[0]]).all()


def test_groups_that_change_alike_are_not_set_against_themselves() -> None:
    p = lk.Predictions.from_frame(three_classes(), y="y", label="p", groups=["g"])
    same = lk.changes_by_group(p, p, "g", replicates=200)
    told = [lk.says(same), *(f.says for f in lk.check(same, only=["equal_changes"]) if f.subject.endswith("by g"))]
    assert len(told) == 2 and all("in a (n" in said and "in b (n" in said for said in told)
    even = pd.DataFrame({"p": [0, 1] * 200, "g": np.repeat(["a", "b", "c", "d"], 100)})
    p_even = lk.Predictions.from_frame(even, y=None, label="p", groups=["g"])
    audit = lk.audit_groups(p_even, ["selection_rate"], by=["g"], replicates=200)
    assert (audit.highest != audit.lowest).all()
    other = replace(p, label=np.where((p.groups["g"] == "a") & (np.arange(len(p)) % 3 == 0), 0, p.label))
    said = lk.says(lk.changes_by_group(p, other, "g", replicates=200))
    assert "in a (n" in said and "in b (n" in said


def test_a_reason_stays_within_its_panel() -> None:
    frame = three_classes().assign(p=lambda f: np.where(f.g == "a", "y", f.p))
    p = lk.Predictions.from_frame(frame, y="y", label="p", groups=["g"])
    drawn = lk.figure(lk.audit_groups(p, ["precision", "accuracy"], by=["g"], positive="x", replicates=200))
    (text,) = [t for trace in drawn.data if trace.mode == "text" for t in trace.text]
    assert "not measured" in text and max(map(len, text.split("<br>"))) <= 50


def test_parts_whose_codes_mean_other_things_are_no_data_set() -> None:
    """In train "b" is code 1, in test code 0: a remedy would be learned on the one and stated on the other."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"g": generator.choice(list("abc"), 600), "u": generator.normal(size=600)})
    frame["y"] = (frame.u + (frame.g == "b") > 0.3).astype(int)
    rows, groups = np.arange(600) < 300, ["g"]
    whole = lk.data.from_frame(frame, y="y", groups=groups)
    assert len(Dataset("d", whole[rows], whole[~rows]).train) == 300
    for train, test in ((frame.g != "c", frame.g != "a"), (frame.g != "c", frame.g != "")):
        parts = [
            lk.data.from_frame(frame[part & half], y="y", groups=groups)
            for part, half in ((train, rows), (test, ~rows))
        ]
        with pytest.raises(lk.Refused, match="column g with other categories"):
            Dataset("d", *parts)
    with pytest.raises(lk.Refused, match="other columns: u"):
        Dataset("d", whole[rows], lk.data.from_frame(frame[~rows].drop(columns="u"), y="y", groups=groups))
    with pytest.raises(lk.Refused, match="over the classes"):
        Dataset("d", whole[rows], lk.data.from_frame(frame[~rows].assign(y=lambda f: f.y + 1), y="y", groups=groups))


def test_warnings_stand_where_an_auditor_reads(tmp_path) -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"y": generator.integers(0, 2, 400), "sex": generator.choice(["a", "b"], 400)})
    frame["p"] = np.where(generator.random(400) < 0.7, frame.y, 1 - frame.y)
    plan = tmp_path / "plan.toml"
    step = '[[step]]\nid = "g"\nsection = "groups"\nquestion = "?"\nanalysis = "audit_groups"\n'
    plan.write_text(
        f'schema = "labkit.plan/1"\nname = "one"\n{step}options = {{ metrics = ["accuracy"], positive = 1 }}\n'
    )
    for name, table in (("whole", frame), ("holes", frame.assign(sex=frame.sex.where(np.arange(400) > 99)))):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
        asked = [str(tmp_path / f"{name}.csv"), "--y", "y", "--pred", "p", "--by", "sex", "--plan", str(plan)]
        printed = CliRunner().invoke(bias, asked).output
        assert ("! 100 of 400 people have no known sex" in printed) == (name == "holes"), printed
