"""The reference models: verified weights, true cards, and floors measured again."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import labkit as lk
from labkit.core import registry
from labkit.core.intervals import wilson
from labkit.zoo.table import BEGIN, END, short_table, table

MODELS = lk.zoo.names()
ROOT = Path(__file__).parent.parent
EMBEDDED = ("adult_mlp", "movies_gru")  # whole test sets that come with labkit


def ready(what, *arguments, **options):
    """The model or data, or a skip that says what is missing on this machine: an extra, or data that nobody may ship."""
    try:
        return what(*arguments, **options)
    except lk.Refused as refusal:
        pytest.skip(str(refusal))


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return ready(lk.zoo.load, request.param)


def test_every_recipe_has_shipped():
    assert lk.names("recipes") == MODELS


@pytest.mark.parametrize("name", MODELS)
def test_weights_are_those_of_the_card(name):
    card, path = lk.zoo.card(name), lk.zoo.SHIPPED / "weights" / f"{name}.safetensors"
    assert path.stat().st_size == card["weights"]["bytes"] <= 4 * 2**20
    assert hashlib.sha256(path.read_bytes()).hexdigest() == card["weights"]["sha256"]


def test_all_weights_together_are_small():
    assert sum(lk.zoo.card(name)["weights"]["bytes"] for name in MODELS) <= 40 * 2**20


def test_a_model_is_the_one_of_its_card(model):
    card = lk.zoo.card(model.name)
    assert sum(p.numel() for p in model.module.parameters()) == card["parameters"]
    assert not model.module.training and not any(p.requires_grad for p in model.module.parameters())
    if card["classes"]:
        assert model.classes == tuple(card["classes"])


@pytest.mark.parametrize("name", MODELS)
def test_one_flipped_bit_is_refused(name, tmp_path):
    for kind in ("cards", "weights"):
        (tmp_path / kind).mkdir()
        for path in (lk.zoo.SHIPPED / kind).glob(f"{name}.*"):
            shutil.copy(path, tmp_path / kind / path.name)
    path = tmp_path / "weights" / f"{name}.safetensors"
    assert ready(lk.zoo.load, name, folder=tmp_path).name == name  # the twin: a whole copy loads
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(lk.Refused, match="SHA-256"):
        lk.zoo.load(name, folder=tmp_path)
    path.unlink()
    with pytest.raises(lk.Refused, match="without weights"):
        lk.zoo.load(name, folder=tmp_path)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(lk.Refused, match="'fashion_cnn'"):
        lk.zoo.load("fashion_cnm")
    with pytest.raises(lk.Refused):
        lk.zoo.load("../cards/fashion_cnn")
    with pytest.raises(lk.Refused, match="which has no cards"):
        lk.zoo.load("fashion_cnn", folder="nowhere")


@pytest.mark.parametrize("name", MODELS)
def test_the_card_is_that_of_the_recipe(name):
    """A recipe that was changed without training again would make its card untrue."""
    card, recipe = lk.zoo.card(name), registry.find("recipes", name)()
    assert card["training"]["recipe"] == json.loads(json.dumps(recipe.hyperparameters))
    assert card["training"]["budget"] == 1.0
    assert card["known_failures"] == list(recipe.card["known_failures"]) and card["known_failures"]
    assert len(card["test"]) == len(recipe.goals)
    for test, goal in zip(card["test"], recipe.goals):
        assert (test.get("floor"), test.get("ceiling")) == (goal.floor, goal.ceiling)
        assert test["met"] is goal.met(test.get("score", math.nan))


@pytest.mark.parametrize("name", MODELS)
def test_the_card_tells_what_it_took(name):
    card = lk.zoo.card(name)
    made = card["training"]
    assert made["seconds"] >= 0 and made["peak_memory_bytes"] > 0 and made["energy_joules"] >= 0
    assert "estimate" in made["energy_method"] and made["hardware"] and made["day"]
    solved = "solver" in made["recipe"]
    assert (made["forward_passes"] >= made["backward_passes"] > 0) or solved
    assert {"sha256", "name", "n"} <= set(card["data"]["train"]) and card["licence"] and card["intended_use"]


@pytest.mark.parametrize("name", MODELS)
def test_the_curves_are_those_of_the_card(name):
    card, record = lk.zoo.card(name), lk.zoo.curves(name)
    for i, test in enumerate(card["test"]):
        by_seed = [round(float(s), 4) for s in record.score[:, i] if np.isfinite(s)]
        assert by_seed == test["by_seed"] and record.measures[i] == test["measure"]
    assert list(record.seeds) == card["training"]["seeds"]
    if record.train_loss.shape[1]:
        watch, names = registry.find("recipes", name)().merit, ("train_loss", "valid_loss", "valid_accuracy")
        merits = [watch({k: getattr(record, k)[i, best] for k in names}) for i, best in enumerate(record.best)]
        assert record.chosen == int(np.argmax(merits))
    assert lk.says(record).startswith(name) and lk.figure(record).data and len(lk.rows(record))


def test_the_weights_are_those_of_the_record(model):
    assert lk.zoo.curves(model.name).provenance.model["sha256"] == model.digest


@pytest.mark.parametrize("name", EMBEDDED)
def test_floor_on_the_whole_test_set(name):
    """Measured by labkit's own predictions; area and accuracy by scikit-learn and by counting."""
    card, data = lk.zoo.card(name), lk.zoo.data(name)
    test = card["test"][0]
    p = lk.predict(lk.zoo.load(name), data.test)
    score = roc_auc_score(p.y, p.proba[:, 1]) if test["measure"] == "AUC" else np.mean(p.label == p.y)
    assert score >= test["floor"]
    assert score == pytest.approx(test["score"], abs=5e-4)
    assert len(p) == test["n"] and data.test.digest == card["data"]["test"]["sha256"]
    assert data.train.digest == card["data"]["train"]["sha256"]


