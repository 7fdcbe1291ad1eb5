"""Lightning callbacks: checkpoints, exact resumption, signals, the budget, throughput and progress."""
