"""A part of a page: sections, and sentences that the page begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bert_lightning.html_page.self_contained import Section


@dataclass(frozen=True)
class PagePart:
    """A part of a page: its sections, and its sentences for the beginning of the page."""

    sections: Sequence[Section]
    sentences: Sequence[str]
