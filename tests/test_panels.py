"""A panel says what the analysis says, with the controls that its methods declare."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import ipywidgets as W
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import labkit as lk
from labkit.core.method import Range
from labkit.core.refused import Refused

PLOTLY = "application/vnd.plotly.v1+json"
HOSTILE = "x<img src=x onerror=alert(1)>"
QUICK: dict[str, Any] = {"rows": slice(0, 2), "evidence": ()}


def all_within(widget: W.Widget) -> Iterator[W.Widget]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from all_within(child)


def hooked(panel: W.Widget, hook: str) -> Any:
    return next(w for w in all_within(panel) if f"lk-{hook}" in getattr(w, "_dom_classes", ()))


def test_a_panel_shows_what_the_analysis_gives(mlp: Any, digits: lk.data.Dataset) -> None:
    panel = lk.Panel("explain", mlp, digits, methods=["saliency"], **QUICK)
    direct = lk.explain(mlp, digits.test[:2], "saliency", evidence=())
    assert panel.record.digest == direct.digest
    assert panel.sentence.content == lk.says(direct)
    assert len(panel.findings.children) == len(lk.check(direct)) > 0
    (shown,) = panel.picture.outputs
    assert shown["data"][PLOTLY]["data"] and shown["data"]["text/plain"] == lk.says(direct)
    assert shown["data"][PLOTLY]["config"]["showSendToCloud"] is False


def test_another_method_brings_its_own_controls_and_result(mlp: Any, digits: lk.data.Dataset) -> None:
    panel = lk.Panel("explain", mlp, digits, methods=["saliency", "integrated_gradients"], **QUICK)
    hooked(panel, "method").value = "integrated_gradients"
    assert panel.record.method == "integrated_gradients"
    hooked(panel, "steps").value = 16
    assert panel.record.options["steps"] == 16


def test_a_function_of_ones_own_gets_controls(mlp: Any, digits: lk.data.Dataset) -> None:
    def scaled(x: Tensor, *, factor: Annotated[float, Range(1, 3), "times x"] = 2.0) -> Tensor:
        return x * factor

    panel = lk.Panel("explain", mlp, digits, methods=[scaled], **QUICK)
    hooked(panel, "factor").value = 3.0
    assert panel.record.attribution == pytest.approx(3 * digits.test.x[:2])


def test_rows_are_chosen_by_two_fields(mlp: Any, digits: lk.data.Dataset) -> None:
    panel = lk.Panel("explain", mlp, digits, methods=["saliency"], evidence=())
    hooked(panel, "rows").value = 1
    hooked(panel, "first_row").value = 7
    assert (panel.record.x == digits.test.x[7:8]).all()


def test_a_panel_that_is_not_live_waits_for_run(mlp: Any, digits: lk.data.Dataset) -> None:
    panel = lk.Panel("explain", mlp, digits, methods=["saliency"], live=False, **QUICK)
    assert panel.record is None
    panel.job.start.click()
    assert panel.record.method == "saliency"


def test_a_refusal_stands_where_the_picture_would(mlp: Any, digits: lk.data.Dataset) -> None:
    panel = lk.Panel("explain", mlp, digits, methods=["saliency", "grad_cam"], **QUICK)
    hooked(panel, "method").value = "grad_cam"
    assert panel.record is None and panel.picture.outputs == () and panel.findings.children == ()
    assert "what would do" in panel.sentence.content


def test_names_from_data_are_never_markup(digits: lk.data.Dataset) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    model = lk.wrap(module, classes=[HOSTILE, *"123456789"], bounds=(0, 1), name=HOSTILE)
    split = lk.data.Split(
        digits.test.x[:40],
        digits.test.y[:40],
        digits.schema,
        model.classes,
        HOSTILE,
        groups={HOSTILE: np.array([HOSTILE, "b"] * 20)},
    )
    for analysis in ("explain", "audit_groups"):
        panel = lk.Panel(analysis, model, split)
        assert panel.sentence.content
        assert not [w.value for w in all_within(panel) if isinstance(w, W.HTML) and "<img" in w.value]


@pytest.mark.parametrize(
    ("analysis", "options"),
    [("explian", {}), ("explain", {"methods": ["saliencie"]}), ("audit_groups", {}), ("generalization_gap", {})],
)
def test_what_does_not_fit_is_refused(
    mlp: Any, digits: lk.data.Dataset, analysis: str, options: dict[str, Any]
) -> None:
    with pytest.raises(Refused):
        lk.Panel(analysis, mlp, digits.test, **options)


def test_a_budget_becomes_a_curve(mlp: Any, digits: lk.data.Dataset) -> None:
    panel = lk.Panel("robustness_curve", mlp, digits, methods=["fgsm"], rows=slice(0, 8))
    hooked(panel, "eps").value = 0.2
    assert panel.record.eps == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    assert "fgsm" in panel.record.attacks


def test_an_attack_is_offered_only_the_norms_that_it_takes(mlp: Any, digits: lk.data.Dataset) -> None:
    panel = lk.Panel("attack", mlp, digits, rows=slice(0, 4), live=False)
    hooked(panel, "eps").value = 0.3
    assert hooked(panel, "norm").value == "linf"
    hooked(panel, "method").value = "boundary"
    assert hooked(panel, "norm").value == "l2" and hooked(panel, "eps").value == 0.3
    panel.job.run()
    assert panel.record.attack == "boundary" and panel.record.norm == "l2"


def test_the_workbench_opens_the_questions_that_fit_when_asked(mlp: Any, digits: lk.data.Dataset) -> None:
    bench = lk.Workbench(mlp, digits, live=False)
    assert bench.titles == ("Explain", "Attack", "Robustness", "Generalization", "Calibration")
    assert [len(tab.children) for tab in bench.children] == [1, 0, 0, 0, 0]
    bench.selected_index = 1
    assert [len(tab.children) for tab in bench.children] == [1, 1, 0, 0, 0]
    first = bench.panel("explain")
    bench.selected_index = 0
    assert bench.panel("explain") is first, "a tab that was open is not asked again"


def test_a_model_that_makes_data_has_no_panels(digits: lk.data.Dataset) -> None:
    made = lk.zoo.load("fashion_vae")
    for opened in (lambda: lk.Panel("explain", made, digits), lambda: lk.Workbench(made, digits)):
        with pytest.raises(Refused, match="makes data and names no classes"):
            opened()


def test_layers_are_chosen_from_those_of_the_model_that_fit(cnn: Any, mlp: Any, digits: lk.data.Dataset) -> None:
    panel = lk.Panel("explain", cnn, digits, methods=["grad_cam", "saliency"], **QUICK)
    hooked(panel, "method").value = "grad_cam"
    field = hooked(panel, "layer")
    assert isinstance(field, W.Dropdown)
    assert [value for _, value in field.options] == ["", "0", "1", "2", "3", "4"] and field.value == ""
    assert all(label for label, _ in field.options)
    by_itself = panel.record
    field.value = "0"
    assert panel.record.options["layer"] == "0"
    assert not np.array_equal(panel.record.attribution, by_itself.attribution)
    field.value = "2"
    assert np.array_equal(panel.record.attribution, by_itself.attribution), "the last convolution is what it takes"
    without = lk.Panel("explain", mlp, digits, methods=["grad_cam"], **QUICK)
    assert [value for _, value in hooked(without, "layer").options] == [""]
    assert "without a convolutional layer" in without.sentence.content
