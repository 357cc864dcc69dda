"""Products of a transposed second operand in f32."""
from harness.products import problem

globals().update(problem("nt", 32))
