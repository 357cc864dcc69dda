"""Values of the leaves that the cases use: the same numbers for PyTorch and for the compiled functions.

All values of a case's leaves are multiples of 0.6 / N apart, shuffled, inside (0.2, 0.8): no two are closer than a
finite difference step, so that no maximum, sort or clamp changes its mind inside a difference quotient.
"""
import math
import re
from cases import INDICES, LEAVES


def names_in(expr):
    words = set(re.findall(r"(?<![.\w])[A-Za-z_]\w*", expr))
    return [n for n in LEAVES if n in words], [n for n in INDICES if n in words]


def values(leaves):
    """Flat lists of floats, by leaf name."""
    total = sum(math.prod(LEAVES[n]) for n in leaves)
    stride = next(s for s in range(max(2, int(total * 0.618)), 2 * total + 3) if math.gcd(s, total) == 1)
    grid = [0.2 + 0.6 * (((k * stride) % total) + 0.5) / total for k in range(total)]
    out, at = {}, 0
    for n in leaves:
        size = math.prod(LEAVES[n])
        out[n] = grid[at:at + size]
        at += size
    return out


def weight(k):
    """Weight of element k of a result in the scalar that is differentiated."""
    return 1.3 + math.cos(1.7 * k)
