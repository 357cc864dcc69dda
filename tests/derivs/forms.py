"""The forms in which a library function can be called, read from frontend/builtins.def and frontend/std, and which of
them occur in the derivative cases.

A form is a way to give one parameter: an optional one given and left out, a dimension counted from the end or several
at once, each value of an option, a list of numbers as one tuple and spread, a float default as a differentiated value.
"""
import re
from dataclasses import dataclass, field

from cases import LEAVES

# What has no derivative by what it is: integers, truth values, constants. (Operations say so in ir/ops.def.)
NO_DERIVATIVE = set("isnan isinf isfinite one_hot heaviside eq ne lt le gt ge logical_not logical_and logical_or floor_divide "
                    "argmax argmin argsort any all size shape numel len known zeros ones zeros_like ones_like eye rand randn "
                    "rand_like randn_like long detach arange linspace".split())
DIMENSIONS = {"dim", "dims", "dim0", "dim1", "start_dim", "end_dim"}
STEPS = {"correction", "diagonal", "threshold"}    # integers, or where the function changes its formula
SCRIPT_ONLY = {"requires_grad"}
ARITHMETIC = {"ADD", "SUB", "MUL", "DIV", "MOD", "POW"}
FAMILIES = {"bi_float_unary", "bi_number_unary", "bi_float_binary", "bi_number_binary"}


@dataclass
class Param:
    name: str
    kind: str = ""          # type as written; "*" takes all positional arguments that are left
    default: str = ""       # as written, "" where it must be given


@dataclass
class Function:
    name: str
    params: list
    elementwise: bool       # any shapes that broadcast (builtins), or equal shapes (library)
    broadcasts: bool = False
    used: set = field(default_factory=set)


def split(text):
    """Parts between commas that stand outside parentheses, brackets and strings."""
    parts, depth, start, quoted = [], 0, 0, False
    for i, c in enumerate(text):
        quoted ^= c == '"'
        depth += (c in "([{") - (c in ")]}") if not quoted else 0
        if c == "," and not depth and not quoted:
            parts.append(text[start:i].strip())
            start = i + 1
    return parts + [text[start:].strip()] if text[start:].strip() else parts


def balanced(text, start):
    """The text between the parenthesis at `start` and its partner."""
    depth = 0
    for i in range(start, len(text)):
        depth += (text[i] in "([{") - (text[i] in ")]}")
        if not depth:
            return text[start + 1:i]
    raise ValueError(text[start:start + 60])


def builtins(root):
    for m in re.finditer(r'^BI\((\w+), *"([^"]*)", *(\w+), *(\w+),', (root / "frontend/builtins.def").read_text(), re.M):
        params = []
        for p in split(m[2]):
            params.append(Param(p.strip("*="), "*" if p[0] == "*" else "", "absent" if p[-1] == "=" else ""))
        family = m[3] in FAMILIES or (m[3] == "bi_operator" and m[4].removeprefix("AST_OP_") in ARITHMETIC)
        yield Function(m[1], params, family, family)


def library(root):
    """Public functions: those with documentation."""
    for path in sorted((root / "frontend/std").glob("*.tdl")):
        text = path.read_text()
        for m in re.finditer(r"^##.*\n(?:@\w+\n)?fn (\w+)(?:\[[^]]*\])?\(", text, re.M):
            params = []
            for p in split(balanced(text, m.end() - 1)):
                name, kind, default = re.fullmatch(r"(\w+)(?:: *(.*?))?(?: = (.*))?", p).groups()
                params.append(Param(name, kind or "", default or ""))
            yield Function(m[1], params, all(p.kind == "T[..s]" for p in params))


def functions(root):
    return [f for f in [*builtins(root), *library(root)] if f.name not in NO_DERIVATIVE]


def bodies(root):
    """The text of each library function, by name."""
    text = "".join(p.read_text() for p in sorted((root / "frontend/std").glob("*.tdl")))
    return {m[1]: m[0] for m in re.finditer(r"^fn (\w+).*?(?=^(?:fn|##|@|derivative)|\Z)", text, re.M | re.S)}


def options(texts, function, param):
    """Strings that a library function, or one that it hands the parameter to, compares the parameter with."""
    text = texts.get(function, "")
    out = set(re.findall(rf'\b{param} == "(\w+)"', text))
    for m in re.finditer(r"\b(\w+)\(", text):
        if m[1] in texts and m[1] != function and re.search(rf"(?<!\w){param}(?!\w)(?! *[:=])", balanced(text, m.end() - 1)):
            out |= options(texts, m[1], param)
    return out


