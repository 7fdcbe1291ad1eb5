#!/bin/sh
# A small Chinese encoder from the CLUECorpusSmall sample, then ChnSentiCorp and Resume NER: chinese.sh DATA
# Run it in the folder where runs/ shall be; PYTHON names the interpreter.
set -eu
data=$1
bert="${PYTHON:-python} -m bert_lightning"
$bert pretrain name=zh model=tiny model.initializer_range=0.05 model.dropout_rate=0 data=sentences \
    data.name=zh data.corpus.path="$data/pretrain_zh/cluecorpussmall_sample/CLUECorpusSmall_bert_sampled.txt" \
    tokenizer=files tokenizer.path="$data/vocab/bert-base-chinese" masking.rate=0.3 examples.max_length=64 batch_size=32 \
    optimizer=muon optimizer.lr=3e-3 trainer.max_steps=800 trainer.val_check_interval=200 validation_examples=256 \
    callbacks.progress=null
common="encoder=runs/zh dropout_rate=0.1 task.max_length=64 optimizer.lr=1e-3 callbacks.progress=null"
$bert finetune name=chnsenticorp task=chnsenticorp task.path="$data/zh/chnsenticorp" epochs=2 $common
$bert finetune name=resume_ner task=resume_ner task.path="$data/zh/resume_ner" epochs=5 $common
for task in chnsenticorp resume_ner; do $bert evaluate run=runs/$task split=test; done
$bert predict run=runs/chnsenticorp 房间很干净，服务也好。 房间又小又脏，服务很差。
$bert predict run=runs/resume_ner 王明，男，汉族，大学学历，中国银行董事长。
