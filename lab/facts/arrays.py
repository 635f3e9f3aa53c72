"""numpy, loaded for half of the CPU time: without the threads of its linear algebra.

OpenBLAS starts one for each core when numpy is imported, and nothing here multiplies
matrices. The variable that says so is taken back, so that no server inherits it.
"""

from __future__ import annotations

import os

_THREADS = "OPENBLAS_NUM_THREADS"
_is_ours = _THREADS not in os.environ
if _is_ours:
    os.environ[_THREADS] = "1"

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

if _is_ours:
    del os.environ[_THREADS]

__all__ = ["NDArray", "np"]