def elementwise_cases(root):
    """Each elementwise function on tensors, scalars, literals, and with broadcasting either way: their weighted sum."""
    for f in functions(root):
        shift = {"acosh": " + 1", "round": " + 0.07"}.get(f.name, "")    # where it is defined, and no jump is near
        operands = {1: [("x",), ("s + 0.1",)], 2: [("x", "y"), ("s", "s + 0.1")]}.get(len(f.params), []) if f.elementwise else []
        if f.broadcasts and len(f.params) == 2:
            operands += [("x", "v"), ("v", "x"), ("x", "s"), ("s", "x"), ("x", "0.4567"), ("0.4567", "x")]
        terms = [f"{i}*{f.name}({', '.join(a + shift for a in args)})" for i, args in enumerate(operands, 1)]
        if terms:
            yield f"each form of {f.name}", "", " + ".join(terms)


def given(f, arguments, method):
    """(parameter, argument) for each parameter of the call; a `*` parameter has a list."""
    out, at = [], 1 if method else 0
    for a in arguments:
        keyword = re.match(r"(\w+) *=(?!=)", a)
        if keyword:
            out += [(p, a[keyword.end():].strip()) for p in f.params if p.name == keyword[1]]
        elif at < len(f.params) and f.params[at].kind == "*":
            out.append((f.params[at], [*(out.pop()[1] if out and out[-1][0] is f.params[at] else []), a]))
        elif at < len(f.params):
            out.append((f.params[at], a))
            at += 1
    return out


def form(p, value):
    """Forms that this way to give a parameter is."""
    out = {f"{p.name} given"}
    if p.kind == "*":
        out.add(f"{p.name} as a tuple" if value[0][0] == "(" and len(value) == 1 else f"{p.name} spread")
        value = ", ".join(value)
    if p.name in DIMENSIONS:
        out.add(f"{p.name} from the end" if re.search(r"-\d", value) else f"{p.name} from the start")
        if value[0] == "(" and p.kind != "*":
            out.add(f"several {p.name}")
    if value[0] == '"':
        out.add(f"{p.name}={value}")
    if set(re.findall(r"\b[a-z]\w*", value)) & set(LEAVES):
        out.add(f"{p.name} differentiated")
    return out


def calls(text, known):
    """(function, argument texts, is a method call, span of the arguments) of all calls, generators left out."""
    for m in re.finditer(r"(\.)?\b([a-z_]\w*)\(", text):
        if m[2] in known:
            inside = balanced(text, m.end() - 1)
            if not re.search(r" for \w+ in ", inside) or inside[0] in "[(":
                yield known[m[2]], split(inside), bool(m[1]), (m.end(), m.end() + len(inside))


def record(fs, text):
    """Notes in each function the forms in which `text` calls it."""
    known = {f.name: f for f in fs}
    for f, arguments, method, _ in calls(text, known):
        pairs = given(f, arguments, method)
        f.used.add("called")
        f.used |= {f"{p.name} left out" for p in f.params if p.default and all(p is not q for q, _ in pairs)}
        f.used |= set().union(*(form(p, v) for p, v in pairs))


def required(texts, f, several):
    out = ["called"]
    for p in f.params:
        if p.name in SCRIPT_ONLY:
            continue
        if p.default:
            out += [f"{p.name} given", f"{p.name} left out"]
        if p.kind == "*" and p.name != "operands":
            out += [f"{p.name} as a tuple", f"{p.name} spread"]
        if p.name in DIMENSIONS:
            out += [f"{p.name} from the start", f"{p.name} from the end"]
        if p.kind == "str":
            out += [f'{p.name}="{v}"' for v in sorted(options(texts, f.name, p.name))]
        if re.fullmatch(r"[-\d.e]+", p.default) and not p.kind and p.name not in STEPS:
            out.append(f"{p.name} differentiated")
        if (f.name, p.name) in several:
            out.append(f"several {p.name}")
    return out


def take_several(fs, cases, compiles):
    """(function, parameter) where a tuple of one dimension may stand for a dimension: the compiler is asked."""
    known, asked, out = {f.name: f for f in fs}, set(), set()
    for case in cases:
        for f, arguments, method, span in calls(case.source, known):
            for p, value in given(f, arguments, method):
                key = (f.name, p.name)
                if p.name not in DIMENSIONS or p.kind == "*" or key in asked or not re.fullmatch(r"\d+", value):
                    continue
                asked.add(key)
                inside = case.source[span[0]:span[1]]
                tuple_in = re.sub(rf"(?<![\w.])({p.name} *= *)?{value}(?![\w.])(?=[^()]*$)", rf"\g<1>({value},)", inside)
                if tuple_in != inside and compiles(case.source[:span[0]] + tuple_in + case.source[span[1]:]):
                    out.add(key)
    return out


def missing_forms(root, cases, helpers, compiles):
    fs = functions(root)
    record(fs, helpers + "\n".join(c.source for c in cases))
    several = take_several(fs, cases, compiles)
    texts = bodies(root)
    return [f"{f.name}: {r}" for f in fs for r in required(texts, f, several) if r not in f.used]
