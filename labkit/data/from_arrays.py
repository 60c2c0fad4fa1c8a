"""The user's own arrays, from an NPZ file, as a Dataset. No pickle is ever read."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from labkit.core.refused import Refused
from labkit.data.holdout import holdout
from labkit.data.reading import LIMIT, card, codes, contents
from labkit.data.schema import Feature, Schema
from labkit.data.split import Dataset, Split
from labkit.data.tabular import group_names

_PARTS = ("x_train", "y_train", "x_test", "y_test")
_CHANNELS = (1, 3)


def from_arrays(
    path: Path,
    *,
    groups: Sequence[str],
    schema: Schema | None,
    test: float,
    seed: int,
    classes: Sequence[str] | None,
    name: str,
) -> Dataset:
    """See ``labkit.data.open``.

    x of two axes is a table of numbers. Three axes (n, height, width) or four, with 1 or 3 channels first or last, are
    images: bytes become 0 to 1, and other numbers must lie there unless the schema states bounds.
    """
    asked = f"the arrays {path.name}"
    data = contents(path)
    arrays = read_arrays(data, asked)
    ready = set(_PARTS) <= set(arrays)
    if not ready and not {"x", "y"} <= set(arrays):
        raise Refused(asked, f"the arrays {', '.join(sorted(arrays))}", f"x and y, or {', '.join(_PARTS)}")
    ends = ("_train", "_test") if ready else ("",)
    x = _joined([arrays[f"x{e}"] for e in ends], f"{asked}, x")
    y, names = codes(_column(arrays, "y", ends, asked), classes, f"{asked}, y")
    inputs, found = shaped(x, asked, schema)
    if len(y) != len(inputs):
        raise Refused(asked, f"{len(inputs)} inputs and {len(y)} labels", "one label an input")
    sensitive = {g: group_names(_column(arrays, g, ends, asked)) for g in groups}
    if ready:
        held_out = np.arange(len(y)) >= len(arrays["y_train"])
        if not held_out.any() or held_out.all() or len(arrays["x_train"]) != len(arrays["y_train"]):
            raise Refused(asked, "an empty part, or one of unequal lengths", "inputs and as many labels in both parts")
    else:
        held_out = holdout((row.tobytes() for row in inputs), y, test, seed)
    fitted = _ranges(found, inputs[~held_out] if not held_out.all() else inputs, tuple(groups))
    whole = Split(inputs, y, fitted, names, name, sensitive)
    parts = whole[~held_out].named(f"{name}/train"), whole[held_out].named(f"{name}/test")
    return Dataset(name, *parts, card(path, data, len(y)))


def read_arrays(data: bytes, asked: str) -> dict[str, np.ndarray]:
    """The arrays of an NPZ file. Refused for pickled objects, damage, and more than 1 GiB once unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(member.file_size for member in archive.infolist())
            if size > LIMIT:
                raise Refused(asked, f"{size:,} bytes once unpacked", f"at most {LIMIT:,} bytes")
            return {m.filename.removesuffix(".npy"): _array(archive, m, asked) for m in archive.infolist()}
    except Refused:
        raise
    except Exception as error:  # zlib.error derives from Exception alone
        raise Refused(asked, f"not a readable NPZ file ({error})", "a file written by numpy.savez") from None


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, asked: str) -> np.ndarray:
    """One member, after its header was compared with its size: memory is taken for what is there, not for what is
    claimed."""
    with archive.open(member) as file:
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        version = np.lib.format.read_magic(file)
        shape, _, dtype = read.get(version, np.lib.format.read_array_header_2_0)(file)
        if dtype.hasobject:
            raise Refused(asked, f"{member.filename} holds Python objects (pickle)", "numbers or fixed-width text")
        if file.tell() + math.prod(shape) * dtype.itemsize != member.file_size:
            raise Refused(asked, f"{member.filename} is not as long as its header says", "the file as it was written")
    with archive.open(member) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    return np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array


def _joined(parts: Sequence[np.ndarray], asked: str) -> np.ndarray:
    if len({p.shape[1:] for p in parts}) != 1:
        raise Refused(asked, f"parts of shapes {', '.join(str(p.shape) for p in parts)}", "inputs of one shape")
    return np.concatenate(parts)


