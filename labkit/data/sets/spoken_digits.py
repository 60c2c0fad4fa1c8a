"""Spoken digits: ten words by six voices, as waveforms of one second."""

from __future__ import annotations

import hashlib
import io
import wave
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from labkit.core.refused import Refused
from labkit.core.store import write_atomic
from labkit.data import locating
from labkit.data.schema import Schema
from labkit.data.split import Dataset, Split

RATE = 8000
LENGTH = RATE  # samples of an input: one second
_PACKED = "fsdd_8khz.npz"
_COMMIT = "26eb9aaf76e81b692f806f9140c2d2777410d7a1"
_URL = f"https://github.com/Jakobovski/free-spoken-digit-dataset/archive/{_COMMIT}.zip"
# SHA-256 over the names and samples of all recordings, sorted by name: archives of one commit differ in their bytes.
_SHA256 = "c508ca40e62214f8ea81451ff705df6e9a68265da606e26d5455a6a8d1e5bf81"
# What the published metadata says of the six, in the alphabetical order of their names, which are used nowhere else.
_SPEAKERS = ("Greek", "American A", "German A", "Belgian French", "American B", "German B")
_TEST_TAKES = 5
_CARD = {
    "title": "Free Spoken Digit Dataset",
    "source": f"github.com/Jakobovski/free-spoken-digit-dataset, commit {_COMMIT[:7]}",
    "licence": "CC BY-SA 4.0",
    "citation": "Z. Jackson and contributors, Free Spoken Digit Dataset, 2016 to 2022, doi 10.5281/zenodo.1342401",
    "counts": "3,000 recordings: ten digits, six speakers, 50 takes of each; takes 0 to 4 are the test part",
    "changed": "Each recording is scaled to a peak of 1 and filled up with silence to one second; 20 are cut there.",
    "ethics": "Six men lent their voices, one or two an accent: a difference between accents may be one between persons. "
    "Speakers are named by their accent here.",
}

Recordings = Mapping[str, np.ndarray]


def spoken_digits(allow_download: bool = False) -> Dataset:
    """3,000 waveforms (8000,) from -1 to 1 at 8 kHz, ten classes: 2,700 to train on, and takes 0 to 4 (300) to test on.

    Each recording is scaled to a peak of 1, since microphones differ tenfold and a change of 0.01 shall mean the same
    for each; it begins the input and silence follows. The published parts share their speakers, so the test part
    tells nothing of a new voice. Groups: speaker, accent. With one or two speakers an accent the two cannot be told
    apart.

    Args:
        allow_download: whether the network may be used when no folder has the recordings.

    Looked for are ``fsdd_8khz.npz`` and a folder ``recordings`` of wav files, in ``$LABKIT_DATA`` and the user's cache.

    Source: Z. Jackson and contributors, 2016, doi 10.5281/zenodo.1342401 (CC BY-SA 4.0).

    Raises:
        Refused: the recordings are not here, or are not the published ones.
    """
    clips = _found() or _downloaded(allow_download)
    digits, speakers, takes = zip(*(name.split("_") for name in clips))
    order = sorted(set(speakers))
    voice = np.array([_SPEAKERS[order.index(s)] for s in speakers])
    groups = {"speaker": voice, "accent": np.array([v.removesuffix(" A").removesuffix(" B") for v in voice])}
    x, y = np.stack([_second(c) for c in clips.values()]), np.array(digits, np.int64)
    held_out = np.array(takes, np.int64) < _TEST_TAKES
    schema = Schema("audio", "the digit spoken", (LENGTH,), bounds=(-1.0, 1.0), groups=tuple(groups))

    def part(rows: np.ndarray, name: str) -> Split:
        own = {g: v[rows] for g, v in groups.items()}
        return Split(x[rows], y[rows], schema, tuple("0123456789"), f"spoken_digits/{name}", own)

    return Dataset("spoken_digits", part(~held_out, "train"), part(held_out, "test"), _CARD)


