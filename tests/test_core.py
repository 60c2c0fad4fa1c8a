"""What everything rests on: methods and their tunables, the registry, draws, records."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from scipy import stats

import labkit as lk
from labkit.core import method, progress, registry
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.core.record import Dims, Provenance, Record, array_digest
from labkit.core.refused import unknown
from labkit.records.predict import Predictions


def leaf(
    model: Any,
    x: Any,
    *,
    steps: Annotated[int, Range(1, 100, log=True), "gradient steps"] = 40,
    rate: Annotated[float, Range(0, 1)] = 0.5,
    norm: Literal["linf", "l2"] = "linf",
    careful: bool = False,
    hidden=3,
) -> tuple[Any, ...]:
    return model, x, steps, rate, norm, careful


class TestMethod:
    def test_one_signature_gives_needs_tunables_and_choices(self) -> None:
        assert method.needs(leaf) == ("model", "x")
        known = {p.name: p for p in method.params(leaf)}
        assert list(known) == ["steps", "rate", "norm", "careful"]
        assert known["steps"].range == Range(1, 100, log=True) and known["steps"].help == "gradient steps"
        assert known["norm"].choices == ("linf", "l2") and known["careful"].type is bool

    def test_a_spec_holds_every_value_and_reads_as_the_call(self) -> None:
        spec = method.bind("attacks", "leaf", leaf, {"steps": "7", "careful": "yes"})
        assert str(spec) == "leaf(steps=7, rate=0.5, norm='linf', careful=True)"
        assert method.call(leaf, spec, {"model": 1, "x": 2, "y": 3}) == (1, 2, 7, 0.5, "linf", True)

    @pytest.mark.parametrize(
        ("options", "found"),
        [
            ({"step": 3}, "'steps'"),
            ({"steps": 0}, "from 1 to 100"),
            ({"steps": 2.5}, "type int"),
            ({"steps": True}, "type int"),
            ({"steps": "many"}, "type int"),
            ({"rate": float("nan")}, "type float"),
            ({"norm": "l1"}, "'linf', 'l2'"),
            ({"careful": "perhaps"}, "type bool"),
            ({"hidden": 4}, "hidden"),
        ],
    )
    def test_a_bad_option_is_refused_with_what_would_do(self, options: dict[str, Any], found: str) -> None:
        with pytest.raises(lk.Refused, match=found):
            method.bind("attacks", "leaf", leaf, options)

    def test_a_method_that_asks_for_more_than_is_offered_is_refused(self) -> None:
        with pytest.raises(lk.Refused, match="nothing offers x"):
            method.call(leaf, method.bind("attacks", "leaf", leaf, {}), {"model": 1})


class TestRegistry:
    def test_every_name_of_every_kind_is_a_function_of_that_name(self) -> None:
        for kind in ("analyses", "attacks", "attributions", "checks", "metrics"):
            for name in lk.names(kind):
                assert registry.find(kind, name).__name__ == name

    def test_an_unknown_name_comes_with_the_nearest(self) -> None:
        with pytest.raises(lk.Refused, match="'pgd', or one of"):
            registry.find("attacks", "pdg")
        with pytest.raises(lk.Refused, match="'attacks', or one of"):
            lk.names("attack")

    def test_a_function_passes_through(self) -> None:
        assert registry.find("attacks", leaf) is leaf and registry.label(leaf) == "leaf"

    def test_a_plugin_stands_beside_the_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Entry:
            name = "tempest"

            def load(self) -> Any:
                return leaf

        registry._plugins.cache_clear()
        monkeypatch.setattr(registry, "entry_points", lambda group: [Entry()] if group == "labkit.attacks" else [])
        try:
            assert "tempest" in lk.names("attacks") and registry.find("attacks", "tempest") is leaf
        finally:
            registry._plugins.cache_clear()


def reference(state: int, count: int) -> list[int]:
    """SplitMix64 as published, in whole numbers."""
    mask, out = 2**64 - 1, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        out.append(z ^ (z >> 31))
    return out


class TestDraws:
    def test_bits_are_splitmix64(self) -> None:
        assert reference(0, 1) == [0xE220A8397B1DCDAF]  # the published first value
        draws = Draws(5, 3)
        for key, row in zip(draws.keys.tolist(), draws.bits(4).tolist()):
            assert row == reference(key, 4)

    def test_a_row_has_the_same_numbers_whatever_stands_beside_it(self) -> None:
        whole = Draws(7, 64)
        for kind in ("uniform", "normal", "signs", "bits"):
            every = getattr(whole, kind)(3, 2)
            assert np.array_equal(every[10:20], getattr(whole[10:20], kind)(3, 2))
            odd = np.arange(64) % 2 == 1
            assert np.array_equal(every[odd], getattr(Draws(7, np.flatnonzero(odd)), kind)(3, 2))
            fresh = getattr(whole.spawn(4), kind)(3, 2)
            assert np.array_equal(fresh[odd], getattr(whole[odd].spawn(4), kind)(3, 2))
            assert not np.array_equal(fresh, every)

    def test_a_longer_draw_begins_like_a_shorter_one(self) -> None:
        assert np.array_equal(Draws(1, 4).normal(10)[:, :3], Draws(1, 4).normal(3))

    @pytest.mark.parametrize("seed", [0, 1, 2**40, -1])
    def test_uniform_and_normal_are(self, seed: int) -> None:
        draws = Draws(seed, 2000)
        uniform, normal = draws.uniform(50), draws.spawn(1).normal(50)
        assert uniform.dtype == normal.dtype == np.float32
        assert uniform.min() >= 0 and uniform.max() < 1
        assert stats.kstest(uniform.ravel().astype(float), "uniform").pvalue > 1e-3
        assert stats.kstest(normal.ravel().astype(float), "norm").pvalue > 1e-3
        assert stats.kurtosis(normal.ravel()) == pytest.approx(0, abs=0.06)

    def test_rows_calls_positions_and_seeds_are_unrelated(self) -> None:
        draws = Draws(3, 3000)
        columns = np.column_stack(
            [draws.normal(3), draws.spawn(0).normal(3), draws.spawn(1).normal(3), Draws(4, 3000).normal(3)]
        )
        apart = np.corrcoef(columns.T) - np.eye(12)
        assert np.abs(apart).max() < 5 / np.sqrt(3000)
        by_row = draws.normal(400)[:200].astype(float)
        assert np.abs(np.corrcoef(by_row) - np.eye(200)).max() < 6 / np.sqrt(400)

    def test_signs_and_integers_are_even(self) -> None:
        signs, numbers = Draws(0, 1000).signs(30), Draws(0, 1000).integers(7, 30)
        assert set(np.unique(signs)) == {-1, 1}
        assert stats.binomtest(int((signs > 0).sum()), signs.size).pvalue > 1e-3
        assert numbers.min() == 0 and numbers.max() == 6
        assert stats.chisquare(np.bincount(numbers.ravel())).pvalue > 1e-3

    def test_seeds_for_others_fit_in_63_bits_and_differ(self) -> None:
        seeds = Draws(0, 500).seeds()
        assert len(set(seeds)) == 500 and min(seeds) >= 0 and max(seeds) < 2**63


class TestRecord:
    def made(self, **changes: Any) -> Predictions:
        fields: dict[str, Any] = {
            "provenance": Provenance(analysis="a", version="0", options={"k": [1, 2]}),
            "y": np.array([0, 1]),
            "label": np.array([0, 1]),
            "classes": ("a", "b"),
        }
        return Predictions(**{**fields, **changes})

    def test_nothing_in_it_can_be_changed(self) -> None:
        given = np.array([0, 1])
        made = self.made(y=given)
        given[0] = 9
        assert made.y.tolist() == [0, 1]
        with pytest.raises(ValueError, match="read-only"):
            made.y[0] = 1
        with pytest.raises(TypeError):
            made.provenance.options["k"] = 3  # type: ignore[index]
        with pytest.raises(AttributeError):
            made.y = given  # type: ignore[misc]

    def test_axes_must_fit(self) -> None:
        with pytest.raises(TypeError, match="'example' has length 3"):
            self.made(label=np.array([0, 1, 1]))
        with pytest.raises(TypeError, match="its axes are"):
            self.made(proba=np.array([0.5, 0.5]))

    def test_what_was_not_measured_says_why(self) -> None:
        with pytest.raises(TypeError, match="must give its reason"):
            self.made(status="not_measured")
        assert lk.says(self.made(status="not_measured", reason="no rows.")) == "Not measured because no rows."

    def test_the_kind_is_the_modules_name(self) -> None:
        assert self.made().kind == "predict"

    def test_digests_tell_types_and_shapes_apart(self) -> None:
        arrays = [np.zeros(4), np.zeros((2, 2)), np.zeros(4, np.float32), np.zeros(4, np.int64)]
        assert len({array_digest(a) for a in arrays}) == 4
        assert self.made(reason="ab").digest != self.made(reason="a").digest

    def test_dims_are_plain_names(self) -> None:
        assert Dims("a", "b") == ("a", "b") and issubclass(Predictions, Record)


def test_a_refusal_says_asked_given_and_what_would_do() -> None:
    refused = lk.Refused("a", "b", "c")
    assert str(refused) == "asked for: a\ngiven: b\nwhat would do: c" and isinstance(refused, ValueError)
    assert unknown("x", "zzz", ["b", "a"]).instead == "one of: a, b"


def test_progress_reaches_the_listener_of_its_context_alone() -> None:
    heard: list[Any] = []
    with progress.listening(lambda *step: heard.append(step)):
        progress.step("a", 1, 2)
        with progress.listening(None):
            progress.step("b", 1, 2)
    progress.step("c", 1, 2)
    assert heard == [("a", 1, 2)]


def test_an_attribute_that_does_not_exist_names_those_that_do() -> None:
    with pytest.raises(AttributeError, match=r"it has .*audit"):
        lk.adit  # noqa: B018
    assert {"audit", "verify", "data"} <= set(dir(lk))


def test_help_needs_no_heavy_library() -> None:
    code = (
        "import sys\nfrom labkit.cli import run\nassert run(['--help']) == 0\n"
        "print(sorted({'torch', 'numpy', 'pandas', 'plotly', 'matplotlib', 'jinja2'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ran.stdout.strip().endswith("[]"), ran.stdout + ran.stderr
