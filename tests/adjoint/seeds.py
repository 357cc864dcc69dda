"""seeds.py EVALUATE: for every case of cases.py, a map of jvps (one primal, several tangents) and a map of vjps (what does
not depend on the cotangent in front of it) against one derivative after the other, by the reference evaluator."""
import os
import re
import subprocess
import sys
import tempfile

from cases import CASES
from check import text_of

SEEDS = 3


def is_float(t):
    return t.startswith("f")


def with_axis(t):
    return re.sub(r"\[(.*)\]$", r"[%d, \1]" % SEEDS, t) if "[" in t else "%s[%d]" % (t, SEEDS)


def drivers(code, params, results, used):
    """Two functions of the same signature: a derivative for each seed in a map, and one after the other."""
    wrt = [i for i, t in enumerate(params) if is_float(t)]
    floats = [t for t in results if is_float(t)]
    given, got = ([params[i] for i in wrt], floats) if code == "jvp" else (floats, [params[i] for i in wrt])
    n, s, g = len(params), len(given), len(got)
    dims = "<%s>" % ", ".join(used) if used else ""
    head = ", ".join("%%%d %s: %s" % (i, chr(97 + i), t) for i, t in enumerate(params))
    head += "".join(", %%%d s%d: %s" % (n + i, i, with_axis(t)) for i, t in enumerate(given))
    attrs = "{callee = @f%s, wrt = [%s]}" % (", dims = <%s>" % ", ".join(used) if used else "", ", ".join(map(str, wrt)))
    args = ", ".join("%%%d" % i for i in range(n))

    def derivative(j, at):
        """Operations that compute it for seed %j, with value numbers from `at`; the numbers of what it gives."""
        text = "".join("  %%%d = index %%%d, %%%d : %s\n" % (at + i, n + i, j, t) for i, t in enumerate(given))
        out = at + s
        text += "  %s = %s %s {kind} : %s\n" % (", ".join("%%%d" % (out + i) for i in range(len(results) + g)), code,
                                                ", ".join([args] + ["%%%d" % (at + i) for i in range(s)]), ", ".join(results + got))
        return text.replace("{kind}", attrs), ["%%%d" % (out + len(results) + i) for i in range(g)]

    ret = ", ".join("r%d: %s" % (i, with_axis(t)) for i, t in enumerate(got))
    types = ", ".join(with_axis(t) for t in got)
    k = n + s
    body, out = derivative(k + 1 + g, k + 2 + g)
    shared = "  %%%d = const {value = %d} : i64\n  %s = map %%%d {(%%%d: i64)\n%s  yield %s } : %s\n  return %s\n" % (
        k, SEEDS, ", ".join("%%%d" % (k + 1 + i) for i in range(g)), k, k + 1 + g, body, ", ".join(out), types,
        ", ".join("%%%d" % (k + 1 + i) for i in range(g)))
    plain, rows, at = "", [], k
    for j in range(SEEDS):
        plain += "  %%%d = const {value = %d} : i64\n" % (at, j)
        body, out = derivative(at, at + 1)
        plain += body
        rows.append(out)
        at += 1 + s + len(results) + g
    for i in range(g):
        plain += "  %%%d = stack %s : %s\n" % (at + i, ", ".join(r[i] for r in rows), with_axis(got[i]))
    plain += "  return %s\n" % ", ".join("%%%d" % (at + i) for i in range(g))
    return "".join("func @%s%s(%s) -> (%s) {export} {\n%s}\n" % (name, dims, head, ret, text) for name, text in (("shared", shared), ("plain", plain)))


def numbers(text):
    return [float(x) for x in re.findall(r"[-+]?(?:\d[\d.]*(?:e[-+]?\d+)?|nan|inf)\b", re.sub(r"^\S+:?", "", text, flags=re.M))]


def close(x, y):
    return x == y or (x != x and y != y) or abs(x - y) <= 1e-10 * (1 + abs(x) + abs(y))


def main():
    evaluate, bad, shared = sys.argv[1], [], 0
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "case.tir")
        for c in CASES:
            params = [p.split(":")[1].strip() for p in re.split(r",\s*(?=\w+:)", c[1])]
            results = [o.strip().split(":")[1].strip() for o in re.split(r",\s*(?=%)", c[3])]
            used = [x for x in c[6].split(", ") if re.search(r"\b%s\b" % x, c[1])]
            if not any(map(is_float, params)) or not any(map(is_float, results)):
                continue
            for code in ("jvp", "vjp"):
                open(path, "w").write(text_of(c[1], c[2], c[3], c[6]) + drivers(code, params, results, used))
                options = [o for o in c[5] if o.startswith("--range") or o.startswith("--modulo")]
                sets = ["%s=%s" % (chr(97 + i), s.split("=")[1]) for i, p in enumerate(re.split(r",\s*(?=\w+:)", c[1]))
                        for s in c[4] if s.split("=")[0] == p.split(":")[0].strip()]
                sets += [s for s in c[4] if s.split("=")[0] in used]
                runs = [subprocess.run([evaluate, "--passes=adjoint"] + options + [path, name] + sets, capture_output=True, text=True)
                        for name in ("shared", "plain")]
                x, y = [numbers(r.stdout) for r in runs]
                if any(r.returncode for r in runs) or not x or len(x) != len(y) or not all(map(close, x, y)):
                    bad.append("%s %s: %s%s%s" % (c[0], code, runs[0].stdout[:500], runs[1].stdout[:500], "".join(r.stderr for r in runs)[:900]))
                shared += 1
    for b in bad:
        print("FAIL", b)
    print("%d cases, %d failed" % (shared, len(bad)))


if __name__ == "__main__":
    main()
