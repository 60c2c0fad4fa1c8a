"""The idx format of MNIST-like files: a magic number, the axes' lengths, then bytes. No pickle."""

from __future__ import annotations

import numpy as np

from labkit.core.refused import Refused


def read_idx(data: bytes, name: str) -> np.ndarray:
    """The uint8 array of an idx file. Raises Refused when the header and the length do not fit."""
    asked = f"the idx file {name}"
    if data[:3] != b"\x00\x00\x08" or len(data) < 4 or len(data) < 4 + 4 * data[3]:
        raise Refused(asked, "a header that is not that of unsigned bytes", "an idx file of type 0x08")
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", data[3], 4))
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * data[3])
    if values.size != int(np.prod(shape, dtype=np.int64)):
        raise Refused(asked, f"{values.size} values where its header says {shape}", "a whole file")
    return values.reshape(shape)