def _column(arrays: Mapping[str, np.ndarray], name: str, ends: Sequence[str], asked: str) -> pd.Series:
    """A one-axis array, or its two parts one after the other."""
    missing = [f"{name}{e}" for e in ends if f"{name}{e}" not in arrays]
    if missing:
        raise Refused(asked, f"no array {', '.join(missing)}", f"one of: {', '.join(sorted(arrays))}")
    parts = [arrays[f"{name}{e}"] for e in ends]
    if any(p.ndim != 1 or p.dtype.kind not in "biufU" for p in parts):
        given = f"shape {parts[0].shape}, type {parts[0].dtype}"
        raise Refused(f"{asked}, {name}", given, "one number or text an example: shape (n,)")
    return pd.Series(np.concatenate(parts), name=name)


def shaped(x: np.ndarray, asked: str, schema: Schema | None) -> tuple[np.ndarray, Schema]:
    """Inputs as float32 in the lab's order of axes, and what they are."""
    if x.dtype.kind not in "fiu":
        raise Refused(f"{asked}, x", f"type {x.dtype}", "numbers")
    if not len(x) or 0 in x.shape:
        raise Refused(f"{asked}, x", f"shape {x.shape}", "at least one input")
    if x.ndim not in (2, 3, 4):
        raise Refused(
            f"{asked}, x", f"shape {x.shape}", "(n, features), (n, height, width) or (n, channels, height, width)"
        )
    if x.size * 4 > LIMIT:
        raise Refused(f"{asked}, x", f"{x.size * 4:,} bytes as float32", f"at most {LIMIT:,} bytes")
    with np.errstate(over="ignore"):
        values = x.astype(np.float32)
    if not np.isfinite(values).all():
        row = np.flatnonzero(~np.isfinite(values.reshape(len(x), -1)).all(1))[0]
        raise Refused(f"{asked}, x", f"values that are missing or not finite (first in row {row})", "finite numbers")
    if x.ndim == 2:
        found = Schema("tabular", "the label", x.shape[1:])
    else:
        values = values[:, None] if x.ndim == 3 else _channels_first(values, asked)
        found = Schema("image", "the label", values.shape[1:], bounds=(0.0, 1.0))
    if schema is not None:
        if (schema.modality, schema.shape) != (found.modality, found.shape):
            given = f"{found.modality} inputs of shape {found.shape}"
            raise Refused(asked, given, f"those of the schema: {schema.modality}, {schema.shape}")
        found = schema
    if x.dtype == np.uint8 and found.bounds == (0.0, 1.0):
        values /= 255
    _check_codes(values, found, asked)
    if found.bounds and not found.bounds[0] <= values.min() <= values.max() <= found.bounds[1]:
        raise Refused(
            f"{asked}, x",
            f"values from {values.min():g} to {values.max():g}, outside {found.bounds[0]:g} to {found.bounds[1]:g}",
            "uint8 images, floats from 0 to 1, or a schema that states their bounds",
        )
    return values, found


def _check_codes(values: np.ndarray, schema: Schema, asked: str) -> None:
    """Refuse a categorical column whose numbers are no codes into its categories."""
    for i, feature in enumerate(schema.features):
        if feature.kind == "categorical" and not np.isin(values[:, i], np.arange(len(feature.categories))).all():
            given = f"{feature.name} with values from {values[:, i].min():g} to {values[:, i].max():g}"
            raise Refused(f"{asked}, x", given, f"codes from 0 to {len(feature.categories) - 1}")


def _channels_first(values: np.ndarray, asked: str) -> np.ndarray:
    if values.shape[1] in _CHANNELS:
        return values
    if values.shape[3] in _CHANNELS:
        return values.transpose(0, 3, 1, 2)
    raise Refused(f"{asked}, x", f"shape {values.shape}", "images of 1 or 3 channels, as the second or the last axis")


def _ranges(schema: Schema, x: np.ndarray, groups: tuple[str, ...]) -> Schema:
    """The schema with its groups, and for a table with a feature a column and its range in training."""
    features = schema.features
    if schema.modality == "tabular" and not features:
        low, high = x.min(0), x.max(0)
        features = tuple(Feature(f"x{i}", "numeric", float(low[i]), float(high[i])) for i in range(x.shape[1]))
    return replace(schema, features=features, groups=groups)
