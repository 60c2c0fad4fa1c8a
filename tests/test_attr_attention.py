"""Attention maps of any model through one door, the methods on them re-derived by hand, and what stands beside them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import labkit as lk
from labkit.models.attention import attending, attention_layers, standing

METHODS = ("attention", "attention_rollout", "attention_x_gradient", "value_zeroing")


class Encoder(nn.Module):
    """torch's own encoder over tokens, with padding masked; a first token answers, or the mean of all."""

    def __init__(self, batch_first: bool = True, layers: int = 2, answer: bool = True, padded: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=batch_first)
        for parameter in self.encoder.parameters():
            nn.init.normal_(parameter, std=0.4)
        self.answer = nn.Parameter(torch.randn(1, 8)) if answer else None
        self.head = nn.Linear(8, 3)
        self.batch_first, self.padded = batch_first, padded

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x)
        mask = (x == 0) if self.padded else None
        if self.answer is not None:
            h = torch.cat([self.answer.expand(len(x), 1, -1), h], 1)
            mask = None if mask is None else nn.functional.pad(mask, (1, 0))
        h = h if self.batch_first else h.transpose(0, 1)
        h = self.encoder(h, src_key_padding_mask=mask)
        h = h if self.batch_first else h.transpose(0, 1)
        return self.head(h.mean(1) if self.answer is None else h[:, 0])


def encoder(**options: object) -> lk.Classifier:
    torch.manual_seed(0)
    return lk.wrap(Encoder(**options), classes=["a", "b", "c"], embedding="embed", name="encoder")


def tokens(n: int = 4, length: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 20, (n, length))


def explained(model: lk.Classifier, x: np.ndarray, name: str, **options: object) -> lk.Explanation:
    return lk.explain(model, x, name, evidence=(), **options)


def by_hand(layer: nn.TransformerEncoderLayer, states: Tensor, zeroed: int | None = None) -> tuple[Tensor, Tensor]:
    """One encoder layer written out, with a token's value vector at zero if asked: its states and (n, heads, to, from)."""
    attention = layer.self_attn
    q, k, v = (states @ attention.in_proj_weight.T + attention.in_proj_bias).chunk(3, -1)
    if zeroed is not None:
        v = v.clone()
        v[:, zeroed] = 0
    q, k, v = (t.unflatten(2, (2, 4)).transpose(1, 2) for t in (q, k, v))
    maps = (q @ k.transpose(2, 3) / 2).softmax(-1)
    mixed = (maps @ v).transpose(1, 2).flatten(2) @ attention.out_proj.weight.T + attention.out_proj.bias
    states = layer.norm1(states + mixed)
    dense = layer.linear2(layer.linear1(states).relu())
    return layer.norm2(states + dense), maps


def inner(model: lk.Classifier, x: np.ndarray) -> tuple[list[nn.Module], Tensor]:
    """The layers and the states that enter the first."""
    module = model.module
    return list(module.encoder.layers), torch.cat(
        [module.answer.expand(len(x), 1, -1), module.embed(torch.tensor(x))], 1
    )


