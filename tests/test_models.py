"""Architectures, files and wrapping: what a model answers depends on its input alone, and a file is what was saved."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import labkit as lk
from labkit.core import registry
from labkit.models.architectures.cnn import cnn
from labkit.models.architectures.recurrent import recurrent
from labkit.models.architectures.tabular_mlp import tabular_mlp
from labkit.models.normalize import Normalize

TABLE = {"edges": [[0.0, 1.0, 4.0], [], [-2.0, 2.0]], "sizes": [0, 3, 0]}


def _images(n: int) -> torch.Tensor:
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(n))


def _rows(n: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n)
    x = torch.rand(n, 3, generator=generator) * 4
    x[:, 1] = torch.randint(0, 3, (n,), generator=generator)
    return x


def _texts(n: int, tokens: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n)
    x = torch.randint(1, 20, (n, tokens), generator=generator)
    length = torch.randint(1, tokens, (n, 1), generator=generator)
    return x * (torch.arange(tokens) < length)


def _waves(n: int) -> torch.Tensor:
    return torch.rand(n, 800, generator=torch.Generator().manual_seed(n)) * 2 - 1


def _series(n: int) -> torch.Tensor:
    """Two channels, up to 9 steps, and steps of zeros behind them."""
    generator = torch.Generator().manual_seed(n)
    x = torch.randn(n, 2, 9, generator=generator)
    return x * (torch.arange(9) < torch.randint(1, 10, (n, 1, 1), generator=generator))


def _gru() -> nn.Module:
    return recurrent(cell="gru", classes=2, words=20, width=6, hidden=5)


# architecture: its options, its inputs, the submodule that embeds them
CASES = {
    "additive": ({"classes": 4, "terms": [[[0, 4]], [[1, 3]], [[2, 0]], [[0, 3], [1, 3]]]}, _rows, None),
    "cnn": ({"classes": 4, "size": 8, "mean": 0.3, "std": 0.4, "widths": (4, 6, 6), "pooled": (1, 3)}, _images, None),
    "log_mel_cnn": ({"classes": 4, "window": 64, "hop": 32, "bands": 8, "widths": (4, 5)}, _waves, None),
    "minilm": ({"classes": 4, "tuned": 1, "rank": 2}, _texts, "encoder.embeddings.word_embeddings"),
    "recurrent": ({"cell": "lstm", "classes": 4, "words": 20, "width": 6, "hidden": 5}, _texts, "embed"),
    "resnet": ({"classes": 4, "mean": 0.3, "std": 0.4, "widths": (4, 5, 6)}, _images, None),
    "series_cnn": ({"classes": 4, "steps": 9, "channels": 2, "widths": (4, 5), "kernel": 3}, _series, None),
    "series_rnn": ({"classes": 4, "channels": 2, "mean": 0.5, "hidden": 5}, _series, None),
    "spiking": ({"classes": 4, "inputs": 64, "hidden": 30, "steps": 8}, _images, None),
    "strided_cnn": ({"classes": 4, "size": 8, "mean": 0.3, "std": 0.4, "widths": (4, 6, 6)}, _images, None),
    "text_transformer": ({"classes": 4, "words": 20, "longest": 12, "width": 8}, _texts, "embed"),
    "tabular_mlp": ({"classes": 4, **TABLE, "width": 5, "hidden": (8, 6)}, _rows, "embed"),
    "tabular_transformer": ({"classes": 4, **TABLE, "width": 6, "heads": 2}, _rows, "embed"),
    "two_towers": (
        {"classes": 4, "picture": (1, 8, 8), "words": 20, "widths": (4, 6), "pooled": (1,), "width": 6, "hidden": 5},
        lambda n: torch.cat([_images(n).flatten(1), _texts(n).float()], 1),
        "embed",
    ),
    "vit": ({"classes": 4, "size": 8, "stem": (4, 6), "width": 6, "heads": 2, "blocks": 2, "hidden": 5}, _images, None),
}

MAKES_DATA = {"unet_flow", "vae"}  # tested in test_zoo_generative.py


@pytest.fixture(params=sorted(CASES))
def case(request):
    """A Classifier of each architecture with random weights and used statistics, and its inputs."""
    config, inputs, embedding = CASES[request.param]
    torch.manual_seed(0)
    try:
        module = registry.find("architectures", request.param)(**config)
    except lk.Refused as refusal:
        pytest.skip(str(refusal))
    module.train()(inputs(64))  # running statistics away from their start
    model = lk.wrap(module, classes=list("abcd"), embedding=embedding, name=request.param)
    return model, inputs


def test_every_architecture_is_covered():
    assert set(CASES) == set(lk.names("architectures")) - MAKES_DATA


def test_shape_and_a_row_alone_as_in_its_batch(case):
    model, inputs = case
    x = inputs(9)
    together = model(x)
    assert together.shape == (9, 4)
    alone = torch.cat([model(row[None]) for row in x])
    torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-6)
    assert together.std(0).min() > 1e-4  # inputs matter


def test_relaxed_forward_is_the_model_and_takes_stacked_copies(case):
    model, inputs = case
    x = inputs(5)
    z, forward = model.relax(x)
    assert z.shape == ((*x.shape, z.shape[-1]) if model.embedding else x.shape)
    torch.testing.assert_close(forward(z), model(x))
    torch.testing.assert_close(forward(torch.cat([z, z, z])), model(x).repeat(3, 1))
    torch.testing.assert_close(forward(z), model(x))  # the door leaves nothing behind


def test_gradients_through_relax_match_differences(case):
    model, inputs = case
    if "gradients" not in model.capabilities:
        return  # a lookup; tests/test_zoo_glassbox.py has what it refuses
    if model.name == "spiking":
        return  # its gradients are those of a stand-in, which tests/test_zoo_signals.py derives again
    x = inputs(3)
    module = model.module.double()
    wide = lk.wrap(module, classes=model.classes, embedding=model.embedding)
    z, forward = wide.relax(x if x.dtype == torch.int64 else x.double())
    z = z.requires_grad_()
    (gradient,) = torch.autograd.grad(forward(z)[:, 0].sum(), z)
    direction = torch.randn(z.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    direction = direction * (z.detach() != 0)  # a series' step of zeros is padding, and a little more is not
    h = 1e-6
    with torch.no_grad():
        ahead, behind = forward(z + h * direction)[:, 0].sum(), forward(z - h * direction)[:, 0].sum()
    assert float((gradient * direction).sum()) == pytest.approx(float((ahead - behind) / (2 * h)), rel=1e-4)


def test_same_weights_from_the_same_file(case, tmp_path):
    model, inputs = case
    path = lk.models.save(model, tmp_path / "m.safetensors", model.name, CASES[model.name][0])
    again = lk.open(path)
    assert again.digest == model.digest and again.classes == model.classes and again.name == model.name
    torch.testing.assert_close(again(inputs(4)), model(inputs(4)))


class TestText:
    """Padding is nothing, wherever it stands and however much of it there is."""

    @pytest.fixture
    def model(self):
        torch.manual_seed(1)
        return lk.wrap(_gru(), classes=["no", "yes"], embedding="embed")

    def test_more_padding_changes_nothing(self, model):
        x = _texts(7)
        wider = torch.cat([x, torch.zeros(7, 30, dtype=torch.int64)], 1)
        torch.testing.assert_close(model(wider), model(x), rtol=1e-5, atol=1e-6)

    def test_a_word_replaced_by_padding_is_deleted(self, model):
        torch.testing.assert_close(model(torch.tensor([[5, 0, 7, 0]])), model(torch.tensor([[5, 7, 0, 0]])))
        assert not torch.allclose(model(torch.tensor([[5, 7, 0, 0]])), model(torch.tensor([[7, 5, 0, 0]])))

    def test_a_text_of_padding_only_has_a_finite_answer(self, model):
        assert torch.isfinite(model(torch.zeros(2, 4, dtype=torch.int64))).all()

    def test_no_gradient_at_padding(self, model):
        z, forward = model.relax(torch.tensor([[5, 9, 0, 0]]))
        (gradient,) = torch.autograd.grad(forward(z.requires_grad_())[:, 1].sum(), z)
        assert (gradient[0, 2:] == 0).all() and (gradient[0, :2] != 0).all()

    def test_both_directions_are_read_as_torch_reads_packed_sequences(self, model):
        """The oracle is torch's own packed bidirectional GRU with the same weights."""
        x, module = _texts(6), model.module
        twin = nn.GRU(6, 5, batch_first=True, bidirectional=True)
        for name, value in module.onward.named_parameters():
            getattr(twin, name).data.copy_(value)
        for name, value in module.contrary.named_parameters():
            getattr(twin, f"{name}_reverse").data.copy_(value)
        length = (x != 0).sum(1)
        packed = nn.utils.rnn.pack_padded_sequence(module.embed(x), length, batch_first=True, enforce_sorted=False)
        states, _ = nn.utils.rnn.pad_packed_sequence(twin(packed)[0], batch_first=True, total_length=x.shape[1])
        inside = (x != 0)[:, :, None]
        mean = (states * inside).sum(1) / length[:, None]
        most = states.masked_fill(~inside, -9).amax(1)
        words = (module.embed(x) * inside).sum(1) / length[:, None]
        torch.testing.assert_close(module.head(torch.cat([mean, most, words], 1)), model(x), rtol=1e-5, atol=1e-6)


