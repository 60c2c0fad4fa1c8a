"""The data files that come with labkit: where they are, their cards, and their bytes checked by SHA-256."""

from __future__ import annotations

import gzip
import hashlib
import io
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd

from labkit.core.refused import Refused, unknown

_PACKAGE = Path(__file__).parent.parent
_LIMIT = 100 * 1024 * 1024


def folder() -> Path:
    """The folder of embedded data: inside an installed labkit, or beside the package in a checkout."""
    installed = _PACKAGE / "_datasets"
    return installed if installed.is_dir() else _PACKAGE.parent / "datasets"


def card(name: str) -> dict[str, Any]:
    """The card of an embedded set: source, licence, digests, counts, changes, ethics, citation."""
    known = sorted(p.parent.name for p in folder().glob("*/card.toml"))
    if name not in known:
        raise unknown("an embedded data set", name, known)
    return tomllib.loads((folder() / name / "card.toml").read_text(encoding="utf-8"))


def content(name: str, file: str) -> bytes:
    """The uncompressed bytes of one file of an embedded set. Refused when they are not those that the card states."""
    data = inflate((folder() / name / file).read_bytes(), file)
    verify(data, card(name)["files"][file], f"{name}/{file}", "the file as labkit ships it: install labkit again")
    return data


def table(name: str) -> pd.DataFrame:
    """An embedded set's rows and columns as its file has them, before anything is encoded or split.

    Only an empty field is missing; "?" and "NA" stay the text that they are.

    Raises:
        Refused: an unknown name, a set that is not a table, or a file that was changed.
    """
    facts = card(name)
    files = [f for f in facts["files"] if f.endswith(".csv.gz")]
    if not files:
        raise Refused(f"the table of {name}", "a set of images", f'labkit.data.load("{name}")')
    names = facts.get("columns")
    text = io.BytesIO(content(name, files[0]))
    return pd.read_csv(text, header=None if names else 0, names=names, keep_default_na=False, na_values=[""])


def inflate(data: bytes, name: str, limit: int = _LIMIT) -> bytes:
    """Bytes as they are, or unpacked when they are gzip; refused above ``limit`` bytes or when damaged."""
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        with gzip.open(io.BytesIO(data)) as packed:
            raw = packed.read(limit + 1)
    except Exception as error:  # zlib.error derives from Exception alone
        raise Refused(f"the file {name}", f"damaged gzip data ({error})", "the file as it was published") from None
    if len(raw) > limit:
        raise Refused(f"the file {name}", f"more than {limit:,} bytes once unpacked", "the file as it was published")
    return raw


def verify(data: bytes, sha256: str, name: str, instead: str) -> None:
    """Refuse bytes whose SHA-256 is not the one stated."""
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise Refused(f"the data file {name}", f"SHA-256 {found[:12]}… where {sha256[:12]}… is stated", instead)
