"""check.py EVALUATE OPS_DEF ORDER [PASSES]: runs every case of cases.py through `evaluate --grad`, and fails where an
operation whose derivative answer is PARTIAL, RULE or LINEAR is in no case. PASSES run after the adjoint. ORDER 2f: the
derivatives of the tangents."""
import os
import re
import subprocess
import sys
import tempfile

from cases import CASES, HELPER


def text_of(params, lines, ret, dims):
    names = ", ".join("%%%d %s" % (i, p.strip()) for i, p in enumerate(re.split(r",\s*(?=\w+:)", params)))
    outs = [o.strip().split(":") for o in re.split(r",\s*(?=%)", ret)]
    used = [d for d in dims.split(", ") if re.search(r"\b%s\b" % d, params)]
    head = "func @f%s(%s) -> (%s)" % ("<%s>" % ", ".join(used) if used else "", names,
                                      ", ".join("r%d: %s" % (i, t) for i, (_, t) in enumerate(outs)))
    return HELPER + head + " {\n" + lines + "\n return " + ", ".join(v for v, _ in outs) + "\n}\n"


def uncovered(ops_def, texts):
    rows = re.findall(r'^OP\((\w+),\s*"(\w+)",.*?(PARTIAL|RULE|LINEAR|ZERO|NONE), (?:SCALAR|EXPAND|STRUCT|EARLY|LOOP)', open(ops_def).read(), re.M)
    seen = set(re.findall(r"\b[a-z_0-9]+\b", "\n".join(texts)))
    return [name for _, name, deriv in rows if deriv in ("PARTIAL", "RULE", "LINEAR") and name not in seen]


def main():
    evaluate, ops_def, order = sys.argv[1:4]
    inner = ["--inner=forward"] if order.endswith("f") else []
    order = order.rstrip("f")
    passes = ["--passes=" + sys.argv[4]] if len(sys.argv) > 4 else []
    texts = [text_of(c[1], c[2], c[3], c[6]) for c in CASES]
    bad = ["%s: in no case of cases.py" % n for n in uncovered(ops_def, texts)]
    loose = ["--tol=2e-5"] if order != "1" else []
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "case.tir")
        for c, text in zip(CASES, texts):
            open(path, "w").write(text)
            run = subprocess.run([evaluate, "--grad", "--order=" + order] + inner + c[5] + loose + passes + [path, "f"] + c[4],
                                 capture_output=True, text=True)
            if run.returncode or not run.stdout.startswith("ok"):
                bad.append("%s (status %d): %s%s" % (c[0], run.returncode, run.stdout[:600], run.stderr[:1500]))
    for b in bad:
        print("FAIL", b)
    print("%d cases, %d failed" % (len(CASES), len(bad)))
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