class TestReference:
    """What inputs are compared with when nobody says."""

    def test_padding_stays_and_words_become_the_baseline(self):
        module = _gru()
        about = {"classes": ["no", "yes"], "embedding": "embed", "baseline": np.ones(4, np.int64), "padding": 0}
        model = lk.wrap(module, **about)
        x = np.array([[5, 9, 0, 0], [5, 0, 7, 3]])
        assert model.reference(x).tolist() == [[1, 1, 0, 0], [1, 0, 1, 1]]
        # so the baseline in the embedding is the baseline itself
        z, _ = model.relax(model.tensor(model.reference(x)))
        forward = model.relax(model.tensor(x))[1]
        torch.testing.assert_close(forward(z), model(model.tensor(model.reference(x))))

    def test_zeros_within_the_bounds(self):
        model = lk.wrap(nn.Linear(3, 2), classes=["a", "b"], bounds=(0.25, 1))
        assert model.reference(np.ones((2, 3), np.float32)).tolist() == [[0.25] * 3] * 2

    def test_a_baseline_of_another_shape_is_refused(self):
        model = lk.wrap(nn.Linear(3, 2), classes=["a", "b"], baseline=np.zeros(4))
        with pytest.raises(lk.Refused, match="shape"):
            model.reference(np.ones((2, 3)))


