"""Draws the embedded pictures and names from the npm package: python draw.py emoji-datasource-google-16.0.0.tgz

Kept are the base emoji of the nine categories and their variants of one skin tone, in Unicode's order; of the package's
pictures only Google's 64 x 64 ones. Each is put on white and halved by the mean of 2 x 2 pixels, in whole numbers, so
that every machine gives the same bytes.
"""

import csv
import gzip
import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

SHA256 = "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438"
TONES = {"1F3FB": "light", "1F3FC": "medium-light", "1F3FD": "medium", "1F3FE": "medium-dark", "1F3FF": "dark"}
# Man, woman, adult, boy, girl, child, male, female, facing right, joiner, colour: what siblings differ in.
PERSON = {"1F468", "1F469", "1F9D1", "1F466", "1F467", "1F9D2", "2642", "2640", "27A1", "200D", "FE0F"}
FAMILY = "1F46A"


def draw(package: Path, out: Path) -> None:
    """Write the pictures and the table, and print the SHA-256 of their uncompressed bytes."""
    if hashlib.sha256(package.read_bytes()).hexdigest() != SHA256:
        raise SystemExit(f"{package} is not emoji-datasource-google 16.0.0")
    with tarfile.open(package) as archive:

        def content(file: str) -> bytes:
            member = archive.extractfile(f"package/{file}")
            assert member is not None
            return member.read()

        rows, pictures, first = [], [], {}
        for emoji in sorted(json.loads(content("emoji.json")), key=lambda e: e["sort_order"]):
            if emoji["category"] == "Component":
                continue
            toned = {t: emoji["skin_variations"][c] for c, t in TONES.items() if c in emoji.get("skin_variations", {})}
            base = halved(content(f"img/google/64/{emoji['image']}"))
            related = first.setdefault(base.tobytes(), kin(emoji["unified"]))
            for tone, variant in {"default" if toned else "": emoji, **toned}.items():
                rows.append((variant["unified"], emoji["name"], emoji["category"], tone, emoji["unified"], related))
                pictures.append(halved(content(f"img/google/64/{variant['image']}")))

    table = io.StringIO()
    header = ("code", "name", "category", "skin_tone", "base", "kin")
    csv.writer(table, lineterminator="\n").writerows([header, *rows])
    x = np.stack(pictures)
    magic = bytes([0, 0, 8, x.ndim]) + np.array(x.shape, ">u4").tobytes()
    for file, data in (("emoji.csv.gz", table.getvalue().encode()), ("pictures-idx4-ubyte.gz", magic + x.tobytes())):
        (out / file).write_bytes(gzip.compress(data, 9, mtime=0))
        print(f'"{file}" = "{hashlib.sha256(data).hexdigest()}"')


def halved(png: bytes) -> np.ndarray:
    """(32, 32, 3) bytes of a 64 x 64 picture: on white, then the mean of each 2 x 2 pixels, halves rounded up."""
    rgba = np.asarray(Image.open(io.BytesIO(png)).convert("RGBA")).astype(np.int64)
    colour, opaque = rgba[:, :, :3], rgba[:, :, 3:]
    total = (colour * opaque + 255 * (255 - opaque)).reshape(32, 2, 32, 2, 3).sum((1, 3))
    return ((total + 2 * 255) // (4 * 255)).astype(np.uint8)


def kin(code: str) -> str:
    """What siblings share: the code without persons, genders and directions, so that man, woman and person are one."""
    parts = code.split("-")
    joined = [p for p in parts if p not in PERSON] if "200D" in parts else [p for p in parts if p != "FE0F"]
    return "-".join(joined) or FAMILY


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(__file__).parent)
