"""Labelled data: rows -> examples of a kind -> tokens -> batches, and back from scores to answers."""
