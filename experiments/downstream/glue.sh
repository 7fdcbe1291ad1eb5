#!/bin/sh
# The table of `glue` from GLUE's own files, two seeds of 20 steps each: glue.sh DATA
# It shows that the table works, not what the encoder can do. Left out: MNLI, QQP and QNLI, whose training files are not there.
set -eu
${PYTHON:-python} -m bert_lightning glue name=glue path="$1/glue" 'tasks=[cola,sst2,mrpc,stsb,rte,wnli]' 'seeds=[1,2]' \
    "finetune=['trainer.max_steps=20','batch_size=16','validation_examples=200','trainer.precision=bf16-mixed','callbacks.progress=null','logger=none']"
