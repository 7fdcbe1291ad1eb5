"""`python -m bert_lightning` is `bert-lightning`."""

from bert_lightning.cli import main

if __name__ == "__main__":
    main()
