"""Labelled data: rows of a file or the hub -> examples of a kind -> encoded sequences -> batches, and back to answers."""
