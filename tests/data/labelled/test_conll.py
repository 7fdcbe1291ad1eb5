import gzip
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_lightning.data.labelled.conll import Entity, entities, read_columns, to_iob2
from bert_lightning.errors import UserError

IOB2 = ["B-PER", "I-PER", "B-PER", "O", "B-LOC", "B-ORG", "I-ORG", "I-ORG", "O"]
SCHEMES = {
    "iob1": ["I-PER", "I-PER", "B-PER", "O", "I-LOC", "I-ORG", "I-ORG", "I-ORG", "O"],
    "iob2": IOB2,
    "bioes": ["B-PER", "E-PER", "S-PER", "O", "S-LOC", "B-ORG", "I-ORG", "E-ORG", "O"],
    "bmes": ["B-PER", "E-PER", "S-PER", "O", "S-LOC", "B-ORG", "M-ORG", "E-ORG", "O"],
    "bilou": ["B-PER", "L-PER", "U-PER", "O", "U-LOC", "B-ORG", "I-ORG", "L-ORG", "O"],
}


@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_becomes_iob2(name):
    assert to_iob2([SCHEMES[name]], ["f:1"]) == [IOB2]
    if name in ("iob1", "iob2", "bioes"):
        assert to_iob2([SCHEMES[name]], ["f:1"], name) == [IOB2]


TREEBANK = """# text = vámonos al mar
1-2\tvámonos\t_\t_\t_
1\tvamos\tir\tVERB\tV
2\tnos\tnosotros\tPRON\tP
3.1\tnada\tnada\tPRON\tP
3\tal\ta\tADP\tE
4\tmar\tmar\tNOUN\tN

1\t_\t_\tPUNCT\tZ
2\t#\t#\tSYM\tZ
"""


def test_words_of_a_treebank_are_read_without_comments_and_contractions(tmp_path):
    path = tmp_path / "es-ud-dev.conllu"
    path.write_text(TREEBANK, encoding="utf-8")
    first, second = read_columns(path, 1, 3)
    assert first.values == {"words": ["vamos", "nos", "al", "mar"], "tags": ["VERB", "PRON", "ADP", "NOUN"]}
    assert first.where == f"{path}:3"
    assert second.values == {"words": ["_", "#"], "tags": ["PUNCT", "SYM"]}
    assert [row.values["tags"] for row in read_columns(path, 1, 4)] == [["V", "P", "E", "N"], ["Z", "Z"]]
    path.write_text(TREEBANK.replace("ADP", "_"), encoding="utf-8")
    with pytest.raises(UserError, match=r":6: 'al' has no tag in column 3: give an annotated file"):
        list(read_columns(path, 1, 3))


@st.composite
def iob2_tags(draw):
    tags = []
    for _ in range(draw(st.integers(0, 6))):
        kind, length = draw(st.sampled_from(["X", "Y-Z"])), draw(st.integers(0, 3))
        tags += [f"B-{kind}", *[f"I-{kind}"] * (length - 1)] if length else ["O"]
    return tags


@given(iob2_tags())
def test_writing_in_another_scheme_and_reading_gives_the_same_tags(tags):
    iob1, bioes = list(tags), list(tags)
    for kind, start, end in entities(tags):
        bioes[start:end] = [f"S-{kind}"] if end == start + 1 else [
            f"B-{kind}", *[f"I-{kind}"] * (end - start - 2), f"E-{kind}"
        ]  # fmt: skip
        if start == 0 or tags[start - 1].partition("-")[2] != kind:
            iob1[start] = f"I-{kind}"
    for scheme, written in (("iob1", iob1), ("bioes", bioes), ("iob2", tags)):
        assert to_iob2([written], ["f:1"], scheme) == [tags]


@pytest.mark.parametrize(
    ("tags", "scheme", "message"),
    [
        (["O", "I-PER"], "iob2", "f:8: I-PER cannot follow O in IOB2"),
        (["B-PER", "I-LOC"], "iob2", "f:8: I-LOC cannot follow B-PER"),
        (["B-PER", "O"], "bioes", "f:8: O cannot follow B-PER in BIOES"),
        (["S-PER", "B-PER"], "bioes", "f:8: O cannot follow B-PER"),
        (["O", "PER"], "auto", "f:8: 'PER' is not a tag"),
        (["X-PER"], "auto", "f:7: 'X-PER' is not a tag"),
        (["O"], "iobes", "scheme=iobes must be auto, iob1"),
    ],
)
def test_a_sequence_that_cannot_be_read_is_named_by_line(tags, scheme, message):
    with pytest.raises(UserError, match=message):
        to_iob2([tags], ["f:7"], scheme)


