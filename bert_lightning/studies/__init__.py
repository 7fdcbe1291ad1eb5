"""Studies: arms, seeds, tasks and evaluations in one yaml file, and the runs that follow from it."""
