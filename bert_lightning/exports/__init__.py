"""Write a checkpoint for other programs: the folders that they load, and a model card."""