def test_sentences_of_a_file(tmp_path):
    path = tmp_path / "eng.train"
    path.write_text("-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\nrejects VBZ I-VP O\n\n\nPeter NNP I-NP I-PER", "utf-8")
    first, second = read_columns(path)
    assert first == (f"{path}:3", {"words": ["EU", "rejects"], "tags": ["I-ORG", "O"]})
    assert second == (f"{path}:7", {"words": ["Peter"], "tags": ["I-PER"]})
    assert [row.values["tags"] for row in read_columns(path, tag_column=1)] == [["NNP", "VBZ"], ["NNP"]]
    path.write_text("EU O\nalone\n", "utf-8")
    with pytest.raises(UserError, match=r"eng.train:2: 'alone' has a word and no tag"):
        list(read_columns(path))
    with pytest.raises(UserError, match=r"eng.train:1: no columns 0 and 5"):
        list(read_columns(path, tag_column=5))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("She\tO\nNew York\tB-LOC\n", ["She", "New York"]),
        # Lines may end in tabs, columns may be aligned by several, and spaces may stand beside a tab.
        ("She\t\tO\t\r\nNew York \t B-LOC\r\n", ["She", "New York"]),
        ("我\tO\n\u3000\tO\n你\tO\n", ["我", "\u3000", "你"]),
        ("我 O\n\u3000 O\n", ["我", "\u3000"]),
        # Other white space of Unicode is part of a word and ends no line.
        ("a\u00a0b O\nc\x85d O\ne\u2028f O\n", ["a\u00a0b", "c\x85d", "e\u2028f"]),
        ("\ufeff\n-DOCSTART- -X- O O\n \nNew York\tB-LOC\n", ["New York"]),
    ],
)
def test_what_separates_words(text, words, tmp_path):
    path = tmp_path / "a.conll"
    path.write_text(text, encoding="utf-8", newline="")
    (row,) = read_columns(path)
    assert row.values["words"] == words
    assert len(row.values["tags"]) == len(words)


@pytest.mark.parametrize("line", ["is O", "\tO", "is"])
def test_in_a_file_with_tabs_a_line_needs_them(line, tmp_path):
    path = tmp_path / "a.conll"
    path.write_text(f"New York\tB-LOC\n{line}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"a.conll:2: .* has a word and no tag, or .*; in a file with tabs, tabs alone"):
        list(read_columns(path))


@pytest.mark.parametrize("ending", ["jsonl", "ndjson", "json", "jsonl.gz"])
def test_a_table_is_read_by_its_rows(ending, tmp_path):
    data = b'{"words": ["a"], "tags": ["O"]}\n'
    (tmp_path / f"t.{ending}").write_bytes(gzip.compress(data) if ending.endswith("gz") else data)
    (row,) = read_columns(tmp_path / f"t.{ending}")
    assert row.values == {"words": ["a"], "tags": ["O"]}


def test_a_compressed_file_of_columns_is_read(tmp_path):
    (tmp_path / "t.conll.gz").write_bytes(gzip.compress(b"a O\nb B-X\n"))
    (row,) = read_columns(tmp_path / "t.conll.gz")
    assert row == (f"{tmp_path}/t.conll.gz:1", {"words": ["a", "b"], "tags": ["O", "B-X"]})


def test_entities_are_those_of_seqeval():
    from seqeval.metrics.sequence_labeling import get_entities

    rng = random.Random(0)
    tags = ["O", "B-A", "I-A", "B-B", "I-B"]
    for _ in range(2000):
        sequence = rng.choices(tags, k=rng.randint(0, 9))
        assert entities(sequence) == {Entity(kind, start, end + 1) for kind, start, end in get_entities(sequence)}


def test_a_b_begins_an_entity_of_iob1_wherever_it_stands():
    assert to_iob2([["I-X", "O", "B-X", "I-X", "B-Y"]], ["f:1"]) == [["B-X", "O", "B-X", "I-X", "B-Y"]]


def test_an_entity_that_a_sentence_cuts_needs_the_scheme_for_it():
    tags = ["M-X", "E-X", "O", "S-Y", "B-X", "E-X", "B-X", "M-X"]
    with pytest.raises(UserError, match=r"f:1: I-X cannot follow O"):
        to_iob2([tags], ["f:1"])
    found = to_iob2([tags], ["f:1"], "bioes_cut")
    assert found == [["B-X", "I-X", "O", "B-Y", "B-X", "I-X", "B-X", "I-X"]]


def test_whole_entities_are_the_same_in_either_scheme(test_data):
    rows = list(read_columns(test_data / "zh/resume_ner/test.char.bmes"))
    tags, where = [row.values["tags"] for row in rows], [row.where for row in rows]
    assert to_iob2(tags, where, "bioes_cut") == to_iob2(tags, where, "bioes")


def test_real_files_have_the_published_entities(test_data):
    """Tjong Kim Sang and De Meulder 2003, table 2; and the paper of Resume NER counts characters alike."""
    counts = {}
    for split in ("train", "testa", "testb"):
        rows = list(read_columns(test_data / "ner_en/conll2003" / f"eng.{split}"))
        tags = to_iob2([row.values["tags"] for row in rows], [row.where for row in rows])
        kinds = [entity.type for sentence in tags for entity in entities(sentence)]
        counts[split] = [kinds.count(kind) for kind in ("LOC", "MISC", "ORG", "PER")]
    assert counts == {
        "train": [7140, 3438, 6321, 6600],
        "testa": [1837, 922, 1341, 1842],
        "testb": [1668, 702, 1661, 1617],
    }
    rows = list(read_columns(test_data / "zh/resume_ner/test.char.bmes"))
    assert len(to_iob2([row.values["tags"] for row in rows], [row.where for row in rows])) == 477
