"""Write a checkpoint as a folder with a program that computes it: ONNX, or torch.export.

A program needs neither this package nor transformers. Batch size and length are open. Right after it is written, its
outputs are compared with those of this package's own encoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bert_lightning.errors import UserError
from bert_lightning.exports.model_card import Target, model_card
from bert_lightning.exports.program_format import Compute, ProgramFormat
from bert_lightning.exports.traced_model import ModelOutput, TracedModel, reference_outputs, traced_model
from bert_lightning.exports.transformers_folder import TransformersModel, check_is_new, transformers_model, write_json
from bert_lightning.runs.atomic_writes import output_folder
from bert_lightning.runs.pretrained import PretrainedWeights
from bert_lightning.runtime.environment import note
from bert_lightning.text.tokenizers.batch_tokenizer import with_spaced_words
from bert_lightning.text.tokenizers.special_tokens import SpecialIds, special_names

TOLERANCE = 1e-4  # largest difference from this package's own outputs, as a fraction of the largest output above 1
_SHAPES = ((1, 5), (3, 19))  # batches and lengths that are compared; neither is the shape that was traced
_TRACED = (2, 8)


@dataclass(frozen=True)
class WrittenProgram:
    """The record of a program that was written.

    `difference` is the largest one between its outputs and this package's; None if nothing could compute it.
    """

    outputs: tuple[str, ...]
    head: str | None
    difference: float | None


def export_program(
    source: PretrainedWeights, output: Path, form: ProgramFormat, wanted: ModelOutput, family: str | None
) -> WrittenProgram:
    """Write a checkpoint as a folder with a program. An error leaves no folder.

    Args:
        source: the checkpoint.
        output: the folder, which does not exist yet.
        form: the format of the program.
        wanted: what the program computes.
        family: model family of transformers for `config.json`; None: the one that fits best, if there is one.

    Raises:
        UserError: if the folder exists or cannot be written, the checkpoint has no head for logits, or the program
            computes something else than this package.
    """
    check_is_new(output)
    model = traced_model(source, wanted)
    save = form.convert(_traced(model), model.outputs)
    settings, tokenizer_settings = _settings(source, family)
    with output_folder(output) as folder:
        path = folder / form.file
        save(path)
        difference = _checked(model, form, path)
        if (quantize := form.quantizer()) is not None:
            quantize(path)
            difference = _difference(model, form.computing(path))
        write_json(folder / "config.json", settings)
        write_json(folder / "tokenizer_config.json", tokenizer_settings)
        tokenizer = with_spaced_words(source.tokenizer) if _is_tagging(source, model) else source.tokenizer
        tokenizer.save(str(folder / "tokenizer.json"))
        card = model_card(source, output.name, _target(output.name, source, model, form, wanted))
        (folder / "README.md").write_text(card, encoding="utf-8")
    if model.left_out and wanted.kind == "logits":
        note(f"a program computes one head: {', '.join(model.left_out)} is left out")
    return WrittenProgram(model.outputs, model.head, difference)


def _traced(model: TracedModel) -> torch.export.ExportedProgram:
    """Trace the model for any batch size, and for any length up to the encoder's positions."""
    longest = model.encoder.config.max_position_embeddings
    batch, length = torch.export.Dim("batch", min=1), torch.export.Dim("sequence", min=1, max=longest)
    example = _random_inputs(model, *_TRACED)
    open_sizes = {name: {0: batch, 1: length} for name in example}
    with torch.no_grad():
        return torch.export.export(model.module, (), example, dynamic_shapes=open_sizes)


def _random_inputs(model: TracedModel, batch: int, length: int) -> dict[str, Tensor]:
    """Return a batch of random ids whose rows have different lengths. The same arguments give the same batch."""
    config, generator = model.encoder.config, torch.Generator().manual_seed(0)
    shape = (batch, min(length, config.max_position_embeddings))
    lengths = torch.arange(shape[1], shape[1] - batch, -1).clamp(min=1)
    made = {
        "input_ids": torch.randint(config.vocab_size, shape, generator=generator),
        "attention_mask": (torch.arange(shape[1]) < lengths[:, None]).long(),
        "token_type_ids": torch.randint(max(config.type_vocab_size, 1), shape, generator=generator),
    }
    return {name: made[name] for name in model.inputs}


