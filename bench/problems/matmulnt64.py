"""Products of a transposed second operand in f64."""
from harness.products import problem

globals().update(problem("nt", 64))
