"""Draw docs/picture.svg, the picture of the README, from committed results. Nothing in it is typed by hand.

    python docs/picture.py

The colors follow the reader's choice of a light or dark page, and the card has a background of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "picture.svg"
WIDTH, HEIGHT = 880, 392

# The cases of experiments/benchmark that are shown: model, text, length -> label. All of them are in bfloat16.
CASES = {
    ("small", "sentences", 128): "BERT-mini, sentences",
    ("small", "full", 128): "BERT-mini, no padding",
    ("base", "sentences", 128): "BERT-base, sentences",
    ("base", "full", 128): "BERT-base, no padding",
}
COMMAND = "BERT-mini, whole run"
# A recipe -> its color on a light page and on a dark page, and what a reader has to know about its curve.
RECIPES = {
    "bert": ("#2563eb", "#6ea8ff", ""),
    "albert": ("#0d9488", "#2dd4bf", ""),
    "roberta": ("#b45309", "#f5b041", ""),
    "spanbert": ("#7c3aed", "#b197fc", ""),
    "electra": ("#be185d", "#f783ac", "generator"),
    "distilbert": ("#4d7c0f", "#a3d65c", "from bert"),
    "modernbert": ("#dc2626", "#ff7b72", ""),
    "cramming": ("#64748b", "#9aa8ba", ""),
}
LIGHT = {"card": "#ffffff", "edge": "#d0d7de", "ink": "#1f2328", "soft": "#59636e", "grid": "#e4e8ec",
         "ours": "#2563eb", "theirs": "#a3abb4", "band": "#dfe4ea"}  # fmt: skip
DARK = {"card": "#0d1117", "edge": "#3d444d", "ink": "#f0f6fc", "soft": "#9198a1", "grid": "#262c34",
        "ours": "#6ea8ff", "theirs": "#7d8590", "band": "#2b333d"}  # fmt: skip


def picture() -> str:
    """Return the whole picture as SVG."""
    benchmark = json.loads((ROOT / "experiments/benchmark/results.json").read_text(encoding="utf-8"))
    variants = json.loads((ROOT / "experiments/variants/results.json").read_text(encoding="utf-8"))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'role="img" aria-labelledby="title">',
        f'<title id="title">{_title(benchmark, variants)}</title>',
        f"<style>{_style()}</style>",
        f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="10"/>',
        *_speed(benchmark),
        f'<line class="grid" x1="436" y1="30" x2="436" y2="{HEIGHT - 30}"/>',
        *_curves(variants),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _title(benchmark: dict[str, Any], variants: dict[str, Any]) -> str:
    """Return the text for readers who do not see the picture."""
    ratios = [f"{label} {ratio:.1f}" for label, ratio, _ in _ratios(benchmark)]
    losses = [f"{name} {loss:.2f}" for name, loss in _last_losses(variants).items()]
    return (
        f"Left: tokens per second of training, as a multiple of transformers': {', '.join(ratios)}. "
        f"Right: validation losses of masked tokens after 600 steps: {', '.join(losses)}."
    )


def _style() -> str:
    """Return the style sheet, with the colors of both pages."""
    colors = {**LIGHT, **{name: light for name, (light, _, _) in RECIPES.items()}}
    dark = {**DARK, **{name: dark for name, (_, dark, _) in RECIPES.items()}}
    rules = [
        ":root{" + "".join(f"--{name}:{color};" for name, color in colors.items()) + "}",
        "@media (prefers-color-scheme:dark){:root{" + "".join(f"--{n}:{c};" for n, c in dark.items()) + "}}",
        "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;fill:var(--ink)}",
        ".head{font-size:16px;font-weight:600}.text{font-size:13px}.soft{font-size:12px;fill:var(--soft)}",
        ".value{font-size:14px;font-weight:600}.right{text-anchor:end}.middle{text-anchor:middle}",
        ".card{fill:var(--card);stroke:var(--edge)}.grid{stroke:var(--grid)}.band{fill:var(--band)}",
        ".ours{fill:var(--ours)}.theirs{fill:var(--theirs)}.curve{fill:none;stroke-width:2;stroke-linejoin:round}",
        ".lead{fill:none;stroke-width:1;opacity:.7}",
        *(f".{name}{{stroke:var(--{name})}}.dot.{name}{{fill:var(--{name});stroke:none}}" for name in RECIPES),
    ]
    return "".join(rules)


def _ratios(benchmark: dict[str, Any]) -> Iterator[tuple[str, float, tuple[float, float]]]:
    """Yield label, ratio, and the rates of both sides, for each case and for the whole command."""
    steps = {(c["model"], c["text"], c["length"]): c for c in benchmark["steps"]
             if c["work"] == "pretrain" and c["precision"] == "bf16"}  # fmt: skip
    for label, found in [*((label, steps[case]) for case, label in CASES.items()), (COMMAND, benchmark["command"])]:
        rates = found["tokens_per_second"]
        yield label, found["ratio"], (rates["ours"], rates["theirs"])


def _speed(benchmark: dict[str, Any]) -> Iterator[str]:
    """Yield the left half: a bar for each ratio, and beneath it the bar of transformers, which is 1."""
    left, zero, unit, top, step = 28, 198, 12.2, 96, 50
    yield f'<text class="head" x="{left}" y="42">Training on a CPU beside transformers</text>'
    where = f"{benchmark['threads']} cores of an {benchmark['processor']}, bfloat16"
    yield f'<text class="soft" x="{left}" y="62">real tokens per second; {where}</text>'
    for number, (label, ratio, (ours, theirs)) in enumerate(_ratios(benchmark)):
        y, end = top + step * number, zero + unit * ratio
        yield f'<text class="text" x="{left}" y="{y + 12}">{label}</text>'
        yield f'<text class="soft" x="{left}" y="{y + 28}">{ours:,.0f} and {theirs:,.0f}</text>'
        yield f'<rect class="ours" x="{zero}" y="{y}" width="{end - zero:.1f}" height="18" rx="2"/>'
        yield f'<rect class="theirs" x="{zero}" y="{y + 20}" width="{unit:.1f}" height="8" rx="2"/>'
        yield f'<text class="value" x="{end + 7:.1f}" y="{y + 14}">{ratio:.1f} &#215;</text>'
    for x, side, name in ((left, "ours", "bert-lightning"), (left + 130, "theirs", "transformers")):
        yield f'<rect class="{side}" x="{x}" y="{HEIGHT - 34}" width="14" height="10" rx="2"/>'
        yield f'<text class="soft" x="{x + 20}" y="{HEIGHT - 25}">{name}</text>'


def _losses(found: dict[str, Any]) -> dict[int, float]:
    """Return step -> validation loss of masked tokens; ELECTRA's are those of its generator."""
    curves = found["curves"]
    name = "val/mlm/loss" if "val/mlm/loss" in curves else "val/generator/loss"
    return {int(step) + 1: loss for step, loss in curves[name].items()}


