"""What random expressions are made of: calls with the domain of their operands (`$`) and a bound of the result, and scopes."""
import re

# elementwise: text, bound of the result (None: that of the operand times the factor behind)
UNARY = [("sin($)", 1), ("cos($)", 1), ("tanh($)", 1), ("sigmoid($)", 1), ("exp(0.5 * $)", 2.7), ("expm1(0.5 * $)", 2), ("log(2.5 + sin($))", 1.3),
         ("log1p(0.8 * tanh($))", 1.7), ("sqrt(1.5 + sin($))", 1.6), ("tan(0.8 * sin($))", 1.1), ("asin(0.8 * sin($))", 1),
         ("acos(0.8 * tanh($))", 2.5), ("atan($)", 1.6), ("sinh(tanh($))", 1.2), ("cosh(sin($))", 1.6), ("asinh($)", 1.5),
         ("acosh(2.2 + sin($))", 2), ("atanh(0.8 * sin($))", 1.1), ("erf($)", 1), ("lgamma(2.5 + sin($))", 1.3), ("digamma(2.5 + tanh($))", 1.3),
         ("polygamma(1, 2.0 + sin($))", 1.7), ("abs($)", None), ("(-$)", None), ("square($)", 4), ("rsqrt(1.5 + sin($))", 1.5),
         ("relu($)", None), ("gelu($)", None), ("silu($)", None), ("softplus($)", 3), ("mish($)", None), ("elu($)", None), ("leaky_relu($)", None),
         ("log_sigmoid($)", 3), ("softsign($)", 1), ("hardtanh(1.5 * $)", 1), ("exp2(0.7 * $)", 2.7), ("log2(2.5 + sin($))", 1.9),
         ("erfc($)", 2), ("clamp($, min=-0.5, max=0.7)", 0.7), ("($ % 0.7)", 0.7), ("remainder($, 1.3)", 1.3), ("($ ** 2)", 4), ("($ ** 3)", 8),
         ("(1.3 ** $)", 1.7), ("floor(1.5 * $)", None), ("(ceil(1.5 * $) * 0.5 * $)", 3), ("(round(2.0 * $) * 0.3 * $)", 3), ("(trunc(2.0 * $) * 0.4 * $)", 3), ("(0.5 * $)", None), ("(1.0 - $)", 3), ("(0.3 - $)", 3), ("reciprocal(1.8 + sin($))", 1.3)]
BINARY = [("($ + $)", 4), ("($ - $)", 4), ("($ * $)", 4), ("($ / (1.8 + sin($)))", 2.5), ("((1.5 + sin($)) ** $)", 6), ("atan2($, 2.5 + sin($))", 1),
          ("atan2(1.5 + sin($), $)", 3), ("maximum($, $)", 2), ("minimum($, $)", 2), ("($ * $)", 4), ("($ + $)", 4), ("($ % (1.8 + sin($)))", 2.8),
          ("hypot(1.5 + sin($), $)", 3), ("logaddexp($, $)", 3)]
ALIKE = {"hypot(1.5 + sin($), $)", "logaddexp($, $)"}  # do not broadcast
TAME = [("sin($)", 1), ("tanh($)", 1), ("cos($)", 1), ("atan($)", 1.6), ("sigmoid($)", 1), ("erf($)", 1)]
# the shape stays; D is the last dimension's number
SHAPELY = [("softmax($, dim=D)", 1), ("log_softmax($, dim=D)", 4), ("softmin($, dim=D)", 1), ("cumsum($, D)", 6), ("cumsum($, D)", 6), ("flip($, D)", None),
           ("roll($, 1, dims=D)", None), ("sort($, dim=D).0", None), ("sort($, dim=D, descending=true).0", None), ("cumprod(1.0 + 0.3 * $, D)", 4),
           ("normalize(1.5 + sin($), dim=D)", 1), ("rms_norm($, (L,), eps=0.1)", 3), ("layer_norm($, (L,), eps=0.1)", 3), ("reshape(flatten($), shape($))", None)]
WHOLE = [("sum($)", 9), ("mean($)", 2), ("prod(1.0 + 0.2 * $)", 6), ("amax($)", 2), ("amin($)", 2), ("max($)", 2), ("min($)", 2), ("logsumexp($)", 4), ("norm(1.5 + sin($))", 9),
         ("var($, correction=0)", 4), ("std(cat((flatten($), flatten($) + 1.5)))", 2), ("norm(1.5 + sin($), p=3.0)", 6), ("norm($, p=1.0)", 9)]
ALONG = [("sum($, dim=D)", 9), ("mean($, dim=D)", 2), ("prod(1.0 + 0.2 * $, dim=D)", 6), ("amax($, dim=D)", 2), ("amin($, dim=D)", 2),
         ("max($, dim=D).0", 2), ("min($, dim=D).0", 2), ("logsumexp($, dim=D)", 4), ("norm(1.5 + sin($), dim=D)", 6), ("var($, dim=D, correction=0)", 4)]
LOSSES = ["mse_loss($, $)", "huber_loss($, $)", "smooth_l1_loss($, $)", "l1_loss($, $)", "binary_cross_entropy_with_logits($, sigmoid($))"]
# linear algebra on a matrix M and a vector V of size A: WELL is far from singular, SPD positive definite, APART has
# eigenvalues apart
WELL, SPD, APART = "(eye(A) + 0.5 * M / A)", "(M @ M.T / A + 0.5 * eye(A))", "(M @ M.T / (A * A) + diag_embed([1.0 + 0.8 * q for q in A]))"
MATRIX_SCALAR = ["det(WELL)", "logdet(SPD)", "slogdet(WELL).1", "trace(inverse(WELL))", "trace(M)", "eigvalsh(APART)[0]", "sum(tril(cholesky(SPD)))"]
MATRIX_VECTOR = ["solve(WELL, V)", "inverse(WELL) @ V", "cholesky_solve(V[:, None], cholesky(SPD))[:, 0]", "solve_triangular(tril(WELL), V[:, None])[:, 0]", "lstsq(WELL, V)",
                 "matrix_exp(0.3 * M / A) @ V", "eigvalsh(APART) * V", "pinv(WELL) @ V", "svdvals(APART) + V", "square(qr(WELL).1[0]) * V", "square(eigh(APART).1 @ V)"]


def dims(t):
    m = re.match(r"f64\[(.*)\]$", t)
    return m[1].split(", ") if m else []


def tensor(ds):
    return "f64[%s]" % ", ".join(ds) if ds else "f64"


class Scope:
    """What an expression may use."""

    def __init__(self, dims):
        self.dims = dims     # names of dimensions
        self.vars = []       # (name, type, bound, is a var)
        self.ints = []       # (text, dimension it is below)
        self.rows = []       # indices of rows of the sparse matrix
        self.loop = False    # break and continue may stand here
        self.result = None   # type that return takes; None: not here
        self.order = 0       # derivatives around
        self.level = 0       # regions around

    def inner(self, frozen=False, **set):
        s = Scope(self.dims)
        s.__dict__.update({k: list(v) if isinstance(v, list) else v for k, v in self.__dict__.items()})
        if frozen:
            s.vars = [(n, t, m, False) for n, t, m, _ in s.vars]
            s.loop, s.result = False, None
        s.__dict__.update(set)
        return s

    def types(self):
        d = self.dims
        return [tensor([a]) for a in d] + [tensor([a, b]) for a in d for b in d] + ["f64[3]"]
