#!/bin/bash
# Makes the runs of this folder, with the code of commit 7743052. Usage: make.sh <checkout of 7743052> <empty folder>
set -e
export PYTHONPATH=$1 OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES=
cp "$(dirname "$0")"/data/* "$2"
cd "$2"
bl() { python -m bert_lightning "$@"; }
tiny="model=tiny model.hidden_size=16 model.intermediate_size=16 model.max_position_embeddings=64 debug=smoke
 callbacks.progress=null logger=none trainer=cpu callbacks.checkpoints.every_steps=2 callbacks.checkpoints.keep_last=2"
data="data=sentences data.corpus.path=sentences.txt data.folder=data data.validation_fraction=0.2
 tokenizer.vocab_size=200 examples.max_length=32"
# Pretraining runs. masking=falling, lone_prob and the term `replaced` have other names today.
bl pretrain $data $tiny name=bert
bl pretrain $data $tiny name=electra variant=electra
bl pretrain $data $tiny name=roberta variant=roberta tokenizer.vocab_size=300 masking=falling examples.lone_prob=0.1
tuned="encoder=runs/bert debug=smoke callbacks.progress=null logger=none trainer=cpu recipe=bert batch_size=4
 task.max_length=32 task.validation_fraction=0.5"
bl finetune $tuned task=text_classification task.path=texts.csv name=classification
bl finetune $tuned task=text_pair_score task.path=scores.csv name=regression
bl finetune $tuned task=similarity task.path=scores.csv name=similarity task.objective.criterion.highest=5.0
bl finetune $tuned task=similarity task.path=scores.csv name=contrast \
  task.objective.pooling._target_=bert_lightning.model.heads.first_token_pooling \
  task.objective.criterion._target_=bert_lightning.objectives.downstream.InBatchContrast \
  '~task.objective.criterion.highest'
bl finetune $tuned task=token_classification task.path=tags.conll name=tagging
bl finetune $tuned task=question_answering task.path=questions.json name=questions task.kind.overlap=4 \
  task.kind.max_question_tokens=8
bl finetune $tuned task=multiple_choice task.path=choices.csv name=choices
bl pretrain $data $tiny objective=distillation teacher=runs/bert/checkpoints/step-2.ckpt name=distilled
bl finetune $tuned task=text_classification task.path=texts.csv name=tuning callbacks.checkpoints.every_steps=2 \
  callbacks.checkpoints.keep_last=2
