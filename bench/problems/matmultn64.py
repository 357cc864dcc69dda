"""Products of a transposed first operand in f64."""
from harness.products import problem

globals().update(problem("tn", 64))
