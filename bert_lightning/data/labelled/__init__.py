"""Labelled data: rows -> examples of a task type -> tokens -> batches, and from scores back to answers."""
