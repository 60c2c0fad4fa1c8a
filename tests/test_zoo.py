"""The reference models: verified weights, true cards, and floors measured again."""

from __future__ import annotations

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
from labkit.zoo.table import BEGIN, END, table

MODELS = lk.zoo.names()
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return lk.zoo.load(request.param)


def test_every_recipe_has_shipped():
    assert lk.names("recipes") == MODELS


def test_weights_are_those_of_the_card(model):
    card, path = lk.zoo.card(model.name), lk.zoo.SHIPPED / "weights" / f"{model.name}.safetensors"
    assert path.stat().st_size == card["weights"]["bytes"] <= 4 * 2**20
    assert sum(p.numel() for p in model.module.parameters()) == card["parameters"]
    assert model.classes == tuple(card["classes"]) == lk.zoo.data(model.name).classes
    assert not model.module.training


@pytest.mark.parametrize("name", MODELS)
def test_one_flipped_bit_is_refused(name, tmp_path):
    for kind in ("cards", "weights"):
        shutil.copytree(lk.zoo.SHIPPED / kind, tmp_path / kind)
    path = tmp_path / "weights" / f"{name}.safetensors"
    assert lk.zoo.load(name, folder=tmp_path).name == name  # the twin: a whole copy loads
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


def test_the_card_is_that_of_the_recipe(model):
    """A recipe that was changed without training again would make its card untrue."""
    card, recipe = lk.zoo.card(model.name), registry.find("recipes", model.name)()
    plain = {k: v for k, v in recipe.hyperparameters.items() if v is not None}
    assert card["training"]["recipe"] == plain and card["training"]["budget"] == 1.0
    assert card["known_failures"] == list(recipe.card["known_failures"])
    assert card["test"]["floor"] == recipe.floor and card["test"]["meets_floor"]


def test_the_curves_are_those_of_the_card(model):
    card, record = lk.zoo.card(model.name), lk.zoo.curves(model.name)
    assert record.provenance.model["sha256"] == model.digest
    assert [round(float(s), 4) for s in record.score] == card["test"]["by_seed"]
    assert list(record.seeds) == card["training"]["seeds"]
    kept = [v[b] for v, b in zip(record.valid_accuracy, record.best)]
    if card["training"]["recipe"]["watch"] == "loss":
        kept = [-v[b] for v, b in zip(record.valid_loss, record.best)]
    assert record.chosen == int(np.argmax(kept))


@pytest.mark.parametrize("name", ["adult_mlp", "movies_gru"])
def test_floor_on_the_whole_test_set(name):
    """Measured by labkit's own predictions; area and accuracy by scikit-learn and by counting."""
    card, data = lk.zoo.card(name), lk.zoo.data(name)
    p = lk.predict(lk.zoo.load(name), data.test)
    score = roc_auc_score(p.y, p.proba[:, 1]) if card["test"]["measure"] == "auc" else np.mean(p.label == p.y)
    assert score >= card["test"]["floor"]
    assert score == pytest.approx(card["test"]["score"], abs=5e-4)
    assert len(p) == card["test"]["n"] and data.test.digest == card["data"]["test"]["sha256"]
    assert data.train.digest == card["data"]["train"]["sha256"]


def test_fashion_on_the_embedded_part():
    """1,000 of the 10,000 test images: their interval must hold the score that the card gives for all."""
    card, data = lk.zoo.card("fashion_cnn"), lk.zoo.data("fashion_cnn")
    p = lk.predict(lk.zoo.load("fashion_cnn"), data.test)
    low, high = wilson(int((p.label == p.y).sum()), len(p), 0.999)
    assert low <= card["test"]["score"] <= high


def test_fashion_floor_on_the_whole_test_set():
    try:
        data = lk.zoo.data("fashion_cnn", full=True)
    except lk.Refused as refusal:
        pytest.skip(f"the full set is not on this machine; {refusal.instead}")
    card = lk.zoo.card("fashion_cnn")
    p = lk.predict(lk.zoo.load("fashion_cnn"), data.test)
    score = float(np.mean(p.label == p.y))
    assert score >= 0.92 and score == pytest.approx(card["test"]["score"], abs=5e-4) and len(p) == 10_000
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


def test_the_page_shows_the_cards():
    page = (ROOT / "docs" / "zoo.md").read_text(encoding="utf-8")
    shown = page.partition(BEGIN)[2].partition(END)[0].strip()
    assert shown == table(), "python -m labkit.zoo.table docs/zoo.md brings the page up to date"
    for name in MODELS:
        card = lk.zoo.card(name)
        row = next(line for line in shown.splitlines() if f"`{name}`" in line)
        assert ("pending" in row) is not card["training"]["gpu"] and card["training"]["hardware"] in row
