"""Token ids, token types and special ids of every form of tokenizer folder are those of transformers."""

import json
import string
import struct

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from bert_lightning.data.labelled.encoding import encode
from bert_lightning.data.pretraining.masking import ReplacementVocabulary
from bert_lightning.data.store.preparation import StorePlan, prepare
from bert_lightning.errors import UserError
from bert_lightning.exports.transformers_folder import export
from bert_lightning.model.config import BertConfig
from bert_lightning.model.encoder import BERT
from bert_lightning.runs.pretrained import PretrainedWeights
from bert_lightning.text.corpora import SentenceLines
from bert_lightning.text.tokenizers.batch_tokenizer import PlainTokenizer
from bert_lightning.text.tokenizers.bpe_and_unigram import TrainByteLevelBPE, TrainUnigram
from bert_lightning.text.tokenizers.cached_tokenizer import CachedTokenizer, fastest_tokenizer
from bert_lightning.text.tokenizers.recipes import LoadTokenizer, TrainWordPiece, fingerprint, load_tokenizer
from bert_lightning.text.tokenizers.special_tokens import SpecialIds, special_names

transformers = pytest.importorskip("transformers", minversion="5.20")  # older ones read some folders otherwise

TEXTS = [
    "The EU rejects the German call.", "Hello World, hello world!", "Café naïve — Ångström ÉCOLE", "", " ", "a",
    "中文 and 東京abc，。", "emoji 😀👩‍👩‍👧 🇩🇪!", "  two  spaces ", "tab\tand\nline", "don't we'll I'M",
    "an [E1] apple [/E1] in[E1]paris", "[e1] [E2]x  [E2]  y", "12.5% of 3,000 (x) \"quoted\"",
    "\u0301a e\u0301 İstanbul ß", "word " * 40,
]  # fmt: skip
PAIRS = [
    ("The EU rejects", "the German call."),
    ("", "empty first"),
    ("word " * 30, "other " * 12),
    ("one", "word " * 50),
]
WORDS = [
    ["The", "EU", "rejects", "the", "German", "call", "."],
    ["Café", "中文", "😀", "don't", "(", "x", ")", "\u200b", "EU"],
    ["in", "[E1]", "paris", "[/E1]", "x[E1]y"],
]
PIECES = "the The ##s hello Hello world World eu EU rejects German german call cafe café Café is of in an apple paris"
WORDPIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *PIECES.split(), "中", "文", "##文", "東", "京"]
WORDPIECES += [*string.ascii_letters, *string.digits, *"[]/.,!?'()%\"éÅ", *(f"##{c}" for c in string.ascii_letters)]
WORDPIECES += [*(f"##{c}" for c in string.digits + "é"), "<pad>", "<hole>", "<begin>", "<end>", "<x>"]
WORDPIECES = list(dict.fromkeys(WORDPIECES))
NUMBER = len(WORDPIECES)
WORDPIECE_TXT = "\n".join(WORDPIECES) + "\n"
FLAGS = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False, "special": True}
BERT_NAMES, ROBERTA_NAMES = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"], ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
UNCASED = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
CASED = {"tokenizer_class": "BertTokenizer", "do_lower_case": False}


def byte_level(special, mask, template, further=()):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    options = {"special_tokens": special, "initial_alphabet": alphabet, "show_progress": False}
    tokenizer.train_from_iterator(TEXTS * 3, trainers.BpeTrainer(vocab_size=330, **options))
    tokenizer.add_special_tokens([AddedToken(special[-1], **mask)])
    tokenizer.add_tokens(list(further))
    tokenizer.post_processor = template(tokenizer)
    return json.loads(tokenizer.to_str())


def bert_template(tokenizer):
    tokens = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    return processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", tokens)


def roberta_template(tokenizer):
    ends = [(name, tokenizer.token_to_id(name)) for name in ("</s>", "<s>")]
    return processors.RobertaProcessing(*ends, trim_offsets=True, add_prefix_space=False)


