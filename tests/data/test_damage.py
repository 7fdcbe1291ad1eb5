"""A damaged or foreign file in a store gives one line with the file and the fix, and no traceback."""

import json
import shutil

import numpy as np
import pytest

from bert_lightning.data.store.manifest import json_sha256
from bert_lightning.data.store.preparation import StorePlan, merge_shards, open_prepared, prepare, prepare_shard
from bert_lightning.data.store.token_store import TokenStore
from bert_lightning.data.store.unfinished import remove_on_user_error
from bert_lightning.errors import UserError
from bert_lightning.text.corpora import SentenceLines
from bert_lightning.text.tokenizers.recipes import TrainWordPiece


def silent(_):
    pass


@pytest.fixture
def copy(small_data, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(small_data.folder, folder)
    return folder


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "null", "[]", "5", '"x"', "\x00", DEEP, '{"sha256": 5}', '{"sha256": "x", "files": []}',
        '{"sha256": "x", "files": {"a": 5}}', '{"sha256": "x", "files": {"a": {"bytes": "many", "sha256": 5}}}',
        '{"sha256": "x", "files": {"a": {"bytes": 5}}}', '{"sha256": "x", "n": ' + "9" * 5000 + "}",
    ],
)  # fmt: skip
def test_a_manifest_that_is_none(copy, content):
    (copy / "manifest.json").write_text(content)
    with pytest.raises(UserError, match=r"copy is not a prepared corpus \(manifest.json: .*\): delete the folder"):
        open_prepared(copy)


def test_a_manifest_that_is_not_utf8(copy):
    (copy / "manifest.json").write_bytes(b"\x91\xff")
    with pytest.raises(UserError, match="copy is not a prepared corpus"):
        open_prepared(copy)


@pytest.mark.parametrize("key", ["tokenizer_fingerprint", "settings", "splits"])
def test_a_manifest_that_lacks_a_key(copy, key):
    values = json.loads((copy / "manifest.json").read_text())
    del values["sha256"], values[key]
    (copy / "manifest.json").write_text(json.dumps({**values, "sha256": json_sha256(values)}))
    with pytest.raises(UserError, match=f"manifest.json lacks {key}: delete the folder and run prepare again"):
        open_prepared(copy)


def test_a_file_that_may_not_be_read_is_not_called_damaged(copy, monkeypatch):
    def refuse(self, *_, **__):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr("pathlib.Path.read_text", refuse)
    with pytest.raises(UserError, match=r"copy/manifest.json: Permission denied: allow this user to read it"):
        open_prepared(copy)


@pytest.mark.parametrize("name", ["sentences.npy", "documents.npy"])
@pytest.mark.parametrize(
    "values",
    [
        np.zeros(0, np.int64), np.zeros(1, np.int64), np.array(5), np.array([0.0, 5.0]), np.array([0, 5], np.int32),
        np.array([1, 5]), np.array([0, -5]), np.array([[0, 5]]), np.array(["a", "b"]), np.array([0, 10**15]),
    ],
)  # fmt: skip
def test_arrays_that_hold_no_offsets(copy, name, values):
    np.save(copy / "train" / name, values)
    with pytest.raises(
        UserError, match=r"the token store \S+/train is damaged \(.*\): delete it and run prepare again"
    ):
        TokenStore(copy / "train")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"no array", b"\x93NUMPY\x01\x00v\x00{'descr': 5}"])
def test_files_that_are_no_arrays(copy, content):
    (copy / "train" / "sentences.npy").write_bytes(content)
    with pytest.raises(UserError, match=r"the token store .* is damaged"):
        TokenStore(copy / "train")


@pytest.fixture
def half_done(small_corpus, tmp_path):
    """A plan and the folder of its only part."""
    plan = StorePlan(SentenceLines(str(small_corpus)), TrainWordPiece(300), 0.2, tmp_path / "made" / "x")
    prepare_shard(plan, 0, 1, 1, silent)
    (part,) = (tmp_path / "made").glob("*.partial/parts/000000")
    return plan, part


@pytest.mark.parametrize(
    "content", ["", "null", "[]", DEEP, "{}", '{"counts": {}, "hashes": 5}', '{"counts": {}, "hashes": {"../x": "y"}}']
)
def test_a_damaged_part_of_an_interrupted_preparation(half_done, content):
    plan, part = half_done
    (part / "part.json").write_text(content)
    with pytest.raises(UserError, match=r"parts/000000 is damaged .*: delete .*000000 and run the same command again"):
        merge_shards(plan, 1, silent)
    shutil.rmtree(part)
    prepare_shard(plan, 0, 1, 1, silent)
    assert merge_shards(plan, 1, silent).train.num_documents > 10


def test_finished_parts_survive_an_error_of_the_sources(half_done):
    _, part = half_done
    with pytest.raises(UserError, match="no network"), remove_on_user_error(part.parent.parent):
        raise UserError("no network")
    assert (part / "part.json").exists()
    shutil.rmtree(part)
    with pytest.raises(UserError, match="no network"), remove_on_user_error(part.parent.parent):
        raise UserError("no network")
    assert not part.parent.parent.exists()


@pytest.mark.parametrize("content", ["", "null", "[]", DEEP, "{}", '{"within_documents": true, "notes": 5}'])
def test_a_damaged_beginning_of_an_interrupted_preparation(half_done, content):
    plan, part = half_done
    begin = part.parent.parent / "begin.json"
    begin.write_text(content)
    with pytest.raises(UserError, match=r"begin.json is damaged .*: delete .*partial and run the same command again"):
        prepare_shard(plan, 0, 1, 1, silent)


def test_a_preparation_begun_by_an_earlier_version_goes_on(half_done):
    plan, part = half_done
    (part.parent.parent / "begin.json").unlink()
    assert prepare(plan, silent).train.num_documents > 10


@pytest.mark.parametrize("shards", [1, 3])
def test_a_merge_of_nothing_leaves_nothing(small_corpus, tmp_path, shards):
    plan = StorePlan(SentenceLines(str(small_corpus)), TrainWordPiece(300), 0.2, tmp_path / "a" / "b" / "x")
    with pytest.raises(UserError, match="1 of 1 parts are missing"):
        merge_shards(plan, shards, silent)
    assert list(tmp_path.iterdir()) == []
