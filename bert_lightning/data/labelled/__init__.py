"""Labelled data: from rows to examples of a task type, tokens and batches, and from scores to answers."""
