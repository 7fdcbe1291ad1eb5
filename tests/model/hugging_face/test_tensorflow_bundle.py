"""A checkpoint that TensorFlow 2.21 wrote is read without it, and a damaged one is one sentence."""

import random
import shutil
from pathlib import Path

import pytest
import torch

from bert_lightning.model import BERT
from bert_lightning.model.hugging_face.loading import load_hugging_face
from bert_lightning.model.hugging_face.tensorflow_bundle import read_tensorflow_weights
from tests.model.hugging_face.tensorflow_checkpoint import write

CHECKPOINT = Path(write.__file__).parent
INDEX, DATA = "bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001"


@pytest.fixture
def folder(tmp_path):
    for name in ("bert_config.json", INDEX, DATA):
        shutil.copy(CHECKPOINT / name, tmp_path)
    return tmp_path


def test_every_weight_is_read_under_the_name_of_transformers():
    stored = {name: torch.tensor(numbers).reshape(write.shapes()[name]) for name, numbers in write.values().items()}
    found = read_tensorflow_weights(CHECKPOINT / INDEX)
    assert len(found) == len(stored) - 1  # all but the optimizer's
    query = "bert/encoder/layer_1/attention/self/query"
    up = "bert/encoder/layer_0/intermediate/dense"
    for name, theirs in {
        "bert.embeddings.word_embeddings.weight": stored["bert/embeddings/word_embeddings"],
        "bert.encoder.layer.1.attention.self.query.weight": stored[f"{query}/kernel"].T,
        "bert.encoder.layer.1.attention.self.query.bias": stored[f"{query}/bias"],
        "bert.encoder.layer.0.intermediate.dense.weight": stored[f"{up}/kernel"].T,
        "bert.encoder.layer.1.output.LayerNorm.gamma": stored["bert/encoder/layer_1/output/LayerNorm/gamma"],
        "bert.pooler.dense.weight": stored["bert/pooler/dense/kernel"].T,
        "cls.predictions.bias": stored["cls/predictions/output_bias"],
        "cls.predictions.transform.dense.weight": stored["cls/predictions/transform/dense/kernel"].T,
        "cls.seq_relationship.weight": stored["cls/seq_relationship/output_weights"],
        "cls.seq_relationship.bias": stored["cls/seq_relationship/output_bias"],
    }.items():
        assert torch.equal(found[name], theirs), name


def test_the_states_are_those_of_transformers(folder):
    transformers = pytest.importorskip("transformers")
    model = transformers.BertForPreTraining(transformers.BertConfig.from_json_file(folder / "bert_config.json")).eval()
    names = {name.replace("gamma", "weight").replace("beta", "bias"): tensor
             for name, tensor in read_tensorflow_weights(folder / INDEX).items()}  # fmt: skip
    tied = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
    missing, unexpected = model.load_state_dict(names, strict=False)
    assert (set(missing) <= tied, unexpected) == (True, [])
    ids = torch.tensor([[5, 9, 33, 39, 7, 12]])
    found = load_hugging_face(folder)
    assert (found.model_type, found.left_out) == ("bert", [])
    bert = BERT(found.config).eval()
    bert.load_state_dict({n.removeprefix("bert."): t for n, t in found.tensors.items() if n.startswith("bert.")})
    with torch.no_grad():
        torch.testing.assert_close(bert(ids), model.bert(ids).last_hidden_state, atol=1e-5, rtol=0)


def test_damaged_files_are_named(folder):
    index, data = (folder / INDEX).read_bytes(), (folder / DATA).read_bytes()
    for content in (b"", index[:-1], index[:100], b"x" * 100, index[:-48] + b"\xff" * 40 + index[-8:]):
        (folder / INDEX).write_bytes(content)
        with pytest.raises(ValueError, match=r"ckpt.index is damaged \(.*\): fetch the file again"):
            load_hugging_face(folder)
    (folder / INDEX).write_bytes(index)
    (folder / DATA).write_bytes(data[:-100])
    with pytest.raises(ValueError, match=r"data-00000-of-00001 ends before .*: fetch the file again"):
        load_hugging_face(folder)
    (folder / DATA).unlink()
    with pytest.raises(ValueError, match=r"data-00000-of-00001 is missing: fetch all files of the checkpoint"):
        load_hugging_face(folder)
    shutil.copy(folder / INDEX, folder / "model.ckpt-5.index")
    with pytest.raises(ValueError, match="holds several checkpoints of TensorFlow: leave only the files of one"):
        load_hugging_face(folder)


def test_a_changed_index_gives_tensors_or_one_sentence(folder):
    index, draw, refused = (folder / INDEX).read_bytes(), random.Random(0), []
    for _ in range(60):
        changed = bytearray(index)
        for _ in range(draw.randint(1, 4)):
            changed[draw.randrange(len(index))] = draw.randrange(256)
        (folder / INDEX).write_bytes(changed)
        try:
            load_hugging_face(folder)
        except ValueError as error:
            refused.append(str(error))
    assert len(refused) > 40
    assert all("\n" not in message and str(folder) in message for message in refused)
