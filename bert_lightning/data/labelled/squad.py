"""SQuAD's JSON: articles, paragraphs, questions. Rajpurkar et al. 2016 and 2018."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bert_lightning.data.labelled.rows import Row, load_json
from bert_lightning.errors import UserError


def read_squad(path: Path) -> Iterator[Row]:
    """A row a question: id, title, question, context, answers (a list of `text` and `answer_start`).

    Raises:
        UserError: not the form of SQuAD 1.1 or 2.0.
    """
    content = load_json(path)
    try:
        for article in content["data"]:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    yield Row(f"{path}, question {question['id']}", _row(article, paragraph["context"], question))
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not in SQuAD's form (data / paragraphs / qas; each with id, question and answers): {error!r}"
        ) from None


def is_squad(path: Path) -> bool:
    """Whether a JSON file is of that form, rather than a table of rows."""
    content = load_json(path)
    return isinstance(content, dict) and isinstance(content.get("data"), list)


def _row(article: dict[str, Any], context: str, question: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": question["id"],
        "title": article.get("title", ""),
        "question": question["question"],
        "context": context,
        "answers": [{"text": a["text"], "answer_start": a["answer_start"]} for a in question.get("answers", [])],
    }
