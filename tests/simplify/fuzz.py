"""Random IR evaluates to the same bits before and after pass simplify.

usage: fuzz.py TDL-OPT EVALUATE DIR COUNT [SEED]"""
import subprocess
import sys

from random_ir import program


def run(cmd):
    r = subprocess.run(cmd, capture_output=True, text=True)
    return r.returncode, r.stdout, r.stderr


def main():
    opt, evaluate, where, count = sys.argv[1:4] + [int(sys.argv[4])]
    first = int(sys.argv[5]) if len(sys.argv) > 5 else 1
    args = ["n=3", "x=-0.0", "y=1.5", "s=0.1", "i=5", "v=-0.0,nan,2.5", "w=inf,-1,0.0,-0.0,3,0.5"]
    for seed in range(first, first + count):
        a, b = "%s/%d.tir" % (where, seed), "%s/%d.out.tir" % (where, seed)
        with open(a, "w") as f:
            f.write(program(seed)[0])
        code, _, err = run([opt, a, "--passes=simplify", "-o", b])
        if code:
            sys.exit("seed %d: tdl-opt fails: %s" % (seed, err[:2000]))
        before, after = run([evaluate, a, "f"] + args), run([evaluate, b, "f"] + args)
        if before[:2] != after[:2]:
            sys.exit("seed %d: the values differ\n%s\n%s\n%s\n%s" % (seed, before[1], before[2], after[1], after[2]))
        again = run([opt, b, "--passes=simplify"])
        if again[1] != open(b).read():
            sys.exit("seed %d: a second run changes something" % seed)


main()
