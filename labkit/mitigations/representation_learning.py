from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from torch import nn

from labkit.core.method import Range
from labkit.mitigations import Answer, Fit


def representation_learning(
    x: np.ndarray,
    y: np.ndarray,
    group: np.ndarray,
    fit: Fit,
    seed: int,
    *,
    strength: Annotated[
        float, Range(0, 1), "from the inputs as they are to what the representation keeps of them"
    ] = 1.0,
    width: Annotated[int, Range(1, 1024), "numbers that a person is represented by"] = 32,
    parity: Annotated[
        float, Range(0, 1000, log=False), "weight of the groups' distance beside the error of the inputs"
    ] = 50.0,
    steps: Annotated[int, Range(1, 100_000, log=True), "training steps"] = 800,
) -> Answer:
    """Inputs told from a representation in which the groups look alike: an encoder whose codes are as near between the
    groups as can be by the maximum mean discrepancy, and a decoder that is told the group, so that the codes need
    not tell it (Louizos et al., 2016, arXiv 1511.00830, without the random codes). What the learner sees are the
    inputs decoded for the average group. Any number of classes and groups; the group is not read at decision time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        rows, member = torch.from_numpy(x).float(), nn.functional.one_hot(torch.from_numpy(group)).float()
        encode = nn.Sequential(nn.Linear(x.shape[1], 2 * width), nn.ReLU(), nn.Linear(2 * width, width))
        decode = nn.Linear(width + member.shape[1], x.shape[1])
        optimizer = torch.optim.Adam([*encode.parameters(), *decode.parameters()], lr=3e-3)
        for _ in range(steps):
            some = torch.randint(len(x), (256,))
            code = encode(rows[some])
            loss = nn.functional.mse_loss(decode(torch.cat([code, member[some]], 1)), rows[some])
            loss = loss + parity * _discrepancy(code, member[some])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    average = member.mean(0)

    def seen(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            code = encode(torch.from_numpy(x).float())
            decoded = decode(torch.cat([code, average.expand(len(x), -1)], 1)).double().numpy()
        return np.asarray((1 - strength) * x + strength * decoded)

    model = fit(seen(x), y)
    return lambda x: model(seen(x))


def _discrepancy(code: torch.Tensor, member: torch.Tensor) -> torch.Tensor:
    """Squared maximum mean discrepancy of each group from all, summed: a Gaussian kernel as wide as the codes are apart."""
    apart = torch.cdist(code, code).square()
    kernel = torch.exp(-apart / apart.detach().mean().clamp_min(1e-6))
    there = member[:, member.sum(0) > 0]
    weight = there / there.sum(0) - 1 / len(code)
    return torch.einsum("ig,ij,jg->", weight, kernel, weight)
