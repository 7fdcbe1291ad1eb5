"""SQuAD's JSON: articles, paragraphs, questions. Rajpurkar et al. 2016 and 2018."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from bert_lightning.data.labelled.rows import Row, load_json
from bert_lightning.errors import UserError


def read_squad(
    path: Path, titles: Collection[str] | None = None, without_titles: Collection[str] | None = None
) -> Iterator[Row]:
    """A row a question: id, title, question, context, answers (a list of `text` and `answer_start`).

    Args:
        path: a file in the form of SQuAD 1.1 or 2.0.
        titles: only these articles; None for all.
        without_titles: not these articles.

    Raises:
        UserError: another form, with the place.
    """
    content = load_json(path)
    try:
        for article in content["data"]:
            title = article.get("title", "")
            if (titles is not None and title not in titles) or (without_titles and title in without_titles):
                continue
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    yield Row(f"{path}, question {question['id']}", _row(title, paragraph["context"], question))
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not in SQuAD's form (data / paragraphs / qas; each with id, question and answers): {error!r}"
        ) from None


def _row(title: str, context: str, question: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": question["id"],
        "title": title,
        "question": question["question"],
        "context": context,
        "answers": [{"text": a["text"], "answer_start": a["answer_start"]} for a in question.get("answers", [])],
    }
