"""Programs as trees: how they are written out, and how a failing one is made smaller.

A node has a text with a `$` for each child. Expressions have a type (`f64`, `i64`, `bool`, `f64[n, m]`, ...);
statements and blocks have none, or `step` where they must stay."""
import re


class Node:
    __slots__ = ("type", "text", "kids", "mag")

    def __init__(self, type, text, *kids, mag=1.0):
        self.type, self.text, self.kids, self.mag = type, text, list(kids), mag
        assert text.count("$") == len(kids), (text, len(kids))

    def __str__(self):
        parts = self.text.split("$")
        return parts[0] + "".join(str(k) + p for k, p in zip(self.kids, parts[1:]))

    def walk(self):
        yield self
        for k in self.kids:
            yield from k.walk()


class Block(Node):
    """Statements, and at the end perhaps a value."""
    __slots__ = ()

    def __init__(self, kids=(), type=None):
        self.type, self.text, self.kids, self.mag = type, "", list(kids), 1.0

    def __str__(self):
        return "{\n" + "".join("    " + str(k).replace("\n", "\n    ") + "\n" for k in self.kids) + "}"


class Function:
    """`head` has a `$` for the body; `extra` stands behind it (a derivative of its own)."""

    def __init__(self, name, head, body, extra=""):
        self.name, self.head, self.body, self.extra = name, head, body, extra

    def __str__(self):
        return self.head.replace("$", str(self.body)) + "\n" + self.extra


class Program:
    def __init__(self, seed, sizes, functions):
        self.seed, self.sizes, self.functions = seed, sizes, functions
        self.tags = set()    # constructs, for the statistics
        self.exact = True    # no f32 inside

    def text(self):
        """The last function and those that it reaches."""
        wanted, texts = {self.functions[-1].name}, []
        for f in reversed(self.functions):
            if f.name in wanted:
                texts.append(str(f))
                wanted |= set(re.findall(r"\w+", texts[-1]))
        return "\n".join(reversed(texts))


# ---- smaller programs ----

def plain(type):
    """An expression of a type that depends on nothing."""
    dims = re.match(r"\w+\[(.*)\]$", type)
    if type == "i64":
        return "0"
    if type == "bool":
        return "true"
    if type == "f64":
        return "0.5"
    return "full((%s,), 0.5)" % dims[1] if dims and type.startswith("f64") else None


def candidates(node, most=6):
    """Smaller nodes that may stand in the place of expression `node`: what depends on nothing, then what is in it."""
    text = plain(node.type)
    if text and text != str(node):
        yield Node(node.type, text)
    level, seen = [node], set()
    while level and most:
        level = [k for n in level for k in n.kids if not (id(k) in seen or seen.add(id(k)))]
        for k in [k for k in level if k.type == node.type][:most]:
            most -= 1
            yield k


def drop_statements(root, fails):
    """Tries to take statements away, or to put what is in their blocks in their place."""
    changed = False
    for i in reversed(range(len(root.kids))) if isinstance(root, Block) else ():
        kept, kid = root.kids, root.kids[i]
        if kid.type == "step":  # without it a loop would not end
            continue
        for trial in [[]] + [b.kids for b in kid.kids if isinstance(b, Block) and kid.type is None]:
            root.kids = kept[:i] + trial + kept[i + 1:]
            if fails():
                changed = True
                break
            root.kids = kept
    for kid in root.kids:
        if kid.kids:
            changed |= drop_statements(kid, fails)
    return changed


def simplify(root, fails):
    """Tries smaller expressions, from the outside in."""
    changed = False
    for i in reversed(range(len(root.kids))):
        kid = root.kids[i]
        for trial in list(candidates(kid)) if kid.type and not isinstance(root, Block) else ():
            root.kids[i] = trial
            if fails():
                changed = True
                break
            root.kids[i] = kid
        if root.kids[i].kids:
            changed |= simplify(root.kids[i], fails)
    return changed


def shrink(program, fails):
    """Makes `program` smaller in place as long as fails() says that it still does."""
    for edit in (drop_statements, simplify, drop_statements, simplify):
        while any([edit(f.body, fails) for f in reversed(program.functions)]) and edit is drop_statements:
            pass
