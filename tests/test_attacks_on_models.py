"""Every attack on every reference model: a result within its budget, or a refusal that names what does run."""

from __future__ import annotations

import re
from functools import lru_cache

import attack_cases
import numpy as np
import pytest

import labkit as lk
from labkit.analyses._attack.chosen import supported_norms
from labkit.models.generative import Generative
from labkit.records.attack import THREATS

EPS = {"linf": 0.02, "l2": 0.2, "l1": 1.0, "l0": 2.0, "noise_to_signal": 0.05, "edits": 1, "cost": 0.1}
LESS = {"steps": 3, "searches": 1, "updates": 5, "queries": 10, "draws": 4, "generations": 1, "starts": 4, "expand": 4}
OWN = 0.1
# One model of each kind, and what its curve is under by default; None where it is refused, and names what would do.
CURVES = {
    "fashion_cnn": ("linf", 0.02),
    "digits_speech_cnn": ("linf", 0.002),
    "movies_gru": ("edits", 1),
    "german_mlp": ("cost", 0.1),
    "adult_glassbox": ("cost", 0.1),
    "power_cnn": (None, 0.05),
    "emoji_fusion": (None, 1),
}


@lru_cache
def inputs(name: str) -> tuple[lk.data.Split, lk.data.Split]:
    """Two rows that the model gets right, and some training rows; noise in place of recordings that are not here."""
    model = lk.zoo.load(name)
    try:
        data = lk.zoo.data(name)
        rows, background = data.test[:12], data.train[:60]
    except lk.Refused:
        rows = background = made_up(name, model)
    label = model(model.tensor(rows.x)).argmax(1).numpy()
    return rows[np.flatnonzero(label == rows.y)[:2]], background


def made_up(name: str, model) -> lk.data.Split:
    """Tones that swell and fade, labelled as the model answers; the first two are of different classes."""
    shape = tuple(lk.zoo.card(name)["data"].get("shape", [8000]))
    rng, time = np.random.default_rng(0), np.arange(shape[-1]) / 8000
    pitch, rate, shift = (rng.uniform(*ends, (60, 1)) for ends in ((80, 3000), (1, 8), (0, 6)))
    x = (0.4 * np.sin(2 * np.pi * pitch * time) * np.sin(rate * time + shift) ** 2).astype(np.float32)
    x = (x + rng.normal(0, 0.01, x.shape)).astype(np.float32)
    y = model(model.tensor(x)).argmax(1).numpy()
    other = int(np.flatnonzero(y != y[0])[0])
    x[[1, other]], y[[1, other]] = x[[other, 1]], y[[other, 1]]
    return lk.data.Split(x, y, lk.data.Schema("audio", "said", shape, bounds=model.bounds), model.classes, "noise")


def struck(model, rows: lk.data.Split, background: lk.data.Split, attack: str, norm: str):
    """The record, or the refusal."""
    given = {"eps": EPS.get(norm, OWN)} if attack_cases.names(attack, "eps") else {}
    options = attack_cases.options(attack)
    options |= {k: v for k, v in LESS.items() if k in options}
    try:
        return lk.attack(model, rows, attack, norm=norm, background=background, **given, **options)
    except lk.Refused as refusal:
        return refusal


def named(text: str, among) -> set[str]:
    return {other for other in among if re.search(rf"\b{other}\b", text)}


@pytest.mark.parametrize("name", lk.zoo.names())
def test_every_attack_runs_or_names_what_does(name: str) -> None:
    model = lk.zoo.load(name)
    if isinstance(model, Generative):
        with pytest.raises(lk.Refused):
            lk.attack(model, lk.zoo.data(name).test[:2], "pgd", eps=0.1)
        return
    rows, background = inputs(name)
    digest = model.digest
    ran, refused = {}, {}
    for attack in attack_cases.ATTACKS:
        for norm in supported_norms(attack):
            found = struck(model, rows, background, attack, norm)
            if isinstance(found, lk.Refused):
                refused[attack, norm] = found
                continue
            ran[attack] = norm
            assert found.adversarial.shape == rows.x.shape and np.isfinite(found.adversarial).all(), attack
            assert found.correct.all() and found.queries > 0, attack
            if norm in THREATS and attack_cases.names(attack, "eps"):
                assert (found.distance <= EPS[norm] * (1 + 1e-5)).all(), attack
            break
    for (attack, norm), refusal in refused.items():
        can = named(refusal.instead, {*ran, *ran.values()})
        if rows.schema.modality == "image+text" and not ran:
            can = named(refusal.instead, {"held fixed", "bounds", "features"})
        assert can, f"{attack} under {norm} on {name} names nothing that runs: {refusal}"
    assert model.digest == digest
    print(f"{name}: {len(ran)} run; not {', '.join(sorted({a for a, _ in refused} - set(ran)))}")
    assert ran or rows.schema.modality == "image+text"


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_with_its_defaults_is_measured_or_names_what_would_do(name: str) -> None:
    model, (rows, background), (norm, eps) = lk.zoo.load(name), inputs(name), CURVES[name]
    if norm:
        found = lk.robustness_curve(model, rows, eps=[eps], background=background)
        assert found.norm == norm and found.status in ("measured", "contradicted") and found.correct.all()
        assert len(found.attacks) >= 2 and "at most" in lk.says(found)
        return
    with pytest.raises(lk.Refused) as refused:
        lk.robustness_curve(model, rows, eps=[eps], background=background)
    if name == "emoji_fusion":
        assert "held fixed" in refused.value.instead
        return
    assert "norm='noise_to_signal'" in refused.value.instead
    found = lk.robustness_curve(model, rows, eps=[eps], background=background, norm="noise_to_signal")
    assert found.status in ("measured", "contradicted")
