"""COMPAS: is a defendant arrested again within two years?"""

from __future__ import annotations

import numpy as np

from labkit.data import embedded, tabular
from labkit.data.holdout import in_fold
from labkit.data.split import Dataset

_FEATURES = ["sex", "age", "juv_fel_count", "juv_misd_count", "juv_other_count", "priors_count", "c_charge_degree"]
_IMMUTABLE = {"sex", "age"}


def compas(filtered: bool = True, *, fold: int = 0, folds: int = 5, seed: int = 0) -> Dataset:
    """Defendants of Broward County, 2013 and 2014, 7 features, four fifths to train on. Class 1 is a new arrest.

    Race is a group and no feature. The audited score is in ``labkit.data.table("compas")``, column ``decile_score``.
    Rows equal in all 14 columns are on one side of the split; different people with equal features may be on both, as
    keeping them together would make the test people older than the others. Groups: sex, race, age_band.

    Args:
        filtered: the 6,172 people that ProPublica's logistic model is about (charged within 30 days of the screening,
            with a known score and outcome); otherwise all 7,214, which its error rates are about.
        fold, folds: which of so many folds is held out for testing, for cross-validation.
        seed: of the cut into folds.

    Source: J. Angwin, J. Larson, S. Mattu and L. Kirchner, 2016, Machine Bias, ProPublica.
    """
    frame = embedded.table("compas")
    if filtered:
        near = frame["days_b_screening_arrest"].between(-30, 30)
        known = (frame["is_recid"] != -1) & (frame["score_text"] != "N/A")
        frame = frame[near & known & (frame["c_charge_degree"] != "O")]
    y = frame["two_year_recid"].to_numpy().astype(np.int64)
    held_out = in_fold(tabular.keys(frame), y, fold, folds, seed)
    return tabular.dataset(
        "compas" if filtered else "compas_all",
        frame,
        y,
        held_out,
        target="a new arrest within two years",
        classes=("no new arrest", "new arrest"),
        features=[tabular.infer(frame[~held_out][f], immutable=f in _IMMUTABLE) for f in _FEATURES],
        groups={
            "sex": tabular.labels(frame["sex"]),
            "race": tabular.labels(frame["race"]),
            "age_band": tabular.labels(frame["age_cat"]),
        },
        card=embedded.card("compas"),
    )
