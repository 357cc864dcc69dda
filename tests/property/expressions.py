"""Random expressions of a type, from what a scope has. Values stay within a few units and within the smooth domain of each
operation, so that differences of them mean something; `mag` is a bound of the size, as far as it is known."""
import re

from terms import ALIKE, ALONG, APART, BINARY, LOSSES, MATRIX_SCALAR, MATRIX_VECTOR, SHAPELY, SPD, TAME, UNARY, WELL, WHOLE, Scope, dims, tensor
from tree import Block, Node


class Expressions:
    def __init__(self, r, weights):
        self.r, self.weights, self.count = r, weights, 0
        self.helpers, self.tags = [], set()
        self.first_order = False

    # ---- small things ----

    def new(self, stem):
        self.count += 1
        return "%s%d" % (stem, self.count)

    def number(self, lo=0.2, hi=1.4):
        return "%.2f" % self.r.uniform(lo, hi)

    def tag(self, name):
        self.tags.add(name)

    def tame(self, e, most=2.0):
        if e.mag <= most:
            return e
        text, mag = self.r.choice(TAME)
        return Node(e.type, text, e, mag=mag)

    def choose(self, table, *args):
        """A production of the table that can be used here."""
        names = list(table)
        for _ in range(8):
            name = self.r.choices(names, [table[n] * self.weights.get(n, 1.0) for n in names])[0]
            node = getattr(self, name)(*args)
            if node is not None:
                self.tag(name)
                return node
        return None

    # ---- integers and conditions ----

    def integer(self, sc, d):
        """An integer in 0..d-1."""
        fits = [t for t, bound in sc.ints if bound == d]
        any_int = [t for t, _ in sc.ints]
        k = self.r.random()
        if fits and k < 0.55:
            return Node("i64", self.r.choice(fits))
        if any_int and k < 0.75:
            return Node("i64", "((%s + %d) %% %s)" % (self.r.choice(any_int), self.r.randint(0, 2), d))
        if fits and k < 0.8:
            return Node("i64", "(%s - 1 - %s)" % (d, self.r.choice(fits)))
        vectors = [n for n, t, _, _ in sc.vars if t == tensor([d])]
        rows = [t for t, bound in sc.ints if bound == "n"]
        if d == "m" and rows and k < 0.88 and any(v[0] == "idx" for v in sc.vars):
            self.tag("index from data")
            return Node("i64", "idx[%s]" % self.r.choice(rows))
        if vectors and k < 0.87:
            self.tag("argmax")
            return Node("i64", "%s(%s)" % (self.r.choice(["argmax", "argmin"]), self.r.choice(vectors)))
        if vectors and k < 0.93:
            self.tag("count by data")
            return Node("i64", "(sum(1 for at in %s if %s[at] > %s) %% %s)" % (d, self.r.choice(vectors), self.number(-0.5, 0.5), d))
        return Node("i64", self.r.choice(["0", "(%s - 1)" % d, "(%d %% %s)" % (self.r.randint(1, 7), d)]))

    def condition(self, sc, depth):
        k = self.r.random()
        ints = [t for t, _ in sc.ints]
        if ints and k < 0.2:
            return Node("bool", "%s %s" % (self.r.choice(ints), self.r.choice(["% 2 == 0", "> 0", "!= 1", "<= 1"])))
        if ints and k < 0.3:
            return Node("bool", "%s %s %s" % (self.r.choice(ints), self.r.choice("<>"), self.r.choice(ints)))
        if k < 0.4:
            return Node("bool", "(%s $ %s $)" % (self.r.choice(["", "not "]), self.r.choice(["and", "or"])),
                        self.compare(sc, depth), self.compare(sc, depth))
        if k < 0.47:
            t = self.r.choice(sc.types())
            return Node("bool", "%s($ > %s)" % (self.r.choice(["any", "all"]), self.number(-0.6, 0.6)), self.expr(sc, t, 0))
        return self.compare(sc, depth)

    def compare(self, sc, depth):
        e = self.expr(sc, "f64", min(depth, 1))
        self.tag("branch on data")
        return Node("bool", "$ %s %s" % (self.r.choice(["<", ">", "<=", ">="]), self.number(-0.6, 0.9)), e)

    def indices(self, sc, shape, below):
        """An integer tensor of a shape with elements in 0..below-1."""
        names = [self.new("i") for _ in shape]
        inner = sc.inner(frozen=True)
        inner.ints += list(zip(names, shape))
        return Node("i64[%s]" % ", ".join(shape), "[$ for %s]" % ", ".join("%s in %s" % p for p in zip(names, shape)), self.integer(inner, below))

    # ---- the grammar ----

    SCALAR = {"literal": 0.5, "leaf": 5, "unary": 6, "binary": 7, "choice": 1.5, "reduction": 6, "whole": 4, "call": 4, "derived": 2.5,
              "derived_lambda": 2.5, "matrix_scalar": 0.2, "loss": 0.4, "products": 2, "constant_trick": 0.8, "block": 0.7, "higher_order": 1, "checkpointed": 0.5}
    TENSOR = {"leaf": 5, "unary": 5, "binary": 6, "where": 1.2, "choice": 1, "map": 7, "shapely": 3, "along": 2.5, "products": 4, "pick": 3, "join": 2.5,
              "call": 4, "derived": 2, "derived_lambda": 2.5, "matrix": 0.35, "constant_trick": 0.5, "tensor_reduction": 1.2, "spread": 1.2,
              "higher_order": 1.5, "scatter": 1.2, "literal_array": 1, "stacked": 1.2, "checkpointed": 0.3}

    def expr(self, sc, t, depth):
        if depth > 0 and (t == "f64" or dims(t)):
            e = self.choose(self.SCALAR if t == "f64" else self.TENSOR, sc, t, depth - 1)
            if e is not None:
                return e
        return self.leaf(sc, t, 0)

    def arg(self, sc, t, depth):
        return self.tame(self.expr(sc, t, depth))

    def literal(self, sc, t, depth):
        return Node(t, self.number(), mag=1.4)

    def leaf(self, sc, t, depth):
        fits = [v for v in sc.vars if v[1] == t]
        if fits and (self.r.random() < 0.8 or t != "f64"):
            v = self.r.choice(fits[-5:] if self.r.random() < 0.7 else fits)
            return self.tame(Node(t, v[0], mag=v[2]), 2.6)
        if t == "f64":
            return self.element(sc) or self.literal(sc, t, depth)
        if dims(t):
            return self.map(sc, t, 0)
        if t.startswith("P["):
            d = t[2:-1]
            return Node(t, "P(w=$, b=$)", self.leaf(sc, tensor([d]), 0), self.leaf(sc, "f64", 0))
        raise AssertionError(t)

    def element(self, sc):
        tensors = [v for v in sc.vars if dims(v[1])]
        if not tensors:
            return None
        name, t, mag, _ = self.r.choice(tensors)
        ds = dims(t)
        return self.tame(Node("f64", "%s[%s]" % (name, ", ".join("$" * len(ds))), *[self.integer(sc, d) for d in ds], mag=mag), 2.6)

    def unary(self, sc, t, depth):
        text, mag = self.r.choice(UNARY)
        e = self.arg(sc, t, depth)
        return Node(t, text, *[e] * text.count("$"), mag=mag or e.mag)

    def binary(self, sc, t, depth):
        text, mag = self.r.choice(BINARY)
        x, y = self.arg(sc, t, depth), (self.arg if text in ALIKE else self.broadcast)(sc, t, depth)
        if self.r.random() < 0.5:
            x, y = y, x
        return Node(t, text, x, y, mag=mag)

    def broadcast(self, sc, t, depth):
        """Something that broadcasts to t."""
        ds, k = dims(t), self.r.random()
        if ds and k < 0.3:
            return self.arg(sc, "f64", depth)
        if len(ds) == 2 and k < 0.5:
            return self.arg(sc, tensor(ds[1:]), depth)
        if len(ds) == 2 and k < 0.7:
            e = self.arg(sc, tensor(ds[:1]), depth)
            return Node("", "$[:, None]", e, mag=e.mag)
        return self.arg(sc, t, depth)

    def choice(self, sc, t, depth):
        return Node(t, "(if $ $ else $)", self.condition(sc, depth), self.braced(sc, t, depth), self.braced(sc, t, depth), mag=2)

    def braced(self, sc, t, depth):
        """A block with a value; sometimes with statements."""
        inner = sc.inner(loop=False, result=None, level=sc.level + 1)
        kids = self.statements(inner, self.r.randint(1, 2), depth - 1) if self.r.random() < 0.25 and sc.level < 4 else []
        return Block(kids + [self.arg(inner, t, depth)])

    def block(self, sc, t, depth):
        return Node(t, "$", self.local_block(sc, t, depth), mag=2) if sc.level < 3 else None

    def local_block(self, sc, t, depth):
        """A block that changes nothing around it, but may have loops and vars of its own."""
        self.tag("block body")
        inner = sc.inner(frozen=True, level=sc.level + 1)
        kids = self.statements(inner, self.r.randint(1, 3), depth)
        return Block(kids + [self.arg(inner, t, depth)], t)

    def checkpointed(self, sc, t, depth):
        return Node(t, "(checkpoint $)", self.local_block(sc, t, depth), mag=2) if sc.level < 3 else None

    def where(self, sc, t, depth):
        return Node(t, "where($ > %s, $, $)" % self.number(-0.5, 0.7), self.arg(sc, t, 0), self.arg(sc, t, depth), self.broadcast(sc, t, depth), mag=2)

    # ---- index notation ----

    def map(self, sc, t, depth):
        ds = dims(t)
        n = self.r.randint(1, len(ds))
        names = [self.new("i") for _ in range(n)]
        inner = sc.inner(frozen=True, level=sc.level + 1)
        inner.ints += list(zip(names, ds))
        inner.rows += [i for i, d in zip(names, ds) if d == "n"]
        body_type = tensor(ds[n:])
        body = self.local_block(inner, body_type, depth) if depth > 0 and sc.level < 3 and self.r.random() < 0.25 else self.arg(inner, body_type, depth)
        return Node(t, "[$ for %s]" % ", ".join("%s in %s" % p for p in zip(names, ds)), body, mag=2)

    def range(self, sc, name):
        """(text, dimension below which the index is or None, never empty)"""
        d = self.r.choice(sc.dims)
        inside = [(t, b) for t, b in sc.ints if b in sc.dims]
        k = self.r.random()
        if inside and k < 0.3:
            t, b = self.r.choice(inside)
            self.tag("triangular range")
            return self.r.choice([(t, b, False), ("%s..%s" % (t, b), b, True), ("%s + 1..%s" % (t, b), b, False), ("%s + 1" % t, b, True)])
        if sc.rows and k < 0.5 and any(v[0] == "ptr" for v in sc.vars):
            self.tag("sparse row")
            i = self.r.choice(sc.rows)
            return "ptr[%s]..ptr[%s + 1]" % (i, i), "m", False
        if k < 0.6:
            ks = [v[0] for v in sc.vars if v[1] == "i64"]
            if ks:
                self.tag("range from data")
                return self.r.choice(ks), None, False
        if k < 0.68:
            return str(self.r.randint(1, 4)), None, True
        if k < 0.76:
            return "1..%s" % d, d, False
        return d, d, True

    def generator(self, sc):
        """(scope of the body, `for ...`, never empty)"""
        inner = sc.inner(frozen=True, level=sc.level + 1)
        parts, full = [], True
        for _ in range(1 if self.r.random() < 0.75 else 2):
            i = self.new("i")
            text, d, nonempty = self.range(inner, i)
            parts.append("%s in %s" % (i, text))
            full &= nonempty
            inner.ints.append((i, d))
            if d == "n":
                inner.rows.append(i)
        return inner, "for " + ", ".join(parts), full

    def reduction(self, sc, t, depth):
        if sc.level > 3:
            return None
        inner, text, full = self.generator(sc)
        kind = self.r.choice(["sum", "sum", "sum", "prod", "max", "min", "mean", "logsumexp"] if full else ["sum", "sum", "prod"])
        body = self.arg(inner, t, depth) if self.r.random() < 0.85 or depth < 1 else self.local_block(inner, t, depth)
        if kind == "prod":
            body = Node(t, "(1.0 + 0.02 * $)", body, mag=1.4)
        if kind in ("sum", "prod") and self.r.random() < 0.3:
            self.tag("filter")
            return Node(t, "%s($ %s if $)" % (kind, text), body, self.condition(inner, 0), mag=9)
        return Node(t, "%s($ %s)" % (kind, text), body, mag=2 if kind in ("max", "min", "mean") else 9)

    def tensor_reduction(self, sc, t, depth):
        if sc.level > 2:
            return None
        inner, text, full = self.generator(sc)
        kind = self.r.choice(["sum", "sum", "prod", "max", "min", "mean"] if full else ["sum", "prod"])
        body = self.arg(inner, t, depth)
        if kind == "prod":
            body = Node(t, "(1.0 + 0.02 * $)", body)
        if kind in ("sum", "prod") and self.r.random() < 0.3:
            return Node(t, "%s($ %s if $)" % (kind, text), body, self.condition(inner, 0), mag=9)
        return Node(t, "%s($ %s)" % (kind, text), body, mag=2 if kind in ("max", "min", "mean") else 9)

    # ---- whole tensors ----

    def whole(self, sc, t, depth):
        text, mag = self.r.choice(WHOLE)
        return Node(t, text, *[self.arg(sc, self.r.choice(sc.types()), depth)] * text.count("$"), mag=mag)

    def along(self, sc, t, depth):
        ds = dims(t)
        if len(ds) != 1:
            return None
        axis = self.r.randint(0, 1)
        over = list(ds)
        over.insert(axis, self.r.choice(sc.dims))
        text, mag = self.r.choice(ALONG)
        return Node(t, text.replace("D", str(axis)), self.arg(sc, tensor(over), depth), mag=mag)

    def shapely(self, sc, t, depth):
        text, mag = self.r.choice(SHAPELY)
        axis = self.r.randint(0, len(dims(t)) - 1)
        e = self.arg(sc, t, depth)
        if len(dims(t)) == 2 and self.r.random() < 0.15:
            return Node(t, "%s($)" % self.r.choice(["tril", "triu"]), e, mag=e.mag)
        return Node(t, text.replace("D", str(axis)).replace("(L,)", "(%s,)" % dims(t)[-1]), *[e] * text.count("$"), mag=mag or e.mag)

    def spread(self, sc, t, depth):
        ds = dims(t)
        if len(ds) == 1:
            return Node(t, "expand($, %s)" % ds[0], self.arg(sc, "f64", depth), mag=2)
        row, col = self.arg(sc, tensor(ds[1:]), depth), self.arg(sc, tensor(ds[:1]), depth)
        return self.r.choice([Node(t, "expand($, %s, %s)" % tuple(ds), row, mag=2), Node(t, "expand($[:, None], %s, %s)" % tuple(ds), col, mag=2),
                              Node(t, "outer($, $)", col, row, mag=4)])

    def products(self, sc, t, depth):
        ds, k, e = dims(t), self.r.choice(sc.dims), lambda *d: self.arg(sc, tensor(d), depth)
        if not ds:
            a = self.r.choice(sc.dims)
            make = [lambda: Node(t, "dot($, $)", e(a), e(a)), lambda: Node(t, '($ @ $)', e(a), e(a)),
                    lambda: Node(t, 'einsum("ij,ij->", $, $)', e(a, k), e(a, k)), lambda: Node(t, 'einsum("i,ij,j->", $, $, $)', e(a), e(a, k), e(k))]
        elif len(ds) == 1:
            a = ds[0]
            make = [lambda: Node(t, "($ @ $)", e(a, k), e(k)), lambda: Node(t, "($ @ $)", e(k), e(k, a)), lambda: Node(t, 'einsum("ij,j->i", $, $)', e(a, k), e(k)),
                    lambda: Node(t, 'einsum("ij,ij->i", $, $)', e(a, k), e(a, k)), lambda: Node(t, 'einsum("ji->i", $)', e(k, a)),
                    lambda: Node(t, "mv($.T, $)", e(k, a), e(k)), lambda: Node(t, "diag($)", e(a, a))]
        else:
            a, b = ds
            make = [lambda: Node(t, "($ @ $)", e(a, k), e(k, b)), lambda: Node(t, "($ @ $.T)", e(a, k), e(b, k)), lambda: Node(t, "$.T", e(b, a), mag=1.0),
                    lambda: Node(t, 'einsum("ij,kj->ik", $, $)', e(a, k), e(b, k)), lambda: Node(t, 'einsum("i,j->ij", $, $)', e(a), e(b)),
                    lambda: Node(t, 'einsum("ij,i->ij", $, $)', e(a, b), e(a)), lambda: Node(t, "linear($, $, $)", e(a, k), e(b, k), e(b)),
                    lambda: Node(t, "bmm($[None], $[None])[0]", e(a, k), e(k, b))] + 3 * [lambda: self.windows(t, e(a), e(k), e(k, b), k)]
        n = self.r.choice(make)()
        n.mag = 6
        return n

    def windows(self, t, x, rest, weights, taps):
        u, v, (a, b) = self.new("u"), self.new("v"), dims(t)
        text = "{ let %s = cat(($, $), 0)\nlet %s = $\n[ sum(%s[i + p]*%s[p, j] for p in %s) for i in %s, j in %s ] }"
        return Node(t, text % (u, v, u, v, taps, a, b), x, rest, weights)

    def pick(self, sc, t, depth):
        ds, k, e = dims(t), self.r.choice(sc.dims), lambda *d: self.arg(sc, tensor(d), depth)
        if len(ds) == 1:
            a = ds[0]
            make = [lambda: Node(t, "$[:, $]", e(a, k), self.integer(sc, k)), lambda: Node(t, "$[$]", e(k, a), self.integer(sc, k)),
                    lambda: Node(t, "$[$]", e(k), self.indices(sc, [a], k)), lambda: Node(t, "index_select($, 0, $)", e(k), self.indices(sc, [a], k)),
                    lambda: Node(t, "gather($, 0, $)", e(a), self.indices(sc, [a], a)), lambda: Node(t, "take($, $, dim=0)", e(k), self.indices(sc, [a], k)),
                    lambda: Node(t, "$[$, $]", e(k, a), self.indices(sc, [a], k), self.indices(sc, [a], a)),
                    lambda: Node(t, "select($, 1, $)", e(a, k), self.integer(sc, k))]
        else:
            a, b = ds
            make = [lambda: Node(t, "$[$]", e(k, b), self.indices(sc, [a], k)), lambda: Node(t, "$[:, $]", e(a, k), self.indices(sc, [b], k)),
                    lambda: Node(t, "gather($, 1, $)", e(a, b), self.indices(sc, [a, b], b)), lambda: Node(t, "gather($, 0, $)", e(a, b), self.indices(sc, [a, b], a)),
                    lambda: Node(t, "$[$]", e(k), self.indices(sc, [a, b], k)), lambda: Node(t, "embedding($, $)", self.indices(sc, [a], k), e(k, b)),
                    lambda: Node(t, "take($, $, dim=1)", e(a, k), self.indices(sc, [b], k))]
        n = self.r.choice(make)()
        n.mag = 2
        return n

    def join(self, sc, t, depth):
        ds, e = dims(t), lambda *d: self.arg(sc, tensor(d), depth)
        a = ds[0]
        make = [lambda: Node(t, "cat(($, $))[1:%s + 1]" % a, e(*ds), e(*ds)), lambda: Node(t, "cat(($[1:], $[:1]))", e(*ds), e(*ds)),
                lambda: Node(t, "cat(($, $))[::2]", e(*ds), e(*ds)), lambda: Node(t, "narrow(cat(($, $)), 0, 1, %s)" % a, e(*ds), e(*ds))]
        if len(ds) == 2:
            make += [lambda: Node(t, "cat(($, $), dim=1)[:, %s:]" % ds[1], e(*ds), e(*ds)), lambda: Node(t, "cat(($, $), dim=1)[:, ::2]", e(*ds), e(*ds)),
                     lambda: Node(t, "reshape($.T, %s, %s)" % tuple(ds), e(*ds))]
        n = self.r.choice(make)()
        n.mag = 2
        return n

    def stacked(self, sc, t, depth):
        x, y = self.arg(sc, t, depth), self.arg(sc, t, depth)
        text = self.r.choice(["stack(($, $)).sum(dim=0)", "stack(($, $), dim=1)[:, 1]", "stack(($, $))[0]", "stack(($, $)).amax(dim=0)", "stack(($, $)).prod(dim=0)",
                              "stack(($, $))[%s]" % self.integer(sc, "2"), "permute(stack(($, $)), %s)[..., 0]" % ", ".join(map(str, [*range(1, len(dims(t)) + 1), 0]))])
        return Node(t, text, x, y, mag=4)

    def scatter(self, sc, t, depth):
        ds = dims(t)
        axis = self.r.randint(0, len(ds) - 1)
        return Node(t, "scatter_add($, %d, $, $)" % axis, self.arg(sc, t, depth), self.indices(sc, ds, ds[axis]), self.arg(sc, t, depth), mag=6)

    def literal_array(self, sc, t, depth):
        return Node(t, "[$, $, $]", *[self.arg(sc, "f64", depth) for _ in range(3)], mag=2) if t == "f64[3]" else None

    # ---- the library ----

    def loss(self, sc, t, depth):
        u = self.r.choice(sc.types())
        if self.r.random() < 0.2:
            a, b = self.r.choice(sc.dims), self.r.choice(sc.dims)
            return Node(t, "cross_entropy($, $)", self.arg(sc, tensor([a, b]), depth), self.indices(sc, [a], b), mag=4)
        return Node(t, self.r.choice(LOSSES), self.arg(sc, u, depth), self.arg(sc, u, depth), mag=4)

    def algebra(self, sc, t, text, size, depth):
        for name, form in (("WELL", WELL), ("SPD", SPD), ("APART", APART)):
            text = text.replace(name, form)
        inner = sc.inner(order=max(sc.order, 1))
        slots = {"M": self.arg(inner, tensor([size] * 2), min(depth, 1)), "V": self.arg(inner, tensor([size]), min(depth, 1))}
        text = re.sub(r"\bA\b", size, text)
        kids = [slots[k] for k in re.findall(r"\b[MV]\b", text)]
        return Node(t, "(%s)" % re.sub(r"\b[MV]\b", "$", text), *kids, mag=6)

    def matrix_scalar(self, sc, t, depth):
        return self.algebra(sc, t, self.r.choice(MATRIX_SCALAR), self.r.choice(sc.dims), depth) if sc.level < 2 and sc.order < 2 else None

    def matrix(self, sc, t, depth):
        ds = dims(t)
        return self.algebra(sc, t, self.r.choice(MATRIX_VECTOR), ds[0], depth) if len(ds) == 1 and ds[0] != "3" and sc.level < 2 and sc.order < 2 else None

    def constant_trick(self, sc, t, depth):
        """Constants that cancel: the value is that of u (times v), and so is the derivative, though by another way."""
        if sc.order:
            return None
        self.first_order = True
        u, v, x, y = self.new("u"), self.new("u"), self.arg(sc, t, min(depth, 1)), self.arg(sc, t, 0)
        if self.r.random() < 0.5:
            how = self.r.choice(["detach(X)", "(no_grad { X })"])
            self.tag("no_grad" if "no" in how else "detach")
            cut = lambda z: how.replace("X", z)
            value = "%s * %s + %s * %s - %s" % (cut(u), v, u, cut(v), cut("%s * %s" % (u, v)))
            return Node(t, "({ let %s = $; let %s = $; %s })" % (u, v, value), x, y, mag=x.mag * y.mag)
        self.tag("cast")
        cast = self.r.choice(["f64(f32(%s))", "double(float(%s))"]) % u
        return Node(t, "({ let %s = $; %s - detach(%s) + detach(%s) })" % (u, cast, cast, u), x, mag=x.mag)

    # ---- functions ----

    def mappings(self, sc, h):
        """Dimensions of helper h as those of the scope."""
        maps = [{}]
        for d in h.dims:
            maps = [dict(m, **{d: e}) for m in maps for e in sc.dims]
        return maps

    def lambda_for(self, sc, ft, depth):
        """A function value of type `fn(f64) -> f64` and its like."""
        arg, result = re.match(r"fn\((.*)\) -> (.*)", ft).groups()
        named = [h.name for h in self.helpers if not h.dims and list(h.params) == [arg] and h.result == result]
        k = self.r.random()
        if k < 0.2 and arg == "f64":
            return Node(ft, self.r.choice(["sin", "tanh", "sigmoid", "atan"]))
        if named and k < 0.4:
            return Node(ft, self.r.choice(named))
        r = self.new("r")
        inner = sc.inner(frozen=True, level=sc.level + 1)
        inner.vars.append((r, arg, 1.6, False))
        body = self.local_block(inner, result, depth) if k > 0.85 and sc.level < 3 else self.arg(inner, result, depth)
        return Node(ft, "fn(%s: %s) => $" % (r, arg), body)

    def arguments(self, sc, types, depth):
        out = []
        for t in types:
            if t.startswith("fn("):
                out.append(self.lambda_for(sc, t, depth))
            elif t == "i64":
                out.append(Node("i64", str(self.r.randint(0, 3))))
            else:
                out.append(self.arg(sc, t, depth))
        return out

    def call(self, sc, t, depth):
        if sc.level > 3:
            return None
        fits = [(h, m, "") for h in self.helpers for m in self.mappings(sc, h) if h.typed(h.result, m) == t]
        fits += [(h, m, ".%d" % i) for h in self.helpers if h.result.startswith("(") for m in self.mappings(sc, h)
                 for i, part in enumerate(h.parts()) if h.typed(part, m) == t]
        if not fits:
            return None
        h, m, part = self.r.choice(fits)
        args = self.arguments(sc, [h.typed(p, m) for p in h.params], min(depth, 1))
        self.tag("call " + h.kind)
        return Node(t, "%s(%s)%s" % (h.name, ", ".join("$" * len(args)), part), *args, mag=3)

    def higher_order(self, sc, t, depth):
        fits = [(h, m) for h in self.helpers if h.kind == "function parameter" for m in self.mappings(sc, h) if h.typed(h.result, m) == t]
        if not fits or sc.level > 2:
            return None
        h, m = self.r.choice(fits)
        args = self.arguments(sc, [h.typed(p, m) for p in h.params], min(depth, 1))
        self.tag("call " + h.kind)
        return Node(t, "%s(%s)" % (h.name, ", ".join("$" * len(args))), *args, mag=3)

    def derived(self, sc, t, depth):
        """A derivative of a helper whose result has type t."""
        if sc.order > 1 or sc.level > 2:
            return None
        fits, want = [], dims(t)
        for h in self.helpers:
            if h.kind == "function parameter" or h.result.startswith("("):
                continue
            for m in self.mappings(sc, h):
                r = h.typed(h.result, m)
                for i, p in enumerate(h.params):
                    p = h.typed(p, m)
                    if p != "f64" and not dims(p):
                        continue
                    for kind in self.kinds(r, p, t):
                        fits.append((h, m, i, kind))
        if not fits:
            return None
        h, m, i, kind = self.r.choice(fits)
        if h.heavy and sc.order:
            return None
        inner = sc.inner(order=sc.order + 1)
        types = [h.typed(p, m) for p in h.params]
        args = self.arguments(inner, types, min(depth, 1)) + self.extra(inner, kind, h.typed(h.result, m), types[i])
        self.tag("nested " + kind.split("(")[0])
        self.tag("nested call " + h.kind)
        return Node(t, kind.replace("F", "%s, wrt=%s" % (h.name, h.names[i])).replace("ARGS", ", ".join("$" * len(args))), *args, mag=6)

    def kinds(self, r, p, t):
        """Derivatives of a function from p to r that have type t."""
        out = []
        if r == "f64" and p == t:
            out += ["grad(F)(ARGS)", "value_and_grad(F)(ARGS).1", "hvp(F)(ARGS).1"]
        if r == t:
            out += ["jvp(F)(ARGS).1"]
        if p == t and r != "f64":
            out += ["vjp(F)(ARGS).1"]
        if dims(t) and dims(r) + dims(p) == dims(t):
            out += ["jacfwd(F)(ARGS)", "jacrev(F)(ARGS)"]
        if r == "f64" and dims(p) and dims(p) * 2 == dims(t):
            out += ["hessian(F)(ARGS)"]
        return out

    def extra(self, sc, kind, r, p):
        t = {"jvp": p, "vjp": r, "hvp": p}.get(kind.split("(")[0])
        return [self.arg(sc, t, 0)] if t else []

    def derived_lambda(self, sc, t, depth):
        if sc.order > 1 or sc.level > 2 or depth < 0:
            return None
        some = ["f64"] + sc.types()
        fits = [(r, p, k) for r in some for p in some for k in self.kinds(r, p, t)]
        if not fits:
            return None
        wanted = self.r.choice(sorted({k for _, _, k in fits}))
        r, p, kind = self.r.choice([f for f in fits if f[2] == wanted])
        name = self.new("r")
        inner = sc.inner(frozen=True, order=sc.order + 1, level=sc.level + 1)
        inner.vars.append((name, p, 1.6, False))
        body = self.local_block(inner, r, depth) if self.r.random() < 0.3 else self.arg(inner, r, max(depth, 1))
        args = [self.arg(sc, p, min(depth, 1))] + self.extra(sc, kind, r, p)
        self.tag("nested " + kind.split("(")[0])
        if sc.order:
            self.tag("nested twice")
        return Node(t, kind.replace("F", "fn(%s: %s) => $" % (name, p)).replace("ARGS", ", ".join("$" * len(args))), body, *args, mag=6)
