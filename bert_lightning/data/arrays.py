"""Types of NumPy arrays for data code. Where a type is used, a comment gives the shape, as in `Ints  # [B]`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Bits = npt.NDArray[np.uint64]  # random bits
