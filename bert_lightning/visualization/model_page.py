"""The page about a model: what is shown, put into one HTML file."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bert_lightning import __version__
from bert_lightning.html_page.markup import Markup, element, isolated
from bert_lightning.html_page.number_formats import compact, typeset
from bert_lightning.html_page.self_contained import Section, packaged, self_contained_page
from bert_lightning.inference.loaded_model import LoadedModel
from bert_lightning.runs.atomic_writes import explain_output_errors, output_file
from bert_lightning.visualization.page_part import PagePart


@dataclass(frozen=True)
class ModelPage:
    """A page about a model. A notebook shows it, and `save` writes it to a file.

    Attributes:
        html: the whole page.
    """

    html: str

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file.

        Raises:
            UserError: if the file cannot be written.
        """
        target = Path(path).expanduser()
        with output_file(target) as file, explain_output_errors(target):
            file.write(self.html)

    def _repr_html_(self) -> str:
        """Return the page in a frame, which keeps its styles from those of the notebook."""
        return f'<iframe srcdoc="{html.escape(self.html)}" style="width:100%;height:720px;border:0"></iframe>'

    def __repr__(self) -> str:
        return f"<ModelPage of {len(self.html) / 1e6:.1f} MB>"


def model_page(title: str, model: LoadedModel | None, parts: Sequence[PagePart]) -> ModelPage:
    """Return the page with all sections.

    Args:
        title: the title, such as the place of the model.
        model: the model; None if the page is about predictions that were made before.
        parts: the parts: sections, and sentences for the beginning of the page.
    """
    sentences = [sentence for each in parts for sentence in each.sentences]
    lead = [element("p", element("span", typeset(text), class_="answer long"), class_="lead") for text in sentences]
    summary = Section("summary", "Summary", [*lead, *([_facts(model)] if model is not None else [])])
    sections = [summary, *(section for each in parts for section in each.sections)]
    style, script = (packaged("bert_lightning.visualization", f"visualization.{kind}") for kind in ("css", "js"))
    return ModelPage(self_contained_page(title, sections, "Skip to the summary", __version__, style, script))


def _facts(model: LoadedModel) -> Markup:
    config = model.model.config
    parameters = sum(parameter.numel() for parameter in model.model.parameters())
    facts = [
        f"{config.num_hidden_layers} layers",
        f"{config.num_attention_heads} heads",
        f"hidden size {config.hidden_size}",
        f"{compact(parameters)} parameters in the encoder",
        f"vocabulary of {config.vocab_size:,}",
    ]
    place = element("span", isolated(str(model.path)))
    return element("p", [element("span", fact) for fact in facts], place, class_="facts")
