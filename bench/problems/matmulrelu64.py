"""Products with what follows them in f64."""
from harness.products import problem

globals().update(problem("relu", 64))
