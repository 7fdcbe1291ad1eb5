#!/bin/sh
# Measure encoders on all of BLiMP and Zorro, one after the other: run.sh DATA [encoder ...]. DATA is the folder of the
# public data sets. Run it in the folder with runs/; PYTHON names the interpreter.
set -eu
data=$1; shift
here=$(dirname "$(realpath "$0")")
python=${PYTHON:-python}
hour() {
    "$python" -m bert_lightning pretrain name=hour variant=modernbert model=mini model.local_window=16 \
        model.initializer_range=0.05 model.dropout_rate=0 optimizer=muon optimizer.lr=2e-3 data=reviews \
        tokenizer=wordpiece tokenizer.vocab_size=8192 examples.max_length=128 batch_size=32 masking.rate=0.3 \
        trainer.precision=bf16-mixed budget=minutes budget.minutes=60 trainer.val_check_interval=500 \
        validation_examples=512 evaluations=film_pairs callbacks.checkpoints.keep_last=1
}
demo() { "$python" -m bert_lightning demo name=demo; }
for encoder in ${*:-random-weights bert modern hour}; do
    case $encoder in
    hour) [ -e runs/hour ] || hour; run=runs/hour ;;
    *) [ -e runs/demo ] || demo; run=runs/demo/runs/$encoder/seed-0/pretrain ;;
    esac
    "$python" "$here/measure.py" "$encoder" "$run" film_pairs
    "$python" "$here/measure.py" "$encoder" "$run" blimp "$data/minimal_pairs/blimp"
    "$python" "$here/measure.py" "$encoder" "$run" zorro "$data/minimal_pairs/zorro_babyberta"
done
