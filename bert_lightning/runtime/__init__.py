"""The process and its machine: hardware, random state, signals, communication between ranks, versions."""
