"""Matrix products in f64."""
import numpy as np

from harness.machine import Work

from . import matmul32
from .matmul32 import FIXED, SIZES, SMALL, SOURCE, TARGET, WITHOUT, draw, jax, torch  # noqa: F401

TITLE = "matrix product f64"
FUNCTION, TOLERANCE = "product64", 1e-12


def inputs(size, rng):
    return {n: v.astype(np.float64) for n, v in matmul32.inputs(size, rng).items()}


def work(size) -> Work:
    return matmul32.of_type(size, np.float64)
