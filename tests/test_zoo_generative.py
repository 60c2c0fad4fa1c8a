"""Models that make data: bounds, flows and distances against closed forms; samples that are not copies; shipped weights
measured again."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.integrate import quad
from scipy.stats import logistic, multivariate_normal
from torch import Tensor, nn

import labkit as lk
from labkit.core.refused import Refused
from labkit.models import opening
from labkit.models.architectures.unet_flow import unet_flow
from labkit.models.architectures.vae import log_mass, vae
from labkit.models.generative import Generative
from labkit.training.measures.frechet import Frechet, features, frechet_distance, jackknife
from labkit.training.measures.likelihood import Likelihood, independent_pixels, reconstruction
from labkit.training.members import Members
from labkit.training.objectives.elbo import Elbo
from labkit.training.objectives.flow_matching import FlowMatching

CONFIGS = {
    "vae": {"shape": (1, 8, 8), "mean": 0.3, "std": 0.4, "hidden": 6, "latent": 3, "parts": 4},
    "unet_flow": {"shape": (1, 8, 8), "mean": 0.3, "std": 0.4, "widths": (4, 6), "steps": 4},
}
BUILD = {"vae": vae, "unet_flow": unet_flow}


@pytest.fixture(params=sorted(CONFIGS))
def small(request):
    """Each architecture with weights in which nothing is zero by its start."""
    torch.manual_seed(0)
    module = BUILD[request.param](**CONFIGS[request.param]).eval()
    for p in module.parameters():
        p.data += 0.05 * torch.randn_like(p)
    return Generative(module.requires_grad_(False), (1, 8, 8), (0.0, 1.0), request.param)


def images(n: int = 6, size: int = 8) -> np.ndarray:
    return (np.random.default_rng(0).integers(0, 256, (n, 1, size, size)) / 255).astype(np.float32)


class Linear(nn.Module):
    """x = W z + noise, with orthogonal columns of W: posterior and likelihood are known. The encoder's guess is the
    posterior, or that moved by ``off`` standard deviations and ``wide`` times as wide."""

    def __init__(self, off: float = 0.0, wide: float = 1.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        basis = torch.linalg.qr(torch.randn(5, 2, generator=generator, dtype=torch.float64))[0]
        self.gain = torch.tensor([1.5, 0.7], dtype=torch.float64)
        self.weight = nn.Parameter(basis * self.gain)
        self.noise, self.sigma, self.off, self.wide = (2,), 0.6, off, wide

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        variance = self.sigma**2 / (self.gain**2 + self.sigma**2)
        mean = x @ self.weight / (self.gain**2 + self.sigma**2) + self.off * variance.sqrt()
        return mean, (variance * self.wide**2).log().expand_as(mean)

    def log_prior(self, code: Tensor) -> Tensor:
        return torch.distributions.Normal(0.0, 1.0).log_prob(code).sum(1)

    def log_likelihood(self, x: Tensor, code: Tensor) -> Tensor:
        return torch.distributions.Normal(code @ self.weight.T, self.sigma).log_prob(x).sum(1)

    forward = type(vae(**CONFIGS["vae"])).forward

    def truth(self, x: np.ndarray) -> np.ndarray:
        w = self.weight.detach().numpy()
        return multivariate_normal(np.zeros(5), w @ w.T + self.sigma**2 * np.eye(5)).logpdf(x)

    @property
    def lost(self) -> float:
        """Divergence of the guess from the posterior, both normal."""
        return 2 * (self.wide**2 + self.off**2 - 1 - 2 * math.log(self.wide)) / 2


class TestBound:
    x = np.random.default_rng(1).normal(size=(40, 5))

    def model(self, **options: float) -> Generative:
        return Generative(Linear(**options), (5,), (-9.0, 9.0), "linear")

    @pytest.mark.parametrize("codes", [1, 7])
    def test_it_is_the_likelihood_when_the_encoder_is_right(self, codes):
        model = self.model()
        np.testing.assert_allclose(model.bound(self.x, codes=codes), model.module.truth(self.x), rtol=1e-5)

    def test_one_code_loses_the_divergence_and_many_less(self):
        model = self.model(off=0.8, wide=1.4)
        gap = {
            k: np.mean([model.bound(self.x, codes=k, seed=s) - model.module.truth(self.x) for s in range(300 // k)])
            for k in (1, 5, 60)
        }
        assert gap[1] == pytest.approx(-model.module.lost, abs=0.06)
        assert gap[1] < gap[5] - 0.2 and gap[5] < gap[60] - 0.05 and gap[60] == pytest.approx(0, abs=0.06)

    def test_the_objective_is_minus_the_bound(self):
        members = Members([Linear(off=0.8, wide=1.4)])
        x, y = torch.tensor(self.x).expand(1, 40, 5), torch.zeros(1, 40)
        torch.manual_seed(0)
        judged = torch.stack([Elbo().judge(members, x, y)[0] for _ in range(300)]).mean(0)[0]
        truth = members.only.truth(self.x)
        assert float(judged.mean()) == pytest.approx(members.only.lost - truth.mean(), abs=0.06)
        torch.manual_seed(1)
        loss = Elbo().loss(members, x, y)
        torch.manual_seed(1)
        torch.testing.assert_close(loss[0], Elbo().judge(members, x, y)[0].mean())
        torch.manual_seed(1)
        lighter = Elbo(weight=0.5).loss(members, x, y)
        torch.manual_seed(1)
        divergence = members(x)[1].mean()
        torch.testing.assert_close(loss - lighter, 0.5 * divergence[None])
        assert torch.isnan(Elbo().judge(members, x, y)[1]).all() and not Elbo.classifies

    def test_inputs_it_cannot_judge_are_refused(self):
        model = self.model()
        for x in (self.x[:, :3], self.x[:0], self.x + 99, self.x * np.nan):
            with pytest.raises(lk.Refused):
                model.bound(x)
        with pytest.raises(lk.Refused, match="codes"):
            model.bound(self.x, codes=0)


class TestLevels:
    """The likelihood of a pixel is a probability over its 256 levels."""

    LEVELS = torch.arange(256, dtype=torch.float64) / 255

    @pytest.mark.parametrize(("location", "log_scale"), [(0.3, -5.0), (0.0, -1.0), (1.2, -3.0), (0.999, -5.9)])
    def test_it_is_the_mass_of_the_logistic_distribution(self, location, log_scale):
        log_p = log_mass(self.LEVELS, torch.tensor(location), torch.tensor(log_scale)).numpy()
        assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-6)
        edges = np.concatenate([[-np.inf], (np.arange(255) + 0.5) / 255, [np.inf]])
        mass = np.diff(logistic(location, math.exp(log_scale)).cdf(edges))
        seen = mass > 1e-9  # the difference of two shares has no digits below
        np.testing.assert_allclose(np.exp(log_p)[seen], mass[seen], rtol=1e-4)

    def test_an_unlikely_level_has_a_finite_logarithm_and_gradient(self):
        location = torch.tensor(-3.0, requires_grad=True)
        log_p = log_mass(torch.tensor([0.0, 0.5, 1.0]), location, torch.tensor(-6.0))
        log_p.sum().backward()
        assert torch.isfinite(log_p).all() and torch.isfinite(location.grad)


class TestPrior:
    """Codes are drawn from the mixture whose density the bound uses."""

    @pytest.fixture
    def module(self):
        torch.manual_seed(0)
        module = vae(shape=(1, 8, 8), hidden=6, latent=2, parts=3).double().eval()
        module.centres.data = torch.tensor([[-16.0, 0.0], [12.0, 8.0], [2.0, -20.0]]).double()
        module.log_variances.data = torch.tensor([[0.0, -2.0], [-1.0, 0.5], [1.0, -1.0]]).double()
        return module

    def test_its_density_is_that_of_torchs_mixture(self, module):
        parts = torch.distributions.Normal(module.centres, (module.log_variances / 2).exp())
        known = torch.distributions.MixtureSameFamily(
            torch.distributions.Categorical(torch.ones(3)), torch.distributions.Independent(parts, 1)
        )
        code = 12 * torch.randn(50, 2, dtype=torch.float64)
        torch.testing.assert_close(module.log_prior(code), known.log_prob(code))

    def test_samples_decode_codes_of_every_part_alike(self, module):
        codes = []
        module.decode = lambda code: codes.append(code) or code
        module.draw(torch.randn(6000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
        part = torch.cdist(codes[0], module.centres).argmin(1)
        for k in range(3):
            own = codes[0][part == k]
            assert len(own) == pytest.approx(2000, abs=150)
            torch.testing.assert_close(own.mean(0), module.centres[k], rtol=0, atol=0.12)
            torch.testing.assert_close(own.var(0), module.log_variances[k].exp(), rtol=0.15, atol=0)

    @torch.no_grad()
    def test_the_divergence_is_that_from_the_prior_in_expectation(self):
        """With one part of the mixture it has a closed form."""
        one = vae(shape=(1, 8, 8), hidden=6, latent=2, parts=1).eval()
        x = torch.tensor(images(4))
        mean, log_variance = one.encode(x)
        guess = torch.distributions.Normal(mean, (log_variance / 2).exp())
        prior = torch.distributions.Normal(one.centres, (one.log_variances / 2).exp())
        known = torch.distributions.kl_divergence(guess, prior).sum(1)
        many = torch.stack([one(x)[1] for _ in range(2000)])
        assert ((many.mean(0) - known).abs() < 5 * many.std(0) / 2000**0.5).all()


class TestFlow:
    """Normal data have a velocity in closed form: the flow must end where it carries the noise."""

    MEAN, SPREAD = 0.4, 0.3  # of the normalised pixels

    def exact(self, point: Tensor, time: Tensor) -> Tensor:
        t = time[:, None, None, None]
        slope = (t * self.SPREAD**2 - (1 - t)) / (t**2 * self.SPREAD**2 + (1 - t) ** 2)
        return self.MEAN + slope * (point - t * self.MEAN)

    def flow(self, steps: int = 8, beside: float = 0.0) -> nn.Module:
        module = unet_flow(**{**CONFIGS["unet_flow"], "mean": 0.5, "std": 0.2, "steps": steps})
        module.velocity = lambda point, time: self.exact(point, time) + beside
        return module

    def test_samples_are_where_the_exact_flow_ends(self):
        noise = torch.randn(50, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        end = 0.5 + 0.2 * (self.MEAN + self.SPREAD * noise)
        error = {n: float((self.flow(n).double().draw(noise) - end).abs().max()) for n in (16, 32, 64)}
        assert error[64] < 2e-3 and 3 < error[16] / error[32] < 5 and 3 < error[32] / error[64] < 5  # second order

    def test_the_objective_is_least_at_the_exact_velocity(self):
        generator = torch.Generator().manual_seed(0)
        x = 0.5 + 0.2 * (self.MEAN + self.SPREAD * torch.randn(1, 4000, 1, 8, 8, generator=generator))
        y = torch.zeros(1, 4000)
        # The variance of a line's direction among all lines through a point, over all times
        least = quad(lambda t: self.SPREAD**2 / (t**2 * self.SPREAD**2 + (1 - t) ** 2), 0, 1)[0]
        found = {}
        for beside in (0.0, 0.3):
            torch.manual_seed(0)
            error, right = FlowMatching().judge(Members([self.flow(beside=beside)]), x, y)
            found[beside] = float(error.mean())
            assert torch.isnan(right).all() and error.shape == (1, 4000)
        assert found[0.0] == pytest.approx(least, rel=0.02)
        assert found[0.3] == pytest.approx(least + 0.3**2, rel=0.02)
        torch.manual_seed(0)
        loss = FlowMatching().loss(Members([self.flow()]), x, y)
        assert loss.shape == (1,) and float(loss) == pytest.approx(least, rel=0.06)

    def test_the_velocity_depends_on_place_and_time_and_on_one_row(self):
        torch.manual_seed(0)
        module = unet_flow(**CONFIGS["unet_flow"]).eval()
        for p in module.parameters():
            p.data += 0.05 * torch.randn_like(p)
        point, time = torch.randn(5, 1, 8, 8), torch.linspace(0.1, 0.9, 5)
        with torch.no_grad():
            together = module.velocity(point, time)
            alone = torch.cat([module.velocity(point[i : i + 1], time[i : i + 1]) for i in range(5)])
            later = module.velocity(point, time + 0.1)
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
        assert ((together - later).abs().flatten(1).amax(1) > 1e-3).all()


def test_several_models_learn_at_once(small):
    """The objectives keep the axis of the models: the loss of a stack is that of each alone, up to its own draws."""
    objective = Elbo() if small.encodes else FlowMatching()
    modules = [BUILD[small.name](**CONFIGS[small.name]) for _ in range(2)]
    stack = Members(modules)
    x = torch.tensor(images(64)).expand(2, 64, 1, 8, 8)
    loss = objective.loss(stack, x, torch.zeros(2, 64))
    assert loss.shape == (2,)
    loss.sum().backward()
    for k in range(2):
        assert sum(float(p.grad[k].abs().sum()) for p in stack.parameters() if p.grad is not None) > 0
    alone = [float(objective.loss(Members([m]), x[:1], torch.zeros(1, 64)).detach()) for m in modules]
    np.testing.assert_allclose(loss.detach().numpy(), alone, rtol=0.2)


class TestModel:
    def test_a_sample_follows_from_its_seed_and_number(self, small):
        x = small.sample(300, seed=3)
        assert x.shape == (300, 1, 8, 8) and x.dtype == np.float32 and x.min() >= 0 and x.max() <= 1
        np.testing.assert_allclose(small.sample(2, seed=3), x[:2], atol=1e-6)
        assert np.abs(small.sample(2, seed=4) - x[:2]).max() > 0.01 and x.std(0).max() > 0.01

    @pytest.mark.parametrize("n", [0, -1, 2.5, True, "3"])
    def test_no_number_of_samples_is_refused(self, small, n):
        with pytest.raises(lk.Refused, match="whole number"):
            small.sample(n)

    def test_what_it_cannot_do_is_refused_with_a_sentence(self, small):
        if small.encodes:
            assert small.reconstruct(images()).shape == (6, 1, 8, 8) and small.bound(images()).shape == (6,)
            return
        for asked in (small.reconstruct, small.bound):
            with pytest.raises(lk.Refused, match="without an encoder"):
                asked(images())

    def test_the_same_model_from_its_file(self, small, tmp_path):
        path = lk.models.save(small, tmp_path / "m.safetensors", small.name, CONFIGS[small.name])
        again = lk.open(path)
        assert isinstance(again, Generative) and again.describe() == small.describe()
        assert again.bounds == (0.0, 1.0) and not again.module.training
        np.testing.assert_array_equal(again.sample(4), small.sample(4))
        np.testing.assert_array_equal(small.to("cpu").sample(4), small.sample(4))
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        with pytest.raises(lk.Refused, match="changed"):
            opening.loads(bytes(content), "m")

    def test_questions_for_a_classifier_are_refused(self, small):
        data = lk.data.load("digits")
        for ask in (lk.predict, lambda m, s: lk.explain(m, s[:2]), lambda m, s: lk.attack(m, s[:2], "fgsm", eps=0.1)):
            with pytest.raises(lk.Refused, match="makes data"):
                ask(small, data.test)
        with pytest.raises(lk.Refused, match="makes data"):
            lk.audit(small, data)


def test_a_classifiers_file_is_what_it_was(tmp_path):
    """The kind stands in the header of generative models only: a classifier's file keeps its bytes and its seal."""
    shipped = lk.zoo.SHIPPED / "weights" / "movies_gru.safetensors"
    config = lk.zoo.card("movies_gru")["training"]["recipe"]["config"] | {
        "words": len(lk.zoo.data("movies_gru").schema.vocabulary)
    }
    saved = lk.models.save(lk.zoo.load("movies_gru"), tmp_path / "m.safetensors", "recurrent", config)
    assert saved.read_bytes() == shipped.read_bytes()


