"""Files that optional packages carry: read without importing the package, and known by their SHA-256."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from labkit.core.refused import Refused


def content(package: str, file: str, sha256: str, extra: str) -> bytes:
    """The bytes of one file of an installed package.

    Args:
        package: as it is imported.
        file: its path inside the package.
        sha256: of the version that labkit was built for; any other is refused, since numbers would differ.
        extra: the extra of labkit that installs the package.

    Raises:
        Refused: the package is not installed, or its file is another one.
    """
    asked, instead = f"{file} of the package {package}", f'pip install "labkit[{extra}]"'
    found = find_spec(package)
    paths = [Path(folder) / file for folder in (found.submodule_search_locations or [])] if found else []
    path = next((p for p in paths if p.is_file()), None)
    if path is None:
        raise Refused(asked, "a package that is not installed", instead)
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise Refused(asked, "a file that is not the one that labkit was built for (its SHA-256 differs)", instead)
    return data
