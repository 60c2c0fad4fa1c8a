"""Which columns does a model's score rest on?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from labkit.analyses._columns import ALIKE, associations, require_table, together
from labkit.analyses._guard import DEFAULT_BATCH, Run, as_split, logits, probabilities, unchanged
from labkit.analyses._measure import Measure, Metric
from labkit.analyses._predicted import positive_class
from labkit.analyses.predict import predict
from labkit.core import progress, resampling
from labkit.core.refused import Refused
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.records.permutation_importance import PermutationImportance
from labkit.records.predict import Predictions

ASKED = "permutation_importance"


def permutation_importance(
    model: Classifier,
    data: Split,
    metric: str | Metric = "accuracy",
    *,
    positive: int | str | None = None,
    features: Mapping[str, Sequence[str | int]] | None = None,
    deals: int = 5,
    replicates: int = 200,
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH,
) -> PermutationImportance:
    """How far a metric falls when one feature's values are dealt out anew among the rows (Breiman, 2001, doi
    10.1023/A:1010933404324; for any model Fisher, Rudin and Dominici, 2018, arXiv 1801.01489).

    Two features that tell of each other share their importance, and dealing out one makes rows that do not occur: for
    each feature the one that tells most of it stands beside it. The interval pools bootstrap draws of rows over the
    deals, and is rather too wide than too narrow.

    Args:
        data: a table with labels; what counts is what the model does on these rows.
        metric: a name (``labkit.names("metrics")``) or a function ``(y_true, y_pred)``, ``(y_true, y_proba)``.
        positive: the class that counts as positive, for metrics that need one.
        features: columns to be dealt out together, such as one-hot columns, by the name they get; others go alone.
        deals: how often each feature is dealt out. replicates: bootstrap draws for each deal.

    Raises:
        Refused: data that are no table, unknown columns, a metric that these predictions do not allow or that says
            nothing of which direction is better.
    """
    data = require_table(ASKED, data)
    for name, number in (("deals", deals), ("replicates", replicates)):
        if not isinstance(number, int | np.integer) or isinstance(number, bool) or number < 1:
            raise Refused(ASKED, f"{name}={number!r}", "a whole number of at least 1")
    grouped = together(ASKED, data, features)
    p = predict(model, data, batch_size=batch_size)
    index = None if positive is None else positive_class(ASKED, p, positive)
    own = Measure(ASKED, metric, p, index)
    if own.better == 0:
        raise Refused(f"{ASKED} by {own.name}", "a metric of which neither end is better", "accuracy, auc or brier")
    value, low, high, _ = own.interval(np.arange(len(p)), 1000, resampling.stream(seed, ASKED, "value"))
    x, _, about = as_split(data, model)
    options = {"metric": own.name, "positive": positive, "features": grouped, "deals": deals, "replicates": replicates}
    run = Run(ASKED, options, seed, model, about, batch_size)
    found = []
    with unchanged(model):
        for i, (name, columns) in enumerate(grouped.items()):
            progress.step(ASKED, i, len(grouped))
            draws, losses = [], []
            for deal in range(deals):
                stream = resampling.stream(seed, ASKED, name, str(deal))
                dealt = Measure(ASKED, metric, _dealt(run, model, p, x, columns, stream), index)
                losses.append(own.better * (float(value) - dealt.value()))
                draws.append(own.better * own.paired(dealt, replicates, stream))
            ends = resampling.bias_corrected(np.concatenate(draws), float(np.mean(losses)))
            found.append((float(np.mean(losses)), *ends))
    loss, loss_low, loss_high = np.array(found).T
    partner, much = _partners(data, grouped)
    return PermutationImportance(
        provenance=run.provenance(),
        status="not_measured" if np.isnan(float(value)) else "measured",
        reason=f"{own.name} is undefined on these rows" if np.isnan(float(value)) else "",
        warnings=p.warnings,
        metric=own.name,
        value=float(value),
        low=low,
        high=high,
        features=tuple(grouped),
        columns=np.array([len(columns) for columns in grouped.values()]),
        loss=loss,
        loss_low=loss_low,
        loss_high=loss_high,
        partner=partner,
        association=much,
        alike=ALIKE,
        n=len(p),
        deals=deals,
    )


def _dealt(
    run: Run, model: Classifier, p: Predictions, x: np.ndarray, columns: list[int], stream: np.random.Generator
) -> Predictions:
    """What the model answers when these columns come from other rows, together."""
    moved = x.copy()
    moved[:, columns] = x[stream.permutation(len(x))][:, columns]
    out = logits(run, model, moved)
    return replace(p, label=out.argmax(1).astype(np.int64), proba=probabilities(out))


def _partners(data: Split, grouped: Mapping[str, list[int]]) -> tuple[tuple[str, ...], np.ndarray]:
    """For each feature the other one that tells most of it, and how much."""
    between, names = associations(data), list(grouped)
    table = np.array([[between[np.ix_(a, b)].max() for b in grouped.values()] for a in grouped.values()])
    np.fill_diagonal(table, 0.0)
    most = table.argmax(1)
    return tuple(names[k] if table[i, k] > 0 else "" for i, k in enumerate(most)), table.max(1)
