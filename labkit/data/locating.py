"""Where large data sets are looked for: the user's folder, the cache, the system, then the network if allowed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from labkit.core.refused import Refused
from labkit.core.store import write_atomic
from labkit.data.embedded import inflate, verify

_TIMEOUT = 30
_LIMIT = 200 * 1024 * 1024


def cache_folder() -> Path:
    """Where downloads are kept: ``$XDG_CACHE_HOME/labkit``, or ``.cache/labkit`` in the home folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "labkit"


def places(name: str, system: Sequence[Path] = ()) -> list[Path]:
    """The folders in which a set's files may lie, first choice first."""
    own = os.environ.get("LABKIT_DATA")
    mine = [Path(own) / name, Path(own)] if own else []
    return [*mine, cache_folder() / name, *system]


def fetch(
    file: str, sha256: str, *, name: str, system: Sequence[Path], urls: Sequence[str], allow_download: bool, hint: str
) -> bytes:
    """The uncompressed bytes of one file of a set, checked by SHA-256.

    Args:
        file: its name; with or without ".gz" at the end in the folders.
        sha256: of the uncompressed bytes, since packers differ.
        name: the folder's name in the user's folder and the cache.
        system: further folders.
        urls: addresses of folders that hold the file.
        allow_download: whether the network may be used.
        hint: how else the set can be had.

    Raises:
        Refused: not found, or found with other bytes.
    """
    for folder in places(name, system):
        for path in (folder / file, folder / file.removesuffix(".gz")):
            if path.is_file():
                raw = inflate(path.read_bytes(), str(path))
                verify(raw, sha256, str(path), "the published file; remove this one")
                return raw
    asked = f"the file {file} of {name}"
    if not allow_download:
        looked = ", ".join(str(p) for p in places(name, system))
        raise Refused(asked, f"not in {looked}", f"{hint}, LABKIT_DATA=a folder that has it, or allow_download=True")
    failed = []
    for url in urls:
        try:
            data = download(url + file)
            raw = inflate(data, url + file)
            verify(raw, sha256, url + file, "another source")
        except (OSError, HTTPException) as error:
            failed.append(f"{url}: {error}")
            continue
        except Refused as refusal:
            failed.append(f"{url}: {refusal.given}")
            continue
        write_atomic(cache_folder() / name / file, data)
        return raw
    raise Refused(asked, "no address gave it: " + "; ".join(failed), hint)


def download(url: str) -> bytes:
    """What an address gives, up to a limit that no set of labkit's reaches. Raises OSError or HTTPException."""
    with urlopen(url, timeout=_TIMEOUT) as answer:
        return answer.read(_LIMIT + 1)
