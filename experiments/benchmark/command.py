"""Compare the whole command `bert-lightning pretrain` with transformers' Trainer: small model, film reviews.

    python command.py theirs 200 <folder>   # one process, as `whole_command` starts it

The time is that of the whole process: imports, model, training, the last checkpoint. Ours reads a token store that was
prepared before. Theirs tokenizes only the sentences that it trains on, which takes about two seconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

STEPS, SEQUENCES, LENGTH = 200, 32, 128
_PARTS = ["tokenizer=files", "data=reviews"]


def whole_command(threads: int) -> dict[str, Any]:
    """Return the real tokens per second of each program and their ratio, in bf16."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory() as folder:
        words = Path(folder, "vocab.txt")
        _save_words(words)
        ours = [sys.executable, "-m", "bert_lightning"]
        shared = [*_PARTS, f"tokenizer.path={words}", f"data.folder={folder}/data"]
        prepare, _ = _seconds([*ours, "prepare", *shared], environment)
        seconds, _ = _seconds([
            *ours, "pretrain", "model=mini", *shared, "examples=single_sentences", f"examples.max_length={LENGTH}",
            "objective=mlm", f"batch_size={SEQUENCES}", f"trainer.max_steps={STEPS}",
            f"trainer.val_check_interval={STEPS}", "validation_examples=64", "trainer.precision=bf16-mixed",
            "callbacks.progress=null", f"runs={folder}/runs", "name=command",
        ], environment)  # fmt: skip
        summary = json.loads(Path(folder, "runs", "command", "summary.json").read_text(encoding="utf-8"))
        theirs, output = _seconds([sys.executable, __file__, "theirs", str(STEPS), folder], environment)
    their_tokens = json.loads(output.splitlines()[-1])["tokens"]
    rates = {"theirs": their_tokens / theirs, "ours": summary["tokens"] / seconds}
    return {
        "steps": STEPS, "sequences": SEQUENCES, "seconds": {"theirs": theirs, "ours": seconds},
        "tokens": {"theirs": their_tokens, "ours": summary["tokens"]}, "tokens_per_second": rates,
        "ratio": rates["ours"] / rates["theirs"], "prepare_seconds": prepare,
    }  # fmt: skip


def _seconds(command: list[str], environment: dict[str, str]) -> tuple[float, str]:
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return time.perf_counter() - started, done.stdout


def _save_words(path: Path) -> None:
    from batches import tokenizer

    words = tokenizer().get_vocab()
    path.write_text("\n".join(sorted(words, key=words.__getitem__)) + "\n", encoding="utf-8")


def theirs(steps: int, folder: Path) -> None:
    """Train as transformers' run_mlm.py --line_by_line does, with datasets.map, its collator and its Trainer."""
    import datasets
    import transformers
    from batches import sentences, tokenizer

    transformers.set_seed(0)
    datasets.disable_progress_bars()
    encode = tokenizer()
    lines = sentences(steps * SEQUENCES // 8)[: steps * SEQUENCES]  # reviews have more than 8 sentences
    rows = datasets.Dataset.from_dict({"text": lines}).map(
        lambda batch: encode(batch["text"], truncation=True, max_length=LENGTH, return_special_tokens_mask=True),
        batched=True, remove_columns=["text"],
    )  # fmt: skip
    config = transformers.BertConfig(
        num_hidden_layers=4, hidden_size=256, num_attention_heads=4, intermediate_size=1024
    )
    trainer = transformers.Trainer(
        model=transformers.BertForMaskedLM(config),
        args=transformers.TrainingArguments(
            output_dir=str(folder / "theirs"),
            max_steps=steps,
            per_device_train_batch_size=SEQUENCES,
            bf16=True,
            use_cpu=True,
            report_to=[],
            disable_tqdm=True,
        ),
        train_dataset=rows,
        data_collator=transformers.DataCollatorForLanguageModeling(encode, mlm_probability=0.15),
    )
    trainer.train()
    trainer.save_model()
    print(json.dumps({"tokens": sum(map(len, rows["input_ids"]))}))  # one pass


if __name__ == "__main__":
    theirs(int(sys.argv[2]), Path(sys.argv[3]))