class TestFrechet:
    def test_it_is_that_of_scipys_matrix_root(self):
        generator = np.random.default_rng(0)
        a, b = generator.normal(size=(50, 6)) @ generator.normal(size=(6, 6)), generator.exponential(size=(70, 6))
        first, second = np.cov(a.T), np.cov(b.T)
        known = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(
            first + second - 2 * np.real(scipy.linalg.sqrtm(first @ second))
        )
        assert frechet_distance(a, b) == pytest.approx(known, rel=1e-9)
        assert frechet_distance(b, a) == pytest.approx(known, rel=1e-9)

    def test_it_has_a_closed_form_where_covariances_commute(self):
        generator = np.random.default_rng(0)
        x = generator.normal(size=(40, 3))
        white = (x - x.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
        a, b, move = np.array([1.0, 2.0, 0.0]), np.array([3.0, 0.5, 1.0]), np.array([1.0, -1.0, 2.0])
        assert frechet_distance(white * a, white * b + move) == pytest.approx(6 + np.square(a - b).sum())
        assert frechet_distance(white, white) == pytest.approx(0, abs=1e-9)

    def test_the_jackknife_takes_the_bias_away(self):
        """30 features and 400 rows: the distance at n is too large, without its bias it is the truth."""
        generator = np.random.default_rng(0)
        for scale in (1.0, 1.3):
            truth = 30 * (scale - 1) ** 2
            found = [
                jackknife(generator.normal(size=(400, 30)), scale * generator.normal(size=(400, 30))) for _ in range(8)
            ]
            at_n, unbiased, half = np.mean(found, 0)
            spread = np.std([f.unbiased for f in found], ddof=1)
            assert at_n - truth > 5 * spread
            assert abs(unbiased - truth) < 0.5 * half and half > spread
            assert sum(abs(f.unbiased - truth) <= f.half_width for f in found) >= 7

    def test_features_are_what_the_last_layer_reads(self):
        model = lk.zoo.load("fashion_cnn")
        x = lk.data.load("fashion_mnist").test.x[:5]
        logits = torch.tensor(features(model, x)) @ model.module.head.weight.T + model.module.head.bias
        torch.testing.assert_close(logits, model(model.tensor(x)), rtol=1e-4, atol=1e-4)


class Copies(nn.Module):
    """The worst model with the best samples: it gives out training examples."""

    noise = (1,)

    def __init__(self, x: np.ndarray) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.tensor(x), requires_grad=False)

    def draw(self, noise: Tensor) -> Tensor:
        return self.x[noise[:, 0].abs().mul(1000).long() % len(self.x)]


