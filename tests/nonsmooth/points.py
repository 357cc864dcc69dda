"""Points of the table: `x = [1, 3], y = 0.5`; derivatives: `1`, `[0, 1]`, or `dx = ..., dy = ...`."""
import math
import re

VALUE = r"(\[[^\]]*\]|[^,\[\]]+)"


def value(text):
    number = lambda t: {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}.get(t.strip()) if "n" in t else float(t)
    return [number(t) for t in text.strip()[1:-1].split(",")] if text.strip()[0] == "[" else number(text)


def read_point(text):
    """{name: number or list}, in order."""
    return {name: value(v) for name, v in re.findall(rf"(\w+) = {VALUE}", text)}


def shown(number):
    """Six digits; 0 has no sign."""
    return "nan" if number != number else f"{number + 0.0:.6g}"


def show(gradient):
    """{name: list or number} as the table has it."""
    one = lambda v: "[" + ", ".join(map(shown, v)) + "]" if isinstance(v, list) else shown(v)
    parts = [one(v) for v in gradient.values()]
    return parts[0] if len(parts) == 1 else ", ".join(f"d{n} = {p}" for n, p in zip(gradient, parts))
