"""Matrix products in f64."""
from harness.products import problem

globals().update(problem("", 64))
