"""How often each check accuses a sound explanation or a sound robustness curve, and how often it catches a fault.

``python -m benchmarks false_alarms [--of explanations robustness shifts generalization] [--half report] [--models 200]
[--faulty 40] [--attacked 160] [--runs 400] [--write docs/false_alarms.md]``

The rules of the checks were set while looking at the half "design" alone; the page tells of the half "report". Of the
page only the parts asked for with ``--of`` are written anew.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

import labkit as lk
from benchmarks import _alarms_in_generalization as in_generalization
from benchmarks._alarms_under_attack import Case, cases, shifted_cases
from benchmarks._false_alarms_in_generalization import page_of_generalization
from benchmarks._false_alarms_page import page, put
from benchmarks._false_alarms_under_attack import page_under_attack, page_under_shift
from benchmarks._sound_models import Family, Sound, families, trained
from labkit.checks import applies_to
from labkit.core import registry
from labkit.core.draws import Draws
from labkit.models.classifier import Classifier
from labkit.records.explain import Explanation

EXAMPLES = 12
HALVES = {"design": 0, "report": 2_000_000}  # where the seeds of a half begin
# Checks that read one method alone are also asked of every model, without the other evidence.
ALONE: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "lrp": (("conservation",), ()),
    "kernel_shap": (("completeness", "stability"), ("seed_stability",)),
}
ORDER = ("does_not_meet", "inconclusive", "meets", "info", "not_measured", "not_applicable")
UNJUDGED = {"baseline_stability"}  # says, but passes no verdict
FAULTS = (
    "a random map",
    "a copy of the input",
    "the input's edges",
    "the map of another model",
    "values a fifth too large",
)

Found = Mapping[str, str]


def main() -> None:
    """Train the models, explain or attack them, count, and print or write the page."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--of", nargs="+", choices=PARTS, default=list(PARTS))
    options.add_argument("--half", choices=HALVES, default="report")
    options.add_argument("--models", type=int, default=200)
    options.add_argument("--faulty", type=int, default=40)
    options.add_argument("--attacked", type=int, default=160)
    options.add_argument("--runs", type=int, default=400)
    options.add_argument("--write", type=Path)
    asked, _ = options.parse_known_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name in asked.of:
        for text in PARTS[name](asked):
            if asked.write:
                put(asked.write, text)
        print(text)


def explanations(asked: argparse.Namespace) -> Iterator[str]:
    """The page's part on explanations."""
    began, results, told = time.perf_counter(), Results(), 0.0
    for family, seeds in shared_out(asked.models, HALVES[asked.half]):
        faulty = round(asked.faulty * family.share)
        for found in judged(family, seeds, faulty):
            results.add(*found)
            if time.perf_counter() - told > 60:
                told = time.perf_counter()
                print(f"{len(results.accuracy)} models, {told - began:.0f} s", flush=True)
    yield page(results, checks(), asked.half, EXAMPLES)


def robustness(asked: argparse.Namespace) -> Iterator[str]:
    """The page's part on robustness, again after every tenth model: there are hours in it."""
    began, judged_so_far = time.perf_counter(), list[Case]()
    for each in cases(asked.attacked, HALVES[asked.half]):
        judged_so_far.append(each)
        for says in each.says:
            print(f"{each.attacked.model.name}: {says}", flush=True)
        if len(judged_so_far) % 10 == 0:
            print(f"{len(judged_so_far)} models, {time.perf_counter() - began:.0f} s", flush=True)
            yield page_under_attack(judged_so_far, asked.half)
    yield page_under_attack(judged_so_far, asked.half)


def shifts(asked: argparse.Namespace) -> Iterator[str]:
    """The page's part on natural shifts alone, on seeds of its own: no attack, so many models in little time."""
    yield page_under_shift(list(shifted_cases(asked.attacked, HALVES[asked.half] + 1_000_000)), asked.half)


def generalization(asked: argparse.Namespace) -> Iterator[str]:
    """The page's part on what models know and remember, again after every twentieth run."""
    began, told = time.perf_counter(), list[in_generalization.Told]()
    for run, found in in_generalization.cases(asked.runs, HALVES[asked.half] + 700_000, ORDER):
        if found[0].twin == in_generalization.TWINS[0].name and run % 20 == 0 and told:
            print(f"{run} runs, {time.perf_counter() - began:.0f} s", flush=True)
            yield page_of_generalization(told, asked.half)
        told += found
        for text in (text for each in found for text in each.says):
            print(f"run {run}, {found[0].twin}: {text}", flush=True)
    yield page_of_generalization(told, asked.half)


PARTS: dict[str, Callable[[argparse.Namespace], Iterator[str]]] = {
    "explanations": explanations,
    "robustness": robustness,
    "shifts": shifts,
    "generalization": generalization,
}


