"""Bad input at every public door: ``Refused``, and nothing else leaves the lab."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pytest

import labkit as lk
from labkit.core.method import Range

FRAME = pd.DataFrame({"y": [0, 1, 1, 0], "pred": [0, 1, 0, 0], "score": [0.1, 0.9, 0.4, 0.2]})

DOORS: dict[str, Callable[[Any, lk.data.Split, Path], Any]] = {
    "a name in the place of a model": lambda m, s, d: lk.predict("fashion_cnn", s),
    "a module in the place of a model": lambda m, s, d: lk.explain(m.module, s),
    "a module under attack": lambda m, s, d: lk.attack(m.module, s, "pgd", eps=0.1),
    "attacks that are a number": lambda m, s, d: lk.robustness_curve(m, s, 3, eps=[0.1]),
    "a norm that is a list": lambda m, s, d: lk.attack(m, s, "pgd", eps=0.1, norm=["linf"]),
    "options of attacks that are text": lambda m, s, d: lk.robustness_curve(m, s, "pgd", eps=[0.1], options="steps"),
    "options of one that are a number": lambda m, s, d: lk.robustness_curve(m, s, "pgd", eps=[0.1], options={"pgd": 3}),
    "a background that is an array": lambda m, s, d: lk.attack(m, s, "universal", eps=0.1, background=s.x),
    "a background without rows": lambda m, s, d: lk.attack(m, s, "universal", eps=0.1, background=s[:0]),
    "a background of other rows": lambda m, s, d: lk.attack(
        m, s, "universal", eps=0.1, background=replace(s, x=s.x[..., :4])
    ),
    "a background in another unit": lambda m, s, d: lk.attack(
        m, s, "universal", eps=0.1, background=replace(s, x=255 * s.x)
    ),
    "constraints that a norm cannot keep": lambda m, s, d: lk.attack(
        m, s, "pgd", eps=0.1, constraints={"immutable": [0]}
    ),
    "constraints that no proof keeps": lambda m, s, d: lk.certify(m, s[:2], constraints={"immutable": [0]}),
    "a certificate beside an array": lambda m, s, d: lk.certify(m, s[:2], background=s.x),
    "a resolution that is text": lambda m, s, d: lk.certify(m, s[:2], resolution="x"),
    "corruptions that are a number": lambda m, s, d: lk.natural_shifts(m, s, 3),
    "severities in a list of lists": lambda m, s, d: lk.natural_shifts(m, s, ["fog"], [[1]]),
    "replicates that are text": lambda m, s, d: lk.natural_shifts(m, s, ["fog"], [1], replicates="x"),
    "a corruption of what has no bounds": lambda m, s, d: lk.natural_shifts(
        replace(m, bounds=None), replace(s, schema=replace(s.schema, bounds=None)), ["fog"], [1]
    ),
    "targets of another length": lambda m, s, d: lk.explain(m, s, "saliency", target=np.array([1, 2])),
    "a seed that is text": lambda m, s, d: lk.explain(m, s, "saliency", seed="x"),
    "evidence that is a number": lambda m, s, d: lk.explain(m, s, "saliency", evidence=3),
    "methods that are a number": lambda m, s, d: lk.recommend(m, s, methods=3),
    "a method that is not there": lambda m, s, d: lk.agreement(m, s, methods=["saliency", 3]),
    "one method to agree with itself": lambda m, s, d: lk.agreement(m, s, methods="saliency"),
    "no seed": lambda m, s, d: lk.attack(m, s, "pgd", eps=0.1, seed=None),
    "half a seed": lambda m, s, d: lk.calibration(lk.predict(m, s), seed=0.5),
    "a plan that is a mapping": lambda m, s, d: lk.audit(m, plan={}),
    "a table that is a mapping": lambda m, s, d: lk.Predictions.from_frame({"y": [1]}, y="y", label="y"),
    "no column of truth": lambda m, s, d: lk.calibration(
        lk.Predictions.from_frame(FRAME, y=None, score="score", threshold=0.5)
    ),
    "a threshold that is text": lambda m, s, d: lk.Predictions.from_frame(FRAME, y="y", score="score", threshold="x"),
    "a threshold that is no number": lambda m, s, d: lk.Predictions.from_frame(
        FRAME, y="y", score="score", threshold=float("nan")
    ),
    "a threshold out of reach": lambda m, s, d: lk.Predictions.from_frame(FRAME, y="y", score="score", threshold=7),
    "a threshold beside labels": lambda m, s, d: lk.Predictions.from_frame(
        FRAME, y="y", label="pred", score="score", threshold=0.5
    ),
    "a picture of a number": lambda m, s, d: lk.figure(3),
    "rows of a number": lambda m, s, d: lk.rows(3),
    "a sentence about nothing": lambda m, s, d: lk.says(None),
    "a check of a number": lambda m, s, d: lk.check(3),
    "rows by name": lambda m, s, d: s["a"],
    "a mask of another length": lambda m, s, d: s[np.ones(3, bool)],
    "a row beyond the end": lambda m, s, d: s[10**9],
    "names of nothing": lambda m, s, d: lk.names(None),
    "saving over a folder": lambda m, s, d: lk.save(lk.predict(m, s), d),
    "saving below a file": lambda m, s, d: lk.save(lk.predict(m, s), d / "file" / "x.lk"),
    "a report below a file": lambda m, s, d: lk.audit(m, out=d / "file" / "report"),
    "loading a folder": lambda m, s, d: lk.load(d),
    "opening a folder": lambda m, s, d: lk.open(d),
    "verifying a file": lambda m, s, d: lk.verify(d / "file"),
}


@pytest.mark.parametrize("door", sorted(DOORS))
def test_bad_input_is_refused_with_what_would_do(door: str, mlp: Any, digits: lk.data.Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(lk.Refused) as refused:
        DOORS[door](mlp, digits.test[:40], tmp_path)
    assert refused.value.asked and refused.value.given and refused.value.instead
    assert [p.name for p in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_text() == "kept"


def test_double_precision_and_lists_are_taken(mlp: Any, digits: lk.data.Dataset) -> None:
    x = digits.test.x[:4]
    single = lk.explain(mlp, x, "saliency", evidence=())
    for same in (x.astype(np.float64), x.tolist()):
        assert np.array_equal(lk.explain(mlp, same, "saliency", evidence=()).attribution, single.attribution)


def test_one_row_by_its_number(digits: lk.data.Dataset) -> None:
    assert np.array_equal(digits.test[-1].x, digits.test.x[-1:]) and len(digits.test[3]) == 1


def test_methods_may_be_partial_or_objects_that_are_called(mlp: Any, digits: lk.data.Dataset) -> None:
    def brighter(model: Any, x: Any, y: Any, eps: float, *, share: Annotated[float, Range(0, 1)] = 1.0) -> Any:
        return x + share * eps

    class Brighter:
        def __call__(
            self, model: Any, x: Any, y: Any, eps: float, *, share: Annotated[float, Range(0, 1)] = 0.5
        ) -> Any:
            return x + share * eps

    rows = digits.test[:8]
    for method in (brighter, partial(brighter), Brighter()):
        found = lk.attack(mlp, rows, method, eps=0.2, share=0.5)
        assert found.linf.max() == pytest.approx(0.1) and "share=0.5" in found.spec
        with pytest.raises(lk.Refused, match="from 0 to 1"):
            lk.attack(mlp, rows, method, eps=0.2, share=3)
    assert lk.natural_shifts(mlp, rows, [partial(lambda x: 1 - x)], [1]).corruptions == ("partial",)


def test_a_certificate_where_no_row_is_right(mlp: Any, digits: lk.data.Dataset) -> None:
    rows = replace(digits.test[:3], y=(digits.test.y[:3] + 1) % 10)
    for eps in ([0.01, 0.1], None):
        assert not lk.certify(mlp, rows, "interval_bounds", eps=eps).radius.any()
