#!/bin/sh
# The five tasks, one after the other: run.sh ours|transformers DATA [task ...]. DATA is the folder of the public data sets.
# Run it in the folder where runs/ shall be; PYTHON names the interpreter.
set -eu
who=$1; data=$2; shift 2
here=$(dirname "$(realpath "$0")")
python=${PYTHON:-python}
common="trainer.precision=bf16-mixed callbacks.progress=null logger=none seed=0"
for task in ${*:-mrpc stsb conll2003 sst2 squad}; do
    case $task in
    sst2) set -- task.path="$data/glue/SST-2" task.train_examples=60000 batch_size=64 optimizer.lr=2e-4 epochs=1 ;;
    mrpc) set -- task.path="$data/glue/MRPC" batch_size=16 optimizer.lr=1e-4 epochs=3 ;;
    stsb) set -- task.path="$data/glue/STS-B" batch_size=16 optimizer.lr=1e-4 epochs=3 ;;
    conll2003) set -- task.path="$data/ner_en/conll2003" batch_size=32 optimizer.lr=2e-4 epochs=2 ;;
    squad)
        [ -e squad/dev-v1.1.json ] || "$python" "$here/split_squad.py" "$data/qa/squad1.1_subset/dev.json" squad
        set -- task.path=squad task.train_examples=2500 batch_size=8 optimizer.lr=2e-4 epochs=1
        ;;
    esac
    if [ "$who" = ours ]; then
        "$python" -m bert_lightning finetune task="$task" name="$task" $common "$@"
    else
        "$python" "$here/reference.py" task="$task" name="$task" $common "$@"
    fi
done
