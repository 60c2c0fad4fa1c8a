"""Small audits for the tests of reports: an honest one, and one with a payload in every field that holds text."""

from __future__ import annotations

import json
import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import torch
from torch import nn

import labkit as lk
from labkit.data.schema import Feature, Schema
from labkit.data.split import Dataset, Split
from labkit.report import plan as plans
from labkit.report.plan import Plan

MARK = "window.__payload=1"
IMAGE = f'<img src=x onerror="{MARK}">'
BREAK = f"</script></style></title><script>{MARK}</script>"
QUOTE = f"\" onmouseover='{MARK}' x=\""
LINK = f"javascript:{MARK}"
FORMULA = '=HYPERLINK("http://attacker.example")'
OUTSIDE = "../../outside"
STEPS: list[dict[str, Any]] = [
    {"id": "accuracy", "section": "performance", "question": "How often right?", "analysis": "predict"},
    {
        "id": "groups",
        "section": "groups",
        "question": "For whom?",
        "analysis": "audit_groups",
        "options": {"metrics": ["selection_rate", "accuracy"], "positive": 1},
    },
    {"id": "gap", "section": "generalization", "question": "Memorized?", "analysis": "generalization_gap"},
    {
        "id": "saliency",
        "section": "explanation",
        "question": "What is used?",
        "analysis": "explain",
        "rows": 3,
        "options": {"method": "saliency"},
    },
    {"id": "baselines", "section": "performance", "question": "Better than what can be read?", "analysis": "baselines"},
]


def plan(**changes: Any) -> Plan:
    """A plan of a second or two."""
    raw = {
        "schema": "labkit.plan/1",
        "name": "small",
        "step": STEPS,
        "criterion": [{"check": "four_fifths", "why": "a rule of thumb", "thresholds": {"ratio": 0.8}}],
        "outside": [{"what": "the weather", "why": "nobody asked"}],
    }
    return plans.parse(tomli_w.dumps({**raw, **changes}))


# The day, and what the audit cost: all that differs between two runs.
STAMP = re.compile(r'<time datetime="[^"]*">[^<]*</time>|<section id="cost".*?</section>', re.DOTALL)


def lasting(folder: Path) -> dict[str, bytes]:
    """What must not differ between two runs: everything but times.json, and the manifest that digests it."""
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    files["index.html"] = STAMP.sub("", files["index.html"].decode()).encode()
    return {name: data for name, data in files.items() if name not in ("times.json", "manifest.json")}


def shortened(name: str, ids: tuple[str, ...], folder: Path) -> Path:
    """One of labkit's own plans with these steps alone, as a file."""
    raw = tomllib.loads(plans.load(name).text)
    path = folder / "short.toml"
    path.write_text(tomli_w.dumps({**raw, "step": [s for s in raw["step"] if s["id"] in ids]}))
    return path


def people(n: int) -> Dataset:
    """Three numbers a person, of which the first decides, and two groups."""
    names = ("age", "hours", "debt")
    return table(n, names, ("no", "yes"), {"sex": ("women", "men")}, "people")


def table(
    n: int, columns: tuple[str, ...], classes: tuple[str, str], groups: dict[str, tuple[str, str]], name: str
) -> Dataset:
    schema = Schema("tabular", "what", (3,), features=tuple(Feature(c, "numeric", 0.0, 1.0) for c in columns))

    def part(seed: int, role: str) -> Split:
        rng = np.random.default_rng(seed)
        x = rng.uniform(size=(n, 3)).astype(np.float32)
        y = (x[:, 0] + 0.1 * rng.normal(size=n) > 0.5).astype(np.int64)
        member = {g: np.array(v)[(x[:, 1] > 0.5).astype(int)] for g, v in groups.items()}
        return Split(x, y, schema, classes, f"{name}/{role}", member)

    return Dataset(name, part(0, "train"), part(1, "test"))


def first_column(classes: tuple[str, str], name: str) -> Any:
    """A linear model that looks at the first number alone."""
    module = nn.Linear(3, 2)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[-8.0, 0, 0], [8.0, 0, 0]]))
        module.bias.copy_(torch.tensor([4.0, -4.0]))
    return lk.wrap(module, classes=classes, name=name)


class Words(nn.Module):
    """The mean of word vectors, and one linear layer."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, 4)
        self.out = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.words(x).mean(1))


def sentences(words: tuple[str, ...], classes: tuple[str, str], name: str) -> Dataset:
    schema = Schema("text", "what", (5,), vocabulary=("", "(unknown)", *words))

    def part(seed: int, role: str) -> Split:
        rng = np.random.default_rng(seed)
        x = rng.integers(2, 2 + len(words), (60, 5))
        texts = tuple(" ".join(schema.show(row)) for row in x)
        return Split(x, rng.integers(0, 2, 60), schema, classes, f"{name}/{role}", texts=texts)

    return Dataset(name, part(0, "train"), part(1, "test"))


def hostile(out: Any) -> Any:
    """A report in which every name, text and reason tries to run something, to be a formula, or to leave the folder."""
    about = {k: IMAGE + BREAK for k in ("purpose", "users", "limits", "owner", "assessor", "independent")}
    steps = [{**step, "question": step["question"] + IMAGE + BREAK} for step in STEPS]
    made = plan(
        name=BREAK + IMAGE,
        set_by=IMAGE,
        about=about,
        step=steps,
        criterion=[{"check": "four_fifths", "why": BREAK + IMAGE + LINK}],
        outside=[{"what": IMAGE + LINK, "why": BREAK}],
    )
    classes = (IMAGE + "a", BREAK + "b")
    columns = (FORMULA, IMAGE, BREAK + QUOTE)
    groups = {IMAGE + QUOTE: (BREAK, FORMULA), FORMULA: (IMAGE, OUTSIDE)}
    data = table(300, columns, classes, groups, OUTSIDE + IMAGE)
    model = first_column(classes, OUTSIDE + BREAK + IMAGE + QUOTE)
    lk.audit(model, data, made, out)
    return out


def hostile_text(out: Any) -> Any:
    """The same for a model of texts, whose words are payloads."""
    classes = (IMAGE + "a", BREAK + "b")
    data = sentences((IMAGE, BREAK, QUOTE, FORMULA, LINK), classes, IMAGE)
    torch.manual_seed(0)
    model = lk.wrap(Words(7), classes=classes, embedding="words", name=BREAK)
    lk.audit(model, data, plan(), out)
    return out


class Strict(HTMLParser):
    """Collects what a report must not hold."""

    FORBIDDEN = frozenset({"script", "iframe", "object", "embed", "form", "base", "link", "img", "audio", "video"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in self.FORBIDDEN:
            self.found.append(f"<{tag}>")
        for key, value in attrs:
            text = (value or "").strip().lower()
            if key.startswith("on") or text.startswith(("javascript:", "vbscript:")):
                self.found.append(f"{tag} {key}")
            if key in ("src", "href", "xlink:href", "action", "data") and not text.startswith(("#", "data:image/png;")):
                self.found.append(f"{tag} {key}={text[:40]}")


def documents(folder: Any) -> dict[str, Any]:
    """Every piece of evidence by its path."""
    found = sorted((folder / "evidence").rglob("*.json"))
    return {p.relative_to(folder).as_posix(): json.loads(p.read_text("utf-8")) for p in found}