class TestDoor:
    @pytest.mark.parametrize("options", [{}, {"batch_first": False}, {"padded": True}, {"answer": False}], ids=str)
    def test_reading_changes_no_answer_and_leaves_nothing_behind(self, options):
        model, x = encoder(**options), tokens()
        if options.get("padded"):
            x[1, 3:] = 0
        given = torch.tensor(x)
        plain = model(given)
        with attending(model.module) as seen:
            read = model(given)
        torch.testing.assert_close(read, plain)
        assert len(seen.maps) == 2
        for maps in seen.maps:
            torch.testing.assert_close(maps.sum(3), torch.ones(maps.shape[:3]))
        if options.get("padded"):
            assert (seen.maps[0][1, :, :, -3:] == 0).all()
        assert torch.backends.mha.get_fastpath_enabled()
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.module.modules())
        assert torch.equal(model(given), plain)

    def test_maps_are_those_written_out(self):
        model, x = encoder(), tokens()
        with attending(model.module) as seen:
            model(torch.tensor(x))
        layers, states = inner(model, x)
        for layer, maps in zip(layers, seen.maps):
            states, expected = by_hand(layer, states)
            torch.testing.assert_close(maps, expected)

    def test_the_caller_gets_the_weights_that_it_asked_for(self):
        class Asks(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.mix = nn.MultiheadAttention(8, 2, batch_first=True, kdim=8, vdim=5)

            def forward(self, x: Tensor) -> Tensor:
                one, mean = self.mix(x, x, x[:, :, :5], None, True)
                none = self.mix(x, x, x[:, :, :5], need_weights=False)[1]
                each = self.mix(x, x, x[:, :, :5], average_attn_weights=False)[1]
                assert none is None and each.ndim == 4 and mean.ndim == 3
                return one.mean(1) + mean.sum((1, 2))[:, None] + each.sum((1, 2, 3))[:, None]

        torch.manual_seed(0)
        module, x = Asks().eval(), torch.randn(3, 4, 8)
        plain = module(x)
        with attending(module):
            torch.testing.assert_close(module(x), plain)

    def test_hooks_are_undone_when_the_model_fails(self):
        model = encoder()
        with pytest.raises((RuntimeError, AssertionError)), attending(model.module):
            model.module.encoder(torch.zeros(2, 3, 5))
        assert torch.backends.mha.get_fastpath_enabled()
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.module.modules())

    def test_transformers_layers_are_read_where_they_keep_their_maps(self):
        transformers = pytest.importorskip("transformers")

        class Bert(nn.Module):
            def __init__(self, kept: str) -> None:
                super().__init__()
                config = transformers.BertConfig(
                    vocab_size=20, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
                    max_position_embeddings=16, attn_implementation=kept,
                )  # fmt: skip
                self.bert, self.head = transformers.BertModel(config, add_pooling_layer=False), nn.Linear(8, 3)

            def forward(self, x: Tensor) -> Tensor:
                return self.head(self.bert(input_ids=x, attention_mask=(x != 0).long()).last_hidden_state[:, 0])

        def bert(kept: str) -> lk.Classifier:
            torch.manual_seed(0)
            return lk.wrap(Bert(kept), classes=["a", "b", "c"], embedding="bert.embeddings.word_embeddings")

        model, x = bert("eager"), tokens()
        x[0, 4:] = 0
        # asked for them, transformers leaves hooks of its own behind
        expected = copy.deepcopy(model.module.bert)(
            input_ids=torch.tensor(x), attention_mask=torch.tensor(x != 0).long(), output_attentions=True
        )
        with attending(model.module) as seen:
            model(torch.tensor(x))
        for maps, oracle in zip(seen.maps, expected.attentions, strict=True):
            torch.testing.assert_close(maps, oracle)
        record = explained(model, x, "attention")
        np.testing.assert_allclose(record.attribution, expected.attentions[-1][:, :, 0].mean(1).detach(), atol=1e-6)
        for name in METHODS:
            record = explained(model, x, name)
            assert np.isfinite(record.attribution).all() and record.facts["permuted"].min() > 0
        with pytest.raises(lk.Refused, match="keeps none"):
            explained(bert("sdpa"), x, "attention")