class Results:
    """What every check said of every case."""

    def __init__(self) -> None:
        self.accuracy: dict[tuple[str, int], float] = {}
        self.sound: list[Found] = []
        self.faulty: dict[str, list[Found]] = {}
        self.alarms: list[str] = []
        self.methods: Counter[str] = Counter()

    def add(self, family: str, number: int, accuracy: float, case: str, found: Found, says: list[str]) -> None:
        """One explanation: of a sound ``case`` (a method's name) or of a fault."""
        self.accuracy[family, number] = accuracy
        if case in FAULTS:
            self.faulty.setdefault(case, []).append(found)
            return
        self.sound.append(found)
        self.methods[case] += 1
        for text in says:
            self.alarms.append(f"{family} {number}, {case}: {text}")
            print(self.alarms[-1], flush=True)


def checks() -> list[str]:
    """The checks that read an Explanation."""
    return [name for name in lk.names("checks") if applies_to(registry.find("checks", name)) is Explanation]


def shared_out(models: int, first: int) -> Iterator[tuple[Family, list[int]]]:
    """Each family with the seeds of its models."""
    for family in families():
        yield family, [first + i for i in range(max(family.least if models > 50 else 1, round(models * family.share)))]


def judged(family: Family, seeds: list[int], faulty: int) -> Iterator[tuple[str, int, float, str, Found, list[str]]]:
    """One sound explanation of each model with all evidence, the methods taking turns; of the first ``faulty`` models
    every fault too; and what only some methods are asked, of every model."""
    before: Sound | None = None
    for number, (sound, seed) in enumerate(zip(trained(family, seeds), seeds)):
        about = family.name, number, sound.accuracy
        turn = family.methods[number % len(family.methods)]
        try:
            found = verdicts(sound, turn, seed)
        except lk.Refused:  # a method that this architecture is not for
            turn = family.methods[0]
            found = verdicts(sound, turn, seed)
        yield *about, turn, *found
        if before and number <= faulty:
            for name, fault in faults(before.model).items():
                yield *about, name, *verdicts(sound, fault, seed)
        for method, (asked, evidence) in ALONE.items():
            if method in family.methods and method != turn:
                try:
                    found = verdicts(sound, method, seed, evidence, asked)
                except lk.Refused:
                    continue
                yield *about, method, *found
        before = sound


def verdicts(
    sound: Sound, method: Any, seed: int, evidence: Iterable[str] | None = None, asked: tuple[str, ...] = ()
) -> tuple[Found, list[str]]:
    """The worst that each of the checks asked says, and its accusations in words."""
    draw = np.random.default_rng(seed)
    rows = np.sort(draw.permutation(len(sound.test))[:EXAMPLES])
    background = sound.train[np.sort(draw.permutation(len(sound.train))[:100])]
    if evidence is None:
        evidence = [name for name in lk.names("faithfulness") if name not in UNJUDGED]
    record = lk.explain(sound.model, sound.test[rows], method, seed=seed, evidence=evidence, background=background)
    asked = asked or tuple(checks())
    findings = lk.check(record, only=asked)
    worst = {
        name: min((f.status for f in findings if f.check == name), key=ORDER.index, default=ORDER[-1]) for name in asked
    }
    worst["withheld"] = "does_not_meet" if record.status == "not_measured" else "meets"
    return worst, [str(f) for f in findings if f.status == "does_not_meet"]


def faults(other: Classifier) -> dict[str, Callable[..., Any]]:
    """Explanations that explain nothing, or something else."""
    whole = registry.find("attributions", "integrated_gradients")

    def random_map(x: Tensor, generator: Draws) -> Tensor:
        return torch.from_numpy(generator.normal(*x.shape[1:]))

    def input_copy(model: Classifier, x: Tensor, baseline: Tensor) -> Tensor:
        moved = (model.relax(x)[0] - model.relax(baseline)[0]).abs()
        return moved if moved.shape == x.shape else moved.sum(-1)

    def edges(model: Classifier, x: Tensor) -> Tensor:
        seen = model.relax(x)[0]
        step = torch.diff(seen, dim=x.ndim - 1, prepend=seen.narrow(x.ndim - 1, 0, 1)).abs()
        return step if step.shape == x.shape else step.sum(-1)

    def other_model(x: Tensor, target: Tensor, baseline: Tensor, batch_size: int) -> Tensor:
        return _values(whole(other, x, target, baseline, batch_size))

    def does_not_add_up(
        model: Classifier, x: Tensor, target: Tensor, baseline: Tensor, batch_size: int
    ) -> Annotated[Tensor, "complete", "relaxed"]:
        return 1.2 * _values(whole(model, x, target, baseline, batch_size))

    return dict(zip(FAULTS, (random_map, input_copy, edges, other_model, does_not_add_up), strict=True))


def _values(found: Any) -> Tensor:
    return found[0] if isinstance(found, tuple) else found
