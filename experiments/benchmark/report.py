"""Write the results as a Markdown page and as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from switches import SWITCHES


def table(report: dict[str, Any]) -> str:
    """Return the Markdown page, with every part that was measured."""
    lines = [
        f"`{report['call']}`, {report['date']}, commit {report['commit']}, {report['processor']}, "
        f"{report['threads']} threads, torch {report['versions']['torch']}. Minutes: "
        f"{', '.join(f'{part} {minutes}' for part, minutes in report['minutes'].items())}.",
        "",
    ]
    writers = {
        "steps": _steps, "command": _command, "switches": _switches, "curves": _curves, "cost": _cost,
        "allocators": _allocators,
    }  # fmt: skip
    for part, write in writers.items():
        if part in report:
            lines += [*write(report[part]), ""]
    return "\n".join(lines)


def draw(report: dict[str, Any], path: Path) -> None:
    """Draw a bar for the ratio of each case, a mark at its target, and the ratio that was measured in one process."""
    cases = report["steps"]
    figure = Figure(figsize=(9, 0.8 + 0.42 * len(cases)), layout="constrained")
    axes = figure.subplots()
    places = range(len(cases))
    axes.barh(places, [case["ratio"] for case in cases], color="tab:blue", alpha=0.8, label="processes of their own")
    aims = [(case["target"], case["in_one_process"], place) for place, case in enumerate(cases) if case["target"]]
    targets, together, aimed = zip(*aims, strict=True)
    axes.scatter(together, aimed, color="black", s=16, zorder=3, label="one process")
    axes.scatter(targets, aimed, color="tab:red", marker="|", s=260, zorder=3, label="target")
    axes.set_yticks(places, [_name(case) for case in cases])
    axes.axvline(1, color="0.5", linewidth=0.8)
    axes.set(xlabel="real tokens per second, times transformers'", title=f"{report['processor']}, {report['date']}")
    axes.invert_yaxis()
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=130)


def _name(case: dict[str, Any]) -> str:
    return f"{case['work']}, {case['model']} {case['precision']}, {case['text']} {case['length']}"


def _steps(cases: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| step | density | tokens/s theirs | ours | ratio | rounds | in one process | target | useful share of the "
        "ceiling, theirs | ours | memory theirs | ours | ratio |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for case in cases:
        rates, memory, mfu = case["tokens_per_second"], case["step_bytes"], case["mfu"]
        together = f"{case['in_one_process']:.2f}" if case["target"] else ""
        shares = f"{mfu['theirs']:.0%} | {mfu['ours']:.0%}" if mfu else " | "
        lines.append(
            f"| {_name(case)} x {case['sequences']} | {case['density']:.2f} "
            f"| {rates['theirs']:,.0f}{_range(case['spread']['theirs'])} "
            f"| {rates['ours']:,.0f}{_range(case['spread']['ours'])} | **{case['ratio']:.2f}** "
            f"| {', '.join(f'{ratio:.2f}' for ratio in case['ratios'])} | {together} "
            f"| {case['target'] or ''} | {shares} | {memory['theirs'] / 1e9:.2f} GB | {memory['ours'] / 1e9:.2f} GB "
            f"| {memory['ours'] / memory['theirs']:.2f} |"
        )
    return lines


def _range(quartiles: list[float]) -> str:
    """Return the quartiles of the steps, in percent of the median."""
    return f" ({quartiles[0] - 1:+.0%}, {quartiles[1] - 1:+.0%})"


def _command(found: dict[str, Any]) -> list[str]:
    rates, seconds, tokens = found["tokens_per_second"], found["seconds"], found["tokens"]
    return [
        f"The whole command, small model, bf16, {found['steps']} steps of {found['sequences']} sentences: "
        f"`pretrain` {seconds['ours']:.0f} s for {tokens['ours']:,} tokens, {rates['ours']:,.0f} tokens/s; "
        f"transformers' Trainer {seconds['theirs']:.0f} s for {tokens['theirs']:,}, {rates['theirs']:,.0f}: "
        f"**{found['ratio']:.2f} x** (target 8). Writing the store before took {found['prepare_seconds']:.0f} s.",
    ]


def _switches(found: dict[str, dict[str, float]]) -> list[str]:
    lines = [
        "How much longer a step of ours takes with a switch turned off (one process, geometric means):", "",
        f"| off | {' | '.join(found)} | then |", f"| --- |{' --- |' * len(found)} --- |",
    ]  # fmt: skip
    for name, what in {**SWITCHES, "all": "all of these"}.items():
        lines.append(f"| {name} | {' | '.join(f'{case[name]:.2f} x' for case in found.values())} | {what} |")
    return lines


def _curves(found: dict[str, Any]) -> list[str]:
    apart = {name: value for name, value in found.items() if name.startswith("dropout")}
    return [
        f"Losses over {found['steps']} steps, all switches on against all off (curves.png): "
        + "; ".join(
            f"{name}: from {value['first']:.3f} to {value['last']:.3f}, at most {value['largest']:.1e} apart"
            for name, value in apart.items()
        )
        + ". With dropout the two draw different masks.",
    ]


def _cost(found: dict[str, Any]) -> list[str]:
    lines = ["Share of the ceiling as the model or the batch grows (cost.png), bf16, full sequences:", ""]
    for name, points in found.items():
        shares = {v: p["tokens_per_second"] * p["flops_per_token"] / p["ceiling"] for v, p in points.items()}
        lines.append(f"- {name} " + ", ".join(f"{value}: {share:.0%}" for value, share in shares.items()))
    return lines


def _allocators(found: dict[str, dict[str, float]]) -> list[str]:
    default = found["default"]
    lines = [
        "Memory allocators, small bf16 sentences, against the default of the same side:", "",
        "| setting | theirs | ours | ratio of both |", "| --- | --- | --- | --- |",
    ]  # fmt: skip
    for name, rates in found.items():
        gains = [rates[side] / default[side] for side in ("theirs", "ours")]
        lines.append(f"| `{name}` | {gains[0]:.2f} x | {gains[1]:.2f} x | {rates['ours'] / rates['theirs']:.2f} x |")
    return lines
