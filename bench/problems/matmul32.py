"""Matrix products in f32."""
from harness.products import problem

globals().update(problem("", 32))
