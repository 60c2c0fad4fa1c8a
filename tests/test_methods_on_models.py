"""Every attribution on every reference model: a map that keeps its promises, or a refusal that names what does run."""

from __future__ import annotations

import re

import numpy as np
import pytest

import labkit as lk
from labkit.core import registry
from labkit.core.method import needs, params
from labkit.models.generative import Generative

FEW = {"samples": 8, "max_samples": 16, "steps": 4, "max_steps": 512, "masks": 16, "anchors": 1, "bends": 2}
METHODS = lk.names("attributions")


def options(name: str) -> dict[str, int]:
    """Options with which a method takes little time."""
    known = {p.name: p for p in params(registry.find("attributions", name))}
    return {k: max(v, int(known[k].range.low)) for k, v in FEW.items() if k in known and known[k].range}


def inputs(name: str) -> tuple[object, object]:
    """Two test rows and six training rows; noise in place of recordings that are not on this machine."""
    try:
        data = lk.zoo.data(name)
        return data.test[:2], data.train[:6]
    except lk.Refused:
        shape = lk.zoo.card(name)["data"].get("shape", [8000])
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, (8, *shape)).astype(np.float32)
        return noise[:2], noise[2:]


def asked(model, rows, background, name: str) -> object:
    """The record, or the refusal."""
    function = registry.find("attributions", name)
    given = {"background": background} if "background" in needs(function) else {}
    try:
        return lk.explain(model, rows, name, evidence=(), **given, **options(name))
    except lk.Refused as refusal:
        return refusal


def named(text: str) -> set[str]:
    return {other for other in METHODS if re.search(rf"\b{other}\b", text)}


@pytest.mark.parametrize("name", lk.zoo.names())
def test_every_method_runs_or_names_one_that_does(name):
    model = lk.zoo.load(name)
    if isinstance(model, Generative):
        with pytest.raises(lk.Refused, match="function of"):
            lk.explain(model, lk.zoo.data(name).test[:2])
        return
    rows, background = inputs(name)
    shape = rows.x.shape if isinstance(rows, lk.data.Split) else rows.shape
    digest = model.digest
    found = {method: asked(model, rows, background, method) for method in METHODS}
    measured = {m for m, record in found.items() if not isinstance(record, lk.Refused) and record.status == "measured"}
    for method, record in found.items():
        if isinstance(record, lk.Refused):
            assert named(record.instead) & measured, f"{method} on {name} names nothing that runs: {record}"
            continue
        assert record.attribution.shape == shape
        if record.status == "not_measured":
            assert np.isnan(record.attribution).all() and named(record.reason) - {method}, record.reason
            continue
        assert np.isfinite(record.attribution).all() and record.attribution.any(), f"{method} on {name}"
        error = record.standard_error
        assert error is None or (np.isfinite(error).all() and (error >= 0).all()), f"{method} on {name}"
        if record.complete:
            missed = np.abs(record.attribution.reshape(2, -1).sum(1) - record.change).sum()
            assert missed <= 0.05 * np.abs(record.change).sum(), f"{method} on {name}"
    assert model.digest == digest
    print(f"{name}: {len(measured)} of {len(METHODS)} run; refused: {', '.join(sorted(set(METHODS) - measured))}")
    assert {"occlusion", "kernel_shap"} <= measured, "methods that ask for outputs only run on every classifier"