def _last_losses(variants: dict[str, Any]) -> dict[str, float]:
    """Return recipe -> its last loss, the lowest first."""
    last = {name: list(_losses(variants[name]).values())[-1] for name in RECIPES}
    return dict(sorted(last.items(), key=lambda item: item[1]))


def _curves(variants: dict[str, Any]) -> Iterator[str]:
    """Yield the right half: a curve for each recipe, with its name at the end."""
    left, right, top, bottom = 500, 700, 90, 322
    low, high, first, last = 5.0, 7.0, 100, 600

    def x(step: float) -> float:
        return left + (right - left) * (step - first) / (last - first)

    def y(loss: float) -> float:
        return bottom - (bottom - top) * (loss - low) / (high - low)

    yield '<text class="head" x="464" y="42">Eight recipes, one option apart</text>'
    yield '<text class="soft" x="464" y="62">validation loss of masked tokens, in nats; one seed</text>'
    unigram = [variants[name]["baselines"]["mlm/loss"] for name in RECIPES]
    band = y(max(unigram)), y(min(unigram))
    yield f'<rect class="band" x="{left}" y="{band[0]:.1f}" width="{right - left}" height="{band[1] - band[0]:.1f}"/>'
    for tick in (5.0, 5.5, 6.0, 6.5, 7.0):
        yield f'<line class="grid" x1="{left}" y1="{y(tick):.1f}" x2="{right}" y2="{y(tick):.1f}"/>'
        yield f'<text class="soft right" x="{left - 8}" y="{y(tick) + 4:.1f}">{tick:.1f}</text>'
    for step, text in ((100, "100"), (200, "200"), (300, "300"), (400, "400"), (500, "500"), (600, "600 steps")):
        place = "" if step == last else " middle"
        yield f'<text class="soft{place}" x="{x(step) - 11 * (step == last):.1f}" y="{bottom + 19}">{text}</text>'
    yield f'<rect class="band" x="464" y="{HEIGHT - 34}" width="14" height="10"/>'
    yield f'<text class="soft" x="484" y="{HEIGHT - 25}">predicting every token by its frequency</text>'
    ends = _last_losses(variants)
    for name, height in zip(ends, _spread([y(loss) for loss in ends.values()], 19), strict=True):
        points = [(x(step), y(loss)) for step, loss in _losses(variants[name]).items()]
        yield f'<polyline class="curve {name}" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in points)}"/>'
        yield f'<circle class="dot {name}" cx="{points[-1][0]:.1f}" cy="{points[-1][1]:.1f}" r="3"/>'
        ahead = f"{right + 4},{points[-1][1]:.1f} {right + 12},{height:.1f} {right + 17},{height:.1f}"
        yield f'<polyline class="lead {name}" points="{ahead}"/>'
        note = RECIPES[name][2]
        small = f'<tspan class="soft"> {note}</tspan>' if note else ""
        yield f'<text class="text" x="{right + 21}" y="{height + 4.5:.1f}">{name}{small}</text>'


def _spread(heights: list[float], least: float) -> list[float]:
    """Return the heights of labels, which fall from label to label by at least `least`, near the given heights."""
    found = list(heights)
    for _ in range(200):
        for above in range(1, len(found)):
            overlap = least - (found[above - 1] - found[above])
            if overlap > 0:
                found[above - 1] += overlap / 2
                found[above] -= overlap / 2
    return found


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
    print(PICTURE)
