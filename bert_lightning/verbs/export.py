"""`bert-lightning export`: write a checkpoint as a folder for another program, with a model card."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from bert_lightning.errors import UserError
from bert_lightning.exports.onnx_format import OnnxFormat
from bert_lightning.exports.program_folder import export_program
from bert_lightning.exports.program_format import ProgramFormat
from bert_lightning.exports.sentence_transformers_folder import export_sentence_transformers
from bert_lightning.exports.torch_format import TorchFormat
from bert_lightning.exports.traced_model import ModelOutput, default_output
from bert_lightning.exports.transformers_folder import export
from bert_lightning.runs.pretrained import PretrainedWeights, load_pretrained
from bert_lightning.runs.run_folder import newest_finished_run
from bert_lightning.tasks.embedding_settings import EmbeddingSettings, embedding_settings

# Settings that only some targets have.
_TARGETS = {
    "pooling": ("sentence_transformers", "onnx", "torch_export"),
    "normalize": ("sentence_transformers", "onnx", "torch_export"),
    "outputs": ("onnx", "torch_export"),
    "quantize": ("onnx",),
}


def run(config: DictConfig) -> None:
    """Export a checkpoint, and print the folder, what it holds, and what loads the folder."""
    _check_settings(config)
    location, output = config.run, Path(config.output).expanduser()
    form: ProgramFormat | None = None
    if config.to in ("onnx", "torch_export"):
        form = OnnxFormat(config.quantize) if config.to == "onnx" else TorchFormat()
    if location == "newest":
        location = str(newest_finished_run(Path(config.runs), ("pretrain", "finetune")))
    source = load_pretrained(location)
    if form is not None:
        what = _export_program(source, output, form, config)
    elif config.to == "transformers":
        what = f"{export(source, output, config.family)}, for transformers' from_pretrained"
    else:
        settings = _embedding_settings(source, config)
        family = export_sentence_transformers(source, output, config.family, *settings)
        what = f"{family}, for SentenceTransformer of sentence-transformers"
    print(f"{output}: {what}")


def _export_program(source: PretrainedWeights, output: Path, form: ProgramFormat, config: DictConfig) -> str:
    of_embeddings = config.pooling is not None or config.normalize is not None
    kind = config.outputs or ("embeddings" if of_embeddings else default_output(source))
    wanted = ModelOutput(kind, *_embedding_settings(source, config))
    written = export_program(source, output, form, wanted, config.family)
    head = f" of the head {written.head}" if written.head else ""
    found = f"{', '.join(written.outputs)}{head}, for {form.loader}"
    if written.difference is None:
        return found
    return f"{found}; outputs equal this package's within {written.difference:.1g}"


def _embedding_settings(source: PretrainedWeights, config: DictConfig) -> EmbeddingSettings:
    """Return the pooling and the scaling of embeddings: those of the command line, or else those of training."""
    trained = embedding_settings(source)
    normalize = trained.normalize if config.normalize is None else bool(config.normalize)
    return EmbeddingSettings(config.pooling or trained.pooling, normalize)


def _check_settings(config: DictConfig) -> None:
    """Check that every setting has an effect.

    Raises:
        UserError: if the target, or what it computes, does not have the setting.
    """
    for key, targets in _TARGETS.items():
        if config[key] is None:
            continue
        given = f"{key}={str(config[key]).lower()}"
        if config.to not in targets:
            places = " or ".join(f"to={target}" for target in targets)
            raise UserError(f"{given} is a setting of {places}: add it, or leave {key} out")
        if key in ("pooling", "normalize") and config.outputs not in (None, "embeddings"):
            raise UserError(f"{given} is a setting of embeddings, not of outputs={config.outputs}: leave one out")
