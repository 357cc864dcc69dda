"""Products with what follows them in f32."""
from harness.products import problem

globals().update(problem("relu", 32))