class TestTokens:
    def test_places_of_a_picture(self):
        model = lk.zoo.load("fashion_vit")
        shares = standing(model, torch.zeros(2, 1, 28, 28))
        assert shares.shape == (1, 50, 784)
        assert not shares[0, 0].any(), "the token that answers stands for no place"
        for row, column in ((0, 0), (3, 5), (6, 6)):
            field = torch.zeros(28, 28)
            field[max(0, 4 * row - 3) : 4 * row + 4, max(0, 4 * column - 3) : 4 * column + 4] = 1
            torch.testing.assert_close(shares[0, 1 + 7 * row + column], (field / field.sum()).flatten())

    def test_words_stand_where_they_are_whatever_the_padding(self):
        model = lk.zoo.load("movies_transformer")
        x = torch.zeros(2, 48, dtype=torch.int64)
        x[0, [3, 7, 11]] = torch.tensor([5, 6, 7])  # padding before, between and behind
        x[1, :5] = torch.tensor([8, 9, 10, 11, 12])
        shares = standing(model, x)
        assert [int(shares[0, token].argmax()) for token in range(3)] == [3, 7, 11]
        assert torch.equal(shares[1, :5, :5], torch.eye(5))
        values = explained(model, x.numpy(), "attention_rollout").attribution
        assert (values[0][[3, 7, 11]] > 0).all() and values[0].sum() == pytest.approx(1, abs=1e-5)
        assert (values[x.numpy() == 0] == 0).all()

    def test_columns_of_a_table(self):
        model, data = lk.zoo.load("adult_transformer"), lk.zoo.data("adult_transformer")
        shares = standing(model, model.tensor(data.test.x[:2]))
        columns = data.test.x.shape[1]
        assert torch.equal(shares[0], torch.cat([torch.zeros(1, columns), torch.eye(columns)]))

    def test_behind_a_recurrent_layer_tokens_stand_in_their_order_or_are_refused(self):
        class Recurrent(nn.Module):
            def __init__(self, width: int) -> None:
                super().__init__()
                self.embed, self.cell = nn.Embedding(20, 8), nn.GRU(8, 4, batch_first=True, bidirectional=True)
                self.mix, self.head = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 2)
                self.extra = nn.Parameter(torch.zeros(width, 8))

            def forward(self, x: Tensor) -> Tensor:
                h = torch.cat([self.cell(self.embed(x))[0], self.extra.expand(len(x), -1, -1)], 1)
                return self.head(self.mix(h, h, h)[0].mean(1))

        x = torch.tensor(tokens())
        model = lk.wrap(Recurrent(0), classes=["a", "b"], embedding="embed")
        assert torch.equal(standing(model, x)[0], torch.eye(6))
        with pytest.raises(lk.Refused, match="reached by the whole input"):
            explained(lk.wrap(Recurrent(1), classes=["a", "b"], embedding="embed"), x.numpy(), "attention")


