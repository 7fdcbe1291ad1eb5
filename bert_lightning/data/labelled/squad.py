"""A reader of SQuAD's JSON: articles, paragraphs, questions. Rajpurkar et al. 2016 and 2018."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bert_lightning.errors import UserError
from bert_lightning.text.files.json_rows import load_json
from bert_lightning.text.files.lines import inner_suffix
from bert_lightning.text.files.rows import Row, is_table, read_rows


def read_squad(path: Path) -> Iterator[Row]:
    """Yield a row for each question: id, title, question, context, answers, and is_impossible if the file has it.

    A table other than .json, such as .jsonl or .parquet, is read by `read_rows`. It has one row per question.

    Raises:
        UserError: if the file is not in the form of SQuAD 1.1 or 2.0, or two questions have one id.
    """
    if is_table(path) and inner_suffix(path).lower() != ".json":
        yield from read_rows(path)
        return
    content, place, known = load_json(path), str(path), set()
    try:
        for a, article in enumerate(content["data"]):
            for p, paragraph in enumerate(article["paragraphs"]):
                for q, question in enumerate(paragraph["qas"]):
                    place = f"{path}, data[{a}].paragraphs[{p}].qas[{q}]"
                    values = _row(article, paragraph["context"], question)
                    if values["id"] in known:
                        raise UserError(f"{place}: a question before it has the id {values['id']!r} too: change one")
                    known.add(values["id"])
                    yield Row(f"{path}, question {values['id']}", values)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{place} is not in SQuAD's form (data / paragraphs / qas; each with id, question and answers): {error!r}"
        ) from None


def is_squad(path: Path) -> bool:
    """Return whether a file is JSON in the form of SQuAD, rather than a table of rows."""
    if inner_suffix(path).lower() != ".json":
        return False
    content = load_json(path)
    return isinstance(content, dict) and isinstance(content.get("data"), list)


def _row(article: dict[str, Any], context: str, question: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of one question. SQuAD 2.0's `plausible_answers` are wrong answers, so they are left out."""
    row = {
        "id": question["id"],
        "title": article.get("title", ""),
        "question": question["question"],
        "context": context,
        "answers": [{"text": a["text"], "answer_start": a["answer_start"]} for a in question.get("answers") or []],
    }
    return row | {name: question[name] for name in ("is_impossible",) if name in question}
