"""Products of a transposed first operand in f32."""
from harness.products import problem

globals().update(problem("tn", 32))
