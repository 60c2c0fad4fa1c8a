"""Fashion-MNIST with a fifth of the labels wrong: what fashion_overfit and its sound twin were really trained on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from labkit.data import embedded
from labkit.data.sets.fashion_mnist import fashion_mnist
from labkit.data.split import Dataset


def fashion_noisy() -> Dataset:
    """Grey images (1, 28, 28) from 0 to 1 of ten classes, a fifth of them under a wrong label.

    The training rows are the 1,128 embedded images that ``fashion_overfit`` and ``fashion_regular`` were trained on, under
    the labels that they were trained with. The test rows are the 4,813 embedded images that neither has seen, damaged in
    the same way: nothing but having been trained on tells the two parts apart. ``fashion_mnist`` has the right labels.

    Source: H. Xiao, K. Rasul and R. Vollgraf, 2017, arXiv 1708.07747 (MIT).
    """
    table, whole = embedded.table("fashion_noisy"), fashion_mnist().train

    def part(name: str) -> np.ndarray:
        return table[table["part"] == name][["row", "label"]].to_numpy(np.int64).T

    train, test = (
        replace(whole[rows], y=labels, name=f"fashion_noisy/{name}")
        for name, (rows, labels) in ((name, part(name)) for name in ("train", "test"))
    )
    return Dataset("fashion_noisy", train, test, embedded.card("fashion_noisy"))
