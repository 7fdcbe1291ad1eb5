"""Search for the best settings: a sweep whose next trial depends on the results of the trials before it."""