class TestMethods:
    def test_attention_is_the_answering_tokens_row(self):
        model, x = encoder(), tokens()
        layers, states = inner(model, x)
        states, first = by_hand(layers[0], states)
        _, last = by_hand(layers[1], states)
        for options, expected in (
            ({}, last.mean(1)),
            ({"head": 1}, last[:, 1]),
            ({"layers": "mean"}, (first + last).mean(1) / 2),
        ):
            values = explained(model, x, "attention", **options).attribution
            np.testing.assert_allclose(values, expected[:, 0, 1:].detach(), atol=1e-6)
        mean = encoder(answer=False)
        with attending(mean.module) as seen:
            mean(torch.tensor(x))
        values = explained(mean, x, "attention").attribution
        np.testing.assert_allclose(values, seen.maps[1].mean((1, 2)).detach(), atol=1e-6)

    def test_rollout_is_a_product_of_layers(self):
        model, x = encoder(), tokens()
        layers, states = inner(model, x)
        total = torch.eye(7)
        for layer in layers:
            states, maps = by_hand(layer, states)
            total = (0.5 * maps.mean(1) + 0.5 * torch.eye(7)) @ total
        values = explained(model, x, "attention_rollout").attribution
        np.testing.assert_allclose(values, total[:, 0, 1:].detach(), atol=1e-6)

    def test_attention_x_gradient_by_differences(self):
        """The gradients of each map's entries by moving them, one at a time."""
        model, x = encoder(), tokens(1, 3)
        given, relevance = torch.tensor(x), torch.eye(4, dtype=torch.float64)
        double = lk.wrap(model.module.double(), classes=["a", "b", "c"], embedding="embed")
        with torch.no_grad(), attending(double.module) as seen:
            target = int(double(given).argmax())
        for layer in range(2):
            slope = torch.zeros(2, 4, 4, dtype=torch.float64)
            for index in np.ndindex(2, 4, 4):
                ends = []
                for step in (1e-4, -1e-4):

                    def edit(run, maps, layer=layer, index=index, step=step):
                        maps = maps.clone()
                        if run == layer:
                            maps[0][index] += step
                        return maps

                    with torch.no_grad(), attending(double.module, maps=edit):
                        ends.append(double(given)[0, target])
                slope[index] = (ends[0] - ends[1]) / 2e-4
            relevance = relevance + (seen.maps[layer][0] * slope).clamp_min(0).mean(0) @ relevance
        values = explained(double, x, "attention_x_gradient", target=target).attribution
        np.testing.assert_allclose(values[0], (relevance - torch.eye(4))[0, 1:], rtol=1e-4, atol=1e-7)
        assert values.max() > 1e-3

    @pytest.mark.parametrize("batch_first", [True, False])
    def test_value_zeroing_of_blocks_written_out(self, batch_first):
        model, x = encoder(batch_first=batch_first), tokens()
        layers, states = inner(model, x)
        total = None
        for layer in layers:
            clean, _ = by_hand(layer, states)
            moved = torch.stack(
                [1 - nn.functional.cosine_similarity(by_hand(layer, states, j)[0], clean, dim=-1) for j in range(7)], 2
            )
            share = moved / moved.sum(2, keepdim=True)
            total = share if total is None else share @ total
            states = clean
        values = explained(model, x, "value_zeroing").attribution
        np.testing.assert_allclose(values, total[:, 0, 1:].detach(), atol=1e-4)
        last = explained(model, x, "value_zeroing", layers="last").attribution
        np.testing.assert_allclose(last, share[:, 0, 1:].detach(), atol=1e-4)

    @pytest.mark.parametrize("name", METHODS)
    def test_batch_size_and_company_change_nothing(self, name):
        model, x = encoder(padded=True), tokens()
        x[2, 4:] = 0
        whole = explained(model, x, name)
        for size in (1, 3):
            part = explained(model, x, name, batch_size=size)
            np.testing.assert_allclose(part.attribution, whole.attribution, atol=1e-6)
            for fact in ("gradient", "agreement", "permuted"):
                np.testing.assert_allclose(part.facts[fact], whole.facts[fact], atol=1e-5)

    def test_maps_are_permuted_among_tokens_that_get_attention(self):
        model, x = encoder(answer=False, padded=True), np.array([[5, 0, 0, 0], [5, 6, 7, 0]])
        alone, several = explained(model, x, "attention", baseline=np.array([3, 0, 0, 0])).facts["permuted"]
        assert alone < 1e-6 < several, "padding took the place of a word"

    @pytest.mark.parametrize("name", METHODS)
    @pytest.mark.parametrize("zoo", ["fashion_vit", "adult_transformer", "movies_transformer"])
    def test_models_of_the_zoo(self, name, zoo):
        model, x = lk.zoo.load(zoo), lk.zoo.data(zoo).test.x[:3]
        record = explained(model, x, name)
        assert record.status == "measured" and record.attribution.min() >= 0
        beside = explained(model, x, "input_x_gradient").attribution
        np.testing.assert_allclose(record.facts["gradient"], beside, atol=1e-6)
        if name != "attention_x_gradient":
            assert (record.attribution.reshape(3, -1).sum(1) <= 1 + 1e-5).all()

    @pytest.mark.parametrize("name", METHODS)
    def test_what_has_no_maps_is_refused(self, name, mlp, digits):
        with pytest.raises(lk.Refused, match="without attention maps"):
            explained(mlp, digits.test.x[:2], name)

        class Crossed(nn.Module):
            def __init__(self, **options: object) -> None:
                super().__init__()
                self.mix, self.keys = nn.MultiheadAttention(1, 1, batch_first=True, **options), 3

            def forward(self, x: Tensor) -> Tensor:
                keys = x[:, :, None] if self.mix.bias_k is not None else x[:, : self.keys, None]
                return self.mix(x[:, :, None], keys, keys)[0][:, :2, 0]

        x = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
        for options, match in (({}, "same tokens"), ({"add_bias_kv": True}, "added keys")):
            with pytest.raises(lk.Refused, match=match) as refusal:
                explained(lk.wrap(Crossed(**options), classes=["a", "b"]), x, name)
            assert "input_x_gradient" in refusal.value.instead

    def test_a_head_that_is_not_there_is_refused(self):
        with pytest.raises(lk.Refused, match="heads 0 to 1"):
            explained(encoder(), tokens(), "attention", head=2)


