"""Faults of models that users bring: modules left in train mode, and files that hide code. Each beside its sound twin."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import labkit as lk


def _with_statistics() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))


def _state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in module.state_dict().items()}


@pytest.mark.parametrize("training", [True, False], ids=["fault", "twin"])
def test_a08_batchnorm_in_train_mode(digits, training):
    """An audit never changes the model that it audits: neither its statistics nor its mode."""
    module = _with_statistics().train(training)
    before = _state(module)
    model = lk.wrap(module, classes=digits.classes, bounds=(0, 1))
    first = lk.predict(model, digits.test)
    assert module.training is training and all(m.training is training for m in module.modules())
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    assert all(p.requires_grad for p in module.parameters())
    # A call of the module itself would have changed it, had it been in train mode.
    module(torch.tensor(digits.test.x))
    assert torch.equal(module[2].running_mean, before["2.running_mean"]) is not training
    assert np.array_equal(lk.predict(model, digits.test).proba, first.proba)  # a copy: not moved by that either


@pytest.mark.parametrize("training", [True, False], ids=["fault", "twin"])
def test_r01_dropout_left_on(digits, mlp_module, training):
    """The copy that is audited is in evaluation mode, so two looks agree and equal the sound model's."""
    module = nn.Sequential(*mlp_module[:3], nn.Dropout(0.5), mlp_module[3]).train(training)
    x = torch.tensor(digits.test.x[:50])
    assert torch.equal(module(x), module(x)) is not training
    model = lk.wrap(module, classes=digits.classes, bounds=(0, 1))
    sound = lk.wrap(mlp_module, classes=digits.classes, bounds=(0, 1))
    assert torch.equal(model(x), model(x)) and torch.equal(model(x), sound(x))
    assert module.training is training


class _Payload:
    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self):
        return os.system, (f"touch {self.flag}",)


@pytest.mark.parametrize("name", ["m.pt", "m.pkl", "m.safetensors", "m.model", "m"])
@pytest.mark.parametrize("zipped", [True, False])
def test_s01_code_in_a_model_file(tmp_path, name, zipped):
    """No bytes of a pickle are ever loaded, whatever the file is called."""
    import pickle

    flag, path = tmp_path / "ran", tmp_path / name
    content = pickle.dumps({"w": _Payload(flag)})
    if zipped:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("archive/data.pkl", content)
        content = buffer.getvalue()
    path.write_bytes(content)
    with pytest.raises(lk.Refused, match="pickle"):
        lk.open(path)
    assert not flag.exists()


def test_s01_text_pickle_under_another_name(tmp_path):
    import pickle

    flag, path = tmp_path / "ran", tmp_path / "m.safetensors"
    path.write_bytes(pickle.dumps(_Payload(flag), protocol=0))
    with pytest.raises(lk.Refused, match="not a readable safetensors file"):
        lk.open(path)
    assert not flag.exists()


def test_s01_twin_a_sound_file_opens(tmp_path):
    from labkit.models.architectures.cnn import cnn

    config = {"classes": 2, "size": 4, "widths": (3,), "pooled": (1,)}
    model = lk.wrap(cnn(**config), classes=["a", "b"], bounds=(0, 1))
    assert lk.open(lk.models.save(model, tmp_path / "m.safetensors", "cnn", config)).digest == model.digest