def wordpiece_json(lowercase, **options):
    vocabulary = {piece: number for number, piece in enumerate(WORDPIECES)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase, **options)
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    tokenizer.add_special_tokens(BERT_NAMES)
    tokenizer.post_processor = bert_template(tokenizer)
    return json.loads(tokenizer.to_str())


def unigram_json():
    return json.loads(TrainUnigram(160)([[*TEXTS, *string.ascii_letters]]).to_str())


ROBERTA = byte_level(ROBERTA_NAMES, {"lstrip": True}, roberta_template)
MODERN_FURTHER = [AddedToken("[E1]", special=True), AddedToken("|||IP|||", normalized=False)]
MODERN = byte_level(BERT_NAMES, {"lstrip": True}, bert_template, MODERN_FURTHER)
BPE_FILES = {
    "vocab.json": ROBERTA["model"]["vocab"],
    "merges.txt": "#version: 0.2\n" + "\n".join(" ".join(merge) for merge in ROBERTA["model"]["merges"]),
}
DECODER = {
    str(NUMBER): FLAGS | {"content": "[E1]", "rstrip": True},
    str(NUMBER + 1): FLAGS | {"content": "[E2]", "lstrip": True, "special": False, "normalized": True},
    str(NUMBER + 2): FLAGS | {"content": "[/E1]", "single_word": True},
    "4": FLAGS | {"content": "[MASK]", "lstrip": True},
}
RENAMED = {
    "pad_token": "<pad>",
    "cls_token": "<begin>",
    "sep_token": "<end>",
    "mask_token": "<hole>",
    "unk_token": "<x>",
}
WRITTEN = {"__type": "AddedToken", **FLAGS}


def described(**settings):
    return {"vocab.txt": WORDPIECE_TXT, "tokenizer_config.json": settings}


