"""The files of predictions: what is written is read, and a damaged file gets one line."""

import json
import math

import pytest

from bert_lightning.errors import UserError
from bert_lightning.runs.predictions_file import fingerprint, read_predictions, write_predictions

ROWS = [
    {"id": "a1", "gold": "yes", "prediction": "no", "scores": {"yes": 1 / 3, "no": 2 / 3}},
    {"id": "b2", "gold": "no", "prediction": "no", "scores": {"yes": math.nan, "no": 1e-30}},
    {"id": "c3", "gold": ["猫", "line\u2028end", "\ud800"], "prediction": '"quoted"\n', "cluster": "p"},
]
ABOUT = {"split": "validation", "task": "sst2", "checkpoint": "best.ckpt", "metrics": {"accuracy": 0.5, "f1": math.nan}}


def write(folder, rows=ROWS):
    return write_predictions(folder / "predictions", "validation", rows, ABOUT)


def test_what_is_written_is_read(tmp_path):
    kept = read_predictions(write(tmp_path))
    assert [row["id"] for row in kept.rows] == ["a1", "b2", "c3"]
    assert kept.rows[0]["scores"]["yes"] == 0.333333333
    assert kept.rows[1]["scores"] == {"yes": None, "no": 1e-30}
    assert kept.rows[2] == ROWS[2]
    assert kept.about | {"metrics": {"accuracy": 0.5, "f1": None}} == kept.about
    assert (kept.about["examples"], kept.about["split"], kept.about["format"]) == (3, "validation", 1)
    assert sorted(path.name for path in (tmp_path / "predictions").iterdir()) == ["validation.json", "validation.jsonl"]


def test_pandas_reads_it(tmp_path):
    pandas = pytest.importorskip("pandas")
    table = pandas.read_json(write(tmp_path, ROWS[:2]), lines=True)
    assert list(table.columns) == ["id", "gold", "prediction", "scores"]
    assert (table["gold"] == table["prediction"]).mean() == 0.5


def test_the_fingerprint_is_of_ids_and_right_answers():
    same = [row | {"prediction": "other"} for row in reversed(ROWS)]
    assert fingerprint(same) == fingerprint(ROWS)
    for change in ({"id": "z"}, {"gold": "other"}):
        assert fingerprint([ROWS[0] | change, *ROWS[1:]]) != fingerprint(ROWS)


def cut_in_half(folder):
    path = folder / "validation.jsonl"
    path.write_bytes(path.read_bytes()[:50])


def other_rows(folder):
    """Rows of another measurement, written when the process was killed before their description."""
    about = (folder / "validation.json").read_text()
    write(folder.parent, [row | {"prediction": "yes"} for row in ROWS])
    (folder / "validation.json").write_text(about)


def described(**changes):
    def change(folder):
        path = folder / "validation.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


DAMAGES = {
    "rows cut in half": (cut_in_half, r"validation\.jsonl is damaged \(it is not the file that validation\.json"),
    "rows of another measurement": (other_rows, r"validation\.jsonl is damaged \(it is not the file"),
    "no rows": (lambda f: (f / "validation.jsonl").unlink(), r"validation\.jsonl cannot be read \(No such file"),
    "no description": (lambda f: (f / "validation.json").unlink(), r"validation\.json cannot be read \(No such file"),
    "half a description": (lambda f: (f / "validation.json").write_text('{"format": '), r"validation\.json is damaged"),
    "another format": (described(format=2), r"validation\.json: format=2, and this version reads 1: update"),
    "no metrics": (described(metrics=None), r"validation\.json is damaged \(metrics is None\)"),
    "another number of rows": (described(examples=4), r"validation\.jsonl is damaged \(it has not 4 rows"),
    "one id twice": (lambda f: write(f.parent, [ROWS[0], ROWS[0]]), r"it has not 2 rows, each with an id of its own"),
    "an id that is a number": (lambda f: write(f.parent, [{"id": 1}]), r"damaged \(line 1 has no id\)"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_gets_one_line(damage, tmp_path):
    change, message = DAMAGES[damage]
    path = write(tmp_path)
    change(path.parent)
    with pytest.raises(UserError, match=message) as error:
        read_predictions(path)
    assert "\n" not in str(error.value)


def test_a_link_in_the_folder_of_a_stranger_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "predictions").symlink_to("elsewhere")
    with pytest.raises(OSError, match="it is a link"):
        write(tmp_path)
    assert list((tmp_path / "elsewhere").iterdir()) == []
