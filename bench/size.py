#!/usr/bin/env python3
"""Compile time by program size: CPU seconds of tdlc, with the growth from each size to the next.

    bench/size.py TDLC [--sizes 1000,10000] [--kinds line,maps,elements,loops] [--most RATIO] [-- OPTIONS OF TDLC]

line: straight-line scalar code; maps: small tensors; elements: a chain of elementwise operations; loops: nested loops, one
after another; each with its gradient.
--most: fails where time grows by more than RATIO times what the size does."""
import argparse, os, resource, subprocess, sys, tempfile

LINE = ["{a}*{b} + x", "sin({a}) - {b}", "{a} + 0.5*{b}", "{a}*y - {b}"]
ELEMENTS = ["{a}*y + x", "sin({a}) - y", "{a} + 0.5*x", "{a}*y - x"]
MAPS = ["{a}*{b} + x", "[{a}[n-1-i] - {b}[i] for i in n]", "{a} + 0.5*sum({b})", "{a}*y - {b}"]


def chain(forms, n):
    rest = "".join(f"    let a{i} = {forms[i % 4].format(a=f'a{i-1}', b=f'a{i-2}')}\n" for i in range(2, n))
    return "    let a0 = x*y\n    let a1 = x + y\n" + rest


def program(kind, n):
    if kind == "line":
        f = f"fn f(x: f64, y: f64) -> f64 {{\n{chain(LINE, n)}    return a{n-1}\n}}"
    elif kind == "maps":
        f = f"fn f[n](x: f64[n], y: f64[n]) -> f64 {{\n{chain(MAPS, n)}    return sum(a{n-1})\n}}"
    elif kind == "elements":
        f = f"fn f[n](x: f64[n], y: f64[n]) -> f64 {{\n{chain(ELEMENTS, n)}    return sum(a{n-1})\n}}"
    else:
        body = "".join(f"    for i in m {{ for j in i {{ s = s*0.5 + sin(s)*f64(j + {k}) }} }}\n" for k in range(n))
        f = f"fn f(x: f64, m: i64) -> f64 {{\n    var s = x\n{body}    return s\n}}"
    return f + "\nexport let g = value_and_grad(f)\n"


def seconds(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run(command, check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def main():
    cut = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    p = argparse.ArgumentParser()
    p.add_argument("tdlc")
    p.add_argument("--sizes", default="1000,10000")
    p.add_argument("--kinds", default="line,maps,elements,loops")
    p.add_argument("--most", type=float)
    o = p.parse_args(sys.argv[1:cut])
    bad = False
    with tempfile.TemporaryDirectory() as folder:
        source, output = os.path.join(folder, "s.tdl"), os.path.join(folder, "s.o")
        for kind in o.kinds.split(","):
            last = None
            for n in map(int, o.sizes.split(",")):
                with open(source, "w") as file:
                    file.write(program(kind, n))
                t = seconds([o.tdlc, source, "-o", output, *sys.argv[cut + 1:]])
                growth = t / last[1] / (n / last[0]) if last else 1
                print(f"{kind:6} {n:7} {t:8.3f} s" + (f"   {growth:.2f} of linear" if last else ""), flush=True)
                bad |= o.most is not None and growth > o.most
                last = n, t
    sys.exit("time grows faster than the program" if bad else 0)


main()
