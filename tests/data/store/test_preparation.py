"""Preparing in parts: the same store however it is interrupted, divided or ended; and what damage and mistakes get."""

import json
import random
import resource
import shutil
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bert_lightning.data.store import duplicates, word_frequency
from bert_lightning.data.store.parts import TokenizationJob, join_words
from bert_lightning.data.store.preparation import StorePlan, merge_shards, open_prepared, prepare, prepare_shard
from bert_lightning.data.store.splitting import SplitByDocument
from bert_lightning.data.store.word_frequency import WordCounter
from bert_lightning.errors import UserError
from bert_lightning.text.corpora import Mixture, SentenceLines
from bert_lightning.text.files import lines
from bert_lightning.text.sentences import split_position
from bert_lightning.text.tokenizers.recipes import TrainWordPiece
from tests.conftest import sentences


def silent(_):
    pass


@pytest.fixture
def many_parts(tmp_path):
    """A corpus of seven files, each a part; document 3 stands in all of them."""
    (tmp_path / "text").mkdir()
    for number in range(7):
        documents = [sentences(10 * number + d, 3) for d in range(8)] + [sentences(3, 3)]
        text = "\n\n".join("\n".join(document) for document in documents)
        (tmp_path / "text" / f"{number}.txt").write_text(text, encoding="utf-8")
    return SentenceLines(str(tmp_path / "text" / "*.txt"))


def plan(corpus, tmp_path, name="x", **more):
    return StorePlan(corpus, TrainWordPiece(300), 0.2, tmp_path / name, **more)


def hash_in(folder):
    return json.loads((Path(str(folder).strip()) / "manifest.json").read_text(encoding="utf-8"))["sha256"]


def texts(store, tokenizer):
    """The ids of each document."""
    ends = store.sentences[store.documents]
    return [tuple(store.tokens[a:b].tolist()) for a, b in pairwise(ends)]


def test_several_processes_write_the_same_store(many_parts, tmp_path):
    one = prepare(plan(many_parts, tmp_path, "one"), silent, workers=1)
    said = []
    two = prepare(plan(many_parts, tmp_path, "two"), said.append, workers=2)
    assert "7 of 7 parts are tokenized" in said
    assert hash_in(one.folder) == hash_in(two.folder)
    assert one.train.num_documents + one.validation.num_documents == 63


def test_shards_and_their_merge(many_parts, tmp_path):
    whole = prepare(plan(many_parts, tmp_path, "whole"), silent)
    sharded = plan(many_parts, tmp_path, "sharded")
    for shard in (2, 0):
        prepare_shard(sharded, shard, 3, 1, silent)
    with pytest.raises(UserError, match=r"2 of 7 parts are missing, of shard 1 of shards=3: run .* shard=1"):
        merge_shards(sharded, 3, silent)
    prepare_shard(sharded, 1, 3, 1, silent)
    assert hash_in(merge_shards(sharded, 3, silent).folder) == hash_in(whole.folder)
    assert not list(tmp_path.glob("*.partial"))
    with pytest.raises(UserError, match=r"shard=3 must be 0 to 2"):
        prepare_shard(sharded, 3, 3, 1, silent)


def test_parts_that_are_there_are_not_made_again(many_parts, tmp_path):
    unfinished = plan(many_parts, tmp_path)
    prepare_shard(unfinished, 0, 2, 1, silent)
    (partial,) = tmp_path.glob("*.partial")
    made = {path: path.stat().st_mtime_ns for path in partial.glob("parts/*/part.json")}
    said = []
    prepare(unfinished, said.append, workers=1)
    assert "continuing: 4 of 7 parts are finished already" in said
    assert len(made) == 4


def test_a_damaged_part_is_named_with_its_hash(many_parts, tmp_path):
    damaged = plan(many_parts, tmp_path)
    for shard in (0, 1):
        prepare_shard(damaged, shard, 2, 1, silent)
    (path,) = tmp_path.glob("*.partial/parts/000003/train/tokens.bin")
    record = json.loads((path.parent.parent / "part.json").read_text())
    content = bytearray(path.read_bytes())
    content[5] ^= 1
    path.write_bytes(content)
    expected = record["hashes"]["train/tokens.bin"]
    with pytest.raises(UserError, match=rf"000003/train/tokens.bin is damaged: .* expected {expected}"):
        merge_shards(damaged, 2, silent)
    shutil.rmtree(path.parent.parent)
    prepare_shard(damaged, 1, 2, 1, silent)
    assert merge_shards(damaged, 2, silent).train.num_documents > 2


