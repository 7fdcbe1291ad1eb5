"""The ids of `fastest_tokenizer` are those of the library, word starts and all, whatever the text."""

import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from bert_lightning.text.tokenizers import cached_tokenizer
from bert_lightning.text.tokenizers.batch_tokenizer import PlainTokenizer
from bert_lightning.text.tokenizers.bpe_and_unigram import TrainByteLevelBPE, TrainUnigram
from bert_lightning.text.tokenizers.cached_tokenizer import CachedTokenizer, fastest_tokenizer
from bert_lightning.text.tokenizers.recipes import LoadTokenizer, TrainWordPiece, load_tokenizer

WEIRD = [
    "a [MASK] b [SEP] <mask>  hello <s>x</s> [UNK] ▁ ``quoted''",
    "naïve café ÅǺ é 😀👩‍👩‍👧 flag🇩🇪 it's we're I'LL don't 'tis 'S",
    "\x00ctl\x07 \u200b zero\ufeff \x1c\x1d\x85 \xa0nbsp\u2028ls \u200b",
    "tab\tnew  double   triple ",
    "  two spaces in front", " one", "", " ", "  ", "a  b", "a b ", "\t \tx", "line\nend \r\n",
    "中文abc，。！1２３ 你好 世界。\u3000全角", "「引」《书》—…·“x”", "日本語のテキスト 한국어 ไทย العربية",
    "ﬁ ½ Ⅷ ﷺ ① ℌ ¨x x¨ ´", "ΑΣ ΟΔΟΣ İstanbul ıI ǅ ß ẞ", "\u0301leading a\u0301\u0323 中\u0301 ，\u0301", "x" * 300,
]  # fmt: skip
ALPHABET = [
    *string.printable,
    *"éßİΣ中文，。！“”…あ가ก😀▁¨½ﬁ \u0301\u0327\u200b\u200d\ufeff\xa0\x85\u2028\u3000\x00\ufffd\U00020000",
]


def documents():
    base = ["the quick brown fox jumps over lazy dogs' tails, isn't it?", "12 naïve cafés in 1984!"]
    return [[*base, *(f"word{i} and {string.ascii_letters[i : i + 4]}" for i in range(40))], WEIRD]


def gapped():
    """Words whose numbers have holes, cased, without BERT's treatment of ideographs."""
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 3, "a": 70_000, "中": 9}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def with_added(tokenizer):
    """Added tokens that stand in cached_tokenizer, take spaces with them, or are words of their own only."""
    tokenizer.add_special_tokens(
        [AddedToken("é", special=True), AddedToken("b", lstrip=True, rstrip=True, special=True)]
    )
    tokenizer.add_tokens([AddedToken("中", normalized=False), AddedToken("x", single_word=True, normalized=False)])
    return tokenizer


MAKERS = {
    "uncased with added tokens": lambda: with_added(TrainWordPiece(300)(documents())),
    "bytes with added tokens": lambda: with_added(TrainByteLevelBPE(400)(documents())),
    "unigram with added tokens": lambda: with_added(TrainUnigram(200)(documents())),
    "uncased": lambda: TrainWordPiece(300)(documents()),
    "cased": lambda: TrainWordPiece(300, lowercase=False)(documents()),
    "bytes": lambda: TrainByteLevelBPE(400)(documents()),
    "unigram": lambda: TrainUnigram(200)(documents()),
    "gapped": gapped,
}


@pytest.fixture(scope="module", params=MAKERS)
def tokenizer(request):
    return MAKERS[request.param]()