class TestTable:
    @pytest.fixture
    def embed(self):
        torch.manual_seed(2)
        return tabular_mlp(classes=2, **TABLE, width=3, hidden=(4,)).embed

    def test_a_number_is_linear_between_its_edges_and_constant_beyond(self, embed):
        x = torch.tensor([[v, 0.0, 0.0] for v in (0.0, 0.5, 1.0, 2.5, 4.0, 9.0, -3.0)])
        z = embed(x)[:, 0]
        torch.testing.assert_close(z[1], (z[0] + z[2]) / 2)
        torch.testing.assert_close(z[3], (z[2] + z[4]) / 2)
        assert torch.equal(z[5], z[4]) and torch.equal(z[6], z[0]) and not torch.allclose(z[0], z[2])

    def test_features_do_not_mix(self, embed):
        x = torch.tensor([[0.5, 1.0, 0.3]])
        for feature, value in enumerate((3.0, 2.0, -1.0)):
            other = x.clone()
            other[0, feature] = value
            moved = (embed(other) != embed(x)).any(2)[0]
            assert moved.tolist() == [i == feature for i in range(3)]

    def test_a_category_that_does_not_exist_is_no_other_features_category(self, embed):
        with pytest.raises(IndexError):
            embed(torch.tensor([[0.0, 3.0, 0.0]]))


def test_normalisation_is_in_the_weights_and_never_trained():
    layer = Normalize([1.0, 2.0], [2.0, 4.0], axes=2)
    x = torch.rand(3, 2, 4, 4)
    torch.testing.assert_close(layer(x)[:, 1], (x[:, 1] - 2) / 4)
    assert not list(layer.parameters()) and set(layer.state_dict()) == {"mean", "std"}


