"""What PyTorch calls the backward of each form of each operator: cases shared by the generator and the test.

A case is (tdl, torch): the same expression in both languages, over the leaves below, all of which require grad.
"""

# name: shape of a leaf (f32, values in (0.2, 0.8)); and index tensors
LEAVES = {"x": (3, 4), "y": (3, 4), "m": (4, 5), "v": (4,), "w": (4,), "s": (), "b": (2, 3, 4), "c": (2, 4, 5),
          "q": (3, 3), "img": (1, 2, 6, 6), "ker": (3, 2, 3, 3), "bias": (3,)}
INDICES = {"i": [0, 2, 1], "g": [[0, 1, 2, 0], [1, 1, 0, 2]]}

CASES = [
    # arithmetic
    ("x + y", "x + y"), ("x + 2", "x + 2"), ("2 + x", "2 + x"), ("x - y", "x - y"), ("x - 1", "x - 1"),
    ("1 - x", "1 - x"), ("x * y", "x * y"), ("3 * x", "3 * x"), ("x / y", "x / y"), ("x / 2", "x / 2"),
    ("1 / x", "1 / x"), ("x ** 2", "x ** 2"), ("x ** y", "x ** y"), ("2 ** x", "2 ** x"), ("-x", "-x"),
    ("x % y", "x % y"),
    # elementary functions
    *[(f"{f}(x)", f"torch.{f}(x)") for f in
      "abs sign floor ceil round trunc sqrt exp expm1 log log1p sin cos tan asin acos atan sinh cosh tanh asinh "
      "atanh sigmoid erf lgamma digamma square rsqrt reciprocal exp2 log2 log10 erfc frac".split()],
    ("acosh(x + 1)", "torch.acosh(x + 1)"), ("atan2(x, y)", "torch.atan2(x, y)"), ("max(x, y)", "torch.max(x, y)"),
    ("min(x, y)", "torch.min(x, y)"), ("maximum(x, y)", "torch.maximum(x, y)"),
    ("minimum(x, y)", "torch.minimum(x, y)"), ("hypot(x, y)", "torch.hypot(x, y)"),
    ("logaddexp(x, y)", "torch.logaddexp(x, y)"), ("clamp(x, 0.3, 0.5)", "torch.clamp(x, 0.3, 0.5)"),
    ("clamp(x, min=0.3)", "torch.clamp(x, min=0.3)"), ("clamp(x, max=0.5)", "torch.clamp(x, max=0.5)"),
    ("where(x > 0.5, x, y)", "torch.where(x > 0.5, x, y)"), ("lerp(x, y, 0.3)", "torch.lerp(x, y, 0.3)"),
    # reductions
    ("sum(x)", "torch.sum(x)"), ("sum(x, dim=1)", "torch.sum(x, dim=1)"),
    ("sum(x, dim=0, keepdim=true)", "torch.sum(x, dim=0, keepdim=True)"), ("mean(x)", "torch.mean(x)"),
    ("mean(x, dim=0)", "torch.mean(x, dim=0)"), ("prod(x)", "torch.prod(x)"), ("prod(x, dim=1)", "torch.prod(x, dim=1)"),
    ("max(x)", "torch.max(x)"), ("min(x)", "torch.min(x)"), ("max(x, dim=1).0", "torch.max(x, dim=1)[0]"),
    ("min(x, dim=1).0", "torch.min(x, dim=1)[0]"), ("amax(x, dim=1)", "torch.amax(x, dim=1)"),
    ("amin(x, dim=0)", "torch.amin(x, dim=0)"), ("logsumexp(x, dim=1)", "torch.logsumexp(x, dim=1)"),
    ("cumsum(x, dim=1)", "torch.cumsum(x, dim=1)"), ("cumprod(x, dim=1)", "torch.cumprod(x, dim=1)"),
    ("var(x)", "torch.var(x)"), ("var(x, dim=0)", "torch.var(x, dim=0)"), ("std(x)", "torch.std(x)"),
    ("std(x, dim=1)", "torch.std(x, dim=1)"), ("norm(x)", "torch.norm(x)"),
    # structure
    ("x.T", "x.T"), ("transpose(b, 1, 2)", "torch.transpose(b, 1, 2)"), ("permute(b, (2, 0, 1))", "torch.permute(b, (2, 0, 1))"),
    ("reshape(x, (2, 6))", "torch.reshape(x, (2, 6))"), ("view(x, (12,))", "x.view(12)"), ("flatten(x)", "torch.flatten(x)"),
    ("unsqueeze(x, 0)", "torch.unsqueeze(x, 0)"), ("squeeze(unsqueeze(x, 0), 0)", "torch.squeeze(torch.unsqueeze(x, 0), 0)"),
    ("expand(unsqueeze(v, 0), (3, 4))", "torch.unsqueeze(v, 0).expand(3, 4)"),
    ("cat((x, y), dim=0)", "torch.cat((x, y), dim=0)"), ("stack((x, y), dim=0)", "torch.stack((x, y), dim=0)"),
    ("gather(x, 0, g)", "torch.gather(x, 0, g)"), ("index_select(x, 0, i)", "torch.index_select(x, 0, i)"),
    ("scatter_add(x, 0, g, y[0:2])", "torch.scatter_add(x, 0, g, y[0:2])"), ("flip(x, 0)", "torch.flip(x, (0,))"),
    ("roll(x, 1, 0)", "torch.roll(x, 1, 0)"), ("tril(q)", "torch.tril(q)"), ("triu(q)", "torch.triu(q)"),
    ("diag(q)", "torch.diag(q)"), ("trace(q)", "torch.trace(q)"), ("x[0]", "x[0]"), ("x[0:2]", "x[0:2]"),
    ("x[:, 1]", "x[:, 1]"), ("x[..., None]", "x[..., None]"), ("x[i]", "x[i]"),
    # products
    ("x @ m", "x @ m"), ("x @ v", "x @ v"), ("v @ w", "v @ w"), ("v @ m", "v @ m"), ("b @ c", "b @ c"),
    ("matmul(x, m)", "torch.matmul(x, m)"), ("dot(v, w)", "torch.dot(v, w)"), ("mv(x, v)", "torch.mv(x, v)"),
    ("mm(x, m)", "torch.mm(x, m)"), ("bmm(b, c)", "torch.bmm(b, c)"), ("outer(v, w)", "torch.outer(v, w)"),
    # networks
    ("relu(x)", "torch.relu(x)"), ("softmax(x, dim=1)", "torch.softmax(x, dim=1)"),
    ("log_softmax(x, dim=1)", "torch.log_softmax(x, dim=1)"), ("gelu(x)", "F.gelu(x)"), ("silu(x)", "F.silu(x)"),
    ("softplus(x)", "F.softplus(x)"), ("elu(x)", "F.elu(x)"), ("leaky_relu(x)", "F.leaky_relu(x)"),
    ("hardtanh(x)", "F.hardtanh(x)"), ("log_sigmoid(x)", "F.logsigmoid(x)"), ("mse_loss(x, y)", "F.mse_loss(x, y)"),
    ("l1_loss(x, y)", "F.l1_loss(x, y)"), ("smooth_l1_loss(x, y)", "F.smooth_l1_loss(x, y)"),
    ("huber_loss(x, y)", "F.huber_loss(x, y)"), ("binary_cross_entropy(x, y.detach())", "F.binary_cross_entropy(x, y.detach())"),
    ("binary_cross_entropy_with_logits(x, y.detach())", "F.binary_cross_entropy_with_logits(x, y.detach())"),
    ("cross_entropy(x, i)", "F.cross_entropy(x, i)"), ("nll_loss(log_softmax(x, dim=1), i)", "F.nll_loss(F.log_softmax(x, dim=1), i)"),
    ("layer_norm(x, (4,))", "F.layer_norm(x, (4,))"), ("linear(x, m.T)", "F.linear(x, m.T)"),
    ("conv2d(img, ker, bias)", "F.conv2d(img, ker, bias)"), ("max_pool2d(img, 2)", "F.max_pool2d(img, 2)"),
    ("avg_pool2d(img, 2)", "F.avg_pool2d(img, 2)"), ("embedding(i, x)", "F.embedding(i, x)"),
]
