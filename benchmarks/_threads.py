"""The same comparison on one thread and on all."""

from __future__ import annotations

from collections.abc import Callable

import torch


def one_and_all(compare: Callable[[], None]) -> None:
    """Run it with one thread of torch, then with as many as there were."""
    every = torch.get_num_threads()
    try:
        for threads in sorted({1, every}):
            torch.set_num_threads(threads)
            compare()
    finally:
        torch.set_num_threads(every)
