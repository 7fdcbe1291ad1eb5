"""Keys and versions of checkpoints. They stand apart, since a program that only reads weights needs no Lightning."""

METADATA_KEY = "bert_lightning"  # key of the metadata in a checkpoint
FORMAT_VERSION = 1  # version of the metadata; raise it if older code could misread new metadata
