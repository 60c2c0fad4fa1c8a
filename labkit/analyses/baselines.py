"""Is a model better than one that anyone can read?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from labkit.analyses._measure import Measure, Metric
from labkit.analyses._predicted import Statement, positive_class
from labkit.analyses._readable import packages, readable
from labkit.analyses.predict import predict, row_hashes
from labkit.core import intervals, resampling
from labkit.core.record import Provenance
from labkit.core.refused import Refused
from labkit.data.split import Dataset
from labkit.metrics.accuracy import accuracy
from labkit.models.classifier import Classifier
from labkit.records.baselines import Baselines
from labkit.records.predict import Predictions

ASKED = "baselines"


def baselines(
    model: Classifier | Predictions,
    data: Dataset,
    metric: str | Metric = "accuracy",
    *,
    positive: int | str | None = None,
    trained_on: int = 0,
    can_be_read: bool = False,
    seed: int = 0,
    replicates: int = 1000,
) -> Baselines:
    """One metric of a model beside that of models anyone can read, on the same test rows, with paired differences.

    The baselines are fitted to the training rows alone, with settings that nothing of these data chose: the majority
    class; for tables a logistic regression and a glass box (an explainable boosting machine without pairs; additive
    trees without interpret-core); for texts, images and series a logistic regression on words or single values. For tables
    and series boosted trees stand beside them: nobody can read them either, but anybody can fit them.

    Both answer the same rows, so that the difference has a narrower interval than either value: Bonett and Price's for
    accuracy, a bias-corrected bootstrap's of rows for other metrics.

    Args:
        model: a model, or what it answered on ``data.test``.
        metric: a name (``labkit.names("metrics")``) or a function ``(y_true, y_pred)``, ``(y_true, y_proba)``.
        positive: the class that counts as positive, for metrics that need one.
        trained_on: how many examples the model was trained on, where they are not ``data.train``; 0 says that they are.
        can_be_read: whether the model is itself a sum of terms. A model that is given tells by itself.

    Raises:
        Refused: data without training rows of two classes, predictions on other rows, a metric that they do not allow.
    """
    p = _predictions(model, data)
    options = {"positive": positive, "trained_on": trained_on, "replicates": replicates}
    statement = Statement(ASKED, options, seed, {"data": p})
    own = Measure(ASKED, metric, p, _index(p, positive))
    found = readable(data.train, data.test, seed)
    others = [replace(p, label=r.proba.argmax(1), proba=r.proba) for r in found]
    measures = [Measure(ASKED, metric, other, _index(p, positive)) for other in others]
    value, low, high, _ = own.interval(np.arange(len(p)), replicates, resampling.stream(seed, ASKED, "model"))
    scores = [
        m.interval(np.arange(len(p)), replicates, resampling.stream(seed, ASKED, "value", r.name))[:3]
        for m, r in zip(measures, found)
    ]
    score, score_low, score_high = np.array(scores, float).T
    streams = [resampling.stream(seed, ASKED, "difference", r.name) for r in found]
    ends = [_ends(own, m, replicates, stream) for m, stream in zip(measures, streams)]
    right, others_right = p.label == p.y, np.array([other.label == p.y for other in others])
    undefined = bool(np.isnan(value))
    return Baselines(
        provenance=_provenance(statement, data),
        status="not_measured" if undefined else "measured",
        reason=f"{own.name} is undefined on these test rows; it takes both classes" if undefined else "",
        warnings=p.warnings,
        metric=own.name,
        better=own.better,
        model=str(p.provenance.model.get("name") or p.provenance.data.get("name") or "the model"),
        readable=can_be_read or (isinstance(model, Classifier) and "terms" in model.capabilities),
        n=len(p),
        n_train=len(data.train),
        trained_on=trained_on,
        value=float(value),
        low=low,
        high=high,
        baselines=tuple(r.name for r in found),
        about=tuple(r.about for r in found),
        fitted_on=np.array([r.fitted_on for r in found]),
        can_be_read=np.array([r.can_be_read for r in found]),
        score=score,
        score_low=score_low,
        score_high=score_high,
        difference=float(value) - score,
        difference_low=np.array([low for low, _ in ends]),
        difference_high=np.array([high for _, high in ends]),
        method="Bonett and Price" if own.function is accuracy else "bootstrap",
        only_model=(right & ~others_right).sum(1),
        only_baseline=(others_right & ~right).sum(1),
    )


def _predictions(model: Classifier | Predictions, data: Dataset) -> Predictions:
    if not isinstance(data, Dataset):
        raise Refused(ASKED, f"data of type {type(data).__name__}", "a data set with .train and .test")
    if not isinstance(model, Predictions):
        return predict(model, data.test)
    rows = model.row is None or np.array_equal(model.row, row_hashes(data.test.x))
    if model.classes != data.classes or not np.array_equal(model.y, data.test.y) or not rows:
        given = f"predictions on other rows, or over other classes, than {data.test.name}"
        raise Refused(ASKED, given, "what the model answered on data.test, in its order")
    return model


def _index(p: Predictions, positive: int | str | None) -> int | None:
    """The positive class; None where none is named, which metrics over all classes do not mind."""
    if positive is None and list(p.classes) not in (["0", "1"], ["False", "True"]):
        return None
    return positive_class(ASKED, p, positive)


def _ends(own: Measure, other: Measure, replicates: int, generator: np.random.Generator) -> tuple[float, float]:
    """The interval of the difference of two measures on the same rows."""
    if own.function is accuracy:
        mine, theirs = (m.columns["y_true"] == m.columns["y_pred"] for m in (own, other))
        low, high = intervals.paired((mine & ~theirs).sum(), (theirs & ~mine).sum(), len(mine))
        return float(low), float(high)
    return resampling.bias_corrected(own.paired(other, replicates, generator), own.value() - other.value())


def _provenance(statement: Statement, data: Dataset) -> Provenance:
    made = statement.provenance()
    sources = {"test": made.data, "train": data.train.describe()}
    return replace(made, data=sources, packages={**made.packages, **packages()})
