"""Query and control the process: hardware, random state, signals, collectives between ranks, versions."""