def check(encoder, tokenizer, sentences):
    ours, theirs = encoder(sentences), PlainTokenizer(tokenizer)(sentences)
    for name in ("lengths", "tokens", "word_starts"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name
    assert ours.tokens.dtype == theirs.tokens.dtype


def test_texts_that_are_odd(tokenizer):
    encoder = fastest_tokenizer(tokenizer)
    assert isinstance(encoder, CachedTokenizer)
    for _ in range(2):  # the second time from memory
        check(encoder, tokenizer, WEIRD)
    for text in WEIRD:
        check(encoder, tokenizer, [text])
    check(encoder, tokenizer, [])


@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_any_text(tokenizer, data):
    text = st.text(st.sampled_from(ALPHABET), max_size=30) | st.text(max_size=20)
    check(fastest_tokenizer(tokenizer), tokenizer, data.draw(st.lists(text, max_size=6)))


def test_what_is_forgotten_is_learned_again(monkeypatch):
    tokenizer = MAKERS["uncased"]()
    monkeypatch.setattr(cached_tokenizer, "_MOST_WORDS", 20)
    monkeypatch.setattr(cached_tokenizer, "_KEPT_WORDS", 5)
    encoder = fastest_tokenizer(tokenizer)
    for i in range(30):
        check(encoder, tokenizer, [f"word{i * 7} of number {j} and\tfox{i}" for j in range(5)])
        assert len(encoder.words.ends) <= 45


def test_what_a_space_does_not_end_is_left_to_the_library():
    with_space = Tokenizer(models.WordLevel({"a b": 0, "[UNK]": 1}, unk_token="[UNK]"))
    assert isinstance(fastest_tokenizer(with_space), PlainTokenizer)
    dropout = MAKERS["bytes"]()
    dropout.model.dropout = 0.5
    assert isinstance(fastest_tokenizer(dropout), PlainTokenizer)
    added = MAKERS["uncased"]()
    added.add_tokens(["new york"])
    assert isinstance(fastest_tokenizer(added), PlainTokenizer)
    check(fastest_tokenizer(added), added, ["in new york city"])
    replacing = MAKERS["uncased"]()
    replacing.normalizer = normalizers.Sequence([normalizers.Replace("x y", "z"), replacing.normalizer])
    assert isinstance(fastest_tokenizer(replacing), PlainTokenizer)


def real_text(test_data, chinese):
    """A little more than 1 MB, a line a string, odd ones at the end."""
    folder = "pretrain_zh/cluecorpussmall_sample" if chinese else "pretrain_en/wikitext2"
    paths = sorted((test_data / folder).glob("*.txt"))
    lines = [line for path in paths for line in path.read_text(encoding="utf-8").splitlines()]
    sizes = np.cumsum([len(line.encode()) for line in lines])
    assert sizes[-1] > 1_050_000
    return [*lines[: int(np.searchsorted(sizes, 1_050_000))], *WEIRD]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bert-base-uncased", "bert-base-cased", "bert-base-chinese", "roberta-base"])
def test_published_vocabularies_on_a_megabyte(test_data, tmp_path, name):
    transformers = pytest.importorskip("transformers", minversion="5.20")
    texts, folder = real_text(test_data, "chinese" in name), test_data / "vocab" / name
    if name == "roberta-base":
        for source in (folder / "vocab.json", test_data / "vocab" / "gpt2" / "merges.txt"):
            (tmp_path / source.name).write_bytes(source.read_bytes())
        ours = LoadTokenizer(str(tmp_path))([])
        mask = transformers.AddedToken("<mask>", lstrip=True)  # as in the published tokenizer.json
        theirs = transformers.RobertaTokenizerFast(
            vocab=str(tmp_path / "vocab.json"), merges=str(tmp_path / "merges.txt"), mask_token=mask
        )
    else:
        lowercase = "uncased" in name or "chinese" in name
        ours = load_tokenizer(folder, lowercase)
        theirs = transformers.BertTokenizerFast(vocab=str(folder / "vocab.txt"), do_lower_case=lowercase)
    pairs = zip(texts, ours.encode_batch(texts), theirs(texts)["input_ids"], strict=True)
    assert [text for text, encoding, ids in pairs if encoding.ids != ids] == []
    as_text = theirs(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    encoded = fastest_tokenizer(ours)(texts)
    ends = np.cumsum(encoded.lengths)
    pairs = zip(texts, np.split(encoded.tokens, ends[:-1]), as_text, strict=True)
    assert [text for text, tokens, ids in pairs if tokens.tolist() != ids] == []
