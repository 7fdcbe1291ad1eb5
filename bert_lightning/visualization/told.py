"""Sections of a page together with the sentences that the page begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bert_lightning.html_page.self_contained import Section


@dataclass(frozen=True)
class Told:
    """Sections of a page, and sentences for its beginning."""

    sections: Sequence[Section]
    sentences: Sequence[str]
