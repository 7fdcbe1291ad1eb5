"""What watches a run: throughput and progress."""