class TestFiles:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        torch.manual_seed(0)
        config = {"classes": 2, "size": 4, "widths": (3,), "pooled": (1,)}
        model = lk.wrap(cnn(**config), classes=["a", "b"], bounds=(0, 1), baseline=np.full((1, 4, 4), 0.5, np.float32))
        return lk.models.save(model, tmp_path / "m.safetensors", "cnn", config)

    def test_baseline_and_bounds_come_back(self, path):
        model = lk.open(path)
        assert model.bounds == (0.0, 1.0) and model.baseline.dtype == np.float32 and (model.baseline == 0.5).all()

    def test_every_flipped_bit_is_refused(self, path):
        whole = path.read_bytes()
        for bit in range(3, len(whole) * 8, 37):
            damaged = bytearray(whole)
            damaged[bit // 8] ^= 1 << bit % 8
            path.write_bytes(damaged)
            with pytest.raises(lk.Refused):
                lk.open(path)

    @pytest.mark.parametrize("kept", [0, 4, 100, -1])
    def test_truncated(self, path, kept):
        path.write_bytes(path.read_bytes()[:kept])
        with pytest.raises(lk.Refused):
            lk.open(path)

    def test_weights_of_another_architecture(self, path):
        about, state = _parts(path)
        with pytest.raises(lk.Refused, match="do not fit cnn"):
            lk.open(_sealed(path, about, state | {"extra": torch.zeros(1)}))
        with pytest.raises(lk.Refused, match="do not fit cnn"):
            lk.open(_sealed(path, about | {"config": {"size": 4}}, state))
        with pytest.raises(lk.Refused, match="architectures"):
            lk.open(_sealed(path, about | {"architecture": "os"}, state))

    def test_weights_that_are_not_finite(self, path):
        about, state = _parts(path)
        with pytest.raises(lk.Refused, match=r"not finite in head\.bias"):
            lk.open(_sealed(path, about, state | {"head.bias": torch.tensor([0.0, float("nan")])}))

    def test_weights_without_an_architecture(self, tmp_path):
        save_file({"w": torch.zeros(2)}, tmp_path / "bare.safetensors")
        with pytest.raises(lk.Refused, match="without an architecture"):
            lk.open(tmp_path / "bare.safetensors")

    def test_no_such_file(self, tmp_path):
        with pytest.raises(lk.Refused, match="no such file"):
            lk.open(tmp_path / "fashion_cnn")
        with pytest.raises(lk.Refused, match="a folder"):
            lk.open(tmp_path)


def _parts(path):
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["labkit"]), {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118


def _sealed(path, about, state):
    """The file as somebody would write it who keeps the digest right."""
    from labkit.models.opening import _seal

    about = {k: v for k, v in about.items() if k != "sha256"}
    about["sha256"] = _seal(about, state)
    save_file(state, path, {"labkit": json.dumps(about)})
    return path


class TestWrapping:
    @pytest.mark.parametrize(
        "change",
        [
            {"classes": ["a"]},
            {"classes": "abc"},
            {"classes": ["a", "a"]},
            {"classes": 3},
            {"bounds": (1, 1)},
            {"bounds": 5},
            {"bounds": (0, float("nan"))},
            {"outputs": "scores"},
            {"embedding": "nowhere"},
            {"device": "abacus"},
        ],
    )
    def test_bad_arguments_are_refused(self, change):
        with pytest.raises(lk.Refused):
            lk.wrap(nn.Linear(2, 2), **{"classes": ["a", "b"], **change})

    def test_not_a_module(self):
        with pytest.raises(lk.Refused):
            lk.wrap(lambda x: x, classes=["a", "b"])

    def test_moving_leaves_the_first_where_it_is(self, mlp):
        moved = mlp.to("meta")
        assert moved.device.type == "meta" and mlp.device.type == "cpu"


def test_nothing_in_labkit_unpickles_or_evaluates_text():
    """Every call in the source is looked at: loaders that can run code are not there."""
    root = Path(lk.__file__).parent
    forbidden = {"eval", "exec", "compile", "__import__"}
    modules = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
    attributes = {("torch", "load"), ("pd", "read_pickle"), ("pandas", "read_pickle"), ("yaml", "load")}
    found = []
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            where = f"{path.relative_to(root)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import | ast.ImportFrom):
                imported = [a.name for a in node.names] + [getattr(node, "module", None) or ""]
                found += [where for name in imported if name.partition(".")[0] in modules]
            if isinstance(node, ast.Call):
                keys = {k.arg: k.value for k in node.keywords}
                for key, bad in (("allow_pickle", True), ("weights_only", False)):
                    if key in keys and not (isinstance(keys[key], ast.Constant) and keys[key].value is not bad):
                        found.append(where)
                if isinstance(node.func, ast.Name) and node.func.id in forbidden:
                    found.append(where)
                named = isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
                if named and (node.func.value.id, node.func.attr) in attributes and "weights_only" not in keys:
                    found.append(where)
    assert not found
