"""Broken IR text is an error, never a crash: bytes and tokens of a good text are changed, dropped, doubled, swapped.

usage: mutate.py TDL-OPT FILE DIR COUNT"""
import random
import re
import subprocess
import sys


def mutate(rnd, text):
    tokens = re.findall(r"%\d+|[\w.]+|\n|.", text)
    for _ in range(rnd.randrange(1, 4)):
        i, j = rnd.randrange(len(tokens)), rnd.randrange(len(tokens))
        what = rnd.randrange(6)
        if what == 0:
            tokens[i] = tokens[j]
        elif what == 1:
            tokens[i] = ""
        elif what == 2:
            tokens[i], tokens[j] = tokens[j], tokens[i]
        elif what == 3:
            tokens[i] += rnd.choice(["{", "}", "%", "(", ")", "<", ">", "[", "]", "-", "//", "**", "%99", "9" * 30, "\x80", "\"", ",", "0"])
        elif what == 4:
            tokens[i] = rnd.choice(["f64", "acc<f64>", "buf<f64[n]>", "stack<>", "n//0", "0", "-1", "yield", "return", "for", "index"])
        else:
            tokens[i:i + rnd.randrange(20)] = []
    return "".join(tokens)


def main():
    opt, source, where, count = sys.argv[1:4] + [int(sys.argv[4])]
    text = open(source).read()
    functions = [f for f in re.split(r"(?m)^(?=func )", text) if f.startswith("func")]
    for seed in range(count):
        rnd = random.Random(seed)
        path = "%s/%d.tir" % (where, seed)
        with open(path, "wb") as f:
            f.write(mutate(rnd, rnd.choice(functions)).encode("latin-1"))
        r = subprocess.run([opt, path, "--passes=inline,simplify"], capture_output=True, errors="replace")
        if r.returncode not in (0, 1) or "internal" in r.stderr or "Sanitizer" in r.stderr:
            sys.exit("%s: exit status %d\n%s" % (path, r.returncode, r.stderr[-3000:]))
        if r.returncode and "error:" not in r.stderr:
            sys.exit("%s: fails without an error" % path)


main()
