"""Apply a downstream task: its data, its metadata in a checkpoint, and answers."""