@pytest.mark.parametrize("name", ["fashion_cnn", "fashion_resnet"])
def test_fashion_on_the_embedded_part(name):
    """1,000 of the 10,000 test images: their interval must hold the score that the card gives for all."""
    card, data = lk.zoo.card(name), lk.zoo.data(name)
    p = lk.predict(lk.zoo.load(name), data.test)
    low, high = wilson(int((p.label == p.y).sum()), len(p), 0.999)
    assert low <= card["test"][0]["score"] <= high


@pytest.mark.parametrize("name", ["fashion_cnn", "fashion_resnet"])
def test_fashion_floor_on_the_whole_test_set(name):
    data = ready(lk.zoo.data, name, full=True)
    card = lk.zoo.card(name)
    p = lk.predict(lk.zoo.load(name), data.test)
    score = float(np.mean(p.label == p.y))
    assert score == pytest.approx(card["test"][0]["score"], abs=5e-4) and len(p) == 10_000
    assert (score >= card["test"][0]["floor"]) is card["test"][0]["met"]
    assert data.test.digest == card["data"]["test"]["sha256"]


def test_baselines_are_inputs_that_the_model_takes():
    tabular, text = lk.zoo.load("adult_mlp").baseline, lk.zoo.load("movies_gru").baseline
    train = lk.zoo.data("adult_mlp").train
    for i, feature in enumerate(train.schema.features):
        if feature.kind == "categorical":
            codes, counts = np.unique(train.x[:, i], return_counts=True)
            assert tabular[i] == codes[counts.argmax()]
        else:
            assert feature.low <= tabular[i] <= feature.high
    assert lk.zoo.load("movies_gru").padding == 0
    assert (text == 1).all() and text.shape == lk.zoo.data("movies_gru").schema.shape
    assert lk.zoo.load("fashion_cnn").baseline is None  # zeros: a black image


def test_listing_imports_no_torch():
    code = "import sys, labkit as lk; lk.names('recipes'); lk.names('architectures'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_pages_show_the_cards():
    for page, made in (("docs/zoo.md", table()), ("README.md", short_table())):
        shown = (ROOT / page).read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()
        assert shown == made, "python -m labkit.zoo.table docs/zoo.md README.md brings both up to date"
        for name in MODELS:
            row = next(line for line in shown.splitlines() if f"`{name}`" in line)
            assert all(f"{test['score']:.4f}" in row for test in lk.zoo.card(name)["test"][:1] if "score" in test)


def test_what_was_not_trained_on_a_gpu_is_listed_as_pending():
    rows = {line.split("`")[1]: line for line in table().splitlines()[2:]}
    for name in MODELS:
        made = lk.zoo.card(name)["training"]
        assert ("pending" in rows[name]) is not (made["gpu"] or "solver" in made["recipe"])