class TestSamples:
    def test_copies_are_seen_and_others_not(self, digits):
        copies = Generative(Copies(digits.train.x), digits.schema.shape, (0.0, 1.0), "copies")
        record = lk.sample(copies, 12, digits, seed=1)
        assert record.distance.max() < 1e-6 and record.usual.min() > 0.01 and record.among == len(digits.train)
        np.testing.assert_array_equal(record.nearest, record.x)
        assert record.reconstruction is None and "lie 0.00" in lk.says(record)
        brute = np.sqrt(np.square(digits.test.x[:12, None] - digits.train.x[None]).mean((2, 3, 4))).min(1)
        np.testing.assert_allclose(record.usual, brute, rtol=1e-4)

    def test_the_record_keeps_and_shows_what_it_says(self, small, digits, tmp_path):
        record = lk.sample(small, 10, digits, seed=2)
        assert lk.load(lk.save(record, tmp_path / "s.lk")).digest == record.digest
        assert lk.sample(small, 10, digits, seed=2).digest == record.digest
        np.testing.assert_array_equal(record.x, small.sample(10, seed=2))
        table, picture = lk.rows(record), lk.figure(record)
        assert len(table) == 20 and len(picture.data) == (4 if small.encodes else 2)
        assert small.name in lk.says(record) and f"{len(digits.train):,}" in lk.says(record)
        first = np.array(picture.data[0].z, float)  # the second image of the grid, in its place
        np.testing.assert_allclose(first[1:9, 11:19], record.x[1, 0], atol=1e-6)
        assert np.isnan(first[10:, 20:]).all()
        if small.encodes:
            error = np.sqrt(np.square(small.reconstruct(digits.test.x[:10]) - digits.test.x[:10]).mean((1, 2, 3)))
            np.testing.assert_allclose(record.error, error, rtol=1e-5)

    def test_without_data_nothing_is_said_of_copies(self, small):
        record = lk.sample(small, 3)
        assert record.nearest is None and "not looked at" in lk.says(record) and len(lk.rows(record)) == 3

    def test_bad_input_is_refused(self, small, digits, mlp):
        for call in (
            lambda: lk.sample(mlp, 3),
            lambda: lk.sample("fashion_vae"),
            lambda: lk.sample(small, 3, digits.test),
            lambda: lk.sample(small, 3, lk.data.load("adult")),
            lambda: lk.sample(small, 10**6, digits),
            lambda: lk.sample(small, 0),
            lambda: lk.sample(small, 2, seed=0.5),
        ):
            with pytest.raises(lk.Refused):
                call()


