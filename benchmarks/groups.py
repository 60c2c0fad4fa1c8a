"""Group audit of 48,842 people, 10 groups, 5 metrics: labkit against fairlearn's bootstrap, replicates a second.

``python -m benchmarks groups``. fairlearn resamples the rows, so a few replicates tell its rate. labkit resamples the
counts; beside the bootstrap it computes the permutation null, intervals and corrections, and all of it is timed.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import pandas as pd
from fairlearn import metrics as fairlearn
from sklearn.metrics import accuracy_score, balanced_accuracy_score

import labkit as lk

PEOPLE, GROUPS, REPLICATES, THEIRS, ROUNDS = 48_842, 10, 2_000, 3, 3
METRICS = {
    "selection_rate": fairlearn.selection_rate,
    "true_positive_rate": fairlearn.true_positive_rate,
    "false_positive_rate": fairlearn.false_positive_rate,
    "accuracy": accuracy_score,
    "balanced_accuracy": balanced_accuracy_score,
}


def people() -> pd.DataFrame:
    """As many people as Adult has, in ten groups, with answers that are right four times in five."""
    generator = np.random.default_rng(0)
    y = (generator.random(PEOPLE) < 0.24).astype(int)
    label = np.where(generator.random(PEOPLE) < 0.8, y, 1 - y)
    return pd.DataFrame({"y": y, "label": label, "group": generator.integers(0, GROUPS, PEOPLE).astype(str)})


def main() -> None:
    """Print seconds a replicate on both sides, their ratio, and how far the values agree."""
    frame = people()
    p = lk.Predictions.from_frame(frame, y="y", label="label", groups=["group"])
    lk.audit_groups(p, list(METRICS), by=["group"], replicates=100)  # imports SciPy
    ours, theirs = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        record = lk.audit_groups(p, list(METRICS), by=["group"], replicates=REPLICATES)
        ours.append((time.perf_counter() - start) / REPLICATES)
        start = time.perf_counter()
        frames = fairlearn.MetricFrame(
            metrics=METRICS,
            y_true=frame.y,
            y_pred=frame.label,
            sensitive_features=frame.group,
            n_boot=THEIRS,
            ci_quantiles=[0.025, 0.975],
            random_state=0,
        )
        theirs.append((time.perf_counter() - start) / THEIRS)
    apart = max(
        abs(record.value[m, g] - frames.by_group[name][group])
        for m, name in enumerate(METRICS)
        for g, group in enumerate(record.group)
    )
    mine, peers = statistics.median(ours), statistics.median(theirs)
    print(f"{PEOPLE:,} people, {GROUPS} groups, {len(METRICS)} metrics; median of {ROUNDS} rounds in turns")
    print(f"labkit     {1e3 * mine:9.3f} ms a replicate (of {REPLICATES:,}; {REPLICATES * mine:.2f} s in all)")
    print(f"fairlearn  {1e3 * peers:9.3f} ms a replicate (of {THEIRS}, its point estimates included)")
    print(f"ratio      {peers / mine:9,.0f} times; values apart by at most {apart:.1e}")


if __name__ == "__main__":
    main()
