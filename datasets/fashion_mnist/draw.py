"""Draws the embedded subset from the full Fashion-MNIST files: python draw.py FOLDER_OF_THE_FULL_FILES

Of each class the 600 training and 100 test images whose positions have the least SHA-256 are kept, in file order.
"""

import gzip
import hashlib
import sys
from pathlib import Path

import numpy as np


def draw(full: Path, out: Path) -> None:
    """Write the four idx files of the subset and print the SHA-256 of their uncompressed bytes."""
    for part, each in (("train", 600), ("t10k", 100)):
        images = gzip.decompress((full / f"{part}-images-idx3-ubyte.gz").read_bytes())
        labels = gzip.decompress((full / f"{part}-labels-idx1-ubyte.gz").read_bytes())
        y = np.frombuffer(labels, np.uint8, offset=8)
        x = np.frombuffer(images, np.uint8, offset=16).reshape(len(y), 28, 28)
        rank = [hashlib.sha256(f"{part} {i}".encode()).digest() for i in range(len(y))]
        kept = sorted(i for c in range(10) for i in sorted(np.flatnonzero(y == c), key=rank.__getitem__)[:each])
        count = np.array([len(kept)], ">u4").tobytes()
        for kind, data in (
            ("images-idx3", images[:4] + count + images[8:16] + x[kept].tobytes()),
            ("labels-idx1", labels[:4] + count + y[kept].tobytes()),
        ):
            file = f"{part}-{kind}-ubyte.gz"
            (out / file).write_bytes(gzip.compress(data, 9, mtime=0))
            print(f'"{file}" = "{hashlib.sha256(data).hexdigest()}"')


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(__file__).parent)