def _checked(model: TracedModel, form: ProgramFormat, path: Path) -> float | None:
    """Return the largest difference of a program in float32 from this package.

    Raises:
        UserError: if it is above the tolerance.
    """
    difference = _difference(model, form.computing(path))
    if difference is None:
        note(f"{form.loader} is not installed, so {form.file} was not compared with this package")
    elif not difference <= TOLERANCE:  # NaN is no difference that is small
        raise UserError(
            f"{form.file} differs from this package by {difference:.2g}, more than {TOLERANCE}: try another version of "
            "the exporter, and report it"
        )
    return difference


def _difference(model: TracedModel, compute: Compute | None) -> float | None:
    """Return the largest difference of outputs at real tokens, as a fraction of the largest output above 1."""
    if compute is None:
        return None
    largest = [0.0]
    for shape in _SHAPES:
        inputs = _random_inputs(model, *shape)
        for found, expected in zip(compute(inputs), reference_outputs(model, inputs), strict=True):
            real = inputs["attention_mask"] > 0 if found.shape[:2] == inputs["input_ids"].shape else ...
            scale = expected[real].abs().max().clamp(min=1)
            largest.append(float((found[real] - expected[real]).abs().max() / scale))
    return max(largest, key=lambda value: float("inf") if value != value else value)


def _is_tagging(source: PretrainedWeights, model: TracedModel) -> bool:
    return model.head is not None and source.head_types()[model.head] == "token_classification"


def _settings(source: PretrainedWeights, family: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the values of `config.json` and `tokenizer_config.json`, with the names of the labels.

    They are those of transformers if a family has the architecture. A program does not need one.
    """
    try:
        theirs: TransformersModel = transformers_model(source, family)
        settings, tokenizer_settings = dict(theirs.settings), theirs.tokenizer_settings
    except UserError:
        if family is not None:
            raise
        settings, tokenizer_settings = {"pad_token_id": SpecialIds.of(source.tokenizer).pad}, {}
    if (task := source.metadata.get("task")) and task["labels"]:
        labels = task["labels"]
        settings |= {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    return settings, tokenizer_settings


def _target(
    name: str, source: PretrainedWeights, model: TracedModel, form: ProgramFormat, wanted: ModelOutput
) -> Target:
    """Return what the model card says of the folder."""
    shapes = {"hidden_states": "hidden states", "embeddings": f"embeddings by {wanted.pooling} pooling"}
    what = shapes.get(wanted.kind, f"logits of the head {model.head}")
    what += ", scaled to length 1" if wanted.kind == "embeddings" and wanted.normalize else ""
    is_int8 = form.quantizer() is not None
    precision = " with weights in int8. What was measured in training is of float32" if is_int8 else ""
    inputs, outputs = ", ".join(model.inputs), ", ".join(model.outputs)
    return Target(
        library=form.library,
        pipeline=model.pipeline,
        tags=(form.library, *(["int8"] if is_int8 else [])),
        files=f"`{form.file}` computes {what}{precision}. Inputs are {inputs}, int64 of shape [batch, length]. Outputs "
        f"are {outputs}. The mask is 0 at padding and 1 at tokens.",
        usage=((f"With {form.loader}:", _usage(name, source, model, form)),),
    )


def _usage(name: str, source: PretrainedWeights, model: TracedModel, form: ProgramFormat) -> str:
    """Return Python code that computes the program for two texts."""
    fields = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    special, length = special_names(source.tokenizer), source.metadata.get("max_length")
    results = ", ".join(model.outputs) + ("," if len(model.outputs) == 1 else "")
    arrays = [f'    "{key}": {form.array.format(f"[text.{fields[key]} for text in encoded]")},' for key in model.inputs]
    return "\n".join(
        [
            *form.imports,
            "from tokenizers import Tokenizer",
            "",
            f"tokenizer = Tokenizer.from_file({f'{name}/tokenizer.json'!r})",
            f"tokenizer.enable_padding(pad_id={SpecialIds.of(source.tokenizer).pad}, pad_token={special['pad']!r})",
            f"tokenizer.enable_truncation({int(length or source.config.max_position_embeddings)})",
            form.load.format(f"{name}/{form.file}"),
            'encoded = tokenizer.encode_batch(["A text.", "Another, longer text."])',
            "inputs = {",
            *arrays,
            "}",
            f"{results} = {form.call}",
        ]
    )
