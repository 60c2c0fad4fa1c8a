"""German credit: is a loan a bad risk?"""

from __future__ import annotations

import numpy as np

from labkit.data import embedded, tabular
from labkit.data.holdout import in_fold
from labkit.data.split import Dataset

_IMMUTABLE = {"age", "personal_status", "foreign_worker"}
_UNITS = {"duration": "months", "amount": "DM", "age": "years"}
_WOMEN = ("A92", "A95")


def german(*, fold: int = 0, folds: int = 5, seed: int = 0) -> Dataset:
    """1,000 loans of 1973 to 1975, 20 features, four fifths to train on. Class 1 is a bad risk.

    A category shows its code and UCI's meaning of it. The group "sex" is UCI's reading of ``personal_status``, which is
    disputed: U. Groemping, 2019, South German Credit Data, shows that the code A92 also holds single men. Groups: sex,
    age_band (at 25, as F. Kamiran and T. Calders, 2009, doi 10.1109/IC4.2009.4909197).

    Args:
        fold, folds: which of so many folds is held out for testing, for cross-validation.
        seed: of the cut into folds.

    Source: H. Hofmann, 1994, UCI Machine Learning Repository, doi 10.24432/C5NC77 (CC BY 4.0).
    """
    frame, card = embedded.table("german"), embedded.card("german")
    y = (frame.pop("risk") == 2).to_numpy().astype(np.int64)
    sex = np.where(frame["personal_status"].isin(_WOMEN), "female", "male")
    frame = frame.replace({code: f"{code} {meaning}" for code, meaning in card["meanings"].items()})
    held_out = in_fold(tabular.keys(frame), y, fold, folds, seed)
    train = frame[~held_out]
    return tabular.dataset(
        "german",
        frame,
        y,
        held_out,
        target="a bad credit risk",
        classes=("good risk", "bad risk"),
        features=[tabular.infer(train[f], immutable=f in _IMMUTABLE, unit=_UNITS.get(f, "")) for f in map(str, frame)],
        groups={"sex": sex, "age_band": tabular.bands(frame["age"], (26,))},
        card=card,
    )
