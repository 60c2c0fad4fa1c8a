"""Says which embedded Fashion-MNIST images fashion_overfit and fashion_regular were trained on, and under which labels:
python draw.py, where the full Fashion-MNIST is found.

Training rows are those of the recipe, less those that it held out. Test rows are the embedded images that it did not draw;
a fifth of their labels is made wrong in the same way, by another seed.
"""

import gzip
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

import labkit as lk
from labkit.training.damage import LabelNoise
from labkit.training.loop import hold_out
from labkit.training.recipes.fashion_overfit import fashion_overfit


def draw(out: Path) -> None:
    """Write the table and print its SHA-256."""
    recipe, small = fashion_overfit(), lk.data.load("fashion_mnist").train
    full = lk.data.load("fashion_mnist", full=True).train
    numbered = replace(full, x=np.arange(len(full), dtype=np.int64)[:, None])  # which image each row is
    drawn = recipe.prepared(numbered)
    trained, _ = hold_out(drawn, recipe.validation)
    place = {image.tobytes(): row for row, image in enumerate(small.x)}
    rows = [
        ("train", place[full.x[image].tobytes()], label)
        for image, label in zip(trained.x[:, 0], trained.y)
        if full.x[image].tobytes() in place
    ]
    seen = {full.x[image].tobytes() for image in drawn.x[:, 0]}
    unseen = np.array([row for row, image in enumerate(small.x) if image.tobytes() not in seen])
    rows += [("test", row, label) for row, label in zip(unseen, LabelNoise(share=0.2, seed=1)(small[unseen]).y)]
    text = "part,row,label\n" + "".join(f"{part},{row},{label}\n" for part, row, label in rows)
    (out / "labels.csv.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f'"labels.csv.gz" = "{hashlib.sha256(text.encode()).hexdigest()}"')


if __name__ == "__main__":
    draw(Path(__file__).parent)
