"""How much a model loses when its inputs are damaged as the world damages them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.analyses._groups.shifted import compared, groupings
from labkit.analyses._guard import DEFAULT_BATCH, Run, as_split, batched, in_words, unchanged
from labkit.analyses._preflight import check_not_shifted
from labkit.analyses.predict import predict
from labkit.core import registry, resampling
from labkit.core.draws import Draws
from labkit.core.refused import Refused, unknown
from labkit.corruptions._applying import Corruption, Given, Ground, corrupt, corruption, fitting
from labkit.corruptions._severity import SEVERITIES
from labkit.data.split import Dataset, Split
from labkit.models.classifier import Classifier
from labkit.records.natural_shifts import NaturalShifts

ASKED = "natural_shifts"


def natural_shifts(
    model: Classifier,
    data: Split | Dataset,
    corruptions: Sequence[str | Callable[..., Any]] | None = None,
    severities: Sequence[int] = SEVERITIES,
    *,
    by: Sequence[str | tuple[str, ...]] | None = None,
    prior: Mapping[str, float] | Sequence[float] | None = None,
    background: Split | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    replicates: int = 1000,
    least: int = 30,
    batch_size: int = DEFAULT_BATCH,
) -> NaturalShifts:
    """Accuracy under every corruption at every severity, on the same rows as without, and by group.

    The draws of a row are its own, and the same at every severity. Beside the corruptions one that changes nothing goes
    the same way: where it changes an answer the result is contradicted.

    Args:
        data: rows with true classes; of a data set the test part, with the training part as the background.
        corruptions: names (``labkit.names("corruptions")``) or functions ``(x, severity, generator)``; None takes all
            that fit the data.
        by: sensitive features; None takes those that the data have.
        prior: class shares under which the accuracy is told too, by name or in the classes' order.
        background: rows of what inputs usually are, from which corruptions of tables take what stands for a missing
            value; by default the rows themselves.
        options: options of corruptions, by name.
        replicates: bootstrap and permutation draws. least: groups with fewer rows are shown and not compared.

    Raises:
        Refused: whatever preflight finds; a corruption for other data; severities that are not from 1 to 5.
    """
    split, usual = (data.test, data.train) if isinstance(data, Dataset) else (data, data)
    usual = usual if background is None else background
    levels = _severities(severities)
    if not isinstance(replicates, int | np.integer) or replicates < 100:
        raise Refused(f"{ASKED} with replicates={replicates!r}", "too few for a 95 % point", "replicates=100 or more")
    p = predict(model, split, batch_size=batch_size)
    about = as_split(split, model)[2]
    shares = _prior(model.classes, prior, split.y)
    given = {"by": by, "prior": None if prior is None else shares.tolist(), "background": _same_kind(usual, split).name}
    given |= {"replicates": replicates, "least": least}
    run = Run(ASKED, given, seed, model, about, batch_size, warnings=list(p.warnings))
    check_not_shifted(run, model, p.label, split.y)
    ground = Ground(split.schema, model.bounds or split.schema.bounds, usual.x)
    draws = Draws(seed, len(split))
    chosen = _chosen(run, corruptions, options or {}, split, ground, draws)
    features = groupings(run, p, by)
    with unchanged(model):
        same = _answers(run, model, split, corruption(_nothing), levels[0], draws, ground)[:, 0]
        cells = [[_answers(run, model, split, c, s, draws, ground) for s in levels] for c in chosen]
    found = np.array(cells).transpose(3, 0, 1, 2)
    label = found[0].astype(np.min_scalar_type(-len(model.classes)))
    _warn_of(run, chosen, label, found[1])
    control = int((same != p.label).sum())
    lost = (p.label == split.y) - (label == split.y).mean((0, 1))
    low, high = _relative(lost, p.label != split.y, replicates, seed)
    return NaturalShifts(
        provenance=run.provenance(),
        status="contradicted" if control else "measured",
        reason=f"{control} rows are answered otherwise though nothing was changed" if control else "",
        warnings=tuple(run.warnings),
        modality=ground.modality,
        classes=model.classes,
        corruptions=tuple(c.name for c in chosen),
        families=tuple(c.family for c in chosen),
        specs=tuple(str(c.spec) for c in chosen),
        severities=np.array(levels),
        y=split.y,
        clean=p.label,
        label=label,
        changed=found[1].sum(-1).astype(np.int64),
        control=control,
        relative_low=low,
        relative_high=high,
        least=least,
        prior=shares,
        **compared(lost, features, least, replicates, seed),
    )


def _same_kind(background: Split, split: Split) -> Split:
    if not isinstance(background, Split) or background.schema != split.schema or not len(background):
        given = f"{background.name}, of other columns" if isinstance(background, Split) else type(background).__name__
        raise Refused(f"{ASKED} with background=", given, "a Split of the same schema, such as data.train")
    return background


def _nothing(x: np.ndarray) -> np.ndarray:
    return x


def _severities(severities: Iterable[int]) -> list[int]:
    levels = list(severities) if isinstance(severities, Iterable) else [severities]
    if not levels or not all(level in SEVERITIES for level in levels) or len(set(levels)) < len(levels):
        raise Refused(f"{ASKED} at severities {severities!r}", repr(severities), "some of 1, 2, 3, 4, 5, each once")
    return sorted(levels)


def _chosen(
    run: Run,
    given: Sequence[Given] | None,
    options: Mapping[str, Mapping[str, Any]],
    data: Split,
    ground: Ground,
    draws: Draws,
) -> list[Corruption]:
    """The corruptions asked for. Of all that fit, those that these data do not allow are left out, with a warning."""
    names = fitting(ground.modality) if given is None else registry.listed("corruptions", given)
    chosen = [corruption(name, options.get(registry.label(name))) for name in names]
    for name in options:
        if name not in {c.name for c in chosen}:
            raise unknown(f"{ASKED} with options of {name}", name, (c.name for c in chosen))
    if len({c.name for c in chosen}) < len(chosen):
        raise Refused(ASKED, f"corruptions named {', '.join(c.name for c in chosen)}", "each of them once")
    kept = []
    for one in chosen:
        try:
            _corrupted(one, data, slice(0, 1), 1, draws, ground)
        except Refused as error:
            if given is not None:
                raise
            run.warn(f"{one.name} is left out: {error.given}")
            continue
        kept.append(one)
    if not kept:
        raise Refused(
            f"{ASKED} on {ground.modality} data", "no corruption that fits", "corruptions=[your own function]"
        )
    return kept


def _corrupted(chosen: Corruption, data: Split, rows: slice, severity: int, draws: Draws, ground: Ground) -> np.ndarray:
    with in_words(f"the corruption {chosen.name}", "a function (x, severity, generator) that gives rows like x"):
        stream = draws[rows].spawn(zlib.crc32(chosen.name.encode()))
        return corrupt(chosen, data.x[rows], severity, stream, ground, data.texts[rows])


def _answers(
    run: Run, model: Classifier, data: Split, chosen: Corruption, severity: int, draws: Draws, ground: Ground
) -> np.ndarray:
    """(n, 2) the class answered to each corrupted row, -1 where the answer is not finite, and whether the row changed."""

    def part(rows: slice) -> Tensor:
        x = _corrupted(chosen, data, rows, severity, draws, ground)
        with in_words(f"{ASKED} on {model.name}", "a model that answers on every row, whatever its values"):
            z = model(model.tensor(x)).float()
        label = torch.where(torch.isfinite(z).all(1), z.argmax(1), -1).cpu()
        moved = (x != data.x[rows]).reshape(len(x), -1).any(1)
        return torch.stack([label, torch.from_numpy(moved).long()], 1)

    with torch.no_grad():
        return batched(run, f"{chosen.name.strip('_')} at severity {severity}", part, len(data)).numpy()


def _warn_of(run: Run, chosen: Sequence[Corruption], label: np.ndarray, moved: np.ndarray) -> None:
    for i, one in enumerate(chosen):
        if not moved[i].any():
            run.warn(f"{one.name} changed no row, so that its accuracy says nothing")
        lost = int((label[i] < 0).sum())
        if lost:
            run.warn(f"{lost} answers under {one.name} are not finite; they count as wrong")


def _relative(lost: np.ndarray, wrong: np.ndarray, replicates: int, seed: int) -> tuple[float, float]:
    """Interval of the mean drop over the clean error: percentiles of a bootstrap of the rows' few different values.

    As in ``intervals.paired_mean`` a row more at either end of the scale keeps it from collapsing; draws without a clean
    error count as infinite, so that with hardly any such error there is no upper end.
    """
    if not wrong.any():
        return float("nan"), float("nan")
    cells = np.concatenate([np.column_stack([lost, wrong]).round(9), [[1, 0], [-1, 1]]])
    values, counts = np.unique(cells, axis=0, return_counts=True)
    drawn = resampling.bootstrap_counts(counts, replicates, resampling.stream(seed, ASKED, "relative"))
    drop, error = (drawn @ values).T
    ratio = np.divide(drop, error, out=np.full(replicates, np.inf), where=error > 0)
    low, high = np.quantile(ratio, (0.025, 0.975), method="inverted_cdf")
    return float(low), float(high)


def _prior(classes: tuple[str, ...], prior: Any, y: np.ndarray) -> np.ndarray:
    """(class,) shares that sum to 1."""
    if prior is None:
        return np.bincount(y, minlength=len(classes)) / len(y)
    asked = f"{ASKED} with prior={prior!r:.60}"
    if isinstance(prior, Mapping):
        for name in prior:
            if name not in classes:
                raise unknown(asked, name, classes)
        prior = [prior.get(name, 0.0) for name in classes]
    try:
        shares = np.asarray(prior, float)
    except (TypeError, ValueError):
        raise Refused(asked, "shares that are no numbers", "one share a class") from None
    if shares.shape != (len(classes),) or not np.isfinite(shares).all() or (shares < 0).any() or shares.sum() <= 0:
        raise Refused(
            asked, f"shares {shares.tolist()} for {len(classes)} classes", "one share from 0 on for each class"
        )
    return shares / shares.sum()
