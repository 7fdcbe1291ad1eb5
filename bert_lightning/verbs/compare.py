"""`bert-lightning compare`: set runs side by side with intervals, tests and checks of fairness."""

from __future__ import annotations

import io
import json
import shlex
from pathlib import Path

from omegaconf import DictConfig

from bert_lightning.compare import text_formats
from bert_lightning.compare.comparing import compare_material
from bert_lightning.compare.material import Material, read_material
from bert_lightning.compare.measurement_tables import write_table
from bert_lightning.compare.paper_figures import check_matplotlib
from bert_lightning.compare.results import Comparison
from bert_lightning.errors import UserError
from bert_lightning.runs.atomic_writes import check_output_path, explain_output_errors, output_file

_TEXTS = {"text": text_formats.as_text, "markdown": text_formats.as_markdown, "latex": text_formats.as_latex}


def run(config: DictConfig) -> None:
    """Compare, print the result or write it to `output`, and write the page and the figures that are asked for."""
    if not config.sources:
        raise UserError("compare needs runs: write bert-lightning compare <folders of runs, a study or a .csv>")
    for key in ("output", "report"):
        check_output_path(key, config[key])
    if config.figures is not None:
        check_matplotlib()
    sources = list(config.sources)
    material = read_material(sources)
    found = compare_material(material, config.baseline, config.primary, config.paired, _command(config))
    text = _formatted(found, material, config.format)
    if config.output is None:
        print(text)
    else:
        _write(Path(config.output), text)
        print(found.answer)
    if config.report is not None:
        _write(Path(config.report), found.to_html())
    figures = [] if config.figures is None else found.plot(config.figures)
    written = [*filter(None, [config.output, config.report]), *map(str, figures)]
    if written:
        print(f"\nWritten: {', '.join(written)}" + (f"\nNext: open {config.report} in a browser" * bool(config.report)))
    elif config.format == "text":
        again = shlex.join(["bert-lightning", "compare", *sources, "report=page.html"])
        print(f"\nNext: {again}   shows curves, examples and every run")


def _formatted(found: Comparison, material: Material, name: str) -> str:
    if name == "json":
        return json.dumps(found.to_dict(), indent=1, ensure_ascii=False)
    if name == "csv":
        file = io.StringIO()
        write_table(material.measurements, file)
        return file.getvalue().rstrip("\n")
    return _TEXTS[name](found).rstrip("\n")


def _write(path: Path, text: str) -> None:
    path = path.expanduser()
    with output_file(path) as file, explain_output_errors(path):
        file.write(text.rstrip("\n") + "\n")


def _command(config: DictConfig) -> str:
    """Return the command line that makes the comparison again."""
    keys = {name: config[name] for name in ("baseline", "primary", "report") if config[name] is not None}
    paired = ["paired=true"] if config.paired else []
    return shlex.join(["bert-lightning", "compare", *config.sources, *(f"{k}={v}" for k, v in keys.items()), *paired])
