"""Cases that PyTorch has no single expression for: (title, statements before, expression)."""

EXTRA = [
    # index notation
    ("map", "", "[ exp(x[a, b]) * v[b] for a in 3, b in 4 ]"),
    ("map of rows", "", "[ x[a] * v for a in 3 ]"),
    ("map with a block", "", "[ { let t = x[a, 0] * x[a, 1]; t * t } for a in 3 ]"),
    ("triangular sum", "", "[ sum(q[a, c] * v[c] for c in a) for a in 3 ]"),
    ("range from a to b", "", "[ prod(x[a, c] for c in 1..4) for a in 3 ]"),
    ("filtered sum", "", "sum(x[a, b] ** 2 for a in 3, b in 4 if x[a, b] > 0.5)"),
    ("maximum over indices", "", "[ max(x[a, b] * v[b] for b in 4) for a in 3 ]"),
    ("minimum over indices", "", "[ min(x[a, b] * v[b] for b in 4) for a in 3 ]"),
    ("product over indices", "", "[ prod(x[a, b] for b in 4) for a in 3 ]"),
    ("mean over indices", "", "mean(x[a, b] * v[b] for a in 3, b in 4)"),
    ("logsumexp over indices", "", "[ logsumexp(x[a, b] * v[b] for b in 4) for a in 3 ]"),
    ("gather by data", "", "[ x[i[a], a] * v[i[a]] for a in 3 ]"),
    ("rows by data", "", "sum(v[p] * w[p] for p in i[0]..i[1])"),
    # control flow
    ("if by value", "    let t = if x[0, 0] > 0.5 { sin(x) } else { cos(x) }\n", "t * y"),
    ("if with a var", "    var t = x\n    if x[0, 0] < 0.9 { t = t * y }\n", "t"),
    ("for with a scalar", "    var t = 1.0\n    for k in 4 { t = t * v[k] + sin(t) }\n", "t"),
    ("for with a tensor", "    var t = v\n    for k in 3 { t = tanh(t * w + x[k]) }\n", "t"),
    ("nested for", "    var t = 0.0\n    for a in 3 { for c in a + 1 { t = t * 0.5 + x[a, c] * x[c, a] } }\n", "t"),
    ("checkpoint", "    let t = checkpoint { let e = exp(x); e * sin(e) }\n", "t * y"),
    ("while", "    var t = s\n    while t < 5.0 { t = t * (1.5 + v[0]) }\n", "t"),
    ("while with a tensor", "    var t = v\n    while sum(t) < 20.0 { t = t * (1.2 + w) }\n", "t"),
    ("break", "    var t = s\n    for k in 100 { t = t * (1.1 + v[1]); if t > 3.0 { break } }\n", "t"),
    ("continue", "    var t = s\n    for k in 4 { if v[k] > 0.5 { continue }; t = t * v[k] + w[k] }\n", "t"),
    ("early return in a called function", "", "[ first_above(x[a], 0.5) for a in 3 ]"),
    ("update of elements", "    var t = v\n    for k in 1..4 { t[k] = sin(t[k-1]) * t[k] }\n", "t"),
    ("accumulating update", "    var t = zeros(4, dtype=f64)\n    for k in 3 { t[i[k]] += x[k, 1] * v[k] }\n", "t"),
    ("update of a row", "    var t = x\n    for k in 1..3 { t[k] = t[k-1] * t[k] }\n", "t"),
    ("update of a slice", "    var t = v\n    t[1:3] = w[0:2] * v[1:3]\n", "t"),
    ("loop in index notation", "    let t = [ { var z = v[a]; for k in 5 { z = z - (z*z - w[a]) / (2*z) }; z } for a in 4 ]\n", "t"),
    ("swap", "    var a = v\n    var d = w\n    for k in 3 { let h = a; a = d * 2.0; d = h * a }\n", "a + d"),
    ("windows under nine kernels", "", "conv2d(img, cat((ker, 2 * ker, sin(ker)), dim=0))"),
    # functions, structs, lambdas
    ("function call", "", "poly(x, y)"),
    ("lambda", "    let f = fn(z: f64[4]) => z * v\n", "f(w)"),
    ("nested gradient", "", "grad(fn(z: f64[4]) => sum(z * z * z * w))(v)"),
    ("twice nested gradient", "", "grad(fn(z: f64[4]) => sum(grad(fn(u: f64[4]) => sum(u * u * u * w))(z) * z))(v)"),
    ("vjp", "", "vjp(fn(z: f64[4]) => sin(z) * w)(v, w).1"),
    # equations
    ("root", "", "root(fn(z: f64[4]) => z*z*z + v*z - w, w) * v"),
    ("root of a number", "", "root(fn(z) => exp(z) - s - 2.0, s, tol=1e-13, steps=20) * x"),
    ("root with nothing captured", "", "root(fn(z: f64[4]) => z*z - 2.0, v) * v"),
    ("fixed point", "", "fixed_point(fn(z: f64[3, 4]) => 0.3*sin(z*w) + x, x) * y"),
    ("fixed point of a number", "", "fixed_point(fn(z) => cos(s*z), 0.5, tol=1e-14, steps=500) * v"),
    ("steps of Newton's method", "", "newton_step(fn(z: f64[4]) => exp(z*w), v, w) + adjoint_step(fn(z: f64[4]) => exp(z*w), w, v)"),
    # operations without a PyTorch expression of the same form
    ("weights of classes", "", "cross_entropy(x, i, weight=v) + nll_loss(x, i, weight=w) + cross_entropy(x, y, weight=v)"),
    ("dropout", "", "dropout(x, 0.4, 7)"),
    ("polygamma", "", "grad(fn(z: f64[4]) => sum(digamma(z)))(v + 1.0)"),
    ("einsum", "", "einsum(\"ij,jk->ik\", x, m)"),
    ("einsum of batches", "", "einsum(\"bij,bjk->bk\", b, c)"),
    ("reversed slice", "", "v[::2] * 2.0"),
    ("sorted", "", "sort(v).0 * w"),
    ("values and indices", "", "max(x, dim=0).0 * f64(max(x, dim=0).1) + f64(argmax(x)) * x[0] + f64(argsort(v)) * v"),
    ("scatter", "", "scatter_add(x, 0, g, y[0:2] * w)"),
    ("min and argmin", "", "min(x, dim=1, keepdim=true).0 + f64(argmin(x, dim=1, keepdim=true)) * x"),
    ("one hot", "", "f64(one_hot(i, 4)) * x"),
    ("dropout", "", "dropout(x, 0.5, seed=3) * y"),
    ("normalize", "", "normalize(x, dim=1) * normalize(y, dim=0)"),
    ("tests of floats", "", "where(isnan(x) or isinf(x), y, x) * where(isfinite(y), x, y)"),
    ("heaviside", "", "heaviside(x - 0.5, y) * x"),
    ("created tensors", "", "zeros_like(x) + ones_like(x) * x + full_like(x, 2.5) * eye(3, 4, dtype=f64) * linspace(0, 1, 4) + arange(4) * v"),
    ("random numbers", "", "rand(3, 4, seed=7) * x + randn(4, seed=8) * v"),
    ("tuple of results", "", "{ let (a, c) = pair(v, w); a * c }"),
    ("struct", "", "scale(Affine(k=v, c=w), x)"),
    ("static function", "", "twice(fn(t) => t * s, v)"),
    ("while with break", "    var t = s\n    while true { t = t * 1.5; if t > 4.0 { break } }\n", "t"),
    ("return from a loop in a loop", "", "[ search(x[a], w) for a in 3 ]"),
    # forms that PyTorch does not have: options as differentiated values, logsumexp of everything, and the like
    ("initial of amax and amin", "", "amax(x, dim=0, initial=s) * amin(y, dim=0, initial=0.75)"),
    ("amax of all dimensions", "", "amax(b) + amin(b)"), ("prod of several dimensions", "", "prod(b, dim=(0, -1))"),
    ("logsumexp of everything", "", "logsumexp(x) * v"), ("expand by tuple and numbers", "", "broadcast_to(v, 3, 4) * x"),
    ("slope", "", "leaky_relu(x - 0.51, negative_slope=s)"), ("alpha of elu", "", "elu(x - 0.51, alpha=s)"),
    ("beta and threshold of softplus", "", "softplus(x, beta=s)"), ("bounds of hardtanh", "", "hardtanh(x, min_val=s - 0.15, max_val=s + 0.15)"),
    ("scalars of addmm", "", "addmm(x, q, y, beta=s, alpha=v[0])"), ("beta of smooth_l1_loss", "", "smooth_l1_loss(x, y, beta=0.2*s)"),
    ("delta of huber_loss", "", "huber_loss(x, y, delta=0.2*s)"), ("eps of layer_norm", "", "layer_norm(x, (4,), eps=s)"),
    ("eps of rms_norm", "", "rms_norm(x, (4,), eps=s)"), ("eps of cosine_similarity", "", "cosine_similarity(x, y, eps=s)"),
    ("eps of normalize", "", "normalize(x, eps=2*s)"), ("value of addcmul", "", "addcmul(x, y, y, value=s)"),
    ("value of addcdiv", "", "addcdiv(x, x, y, value=s) + addcdiv(x, y, x)"), ("weight of lerp", "", "lerp(x, y, s)"),
    ("value of full", "", "full((3, 4), s, dtype=f64) * x + full_like(x, s, dtype=f64)"),
    ("values in an array literal", "", "tensor([s, s*s, v[1]], dtype=f64)"), ("item", "", "item(x[0:1, 0:1]) * y"),
    ("tree_map of one", "", "{ let (a, c) = tree_map(fn(u) => u * u, (x, v)); a * c }"),
    ("tree_map of two", "", "{ let (a, c) = tree_map(fn(u, t) => u * t, (x, v), (y, w)); a * c }"),
    ("tree_map of three", "", "{ let (a, c) = tree_map(fn(u, t, r) => u * t + r, (x, v), (y, w), (y, v)); a * c }"),
    ("tree_map of four", "", "{ let (a, c) = tree_map(fn(u, t, r, o) => u * t + r / o, (x, v), (y, w), (y, v), (x, w)); a * c }"),
    ("clip to a differentiated bound", "", "clip(x, s - 0.1, s + 0.1)"), ("to its own type", "", "x.to(f64) * y"),
    ("concat of three", "", "concat((v, w, v), dim=-1)"),
    ("detached parts", "", "x * detach(x * 0.0 + 2.0)"),
]

HELPERS = """
fn poly[n, m](a: f64[n, m], c: f64[n, m]) -> f64[n, m] { let t = a * c; return t * t + a }
fn first_above[n](r: f64[n], level: f64) -> f64 {
    for k in n { if r[k] > level { return r[k] * r[k] } }
    return sum(r)
}
fn pair[n](a: f64[n], c: f64[n]) -> (f64[n], f64[n]) = (a * c, a + c)
struct Affine[n] { k: f64[n]; c: f64[n] }
fn scale[n, m](p: Affine[m], a: f64[n, m]) -> f64[n, m] = a * p.k + p.c
fn twice[n](f: fn(f64[n]) -> f64[n], a: f64[n]) -> f64[n] = f(f(a))
fn search[n](r: f64[n], level: f64[n]) -> f64 {
    for k in n {
        for j in n { if r[k] > level[j] + 0.2345 { return r[k] * level[j] } }
    }
    return sum(r)
}
"""