def _second(clip: np.ndarray) -> np.ndarray:
    """(8000,) float32: peak 1, cut or filled up with silence at the end."""
    whole = np.zeros(LENGTH, np.float32)
    kept = clip[:LENGTH].astype(np.float32)
    whole[: len(kept)] = kept / max(1.0, float(np.abs(kept).max(initial=0.0)))
    return whole


def _found() -> Recordings | None:
    """The recordings in the first folder that has them, checked."""
    for folder in locating.places("spoken_digits"):
        if (folder / _PACKED).is_file():
            return _checked(_unpacked(folder / _PACKED), str(folder / _PACKED))
        wavs = sorted((folder / "recordings").glob("*.wav"))
        if wavs:
            return _checked({p.stem: _samples(p.read_bytes(), p.name) for p in wavs}, str(folder / "recordings"))
    return None


def _downloaded(allowed: bool) -> Recordings:
    """The recordings of the published repository; they are kept in the user's cache."""
    asked = "the recordings of spoken_digits"
    if not allowed:
        looked = ", ".join(map(str, locating.places("spoken_digits")))
        instead = f"LABKIT_DATA=a folder with {_PACKED} or recordings/*.wav, or allow_download=True"
        raise Refused(asked, f"not in {looked}", instead)
    try:
        with zipfile.ZipFile(io.BytesIO(locating.download(_URL))) as archive:
            wavs = [n for n in archive.namelist() if n.endswith(".wav") and Path(n).parent.name == "recordings"]
            found = {Path(n).stem: _samples(archive.read(n), n) for n in wavs}
    except (OSError, locating.HTTPException, zipfile.BadZipFile) as error:
        raise Refused(asked, f"{_URL}: {error}", f"LABKIT_DATA=a folder with {_PACKED} or recordings/*.wav") from None
    clips = _checked(found, _URL)
    write_atomic(locating.cache_folder() / "spoken_digits" / _PACKED, _packed(clips))
    return clips


def _samples(raw: bytes, name: str) -> np.ndarray:
    """The samples of a wav file, as whole numbers of 16 bits."""
    try:
        with wave.open(io.BytesIO(raw)) as file:
            kind = file.getnchannels(), file.getsampwidth(), file.getframerate()
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    except (wave.Error, EOFError, ValueError) as error:
        raise Refused(f"the recording {name}", str(error), "the published file") from None
    if kind != (1, 2, RATE):
        raise Refused(f"the recording {name}", f"(channels, bytes, rate) {kind}", f"(1, 2, {RATE})")
    return samples


def _checked(clips: Recordings, where: str) -> Recordings:
    """The recordings sorted by name; refused when they are not the published ones."""
    clips = {name: clips[name] for name in sorted(clips)}
    digest = hashlib.sha256()
    for name, samples in clips.items():
        digest.update(name.encode() + samples.astype("<i2").tobytes())
    if digest.hexdigest() != _SHA256:
        given = f"{len(clips)} recordings with SHA-256 {digest.hexdigest()[:12]}… where {_SHA256[:12]}… is stated"
        raise Refused(f"the spoken digits in {where}", given, "the published recordings; remove these")
    return clips


def _unpacked(path: Path) -> Recordings:
    """What ``_packed`` wrote."""
    try:
        with np.load(path) as parts:
            ends = np.cumsum(parts["length"])
            names = _named(parts["digit"], parts["speaker"], parts["take"])
            return dict(zip(names, np.split(parts["audio"], ends[:-1])))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise Refused(f"the file {path}", str(error), "the published recordings; remove this file") from None


def _packed(clips: Recordings) -> bytes:
    """All recordings as one compressed file: the samples end to end, and what the file names say."""
    digits, speakers, takes = zip(*(name.split("_") for name in clips))
    packed = io.BytesIO()
    np.savez_compressed(
        packed,
        audio=np.concatenate(list(clips.values())),
        length=np.array([len(c) for c in clips.values()], np.int32),
        digit=np.array(digits, np.int8),
        speaker=np.array(speakers),
        take=np.array(takes, np.int16),
    )
    return packed.getvalue()


def _named(*parts: Iterable[object]) -> list[str]:
    return ["_".join(map(str, each)) for each in zip(*parts)]
