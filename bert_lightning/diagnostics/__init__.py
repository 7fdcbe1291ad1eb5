"""The checks of `doctor`. Each reads facts of this machine, and judges them by a function that reads nothing itself.

No module here imports torch or Hydra when it is imported, so that the checks report a broken one.
"""