@pytest.fixture(scope="module")
def whole():
    """The data that the shipped models were trained on and measured on."""
    try:
        return lk.data.load("fashion_mnist", full=True)
    except Refused as refusal:
        pytest.skip(f"the full set is not on this machine; {refusal.instead}")


def told(name: str, measure: str) -> dict:
    return next(row for row in lk.zoo.card(name)["test"] if measure in row["measure"])


class TestShipped:
    """What the cards say of the shipped weights, measured again."""

    def test_the_autoencoder_keeps_its_card(self, whole):
        model, recipe = lk.zoo.load("fashion_vae"), None
        row = told("fashion_vae", "Fréchet distance of samples")
        score = Frechet()(model, whole, recipe)
        assert score.value == pytest.approx(row["score"], abs=0.05)
        assert row["met"] is (score.value <= row["ceiling"])
        assert score.interval == row["interval"], "the classifier that sees them, or n, is another"
        error = reconstruction(model, whole, recipe)
        assert error.value == pytest.approx(told("fashion_vae", "reconstruction")["score"], abs=5e-4)

    def test_its_likelihood_is_above_that_of_independent_pixels(self, whole):
        row, independent = told("fashion_vae", "at least"), told("fashion_vae", "independent")
        assert independent_pixels(None, whole, None).value == pytest.approx(independent["score"], abs=0.5)
        few = Likelihood(n=200, codes=8)(lk.zoo.load("fashion_vae"), whole, None)
        assert few.low <= row["score"] + 20 and few.high >= row["score"] - 20  # fewer codes bound less tightly
        assert row["low"] > independent["high"] and row["score"] >= row["floor"]

    def test_real_images_are_at_no_distance_and_a_normal_distribution_far(self, whole):
        for name in ("fashion_vae", "fashion_diffusion"):
            real, normal = told(name, "training images"), told(name, "normal distribution")
            samples = told(name, "of samples")
            assert real["low"] <= 0 <= real["high"] < samples["low"]
            assert samples["high"] < 0.6 * normal["low"]
        again = Frechet("training images")(None, whole, None)
        assert again.value == pytest.approx(real["score"], abs=0.05)

    def test_the_flow_keeps_its_card_on_few_samples(self, whole):
        """Sampling as many as the card did takes a minute: 150 must lie where the card's distance lets expect, nearer
        than a normal distribution's and farther than training images."""
        model, seen_by = lk.zoo.load("fashion_diffusion"), lk.zoo.load("fashion_cnn")
        few = Frechet("gaussian", 150)
        test = features(seen_by, whole.test.x[:2000])
        samples, real, normal = (
            frechet_distance(features(seen_by, x), test)
            for x in (model.sample(150), whole.train.x[:150], few._images(None, whole))
        )
        assert real < samples < normal
        share = told("fashion_diffusion", "of samples")["score"] / told("fashion_diffusion", "normal")["score"]
        assert (samples - real) / (normal - real) == pytest.approx(share, abs=0.2)

    @pytest.mark.parametrize("name", ["fashion_vae", "fashion_diffusion"])
    def test_samples_are_no_copies(self, name):
        record = lk.sample(lk.zoo.load(name), 16, lk.zoo.data(name), seed=0)
        assert record.distance.min() > 0.02 and record.x.std() > 0.1

    def test_the_command_line_refuses_to_audit_them(self, capsys):
        from labkit.cli import run

        assert run(["audit", "fashion_vae"]) == 2
        assert "makes data" in capsys.readouterr().err
