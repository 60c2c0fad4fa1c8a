"""Fashion-MNIST: ten kinds of clothing, grey, 28 x 28."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from labkit.data import embedded
from labkit.data.idx import read_idx
from labkit.data.locating import fetch
from labkit.data.schema import Schema
from labkit.data.split import Dataset, Split

# SHA-256 of the uncompressed files: packed ones differ between their publishers.
_FULL = {
    "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
_SYSTEM = [Path("/usr/share/datasets/fashion-mnist")]
_URLS = [
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
]
_HINT = "apt-get install dataset-fashion-mnist"
_CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


def fashion_mnist(full: bool = False, allow_download: bool = False) -> Dataset:
    """Grey images (1, 28, 28) from 0 to 1, ten classes of equal size.

    Args:
        full: all 60,000 + 10,000 images, from ``$LABKIT_DATA``, the user's cache, Debian's package
            ``dataset-fashion-mnist`` or the network; otherwise the 6,000 + 1,000 that come with labkit.
        allow_download: whether the network may be used when no folder has the full set.

    Source: H. Xiao, K. Rasul and R. Vollgraf, 2017, arXiv 1708.07747 (MIT).

    Raises:
        Refused: the full set is not here, or a file is not the published one.
    """

    def raw(file: str) -> bytes:
        if not full:
            return embedded.content("fashion_mnist", file)
        return fetch(
            file,
            _FULL[file],
            name="fashion-mnist",
            system=_SYSTEM,
            urls=_URLS,
            allow_download=allow_download,
            hint=_HINT,
        )

    name = "fashion_mnist_full" if full else "fashion_mnist"
    schema = Schema("image", "the kind of clothing", (1, 28, 28), bounds=(0.0, 1.0))

    def part(prefix: str, label: str) -> Split:
        x = read_idx(raw(f"{prefix}-images-idx3-ubyte.gz"), prefix).astype(np.float32)[:, None]
        x /= 255
        y = read_idx(raw(f"{prefix}-labels-idx1-ubyte.gz"), prefix).astype(np.int64)
        return Split(x, y, schema, _CLASSES, f"{name}/{label}")

    return Dataset(name, part("train", "train"), part("t10k", "test"), embedded.card("fashion_mnist"))
