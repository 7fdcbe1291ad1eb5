"""Stream data sets from the Hugging Face hub, or read the same rows from local files."""

from __future__ import annotations

import os
import socket
import urllib.parse
import urllib.request
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bert_lightning.errors import UserError
from bert_lightning.text.corpora import TEXT_COLUMN, Corpus, Document, TableFiles
from bert_lightning.text.files.lines import Part
from bert_lightning.text.files.rows import Row
from bert_lightning.text.sentences import clean, split_sentences

_SECONDS_TO_ANSWER = 3


@dataclass(frozen=True)
class HubDataset(Corpus):
    """A corpus from a data set of the hub. Each row is a document, and each shard a part. Shards are streamed.

    Args:
        dataset: name of the data set.
        config: name of the data set's configuration.
        split: name of the data set's split.
        text_column: name of the column with the text.
        language: language of the text, a code of two letters.
        revision: commit or tag. None: the newest one. Then a later change on the hub is not detected.
        path: file, folder or glob to read instead of the hub. The files must have the same text column.
    """

    dataset: str
    config: str | None = None
    split: str = "train"
    text_column: str = "text"
    language: str = "en"
    revision: str | None = None
    path: str | None = None

    @property
    def _local(self) -> TableFiles | None:
        return TableFiles(self.path, self.text_column, language=self.language) if self.path else None

    def files(self) -> list[Path]:
        return self._local.files() if self._local else []

    def skipped(self) -> list[Path]:
        return self._local.skipped() if self._local else []

    def parts(self) -> list[Part]:
        if self._local:
            return self._local.parts()
        return [Part((self.dataset,), shard) for shard in range(self._stream().num_shards)]

    def read(self, part: Part) -> Iterator[Document]:
        if self._local:
            yield from self._local.read(part)
            return
        stream = self._stream()
        names = stream.column_names or [self.text_column]
        self._check_column(names)
        for row in self._rows(stream.shard(num_shards=stream.num_shards, index=part.start)):
            self._check_column(row)  # older versions of the library know no names before the first row
            if row[self.text_column] is None:
                continue
            text = Row(self.dataset, row).text(self.text_column, TEXT_COLUMN)
            if document := split_sentences(clean(text), self.language):
                yield document

    def _check_column(self, names: Collection[str]) -> None:
        if self.text_column not in names:
            there = ", ".join(map(repr, names))
            raise UserError(
                f"{self.dataset} has no column {self.text_column!r}, only {there}: name the right one by {TEXT_COLUMN}"
            )

    def _rows(self, stream: Any) -> Iterator[dict[str, Any]]:
        try:
            yield from stream
        except Exception as error:  # the library has already retried
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ConnectionError(f"{self.dataset} stopped ({reason}): run the same command again") from error

    def _stream(self) -> Any:
        fix = (
            f"{self.dataset} needs the hub; give the same rows as files with data.corpus.path='/data/*.parquet' "
            f"(any table with a column {self.text_column!r})"
        )
        if not Path(self.dataset).exists() and not hub_answers():
            raise UserError(f"no network: {fix}")
        import datasets

        check_name(self.dataset)
        try:
            return datasets.load_dataset(
                self.dataset, self.config, split=self.split, revision=self.revision, streaming=True
            )
        except Exception as error:  # the library raises many types of exceptions
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"{self.dataset} cannot be read ({reason}): {fix}") from None


def check_name(name: str) -> None:
    """Refuse names of the library's readers, such as `pandas`, because these open local files.

    Raises:
        UserError: if `name` is one of them.
    """
    from datasets import packaged_modules

    if name in packaged_modules._PACKAGED_DATASETS_MODULES:
        raise UserError(f"{name} reads local files and is no data set of the hub: give owner/name, or a path to files")


def hub_answers() -> bool:
    """Return whether the hub can be reached. Without this check, the library retries for 23 seconds when offline."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return False
    try:
        place = urllib.parse.urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
        proxies = urllib.request.getproxies()
        proxy = proxies.get(place.scheme, proxies.get("all"))
        if proxy and not urllib.request.proxy_bypass(place.hostname or ""):
            place = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        port = place.port or (80 if place.scheme == "http" else 443)
        with socket.create_connection((place.hostname or "", port), timeout=_SECONDS_TO_ANSWER):
            return True
    except (OSError, ValueError):  # ValueError: the address is invalid
        return False
