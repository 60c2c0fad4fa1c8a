"""Many models over several processes or machines, through Ray (extra ``ray``).

The models are cut into shards, each a task of its own. A model's weights follow from its seed alone, so that neither the
number of shards nor a worker that dies and whose shard is run again changes what comes out (of nets with dropout, the number
of shards does: ``labkit.training.many``).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labkit.core import progress
from labkit.core.cost import DONE
from labkit.core.refused import Refused
from labkit.models.work import flops
from labkit.training.costs import Costs
from labkit.training.many.fitting import DEFAULT, Fit, as_tensor
from labkit.training.many.parts import Make
from labkit.training.many.together import Many, fit_many

SHARDS = 4  # a worker, so that one that is slow or dies holds up little
RETRIES = 3  # of a shard whose worker died


def fit_sharded(
    make: Make,
    x: np.ndarray,
    y: np.ndarray,
    chosen: np.ndarray,
    *,
    fit: Fit = DEFAULT,
    seeds: Sequence[int] | None = None,
    device: str = "auto",
    memory: int = 2**30,
    checkpoint: str | Path | None = None,
    title: str = "training models",
    watch: tuple[np.ndarray, np.ndarray] | None = None,
    workers: int = 2,
) -> Many:
    """As ``fit_many``, by several workers: those of the Ray cluster that this process has joined, else of this machine.

    Args:
        device: of each worker; "cuda" gives each a GPU of its own.
        memory: bytes that a stack may take in each worker.
        checkpoint: a folder that all workers see; a shard that died goes on from its file there, and without a folder
            begins again.
        workers: how many work at once on this machine; of a cluster, how many the shards are cut for.

    Raises:
        Refused: Ray is not installed, a shard whose workers die again and again, or as ``fit_many``.
    """
    chosen = np.asarray(chosen)
    if workers < 1:
        raise Refused(title, f"{workers} workers", "1 or more")
    if chosen.ndim != 2 or not len(chosen):
        return fit_many(make, x, y, chosen, fit=fit, title=title)  # which says what is wrong
    seeds = list(range(len(chosen)) if seeds is None else seeds)
    if len(seeds) != len(chosen):
        raise Refused(title, f"{len(seeds)} seeds for {len(chosen)} models", "one a model")
    # models of equally many rows side by side, so that a shard's share a stack
    order = np.argsort(chosen.sum(1), kind="stable")
    shards = [s for s in np.array_split(order, min(len(order), SHARDS * workers)) if len(s)]
    folder = None if checkpoint is None else Path(checkpoint).absolute()
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    ray, own = _joined(title, workers)
    try:
        # what all shards need goes to each machine once
        shared = ray.put((make, np.asarray(x), np.asarray(y), watch))
        settings = {"fit": fit, "device": device, "memory": memory, "title": title}
        task = ray.remote(_shard).options(max_retries=RETRIES, num_cpus=1, num_gpus=int(device == "cuda"))
        names = [None if folder is None else str(folder / f"shard-{i}-of-{len(shards)}") for i in range(len(shards))]
        waiting = [
            task.remote(shared, chosen[s], _own(y, chosen, s), [int(seeds[i]) for i in s], name, settings)
            for s, name in zip(shards, names)
        ]
        many = _together(shards, _results(ray, waiting, title))
        DONE.add(
            many.costs.forwards, many.costs.backwards, flops(many.pattern, as_tensor(np.asarray(x)[:8], many.device))
        )
        return many
    finally:
        if own:
            ray.shutdown()


def _joined(title: str, workers: int) -> tuple[Any, bool]:
    """Ray, and whether it was started here: on this machine alone, without a dashboard or reports of use. The machines of
    a cluster must be able to import what the modules are made of."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise Refused(title, "workers without Ray", 'pip install "labkit[ray]", or fit_many') from None
    own = not ray.is_initialized()
    if own:
        found = {"env_vars": {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}}  # workers import what we can
        quiet: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "configure_logging": False}
        ray.init(num_cpus=workers, runtime_env=found, _node_ip_address="127.0.0.1", **quiet)
    return ray, own


def _own(y: np.ndarray, chosen: np.ndarray, shard: np.ndarray) -> np.ndarray | None:
    """The labels of a shard's models, where each model has its own."""
    return np.asarray(y)[shard] if np.asarray(y).shape == chosen.shape else None


def _shard(
    shared: Any, chosen: np.ndarray, own: np.ndarray | None, seeds: list[int], checkpoint: str | None, settings: Any
) -> Any:
    """In a worker: train a shard's models. A refusal is handed back, since trying again would not help."""
    make, x, y, watch = shared
    try:
        many = fit_many(
            make, x, y if own is None else own, chosen, seeds=seeds, checkpoint=checkpoint, watch=watch, **settings
        )
    except Refused as refusal:
        return refusal.args
    states = {k: v.numpy() for k, v in many.states.items()}
    told = {"together": many.together, "device": many.device.type, "memory": many.memory}
    return many.pattern.cpu(), states, many.curves, many.costs.told(), many.seconds, told


def _results(ray: Any, waiting: list[Any], title: str) -> list[Any]:
    """What the shards gave, in their order; listeners hear of each that ends."""
    left, total = list(waiting), len(waiting)
    while left:
        ended, left = ray.wait(left, num_returns=1)
        try:
            given = ray.get(ended[0])
        except ray.exceptions.RayError as error:
            reason = f"a shard that failed {RETRIES + 1} times or could not run ({str(error).splitlines()[0]:.200})"
            raise Refused(title, reason, "fewer models a worker, or fit_many without workers") from None
        if len(given) == 3:
            raise Refused(*given)
        progress.step(title, total - len(left), total)
    return ray.get(waiting)


def _together(shards: list[np.ndarray], results: list[Any]) -> Many:
    """The shards' models in the order asked for. Passes and seconds add up; memory is the greatest of a worker."""
    places = np.argsort(np.concatenate(shards))
    states = {k: torch.from_numpy(np.concatenate([r[1][k] for r in results])[places]) for k in results[0][1]}
    curves = {k: np.concatenate([r[2][k] for r in results])[places] for k in results[0][2]}
    told = results[0][5]
    where = torch.device(told["device"] if told["device"] == "cpu" or torch.cuda.is_available() else "cpu")
    costs = Costs(where)
    costs.forwards, costs.backwards = (sum(r[3][k] for r in results) for k in ("forwards", "backwards"))
    costs.peak_memory = max(r[3]["peak_memory"] for r in results)
    pattern = results[0][0].to(where)
    return Many(pattern, states, curves, costs, sum(r[4] for r in results), told["together"], where, told["memory"])
