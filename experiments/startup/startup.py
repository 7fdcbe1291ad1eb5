"""Measure the time from the command to the first training step, for `pretrain` and for transformers' run_mlm.py.

    python experiments/startup/startup.py data/reviews-... [turns]

The argument is the folder that `bert-lightning prepare data=reviews` wrote. The model has 4 layers of width 256. Each
measurement is a new process, and the two programs alternate. The table shows the minimum of each. Times end when the
first training step begins: wall time, and CPU time, which depends little on the load of the machine. run_mlm.py reads
rows of 128 token ids that were tokenized and saved before, so it reads no text.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OURS = """
import sys, time
def stop(*_, **__):
    print("first step", time.time(), time.process_time(), flush=True)
    import os; os._exit(0)
sys.argv = ["bert-lightning", *sys.argv[1:]]
from bert_lightning.cli import main
import importlib.abc
class Watch(importlib.abc.MetaPathFinder):  # patches the module when the command imports it
    def find_spec(self, name, path, target=None):
        if name == "bert_lightning.modules.pretraining":
            sys.meta_path.remove(self)
            from bert_lightning.modules.base import EncoderModule
            EncoderModule.training_step = stop
sys.meta_path.insert(0, Watch())
main()
"""

THEIRS = """
import os, sys, time
folder, out = sys.argv[1:]
from datasets import load_from_disk
from transformers import BertConfig, BertForMaskedLM, DataCollatorForLanguageModeling, PreTrainedTokenizerFast
from transformers import Trainer, TrainingArguments, set_seed
def stop(*_, **__):
    print("first step", time.time(), time.process_time(), flush=True)
    os._exit(0)
Trainer.training_step = stop
set_seed(0)
tokenizer = PreTrainedTokenizerFast(
    tokenizer_file=folder + "/tokenizer.json", pad_token="[PAD]", mask_token="[MASK]", cls_token="[CLS]",
    sep_token="[SEP]", unk_token="[UNK]")
model = BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), hidden_size=256, num_hidden_layers=4,
    num_attention_heads=4, intermediate_size=1024))
arguments = TrainingArguments(out, per_device_train_batch_size=32, max_steps=10, report_to=[], use_cpu=True)
Trainer(model, arguments, train_dataset=load_from_disk(out + "/rows"), processing_class=tokenizer,
    data_collator=DataCollatorForLanguageModeling(tokenizer)).train()
"""


def write_rows(store: Path, out: Path) -> None:
    """Return the first 12,600 tokens of the store as 100 rows of [CLS], 126 ids and [SEP]."""
    from datasets import Dataset

    from bert_lightning.data.store.preparation import open_prepared
    from bert_lightning.text.tokenizers.recipes import SpecialIds

    data = open_prepared(store)
    special = SpecialIds.of(data.tokenizer)
    ids = data.train.tokens[: 100 * 126].reshape(100, 126).tolist()
    rows = [[special.cls, *row, special.sep] for row in ids]
    Dataset.from_dict({"input_ids": rows}).save_to_disk(str(out / "rows"))


def seconds(*command: str) -> tuple[float, float]:
    """Return the wall time and the CPU time from the start of a command to its first training step, in seconds."""
    started = time.time()
    run = subprocess.run([sys.executable, "-c", *command], capture_output=True, text=True)
    _, found, told = run.stdout.partition("first step ")  # a progress bar may have written text before it
    if not found:
        raise SystemExit(run.stdout + run.stderr)
    clock, processor = map(float, told.split()[:2])
    return clock - started, processor


def main() -> None:
    """Print the table."""
    store, turns = Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        write_rows(store, out)
        ours = [OURS, "pretrain", "model=small", "model.hidden_size=256", "model.num_attention_heads=4",
                "model.intermediate_size=1024", "batch_size=32", f"runs={out}/runs"]  # fmt: skip
        os.environ["BERT_LIGHTNING_DATA"] = str(store.parent)
        found: dict[str, list[tuple[float, float]]] = {"bert-lightning pretrain": [], "transformers' Trainer": []}
        for turn in range(turns):
            found["bert-lightning pretrain"].append(seconds(*ours, f"name=turn-{turn}"))
            found["transformers' Trainer"].append(seconds(THEIRS, str(store), str(out)))
    print("| until the first training step | seconds | of the processor |\n| --- | --- | --- |")
    for name, times in found.items():
        clock, processor = (min(column) for column in zip(*times, strict=True))
        print(f"| {name} | {clock:.1f} | {processor:.1f} |")


if __name__ == "__main__":
    main()
