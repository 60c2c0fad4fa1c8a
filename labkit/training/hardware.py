"""What training runs on, in words, and what that hardware does well."""

from __future__ import annotations

import platform
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from labkit.training import distributed


def in_words(device: torch.device) -> str:
    """The hardware for a card, without the name of the machine."""
    processes = distributed.world()
    if device.type == "cuda":
        return f"{processes} GPU{'s' if processes > 1 else ''} ({torch.cuda.get_device_name(device)})"
    threads = torch.get_num_threads()
    several = f"{processes} processes of " if processes > 1 else ""
    return f"CPU, {several}{threads} thread{'s' if threads > 1 else ''} ({_cpu_name()})"


def computes_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 products run natively, so that autocast is faster and not slower."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = _cpu_info("flags").split()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def autocast(device: torch.device, wanted: bool) -> AbstractContextManager[object]:
    """bfloat16 autocast when wanted and native, else nothing."""
    if wanted and computes_bfloat16(device):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def _cpu_name() -> str:
    return _cpu_info("model name") or platform.processor() or platform.machine()


def _cpu_info(key: str) -> str:
    """A field of Linux's description of the first core; empty elsewhere."""
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.is_file() else ():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""