class Decisive(nn.Module):
    """One attention layer over words, or over the states of a recurrent net, or over words whose value is all the same."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.embed, self.kind = nn.Embedding(20, 16), kind
        self.cell = nn.LSTM(16, 8, batch_first=True, bidirectional=True)
        self.mix, self.head = nn.MultiheadAttention(16, 1, batch_first=True), nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        words = self.embed(x)
        h = self.cell(words)[0] if self.kind == "recurrent" else words
        value = h.mean(1, keepdim=True).expand_as(h) if self.kind == "same" else h
        return self.head(self.mix(h, h, value)[0].mean(1))


def decisive(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Twelve words of which one decides."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(3, 20, (n, 12)), rng.integers(0, 2, n)
    x[np.arange(n), rng.integers(0, 12, n)] = 1 + y
    return x, y


@pytest.fixture(scope="module")
def known() -> dict[str, lk.Explanation]:
    """Raw attention of three models that all answer right."""
    records = {}
    x, y = (torch.tensor(v) for v in decisive(256, 0))
    test, truth = decisive(40, 1)
    for kind in ("words", "recurrent", "same"):
        torch.manual_seed(0)
        module = Decisive(kind)
        optimizer = torch.optim.Adam(module.parameters(), 0.02)
        for _ in range(80):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(x), y).backward()
            optimizer.step()
        model = lk.wrap(module, classes=["a", "b"], embedding="embed", name=kind)
        assert (model(torch.tensor(test)).argmax(1).numpy() == truth).all()
        records[kind] = explained(model, test, "attention")
    return records


def test_behind_an_encoder_maps_can_be_permuted_and_disagree_with_gradients(known):
    """Jain and Wallace, 2019: where words are attended to as they are, attention is what decides."""
    moved = {k: float(np.median(r.facts["permuted"] / np.abs(r.change))) for k, r in known.items()}
    agreement = {k: float(np.nanmedian(r.facts["agreement"])) for k, r in known.items()}
    assert moved["words"] > 0.8 and moved["recurrent"] < 0.7 * moved["words"] and moved["same"] < 1e-5
    assert agreement["recurrent"] < 0.4 < agreement["words"]
    record = known["words"]
    assert (record.x[np.arange(40), record.attribution.argmax(1)] < 3).mean() > 0.95


def test_the_check_says_when_attention_decides_nothing(known):
    found = {kind: lk.check(record, only=["attention_alone"])[0] for kind, record in known.items()}
    assert found["words"].status == "meets" and found["words"].n == 40
    assert found["same"].status == "does_not_meet"
    assert "is not an explanation" in found["words"].says and "0%" in found["same"].says
    strict = {"attention_alone": {"agrees": 0.99}}
    assert lk.check(known["words"], only=["attention_alone"], thresholds=strict)[0].status == "does_not_meet"


def test_the_check_does_not_speak_of_other_methods(mlp, digits):
    record = explained(mlp, digits.test.x[:2], "saliency")
    (found,) = lk.check(record, only=["attention_alone"])
    assert found.status == "not_applicable"


def test_capability_and_layers_of_the_door():
    assert "attention" in encoder().capabilities
    assert list(attention_layers(encoder().module)) == ["encoder.layers.0.self_attn", "encoder.layers.1.self_attn"]
