from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from torch import nn

from labkit.core.method import Range
from labkit.mitigations import Answer, Fit

BATCH = 256


def representation_learning(
    x: np.ndarray,
    y: np.ndarray,
    group: np.ndarray,
    fit: Fit,
    seed: int,
    *,
    strength: Annotated[
        float, Range(0, 1), "share of the weight of the groups' distance; at 0 the inputs as they are"
    ] = 1.0,
    width: Annotated[int, Range(1, 1024), "numbers that a person is represented by"] = 16,
    parity: Annotated[float, Range(0, 10_000), "weight of the groups' distance beside the errors at strength 1"] = 30.0,
    steps: Annotated[int, Range(1, 100_000, log=True), "training steps"] = 600,
) -> Answer:
    """The learner sees codes in which the groups look alike, and which keep what they can of inputs and classes.

    An encoder is trained for the error of the inputs decoded from the codes and the group, the error of the class
    told from the codes, and the groups' distance, by the maximum mean discrepancy of the codes (Louizos et al., 2016, arXiv
    1511.00830, without random codes; the three terms are those of Zemel et al., 2013, Learning fair representations). Any
    number of classes and groups; the group is not read at decision time."""
    if strength == 0:
        return fit(x, y)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        rows, truth = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
        member = nn.functional.one_hot(torch.tensor(group)).float()
        encode = nn.Sequential(nn.Linear(x.shape[1], 64), nn.ReLU(), nn.Linear(64, width))
        decode = nn.Linear(width + member.shape[1], x.shape[1])
        tell = nn.Linear(width, fit.classes)
        optimizer = torch.optim.Adam([*encode.parameters(), *decode.parameters(), *tell.parameters()], lr=3e-3)
        for _ in range(steps):
            some = torch.randint(len(x), (BATCH,))
            code = encode(rows[some])
            loss = nn.functional.mse_loss(decode(torch.cat([code, member[some]], 1)), rows[some])
            loss = loss + nn.functional.cross_entropy(tell(code), truth[some])
            loss = loss + strength * parity * _discrepancy(code, member[some])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def coded(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return np.asarray(encode(torch.tensor(x, dtype=torch.float32)).double().numpy())

    codes = coded(x)
    middle, spread = codes.mean(0), codes.std(0) + 1e-6
    model = fit((codes - middle) / spread, y)
    return lambda x: model((coded(x) - middle) / spread)


def _discrepancy(code: torch.Tensor, member: torch.Tensor) -> torch.Tensor:
    """Squared maximum mean discrepancy of each group from all, summed: a Gaussian kernel as wide as the codes are apart."""
    size = code.square().sum(1)
    apart = (size[:, None] + size - 2 * code @ code.T).clamp_min(0)
    kernel = torch.exp(-apart / apart.detach().mean().clamp_min(1e-6))
    there = member[:, member.sum(0) > 0]
    weight = there / there.sum(0) - 1 / len(code)
    return torch.einsum("ig,ij,jg->", weight, kernel, weight)
