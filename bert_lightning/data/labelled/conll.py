"""Tagged words: files with one word per line, and the tagging schemes that mark the beginning and end of entities."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bert_lightning.errors import UserError
from bert_lightning.text.files.lines import inner_suffix, read_lines
from bert_lightning.text.files.rows import Row, is_table, read_rows

_OUTSIDE = "O"
_DOCUMENT = "-DOCSTART-"
CONLLU = ".conllu"  # ending of files of Universal Dependencies, https://universaldependencies.org/format.html
FORM = 1  # column of the words there
# Lines of CoNLL-U that are no words: comments, words that are split into the words below (1-2), left-out words (1.1).
_NO_WORD = re.compile(r"#|\d+[-.]\d+\t")
# BIOES, BMES (M for inside) and BILOU (L for last, U for unit) are three names for the same four roles.
_ROLES = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S"}


class Entity(NamedTuple):
    """One entity: the words `start` to `end` - 1."""

    type: str
    start: int
    end: int


def read_columns(path: Path, word_column: int = 0, tag_column: int = -1) -> Iterator[Row]:
    """Yield the sentences of a file with one word per line and a blank line between sentences, or of a table.

    Spaces or tabs separate the columns of a line. If a file uses tabs, a word may contain spaces. A row has the columns
    `words` and `tags`. Lines that start a document in CoNLL-2003 are left out. `where` is the line of the first word;
    the other words are on the lines after it. In a file that ends in `.conllu`, comments, the numbers of words that are
    split into several, and left-out words are skipped, and `_` is no tag.

    A table other than .tsv, such as .jsonl or .parquet, is read by `read_rows`. Its columns must contain lists.

    Raises:
        UserError: if a line lacks these columns.
    """
    if is_table(path) and inner_suffix(path).lower() != ".tsv":
        yield from read_rows(path)
        return
    conllu = inner_suffix(path).lower() == CONLLU
    lines = list(read_lines(path))
    tabs = any("\t" in line.strip(" \t") for line in lines)
    words: list[str] = []
    tags: list[str] = []
    first = 0  # line of the sentence's first word
    for number, line in enumerate([*lines, ""], 1):
        if conllu and _NO_WORD.match(line):
            continue
        if line.strip(" \t") and not line.startswith(_DOCUMENT):
            fields = _fields(line, tabs)
            try:
                word, tag = fields[word_column], fields[tag_column]
            except IndexError:
                raise UserError(
                    f"{path}:{number}: no columns {word_column} and {tag_column} in {line!r}: set "
                    "task.files.reader.word_column and task.files.reader.tag_column"
                ) from None
            if not word or not tag or (len(fields) < 2 and tag_column != word_column):
                split = "; in a file with tabs, tabs alone separate" if tabs else ""
                raise UserError(f"{path}:{number}: {line!r} has a word and no tag, or a tag and no word: fix it{split}")
            if conllu and tag == "_" != word:
                raise UserError(f"{path}:{number}: {word!r} has no tag in column {tag_column}: give an annotated file")
            first = first if words else number
            words.append(word)
            tags.append(tag)
        elif words:
            yield Row(f"{path}:{first}", {"words": words, "tags": tags})
            words, tags = [], []


def _fields(line: str, tabs: bool) -> list[str]:
    """Return the columns of a line.

    Only ASCII spaces and tabs separate columns. Another white-space character, such as U+3000, may be a word.
    """
    if not tabs:
        return [field for field in line.strip(" \t").split(" ") if field]
    return [field.strip(" ") or field for field in line.rstrip(" \t").split("\t")]


def entities(tags: Sequence[str]) -> set[Entity]:
    """Return the entities of IOB2 tags. As in conlleval and seqeval, an I without a B before it also begins one."""
    found: set[Entity] = set()
    start, entity_type = 0, ""
    for i, tag in enumerate([*tags, _OUTSIDE]):
        role, _, new = tag.partition("-")
        if entity_type and (role != "I" or new != entity_type):
            found.add(Entity(entity_type, start, i))
            entity_type = ""
        if role != _OUTSIDE and not entity_type:
            start, entity_type = i, new
    return found


def to_iob2(sentences: Sequence[Sequence[str]], where: Sequence[str], scheme: str = "auto") -> list[list[str]]:
    """Convert tags to IOB2. In IOB2, every entity begins with B.

    Args:
        sentences: tags of each sentence.
        where: `file:line` of the first tag of each sentence.
        scheme: scheme of the tags: iob1, iob2, bioes (also BMES and BILOU), bioes_cut, or auto. In iob1, as in
            CoNLL-2003, B separates neighbouring entities of one type. It may also begin other entities, as it does
            twice in CoNLL's training file. In bioes_cut, an entity may lack its beginning or its end. auto detects the
            scheme that all sentences follow, but never bioes_cut.

    Raises:
        UserError: if a tag is invalid, or the scheme does not allow a sequence of tags; the message names the line.
    """
    readers = {"iob1": _read_iob1, "iob2": _read_iob2, "bioes": _read_bioes, "bioes_cut": _read_bioes_cut}
    if scheme not in (*readers, "auto"):
        raise UserError(f"task.type.scheme={scheme} must be auto, {', '.join(readers)}")
    if scheme == "auto":
        scheme = _scheme(sentences)
    converted = []
    for tags, place in zip(sentences, where, strict=True):
        parts = [_parts(tag, place, i) for i, tag in enumerate(tags)]
        new = [_OUTSIDE] * len(tags)
        for entity_type, start, end in readers[scheme](parts, place):
            new[start:end] = [f"B-{entity_type}", *[f"I-{entity_type}"] * (end - start - 1)]
        converted.append(new)
    return converted


def _scheme(sentences: Sequence[Sequence[str]]) -> str:
    """Detect the tagging scheme that all sentences follow. An I that begins an entity shows that it is IOB1."""
    roles = {tag.partition("-")[0] for tags in sentences for tag in tags}
    if roles & {"S", "E", "M", "L", "U"}:
        return "bioes"
    for tags in sentences:
        for before, tag in zip([_OUTSIDE, *tags], tags, strict=False):
            role, _, entity_type = tag.partition("-")
            if role == "I" and before.partition("-")[2] != entity_type:
                return "iob1"
    return "iob2"


def _parts(tag: str, place: str, i: int) -> tuple[str, str]:
    role, _, entity_type = tag.partition("-")
    if tag == _OUTSIDE:
        return _OUTSIDE, ""
    if role not in _ROLES or not entity_type:
        raise UserError(f"{_line(place, i)}: {tag!r} is not a tag: write O, B-TYPE, I-TYPE (or E-, S-, M-, L-, U-)")
    return _ROLES[role], entity_type


def _line(place: str, offset: int) -> str:
    file, _, line = place.rpartition(":")
    return f"{file}:{int(line) + offset}" if line.isdigit() else f"{place}, word {offset}"


def _refuse(place: str, i: int, part: tuple[str, str], before: tuple[str, str], scheme: str) -> UserError:
    tag, previous = ("-".join(filter(None, p)) for p in (part, before))
    return UserError(f"{_line(place, i)}: {tag} cannot follow {previous} in {scheme}: fix the tag or task.type.scheme")


def _read_iob1(parts: Sequence[tuple[str, str]], place: str) -> Iterator[Entity]:
    before, start = (_OUTSIDE, ""), 0
    for i, part in enumerate([*parts, (_OUTSIDE, "")]):
        begins = part[0] == "B" or (part[0] == "I" and part[1] != before[1])
        if before[1] and (begins or part[0] == _OUTSIDE):
            yield Entity(before[1], start, i)
        if begins:
            start = i
        before = part


def _read_iob2(parts: Sequence[tuple[str, str]], place: str) -> Iterator[Entity]:
    before, start = (_OUTSIDE, ""), 0
    for i, part in enumerate([*parts, (_OUTSIDE, "")]):
        if part[0] == "I" and part[1] != before[1]:
            raise _refuse(place, i, part, before, "IOB2 (an entity begins with B)")
        if before[1] and part[0] != "I":
            yield Entity(before[1], start, i)
        if part[0] == "B":
            start = i
        before = part


def _read_bioes(parts: Sequence[tuple[str, str]], place: str) -> Iterator[Entity]:
    before, start, inside = (_OUTSIDE, ""), 0, ""
    for i, part in enumerate([*parts, (_OUTSIDE, "")]):
        role, entity_type = part
        if (role in "IE" and entity_type != inside) or (role not in "IE" and inside):
            raise _refuse(place, min(i, len(parts) - 1), part, before, "BIOES (an entity is S, or B ... E)")
        if role in "BS":
            start = i
        if role in "ES":
            yield Entity(entity_type, start, i + 1)
        inside = entity_type if role in "BI" else ""
        before = part


def _read_bioes_cut(parts: Sequence[tuple[str, str]], place: str) -> Iterator[Entity]:
    start, inside = 0, ""
    for i, (role, entity_type) in enumerate([*parts, (_OUTSIDE, "")]):
        if inside and (role not in "IE" or entity_type != inside):
            yield Entity(inside, start, i)
            inside = ""
        if role != _OUTSIDE and not inside:
            start, inside = i, entity_type
        if role in "ES":
            yield Entity(entity_type, start, i + 1)
            inside = ""
