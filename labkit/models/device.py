"""Where a model runs."""

from __future__ import annotations

import torch

from labkit.core.refused import Refused


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on whatever device."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def pick(device: str | torch.device) -> torch.device:
    """The device by name; "auto" takes CUDA when there is one. Raises Refused for one that is not here."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(1, device=device).device
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise Refused(f"the device {device!r}", reason, "device='auto', 'cpu', or 'cuda' where there is one") from None
