"""transformers' way from a text file to a trained model, as its example run_mlm.py goes with --line_by_line.

python trainer.py lines.txt output --steps 200
"""

from __future__ import annotations

import argparse

from batches import tokenizer
from datasets import load_dataset
from sides import Theirs
from transformers import DataCollatorForLanguageModeling, Trainer, TrainingArguments


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("lines")
    parser.add_argument("output")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=32)
    options = parser.parse_args()
    encode = tokenizer()
    texts = load_dataset("text", data_files=options.lines, split="train", cache_dir=f"{options.output}/cache")
    made = texts.map(
        lambda rows: encode(
            [line for line in rows["text"] if line], truncation=True, max_length=128, return_special_tokens_mask=True
        ),
        batched=True, remove_columns=["text"],
    )  # fmt: skip
    arguments = TrainingArguments(
        output_dir=options.output, max_steps=options.steps, per_device_train_batch_size=options.batch_size,
        learning_rate=1e-4, report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    Trainer(
        model=Theirs("small", "fp32").model,
        args=arguments,
        train_dataset=made,
        data_collator=DataCollatorForLanguageModeling(encode, mlm_probability=0.15),
    ).train()


if __name__ == "__main__":
    main()
