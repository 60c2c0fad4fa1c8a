"""Games whose players are features: the target's score when some features are the input's and the others the baseline's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from labkit.attributions._passes import score
from labkit.core.draws import Draws
from labkit.models.classifier import Classifier

# (row of each pair, number of its coalition) -> (pairs, players) booleans: who is in it.
Inside = Callable[[Tensor, Tensor], Tensor]
# Credits and their standard errors, (rows, players) each, and the coalitions asked for, (rows,).
Shares = tuple[Tensor, Tensor, Tensor]
# (game, (coalitions, players) who is in each) -> ([rows,] coalitions, players) what each credit takes of each score.
Weights = Callable[["Games", Tensor], Tensor]
ENUMERATED = 512  # coalitions whose weights are held at once


def mixed(
    model: Classifier,
    x: Tensor,
    start: Tensor,
    target: Tensor,
    row: Tensor,
    present: Callable[[slice], Tensor],
    batch_size: int,
) -> Tensor:
    """(pairs,) float64 scores of the rows ``row`` (pairs,), each with the entries ``present(slice)`` (pairs, entries) of
    x and the others of ``start``; never more than ``batch_size`` in a pass."""
    found = torch.empty(len(row), dtype=torch.float64, device=x.device)
    for i in range(0, len(row), batch_size):
        part = slice(i, i + batch_size)
        chosen = row[part]
        rows = torch.where(present(part).reshape(-1, *x.shape[1:]), x[chosen], start[chosen])
        found[part] = score(model(rows), target[chosen]).double()
    return found


@dataclass(frozen=True, eq=False)
class Games:
    """Games with equally many players, one a row.

    Attributes:
        model, batch_size, players: shared by all rows; all else has the rows first.
        row: the row's number in the call.
        x, start, target: input, baseline and target. Padding is the input's in both.
        empty, full: the score without and with all players.
        member: (rows, entries) the player that an entry belongs to; ``players`` for those that equal the baseline.
        feature: (rows, players) the feature that each player is. The order is drawn for each row, so that coalitions
            which are the same for all rows are still a fresh sample for each.
        draws: random numbers of each row.
    """

    model: Classifier
    batch_size: int
    players: int
    row: Tensor
    x: Tensor
    start: Tensor
    target: Tensor
    empty: Tensor
    full: Tensor
    member: Tensor
    feature: Tensor
    draws: Draws | None

    @property
    def change(self) -> Tensor:
        return self.full - self.empty

    def part(self, rows: Tensor) -> Games:
        """Some of the rows, by their place here."""
        held: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        some = {k: v[rows] for k, v in held.items() if isinstance(v, Tensor)}
        draws = None if self.draws is None else self.draws[rows.cpu().numpy()]
        return Games(**{**held, **some, "draws": draws})

    def values(self, count: int, inside: Inside) -> Tensor:
        """(rows, count) scores of so many coalitions of each row."""
        device = self.x.device
        row = torch.arange(len(self.row), device=device).repeat_interleave(count)

        def present(part: slice) -> Tensor:
            number = torch.arange(part.start, min(part.stop, len(row)), device=device) % count
            # one more column for the entries that no player moves
            return nn.functional.pad(inside(row[part], number), (0, 1)).gather(1, self.member[row[part]])

        found = mixed(self.model, self.x, self.start, self.target, row, present, self.batch_size)
        return found.reshape(len(self.row), count)

    def scores(self, inside: Tensor) -> Tensor:
        """(rows, coalitions) scores of coalitions (coalitions, players) that are the same for all rows."""
        return self.values(len(inside), lambda _, number: inside[number])

    def exact(self, weights: Weights | None = None) -> Shares:
        """Credits over all coalitions, by default Shapley values (Shapley, 1953, doi 10.1515/9781400881970-018)."""
        m, last, device = self.players, 2**self.players - 1, self.x.device
        bit = torch.arange(m, device=device)

        def who(numbers: Tensor) -> Tensor:
            return (numbers[:, None] >> bit & 1).bool()

        def part(worth: Tensor, inside: Tensor) -> Tensor:
            return (worth[:, None] @ (weights or shapley)(self, inside))[:, 0]

        ends = torch.stack([self.empty, self.full], 1)
        credit = part(ends, who(torch.tensor([0, last], device=device)))
        for first in range(1, last, ENUMERATED):
            inside = who(torch.arange(first, min(first + ENUMERATED, last), device=device))
            credit = credit + part(self.scores(inside), inside)
        return credit, torch.zeros_like(credit), torch.full_like(self.row, last - 1)


def shapley(_game: Games, inside: Tensor) -> Tensor:
    """(coalitions, players): (size - 1)! (m - size)! / m! for members, and less size! (m - size - 1)! / m! for others."""
    size, m = inside.sum(1, keepdim=True).double(), inside.shape[1]
    weight = uniform_place(torch.where(inside, size - 1, size), torch.tensor(float(m)).to(size))
    return torch.where(inside, weight, -weight)


def uniform_place(before: Tensor, among: Tensor) -> Tensor:
    """The chance that just these ``before`` come before one of ``among`` in a random order."""
    return (torch.lgamma(before + 1) + torch.lgamma(among - before) - torch.lgamma(among + 1)).exp()


def games(
    model: Classifier, x: Tensor, target: Tensor, baseline: Tensor, region: Tensor, draws: Draws | None, batch_size: int
) -> Iterator[Games]:
    """The rows as games, together with those that have as many players. A feature that equals the baseline is none."""
    start = baseline if model.padding is None else torch.where(x == model.padding, x, baseline)
    differs = (x != start).flatten(1)
    alive = torch.zeros(len(x), int(region.max()) + 1, device=x.device).index_add_(1, region, differs.float()) > 0
    players = alive.sum(1)
    lot = torch.zeros(alive.shape) if draws is None else torch.from_numpy(draws.uniform(alive.shape[1]))
    order = lot.to(x.device).masked_fill(~alive, 2.0).argsort(dim=1, stable=True)
    full, empty = (score(model(v), target).double() for v in (x, start))
    for m in players.unique().tolist():
        row = (players == m).nonzero()[:, 0]
        if m:
            label = order[row].argsort(1).clamp_max(m)[:, region]
            yield Games(
                model,
                batch_size,
                m,
                row,
                x[row],
                start[row],
                target[row],
                empty[row],
                full[row],
                torch.where(differs[row], label, m),
                order[row, :m],
                None if draws is None else draws[row.cpu().numpy()],
            )


def credited(
    x: Tensor, all_games: Iterable[Games], solve: Callable[[Games], Shares], tolerance: float = 0.0
) -> tuple[Tensor, dict[str, Tensor]]:
    """Each feature's credit, shared out evenly among its entries that differ from the baseline: values like x, their
    ``standard_error``, the ``samples`` taken: how many coalitions of each row were asked for, and whether a row
    ``reached`` the tolerance."""
    values = torch.zeros(len(x), x[0].numel(), dtype=torch.float64, device=x.device)
    error = torch.zeros_like(values)
    samples = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    met = torch.ones(len(x), dtype=torch.bool, device=x.device)
    with torch.no_grad():
        for game in all_games:
            credit, spread, used = solve(game)
            for kept, share in ((values, credit), (error, spread)):
                kept[game.row] = _shared(game, share)
            samples[game.row] = used
            met[game.row] = reached(spread, game.change, tolerance)
    return values.reshape(x.shape), {"standard_error": error.reshape(x.shape), "samples": samples, "reached": met}


def reached(error: Tensor, change: Tensor, tolerance: float) -> Tensor:
    """(rows,) whether the largest standard error is at most that share of the change."""
    return error.flatten(1).amax(1) <= tolerance * change.abs()


def _shared(game: Games, share: Tensor) -> Tensor:
    """(rows, entries) of (rows, players)."""
    ones = torch.ones_like(game.member, dtype=share.dtype)
    sizes = torch.zeros(len(share), game.players + 1, dtype=share.dtype, device=share.device)
    each = nn.functional.pad(share, (0, 1)) / sizes.scatter_add_(1, game.member, ones).clamp_min(1)
    return each.gather(1, game.member)


def or_exact(
    game: Games,
    first: int,
    max_samples: int,
    tolerance: float,
    sample: Callable[[Games, int], Shares],
    weights: Weights | None = None,
) -> Shares:
    """Credits from a sample of so many coalitions, or from all: at once where these are at most twice as many as a
    sample begins with, and where half as many did not do.

    Args:
        first: the coalitions after which ``sample`` looks at errors for the first time.
        weights: of ``Games.exact``.
    """
    everyone = 2**game.players - 2
    if everyone > max(max_samples, 2 * first):
        return sample(game, max_samples)
    most = min(everyone // 2, max_samples - everyone)
    if most < first:
        return game.exact(weights)
    credit, error, samples = sample(game, most)
    late = (~reached(error, game.change, tolerance)).nonzero()[:, 0]
    if len(late):
        credit[late], error[late], more = game.part(late).exact(weights)
        samples[late] += more
    return credit, error, samples


def doubling(first: int, most: int) -> tuple[int, ...]:
    """first, twice that, ... and at last ``most``."""
    counts = []
    while first < most:
        counts.append(first)
        first *= 2
    return (*counts, most)


def in_rounds(
    change: Tensor,
    counts: Sequence[int],
    grow: Callable[[Tensor, Tensor | None, int, int], Tensor],
    read: Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]],
    tolerance: float,
) -> Shares:
    """Samples until each row's largest standard error is at most ``tolerance`` of its ``change``; then the row leaves.

    Args:
        counts: how many samples a row has after each round. Errors are looked at only then, since a look after every
            sample would stop at errors that are small by chance.
        grow: (rows, their state or None, samples so far, samples wanted) -> their state, rows first.
        read: (rows, their state, samples) -> estimates and standard errors, rows first.
    """
    rows = torch.arange(len(change), device=change.device)
    state: Tensor | None = None
    used = torch.zeros_like(rows)
    values = error = torch.empty(0)
    for done, count in pairwise((0, *counts)):
        state = grow(rows, state, done, count)
        found, spread = read(rows, state, count)
        if not done:
            values, error = found, spread
        else:
            values[rows], error[rows] = found, spread
        used[rows] = count
        late = (~reached(spread, change[rows], tolerance)).nonzero()[:, 0]
        rows, state = rows[late], state[late]
        if not len(rows):
            break
    return values, error, used
