"""ratio.py BIN FILE...: how many operations the derivatives in each program are made of, for each operation of what they
differentiate. Prints the largest; fails where one is above 12 (for k derivatives inside each other: 12 to the k).

IR is taken in front of pass `adjoint` and behind it and the cleaning up that follows. A derivative's source is the callee,
everything that it calls inlined; what a function does besides is subtracted."""
import re
import subprocess
import sys

LIMIT = 12
BEFORE, AFTER = "graph,inline,gradfn,simplify", "adjoint,inline,simplify"
DERIVATIVES = {"vjp", "jvp"}


def functions(text):
    """name: [(operation, callee or None)] of each function, regions included, terminators not."""
    found, name = {}, None
    for line in text.splitlines():
        head = re.match(r"func @([\w.]+)", line)
        if head:
            name = head[1]
            found[name] = []
        op = re.match(r"\s+(?:%.*? = )?(\w+)", line)
        if not head and op and op[1] not in ("yield", "return", "else"):
            callee = re.search(r"callee = @([\w.]+)", line)
            found[name].append((op[1], callee and callee[1]))
    return found


def size(fs, name, seen=()):
    seen += (name,)
    return sum(1 + (size(fs, callee, seen) if callee in fs and callee not in seen else 0) for _, callee in fs[name])


def order(fs, name, seen=()):
    """How many derivatives are inside each other."""
    seen += (name,)
    return max((op in DERIVATIVES) + (order(fs, callee, seen) if callee in fs and callee not in seen else 0)
               for op, callee in [*fs[name], ("", None)])


def reached(fs, name, done):
    if name in done or name not in fs:
        return 0
    done.add(name)
    return len(fs[name]) + sum(reached(fs, callee, done) for _, callee in fs[name])


def run(command, text=None):
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def ratios(tools, path):
    before = run([tools + "/tdl-opt", "--passes=" + BEFORE, "-"], run([tools + "/tdlc", "-w", "--emit=ir", path, "-o", "-"]))
    after = functions(run([tools + "/tdl-opt", "--passes=" + AFTER, "-"], before))
    before = functions(before)
    for name, ops in before.items():
        source = sum(size(before, callee) for op, callee in ops if op in DERIVATIVES and callee in before)
        if source and name in after:
            besides = sum(1 for op, _ in ops if op not in DERIVATIVES)
            yield (reached(after, name, set()) - besides) / source, order(before, name), name


def main():
    found = [(ratio, k, "%s in %s" % (name, path)) for path in sys.argv[2:] for ratio, k, name in ratios(sys.argv[1], path)]
    for ratio, k, where in sorted(found, reverse=True)[:10]:
        print("%5.1f, %d deep: %s" % (ratio, k, where))
    over = [where for ratio, k, where in found if ratio > LIMIT**k]
    print("%d derivatives, %d above the limit" % (len(found), len(over)))
    return bool(over) or not found


sys.exit(main())
