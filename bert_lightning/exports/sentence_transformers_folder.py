"""Write an encoder as a folder that sentence-transformers reads: the encoder, its pooling and its normalisation.

The files are those of version 2 of sentence-transformers. Every later version reads them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bert_lightning.errors import UserError
from bert_lightning.exports.model_card import Target, model_card
from bert_lightning.exports.transformers_folder import TransformersModel, check_is_new, transformers_model, write_json
from bert_lightning.runs.atomic_writes import output_folder
from bert_lightning.runs.pretrained import PretrainedWeights
from bert_lightning.runtime.environment import note

# Poolings of `LoadedModel.embed` -> the names of sentence-transformers.
_POOLINGS = {"mean": "mean_tokens", "cls": "cls_token", "max": "max_tokens"}


def export_sentence_transformers(
    source: PretrainedWeights, output: Path, family: str | None, pooling: str, normalize: bool
) -> str:
    """Write an encoder as a folder, and return the name of its model family. An error leaves no folder.

    The folder gives the embeddings of `LoadedModel.embed` with the same pooling and normalisation. Heads are left out.

    Args:
        source: the checkpoint.
        output: the folder, which does not exist yet.
        family: name of the model family of transformers; None: the one that fits best.
        pooling: `mean`, `cls` or `max`.
        normalize: whether each embedding is scaled to length 1.

    Raises:
        UserError: if the folder exists or cannot be written, or no family has the architecture.
    """
    check_is_new(output)
    if pooling not in _POOLINGS:
        raise UserError(f"pooling={pooling} must be one of {', '.join(_POOLINGS)}")
    encoder = {name: tensor for name, tensor in source.tensors.items() if name.startswith("encoder.")}
    model = transformers_model(replace(source, tensors=encoder, metadata={}), family)
    length = int(source.metadata.get("max_length") or source.config.max_position_embeddings)
    with output_folder(output) as folder:
        model.write(folder)
        write_json(folder / "sentence_bert_config.json", {"max_seq_length": length, "do_lower_case": False})
        write_json(folder / "modules.json", _modules(normalize))
        _write_pooling(folder / "1_Pooling", source.config.hidden_size, pooling)
        if normalize:
            (folder / "2_Normalize").mkdir()  # it has no settings, but older versions look for the folder
        card = model_card(source, output.name, _target(output.name, model, pooling, normalize))
        (folder / "README.md").write_text(card, encoding="utf-8")
    if heads := source.head_types():
        note(f"sentence-transformers has no head for {', '.join(heads)}: left out")
    return model.family


def _modules(normalize: bool) -> list[dict[str, object]]:
    """Return the modules that compute an embedding, one after the other."""
    named = [("Transformer", ""), ("Pooling", "1_Pooling"), *([("Normalize", "2_Normalize")] if normalize else [])]
    return [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(named)
    ]


def _write_pooling(folder: Path, width: int, pooling: str) -> None:
    folder.mkdir()
    modes = {f"pooling_mode_{theirs}": ours == pooling for ours, theirs in _POOLINGS.items()}
    write_json(folder / "config.json", {"word_embedding_dimension": width, **modes})


def _target(name: str, model: TransformersModel, pooling: str, normalize: bool) -> Target:
    theirs = f"from sentence_transformers import SentenceTransformer\n\nmodel = SentenceTransformer({name!r})\n"
    ours = f"import bert_lightning\n\nmodel = bert_lightning.load({name!r})\n"
    settings = f', pooling="{pooling}"' + ", normalize=True" * normalize
    scaled = ", scaled to length 1" if normalize else ""
    return Target(
        library="sentence-transformers",
        pipeline="sentence-similarity",
        tags=("sentence-transformers", "feature-extraction", model.family),
        files=f"Embeddings of texts: {pooling} pooling of an encoder of the family {model.family}{scaled}.",
        usage=(
            ("With sentence-transformers:", f'{theirs}vectors = model.encode(["A text."])'),
            ("With bert-lightning:", f'{ours}vectors = model.embed(["A text."]{settings})'),
        ),
    )
