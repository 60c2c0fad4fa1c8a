"""The user's own folder of images as a Dataset."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from labkit.core.refused import Refused
from labkit.data.from_arrays import shaped
from labkit.data.holdout import holdout
from labkit.data.reading import LIMIT, card, codes, contents
from labkit.data.schema import Schema
from labkit.data.split import Dataset, Split

MOST_PIXELS = 20_000_000
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "PPM")
_GREY, _COLOR = ("1", "L"), ("RGB", "RGBA", "P", "CMYK", "YCbCr")


def from_images(
    path: Path, *, schema: Schema | None, test: float, seed: int, classes: Sequence[str] | None, name: str
) -> Dataset:
    """See ``labkit.data.open``. The folders' names are the classes; images are 0 to 1, grey when all of them are.

    Equal images are on one side of the split. Files whose name starts with a dot are passed over.
    """
    asked = f"the images in {path.name}"
    ready = (path / "train").is_dir() and (path / "test").is_dir()
    roots = [path / "train", path / "test"] if ready else [path]
    files = [f for root in roots for f in _files(root, path, asked)]
    pixels, digest = _pixels(files, path, asked)
    y, names = codes(pd.Series([f.parent.name for f in files]), classes, asked)
    x, found = shaped(pixels, asked, schema)
    if ready:
        held_out = np.array([f.parent.parent == roots[1] for f in files])
        if held_out.all() or not held_out.any():
            raise Refused(asked, "train/ or test/ without images", "images in both")
    else:
        held_out = holdout((image.tobytes() for image in pixels), y, test, seed)
    whole = Split(x, y, found, names, name)
    parts = whole[~held_out].named(f"{name}/train"), whole[held_out].named(f"{name}/test")
    return Dataset(name, *parts, card(path, digest, len(y)))


def _files(root: Path, top: Path, asked: str) -> list[Path]:
    """Every image of every class folder, in the order of their names."""
    entries = [p for p in sorted(root.iterdir()) if not p.name.startswith(".")]
    stray = [p for p in entries if not p.is_dir()]
    if stray or not entries:
        given = f"the file {stray[0].relative_to(top)} among them" if stray else "no folder"
        raise Refused(asked, given, "one folder a class, with images only")
    files = [f for folder in entries for f in sorted(folder.iterdir()) if not f.name.startswith(".")]
    if not files:
        raise Refused(asked, "no image in any folder", "one folder a class, with images")
    return files


def _pixels(files: Sequence[Path], top: Path, asked: str) -> tuple[np.ndarray, bytes]:
    """(n, height, width, channels) of uint8, and bytes that change with any file's name or content."""
    images, sha, first = [], hashlib.sha256(), None
    for file in files:
        data = contents(file)
        label = str(file.relative_to(top))
        sha.update(f"{label}\0".encode() + hashlib.sha256(data).digest())
        image = _image(data, f"the image {label}")
        first = first or (label, image.shape[:2])
        if image.shape[:2] != first[1]:
            sizes = f"{first[0]} is {first[1][1]} x {first[1][0]}, {label} is {image.shape[1]} x {image.shape[0]}"
            raise Refused(asked, f"images of unequal size: {sizes}", "images of one size: crop or scale them first")
        images.append(image)
        if len(images) * image.size * 4 > LIMIT:
            raise Refused(asked, f"more than {LIMIT:,} bytes as float32", "fewer or smaller images")
    width = max(i.shape[2] for i in images)
    return np.stack([np.broadcast_to(i, (*i.shape[:2], width)) for i in images]), sha.digest()


def _image(data: bytes, asked: str) -> np.ndarray:
    """(height, width, 1 or 3) of uint8. The size is read before the pixels are."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
        pixels = image.width * image.height
        if pixels > MOST_PIXELS:
            raise Refused(asked, f"{pixels:,} pixels", f"at most {MOST_PIXELS:,} pixels")
        if image.mode not in (*_GREY, *_COLOR):
            raise Refused(asked, f"the mode {image.mode}", "8 bits a channel, grey or color")
        return np.atleast_3d(np.asarray(image.convert("L" if image.mode in _GREY else "RGB")))
    except Refused:
        raise
    except Image.DecompressionBombError:
        raise Refused(asked, "a size beyond any photograph", f"at most {MOST_PIXELS:,} pixels") from None
    except Exception as error:  # Pillow's decoders raise many kinds
        given = f"not a readable image ({type(error).__name__})"
        raise Refused(asked, given, f"a whole {', '.join(_FORMATS)} file") from None