def test_a_bit_that_flipped_is_noticed(small_data, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(small_data.folder, folder)
    for name in ("train/tokens.bin", "validation/words.bin", "manifest.json"):
        before = (folder / name).read_bytes()
        flipped = bytearray(before)
        flipped[-9] ^= 1
        (folder / name).write_bytes(flipped)
        with pytest.raises(UserError, match=rf"{name} is damaged: its sha256 is \w{{64}}, expected .{{64}}"):
            open_prepared(folder)
        (folder / name).write_bytes(before)
    open_prepared(folder)


def test_duplicates_are_dropped_and_counted(many_parts, tmp_path):
    all_of_them = prepare(plan(many_parts, tmp_path), silent)
    without = prepare(plan(many_parts, tmp_path, deduplicate=True), silent)
    for split in ("train", "validation"):
        everything = texts(getattr(all_of_them, split), all_of_them.tokenizer)
        assert texts(getattr(without, split), without.tokenizer) == list(dict.fromkeys(everything))
    counts = json.loads((without.folder / "manifest.json").read_text())["splits"]
    # Document 3 is in its own file twice, and once in each of the other six.
    assert sum(count["duplicates_dropped"] for count in counts.values()) == 7
    assert {name: counts["train"][name] for name in ("documents", "tokens")} == {
        name: without.train.counts()[name] for name in ("documents", "tokens")
    }


def test_words_are_counted_in_some_parts_of_a_large_corpus(tmp_path, monkeypatch):
    job = TokenizationJob(SentenceLines("x"), SplitByDocument(0.2), False, tmp_path, 70)
    counted = [number for number in range(70) if job.counts_words(number)]
    assert counted == list(range(0, 70, 3))
    for number in range(70):
        job.part_folder(number).mkdir(parents=True)
        words = {"film": 2, "the": number} if number in counted else None
        record = {"counts": {}, "passages": ["The film plays"] if number == 1 else [], "words": words}
        (job.part_folder(number) / "part.json").write_text(json.dumps(record))
    found = join_words(job)
    assert found["passages"] == ["The film plays"]
    expected = {"film": 2 * len(counted), "the": sum(counted)}
    assert found["word_counts"] == {"total": sum(expected.values()), "counts": expected}
    (job.part_folder(3) / "part.json").write_text(json.dumps({"counts": {}}))  # as an older version wrote it
    assert "word_counts" not in join_words(job)
    monkeypatch.setattr(word_frequency, "_COUNTED_CHARACTERS", 10)
    counter = WordCounter()
    for document in (["A film.", "a FILM"], ["no more"]):
        counter.take(document)
    assert counter.counts() == {"a": 2, "film": 2}


def test_digests_are_compared_in_several_rounds(tmp_path, monkeypatch):
    monkeypatch.setattr(duplicates, "_DIGESTS_AT_ONCE", 50)
    rng = np.random.default_rng(0)
    digests = rng.integers(0, 2**63, (40, 2)).astype("<u8")[rng.integers(0, 40, 300)]
    digests[:100].tofile(tmp_path / "a")
    digests[100:].tofile(tmp_path / "c")
    kept = duplicates.first_occurrences([tmp_path / name for name in ("a", "missing", "c")])
    seen = [tuple(digest) for digest in digests.tolist()]
    assert kept.tolist() == [digest not in seen[:i] for i, digest in enumerate(seen)]


def test_weights_of_a_mixture(tmp_path):
    corpora = {}
    for number, name in enumerate(("half", "once", "twice")):
        path = tmp_path / f"{name}.txt"
        path.write_text("\n\n".join("\n".join(sentences(1000 * number + d, 2)) for d in range(200)), encoding="utf-8")
        corpora[name] = SentenceLines(str(path))
    mixture = Mixture(corpora, {"half": 0.5, "twice": 2.25})
    data = prepare(plan(mixture, tmp_path, deduplicate=True), silent)
    training = {name: sum(split_position(d) >= 0.2 for d in corpus) for name, corpus in corpora.items()}
    counted = dict.fromkeys(corpora, 0)
    for document in texts(data.train, data.tokenizer):
        number = int("".join(data.tokenizer.decode(list(document)).split("story")[1].split("part")[0].split()))
        counted[list(corpora)[number // 1000]] += 1
    assert counted["once"] == training["once"]
    assert counted["half"] == pytest.approx(0.5 * training["half"], abs=20)
    assert counted["twice"] == pytest.approx(2.25 * training["twice"], abs=20)
    assert data.validation.num_documents < 3 * 200 * 0.2 * 1.3  # each once
    with pytest.raises(UserError, match=r"weights.thrice: no source has this name; name one of half, once, twice"):
        Mixture(corpora, {"thrice": 3})


def test_what_a_new_store_has_anew_is_said(many_parts, tmp_path):
    said = []
    prepare(plan(many_parts, tmp_path), said.append)
    (tmp_path / "text" / "3.txt").write_text("Another text.\nIt has two sentences.", encoding="utf-8")
    prepare(StorePlan(many_parts, TrainWordPiece(250), 0.2, tmp_path / "x"), said.append)
    (line,) = [line for line in said if "making a new store" in line]
    assert "stays, and differs in this: tokenizer was TrainWordPiece(vocab_size=300, " in line
    assert "is TrainWordPiece(vocab_size=250, " in line
    assert f"{tmp_path}/text/3.txt has changed since" in line


def test_cuts_of_a_file_lose_nothing(small_corpus, tmp_path, monkeypatch):
    whole = list(SentenceLines(str(small_corpus)))
    for size in (100, 1000, 5000):
        monkeypatch.setattr(lines, "PART_BYTES", size)
        corpus = SentenceLines(str(small_corpus))
        assert len(corpus.parts()) > 2
        assert list(corpus) == whole


PROGRAM = """
import sys
from pathlib import Path
from bert_lightning.data.store.preparation import StorePlan, prepare
from bert_lightning.text.files import lines
from bert_lightning.text.corpora import SentenceLines
from bert_lightning.text.tokenizers.recipes import TrainWordPiece
from bert_lightning.text.tokenizers.bpe_and_unigram import TrainUnigram

if __name__ == "__main__":
    recipe = {"wordpiece": TrainWordPiece, "unigram": TrainUnigram}[sys.argv[3]](2000)
    plan = StorePlan(SentenceLines(sys.argv[1]), recipe, 0.05, Path(sys.argv[2]), deduplicate=True)
    print(prepare(plan, lambda what: None, workers=2).folder)
"""


def run_program(tmp_path, corpus, folder, tokenizer="wordpiece", **options):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    return subprocess.Popen(
        [sys.executable, str(program), str(corpus), str(folder), tokenizer],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **options,
    )  # fmt: skip


def large_corpus(tmp_path, files, documents):
    (tmp_path / "text").mkdir()
    for number in range(files):
        text = "\n\n".join("\n".join(sentences(number * documents // 2 + d, 9)) for d in range(documents))
        (tmp_path / "text" / f"{number:02d}.txt").write_text(text, encoding="utf-8")
    return tmp_path / "text" / "*.txt"


@pytest.mark.slow
def test_a_full_disk_leaves_nothing_half_written_and_the_rerun_goes_on(tmp_path):
    corpus = large_corpus(tmp_path, files=4, documents=2000)
    limited = run_program(
        tmp_path, corpus, tmp_path / "x",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)),
    )  # fmt: skip
    _, errors = limited.communicate(timeout=120)
    assert limited.returncode == 1
    assert "cannot be written (" in errors
    (partial,) = tmp_path.glob("x-*")
    assert partial.suffix == ".partial"
    assert not list(partial.glob("parts/*.*"))  # no part half written
    rerun = run_program(tmp_path, corpus, tmp_path / "x")
    printed, errors = rerun.communicate(timeout=120)
    assert rerun.returncode == 0, errors
    undisturbed = run_program(tmp_path, corpus, tmp_path / "y").communicate(timeout=120)[0]
    assert hash_in(printed) == hash_in(undisturbed)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB, where this may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("tmpfs cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_disk_that_is_really_full(tmp_path, small_disk):
    corpus = large_corpus(tmp_path, files=4, documents=2000)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(2_500_000))
    limited = run_program(tmp_path, corpus, small_disk / "x")
    _, errors = limited.communicate(timeout=120)
    assert limited.returncode == 1
    assert "cannot be written (" in errors
    assert "free some disk space and run the same command again" in errors
    assert [path.suffix for path in small_disk.glob("x-*")] == [".partial"]
    assert not list(small_disk.glob("x-*/parts/*.*"))  # no part half written
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    printed, errors = run_program(tmp_path, corpus, small_disk / "x").communicate(timeout=120)
    assert "UserError" not in errors
    undisturbed = run_program(tmp_path, corpus, tmp_path / "y").communicate(timeout=120)[0]
    assert hash_in(printed) == hash_in(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("tokenizer", ["wordpiece", "unigram"])
def test_ten_kills_at_random_moments(tmp_path, tokenizer):
    corpus = large_corpus(tmp_path, files=10, documents=1500)
    begin = time.monotonic()
    undisturbed = run_program(tmp_path, corpus, tmp_path / "undisturbed", tokenizer).communicate(timeout=600)[0].strip()
    seconds = time.monotonic() - begin
    expected = hash_in(undisturbed)
    rng, killed = random.Random(0), 0
    for number in range(10):
        process = run_program(tmp_path, corpus, tmp_path / f"killed{number}", tokenizer)
        time.sleep(rng.uniform(0.05, 0.9) * seconds)
        killed += process.poll() is None
        process.kill()  # the parent only: its workers must end by themselves
        process.communicate(timeout=60)
        rerun = run_program(tmp_path, corpus, tmp_path / f"killed{number}", tokenizer)
        printed, errors = rerun.communicate(timeout=600)
        assert rerun.returncode == 0, errors
        assert hash_in(printed) == expected
        assert [path.name for path in tmp_path.glob(f"killed{number}-*")] == [printed.strip().rpartition("/")[2]]
        shutil.rmtree(printed.strip())
    assert killed >= 5, "most runs ended before they were killed"