# name -> model type, files
FORMS = {
    "vocab.txt": ("bert", {"vocab.txt": WORDPIECE_TXT}),
    "uncased": ("bert", described(**UNCASED)),
    "cased": ("bert", described(**CASED)),
    "electra cased": ("electra", described(do_lower_case=False, tokenizer_class="ElectraTokenizer")),
    "distilbert fast": ("distilbert", described(do_lower_case=False, tokenizer_class="DistilBertTokenizerFast")),
    "no class": ("bert", described(do_lower_case=False, do_basic_tokenize=True, never_split=["EU"])),
    "accents kept": ("bert", described(**UNCASED, strip_accents=False)),
    "cased without accents": ("bert", described(**CASED, strip_accents=True)),
    "ideographs in words": ("bert", described(**UNCASED, tokenize_chinese_chars=False)),
    "added_tokens.json": ("bert", described(**UNCASED) | {"added_tokens.json": {"[E1]": NUMBER, "[/E1]": NUMBER + 1}}),
    "cased, added_tokens.json": (
        "bert",
        described(**CASED) | {"added_tokens.json": {"[/E1]": NUMBER + 1, "[E1]": NUMBER}},
    ),
    "additional special tokens": ("bert", described(**UNCASED, additional_special_tokens=["[E1]", "[/E1]"])),
    "extra special tokens": ("bert", described(**UNCASED, extra_special_tokens={"one": "[E1]", "two": "[E2]"})),
    "added_tokens_decoder": ("bert", described(**UNCASED, added_tokens_decoder=DECODER)),
    "renamed": ("bert", described(**UNCASED, **RENAMED)),
    "renamed by objects": (
        "bert",
        described(**CASED, mask_token=WRITTEN | {"content": "<hole>", "lstrip": True}, cls_token="<begin>"),
    ),
    "special_tokens_map.json": (
        "bert",
        described(**UNCASED)
        | {
            "special_tokens_map.json": {
                "mask_token": FLAGS | {"content": "<hole>", "lstrip": True},
                "sep_token": "<end>",
                "additional_special_tokens": ["[E1]", "<brand-new>"],
            }
        },
    ),
    "new mask": ("bert", described(**UNCASED, mask_token="<blank>")),
    "bert tokenizer.json": ("bert", {"tokenizer.json": wordpiece_json(True)}),
    "cased tokenizer.json": ("bert", {"tokenizer.json": wordpiece_json(False), "tokenizer_config.json": CASED}),
    "tokenizer.json against its config": (
        "bert",
        {"tokenizer.json": wordpiece_json(True), "tokenizer_config.json": CASED | {"strip_accents": True}},
    ),
    "tokenizer.json and decoder": (
        "bert",
        {"tokenizer.json": wordpiece_json(True), "tokenizer_config.json": UNCASED | {"added_tokens_decoder": DECODER}},
    ),
    "fast tokenizer.json": (
        "bert",
        {
            "tokenizer.json": wordpiece_json(False, strip_accents=True),
            "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "mask_token": "[MASK]"},
        },
    ),
    "vocab.json": ("roberta", BPE_FILES),
    "vocab.json with spaces": (
        "roberta",
        BPE_FILES | {"tokenizer_config.json": {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": True}},
    ),
    "vocab.json with flags": (
        "roberta",
        BPE_FILES | {"special_tokens_map.json": {"mask_token": FLAGS | {"content": "<mask>", "lstrip": True}}},
    ),
    "roberta tokenizer.json": ("roberta", {"tokenizer.json": ROBERTA}),
    "roberta tokenizer.json with spaces": (
        "roberta",
        {"tokenizer.json": ROBERTA, "tokenizer_config.json": {"add_prefix_space": True, "mask_token": "<mask>"}},
    ),
    "modernbert": ("modernbert", {"tokenizer.json": MODERN}),
    "albert tokenizer.json": ("albert", {"tokenizer.json": unigram_json()}),
    "cased albert tokenizer.json": (
        "albert",
        {"tokenizer.json": unigram_json(), "tokenizer_config.json": {"do_lower_case": False, "keep_accents": True}},
    ),
}


def write(folder, model_type, files):
    folder.mkdir(parents=True, exist_ok=True)
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1, "cls_token_id": 1, "sep_token_id": 1}
    contents = {"config.json": {"model_type": model_type, "vocab_size": 1000, **ids}} | files
    for name, content in contents.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(params=FORMS)
def folder(request, tmp_path):
    return write(tmp_path / "folder", *FORMS[request.param])


def reference(folder, of_words=False):
    """The tokenizer of transformers; one that reads words as they are in a sentence."""
    if not of_words:
        return transformers.AutoTokenizer.from_pretrained(folder)
    theirs = transformers.AutoTokenizer.from_pretrained(folder, add_prefix_space=True)
    if isinstance(theirs.backend_tokenizer.pre_tokenizer, pre_tokenizers.ByteLevel):  # ModernBERT's class ignores it
        theirs.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    return theirs


def compare(ours, theirs, words_reference):
    """All differences of two tokenizers, as (what, text, ours, theirs)."""
    found = []
    names = special_names(ours)
    masks = ["The {mask} of a{mask}. {mask}x", "x  {mask}  y"] if "mask" in names else []
    typed = [text.format_map(names) for text in (*masks, "a {sep} b{cls}")]

    def check(what, text, tokens, encoding):
        expected = (encoding["input_ids"], encoding["token_type_ids"])
        if (actual := (tokens.ids.tolist(), tokens.types.tolist())) != expected:
            found.append((what, text, actual, expected))

    for text in [*TEXTS, *typed]:
        encoding = theirs(text, return_token_type_ids=True)
        check("text", text, encode([text], ours, 512, with_masks=True)[0], encoding)
        if text in TEXTS:
            check("plain text", text, encode([text], ours, 512)[0], encoding)
    for pair in PAIRS:
        for length in (20, 512):
            encoding = theirs(*pair, return_token_type_ids=True, truncation=True, max_length=length)
            check(f"pair of {length}", pair, encode([pair], ours, length)[0], encoding)
    for words in WORDS:
        encoding = words_reference(words, is_split_into_words=True, return_token_type_ids=True)
        (tokens,) = encode([words], ours, 512)
        check("words", words, tokens, encoding)
        numbers = encoding.word_ids()
        first = [numbers.index(number) if number in numbers else -1 for number in range(len(words))]
        if tokens.first.tolist() != first:
            found.append(("first tokens", words, tokens.first.tolist(), first))
    return found


def test_every_form_reads_as_transformers_does(folder):
    theirs, ours = reference(folder), load_tokenizer(folder)
    assert compare(ours, theirs, reference(folder, of_words=True)) == []
    special = SpecialIds.of(ours)
    for role in ("pad", "unk", "cls", "sep", "mask"):
        if (number := getattr(theirs, f"{role}_token_id")) is not None:
            assert getattr(special, role) == number, role
    expected = {number: str(token.__getstate__()) for number, token in theirs.added_tokens_decoder.items()}
    actual = {number: str(token.__getstate__()) for number, token in ours.get_added_tokens_decoder().items()}
    assert {number: actual.get(number) for number in expected} == expected


def test_the_fast_encoder_reads_every_form_as_the_library_does(folder):
    ours = load_tokenizer(folder)
    theirs = reference(folder)
    encoded, plain = fastest_tokenizer(ours)(TEXTS), PlainTokenizer(ours)(TEXTS)
    for name in ("lengths", "tokens", "word_starts"):
        assert np.array_equal(getattr(encoded, name), getattr(plain, name)), name
    tokens = np.split(encoded.tokens, np.cumsum(encoded.lengths)[:-1])
    assert [ids.tolist() for ids in tokens] == theirs(TEXTS, add_special_tokens=False)["input_ids"]


def test_a_saved_tokenizer_is_the_same_in_every_form(folder, tmp_path):
    ours = load_tokenizer(folder)
    ours.save(str(tmp_path / "tokenizer.json"))
    saved = load_tokenizer(tmp_path / "tokenizer.json")
    assert fingerprint(saved) == fingerprint(ours)
    assert SpecialIds.of(saved) == SpecialIds.of(ours)


def test_an_export_reads_the_same_in_every_form(folder, tmp_path):
    ours = load_tokenizer(folder)
    config = BertConfig(1000, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    tensors = {f"encoder.{name}": tensor for name, tensor in BERT(config).state_dict().items()}
    export(PretrainedWeights(folder, config, ours, tensors, {}), tmp_path / "exported", "bert")
    assert fingerprint(load_tokenizer(tmp_path / "exported")) == fingerprint(ours)
    exported = reference(tmp_path / "exported")
    assert compare(ours, exported, reference(tmp_path / "exported", of_words=True)) == []


def test_an_exported_tagger_reads_words_as_it_was_trained_to(tmp_path):
    ours = load_tokenizer(write(tmp_path / "folder", *FORMS["roberta tokenizer.json"]))
    config = BertConfig(1000, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    tensors = {f"encoder.{name}": tensor for name, tensor in BERT(config).state_dict().items()}
    tensors["objective.terms.tagging.head.classifier.weight"] = tensors["encoder.embeddings.norm.weight"][None].clone()
    tensors["objective.terms.tagging.head.classifier.bias"] = tensors["encoder.embeddings.norm.bias"][:1].clone()
    metadata = {"task": {"labels": ["O"]}}
    export(PretrainedWeights(tmp_path, config, ours, tensors, metadata), tmp_path / "exported", "bert")
    exported = reference(tmp_path / "exported")
    for words in WORDS:
        expected = encode([words], ours, 512)[0].ids.tolist()
        assert exported(words, is_split_into_words=True)["input_ids"] == expected
        assert encode([words], load_tokenizer(tmp_path / "exported"), 512)[0].ids.tolist() == expected


def test_further_special_tokens_do_not_slow_the_encoder(tmp_path):
    ours = load_tokenizer(write(tmp_path, *FORMS["additional special tokens"]))
    assert isinstance(fastest_tokenizer(ours), CachedTokenizer)
    assert "[E1]" not in special_names(ours).values()


@pytest.mark.parametrize("recipe", [TrainWordPiece(200), TrainByteLevelBPE(400), TrainUnigram(160)])
def test_tokenizers_of_runs_keep_their_fingerprint(tmp_path, recipe):
    """What a run has saved is loaded without any change, or its checkpoints would not fit it."""
    recipe([TEXTS]).save(str(tmp_path / "tokenizer.json"))
    assert fingerprint(load_tokenizer(tmp_path)) == fingerprint(Tokenizer.from_file(str(tmp_path / "tokenizer.json")))


def test_lowercase_says_it_against_the_folder(tmp_path):
    folder = write(tmp_path, *FORMS["cased"])
    assert load_tokenizer(folder).encode("The EU").tokens[1:-1] == ["The", "EU"]
    assert load_tokenizer(folder / "vocab.txt").encode("The EU").tokens[1:-1] == ["The", "EU"]
    assert load_tokenizer(folder, lowercase=True).encode("The EU").tokens[1:-1] == ["the", "eu"]
    assert {path.name for path in LoadTokenizer(str(folder)).files()} == {
        "vocab.txt", "tokenizer_config.json", "config.json"
    }  # fmt: skip
    with pytest.raises(UserError, match=r"tokenizer.lowercase=false: .* lowercases text by itself"):
        load_tokenizer(write(tmp_path / "json", *FORMS["bert tokenizer.json"]), lowercase=False)


def test_bare_files_of_roberta_give_its_mask_the_space_before_it(tmp_path):
    for name, content in BPE_FILES.items():
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    assert load_tokenizer(tmp_path).encode("The <mask>").ids[1:-1][-1] == 4
    assert len(load_tokenizer(tmp_path).encode("The <mask>").ids) == len(load_tokenizer(tmp_path).encode("The").ids) + 1


@pytest.mark.parametrize(
    "before",
    [
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        pre_tokenizers.Sequence(
            [pre_tokenizers.Punctuation(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        ),
        pre_tokenizers.Metaspace(prepend_scheme="never"),
        pre_tokenizers.Metaspace(prepend_scheme="first"),
    ],
)
def test_words_are_read_as_in_a_sentence(before):
    tokenizer = Tokenizer.from_str(json.dumps(MODERN))
    tokenizer.pre_tokenizer = before
    (tokens,) = encode([["EU", "calls:", "[E1]", "the-end"]], tokenizer, 64)
    in_sentence = [tokenizer.encode(f"x {word}", add_special_tokens=False).ids for word in ("EU", "calls:", "the-end")]
    alone = len(tokenizer.encode("x", add_special_tokens=False).ids)
    first, second, third = (ids[alone:] for ids in in_sentence)
    assert tokens.ids.tolist()[1:-1] == [*first, *second, tokenizer.token_to_id("[E1]"), *third]
    starts = np.cumsum([1, len(first), len(second), 1])
    assert tokens.first.tolist() == starts.tolist()


def test_one_tokenizer_serves_pretraining_and_tasks_in_turn(tmp_path):
    ours = load_tokenizer(write(tmp_path, *FORMS["additional special tokens"]))
    plain, text = PlainTokenizer(ours), "a [MASK] [E1]"
    before = plain([text]).tokens.tolist()
    encode([text], ours, 16, with_masks=True)
    assert plain([text]).tokens.tolist() == before
    assert SpecialIds.of(ours).mask not in before
    assert before[-1] == ours.token_to_id("[E1]")


def message(number, *values):
    """A field of a protocol buffer that holds others: (number, bytes, float or int)."""
    data = b""
    for field, value in values:
        if isinstance(value, bytes):
            data += bytes([field << 3 | 2, len(value)]) + value
        else:
            data += (
                struct.pack("<Bf", field << 3 | 5, value) if isinstance(value, float) else bytes([field << 3, value])
            )
    return bytes([number << 3 | 2, len(data)]) + data


@pytest.mark.parametrize("options", [{}, {"do_lower_case": False}, {"keep_accents": True}])
def test_albert_from_its_sentencepiece_file(tmp_path, options):
    trained = unigram_json()["model"]["vocab"]
    pieces = [
        message(1, (1, piece.encode()), (2, float(score)), (3, 2 if piece == "<unk>" else 1))
        for piece, score in trained
    ]
    write(tmp_path, "albert", {"tokenizer_config.json": {"tokenizer_class": "AlbertTokenizer", **options}})
    (tmp_path / "spiece.model").write_bytes(b"".join(pieces))
    scores = [(piece, struct.unpack("<f", struct.pack("<f", score))[0]) for piece, score in trained]
    theirs = transformers.AlbertTokenizer(vocab=scores, **options)
    assert compare(load_tokenizer(tmp_path), theirs, theirs) == []


def test_without_a_mask_only_masks_are_refused(tmp_path):
    files = {"vocab.txt": WORDPIECE_TXT.replace("[MASK]", "[unused1]")}
    tokenizer = load_tokenizer(write(tmp_path, "bert", files))
    assert SpecialIds.of(tokenizer).mask is None
    assert encode(["the eu"], tokenizer, 8)[0].ids.tolist()[0] == 2
    with pytest.raises(UserError, match=r"no \[MASK\] or <mask>, which masked language modeling needs: add one"):
        ReplacementVocabulary.of(tokenizer)


def test_a_mask_without_a_row_in_the_model_is_left_out(tmp_path):
    files = described(**UNCASED, mask_token="<blank>")
    write(tmp_path, "bert", files | {"config.json": {"model_type": "bert", "vocab_size": NUMBER}})
    assert special_names(load_tokenizer(tmp_path))["mask"] == "[MASK]"


@pytest.mark.parametrize(
    ("model_type", "files", "error"),
    [
        ("bert", described(do_lower_case="no"), r"tokenizer_config.json: do_lower_case='no' must be true or false"),
        ("bert", described(mask_token={"text": "x"}), r"mask_token=.* must be a token: a text, or its content"),
        ("bert", described(additional_special_tokens="[E1]"), r"additional_special_tokens='\[E1\]' must be a list"),
        ("bert", described(added_tokens_decoder=[]), r"added_tokens_decoder=\[\] must be an object"),
        ("bert", described(added_tokens_decoder={"x": "[E1]"}), r"'x' must be the id of a token"),
        ("bert", described() | {"added_tokens.json": {"[E1]": 900}}, r"give '\[E1\]' the id 900, but .* it gets"),
        ("bert", described() | {"tokenizer_config.json": "{"}, r"tokenizer_config.json:1: not JSON \(Expecting"),
        ("bert", described() | {"tokenizer_config.json": "[" * 100_000}, r"json: lists and objects are nested"),
        ("bert", described() | {"special_tokens_map.json": []}, r"special_tokens_map.json: its content=\[\] must be"),
        ("bert", described(tokenizer_class="BertJapaneseTokenizer"), "a BertJapaneseTokenizer is not supported in"),
        ("mpnet", described(tokenizer_class="MPNetTokenizer"), r"give its tokenizer.json, which transformers writes"),
        ("deberta", described(), r"a tokenizer of model_type=deberta is not supported in this form"),
        ("roberta", described(**CASED | {"tokenizer_class": "RobertaTokenizer"}), "a RobertaTokenizer is not"),
        ("bert", {"vocab.txt": "[PAD]\n[UNK]\nx\n"}, r"vocab.txt: the vocabulary has no \[CLS\] or <s>.*: name them"),
        ("bert", described(unk_token="new"), r"vocab.txt is not a tokenizer \(it lacks 'new', which a file"),
        ("bert", described(mask_token="new") | {"vocab.txt": WORDPIECE_TXT + "x\n"}, "'new' would get the id .*, w"),
    ],
)  # fmt: skip
def test_mistakes_of_folders_are_one_line(tmp_path, model_type, files, error):
    with pytest.raises(UserError, match=error) as raised:
        load_tokenizer(write(tmp_path, model_type, files))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["bert-base-cased", "bert-base-uncased", "bert-base-chinese"])
def test_published_vocabularies(test_data, tmp_path, name):
    text = (test_data / "vocab" / name / "vocab.txt").read_text(encoding="utf-8")
    settings = {"do_lower_case": "uncased" in name}
    folder = write(tmp_path, "bert", {"vocab.txt": text, "tokenizer_config.json": settings})
    (folder / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    assert compare(load_tokenizer(folder), reference(folder), reference(folder, of_words=True)) == []


def test_the_published_vocabulary_of_roberta(test_data, tmp_path):
    vocabulary = (test_data / "vocab" / "roberta-base" / "vocab.json").read_text(encoding="utf-8")
    merges = (test_data / "vocab" / "gpt2" / "merges.txt").read_text(encoding="utf-8")
    folder = write(tmp_path, "roberta", {"vocab.json": vocabulary, "merges.txt": merges})
    (folder / "config.json").write_text('{"model_type": "roberta"}', encoding="utf-8")
    theirs = reference(folder, of_words=True)
    assert compare(load_tokenizer(folder), reference(folder), theirs) == []
    assert theirs.tokenize("EU rejects") == ["ĠEU", "Ġrejects"]
    (tokens,) = encode([["EU", "rejects"]], load_tokenizer(folder), 8)
    assert [theirs.convert_ids_to_tokens(int(number)) for number in tokens.ids[1:-1]] == ["ĠEU", "Ġrejects"]


def case(test_data, name):
    folder = test_data.parent / "cases" / name
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    return folder


@pytest.mark.parametrize(
    "name", ["cased/enc_cased", "added_tokens/enc_added", "roberta_ner/enc_roberta", "nomask/enc_nomask"]
)
def test_folders_that_once_read_otherwise(test_data, name):
    folder = case(test_data, name)
    assert compare(load_tokenizer(folder), reference(folder), reference(folder, of_words=True)) == []


@pytest.mark.parametrize("name", ["modern_mask/enc_modern", "roberta_ner/enc_modern"])
def test_a_folder_without_a_template_gets_that_of_bert(test_data, name):
    """Transformers puts no special tokens around a text here, but no task can do without [CLS]."""
    folder = case(test_data, name)
    ours, theirs = load_tokenizer(folder), reference(folder)
    special = SpecialIds.of(ours)
    for text in [*TEXTS, "The capital of France is [MASK]."]:
        (tokens,) = encode([text], ours, 512, with_masks=True)
        assert tokens.ids.tolist() == [special.cls, *theirs(text)["input_ids"], special.sep]


def test_what_cannot_be_masked_is_not_prepared(small_corpus, tmp_path):
    folder = write(tmp_path / "folder", "bert", {"vocab.txt": WORDPIECE_TXT.replace("[MASK]", "[unused1]")})
    plan = StorePlan(SentenceLines(str(small_corpus)), LoadTokenizer(str(folder)), 0.2, tmp_path / "store")
    with pytest.raises(UserError, match=r"no \[MASK\] or <mask>, which masked language modeling needs"):
        prepare(plan, say=lambda _: None)
    assert {path.name for path in tmp_path.iterdir()} == {"folder"}
