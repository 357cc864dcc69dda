"""property.py TDLC CC [OPTION]...: random programs and their derivatives.

  --first=SEED --count=N   programs SEED .. SEED + N - 1 (0, 200)
  --batch=N                programs an object (25)
  --passes-every=N         every Nth batch is compared with what the passes of -O2 make of it, through text (4; 0: none)
  --full-every=N           every Nth batch is compared with the whole of -O2 (0: none)
  --keep=FOLDER            failing programs are made smaller and written there
  --frequencies            how often each construct and operation occurred
  --rare=PERCENT           fails where one occurred in less
  --ops=FILE               ir/ops.def, for the operations that must occur

The last line says how many programs there were, failed and were discarded; the exit status is 1 where one failed or
more than 5 % were discarded."""
import argparse
import collections
import os
import pathlib
import pickle
import re
import resource
import sys
import tempfile
import time

from check import Result, Tools, check_batch, source
from generate import STRUCT, Generator
from tree import shrink

# operations with a derivative that a program cannot have: the terminators, and what stands for a script's variables
NOT_IN_PROGRAMS = {"yield", "return"}


def isolated(limit, fn, *args):
    """fn(*args) in a process of its own; None where that crashed, or it or one it started took `limit` seconds of the processor."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        with os.fdopen(write, "wb") as f:
            pickle.dump(fn(*args), f)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as f:
        data = f.read()
    status = os.waitpid(child, 0)[1]
    return pickle.loads(data) if status == 0 and data else None


def generate(seed):
    return Generator(seed).program()


def batch(tools, programs, folder, limit=240):
    results = isolated(limit, check_batch, tools, programs, folder)
    if results is not None:
        return results
    if len(programs) > 1:
        return [r for p in programs for r in batch(tools, [p], folder, 60)]
    r = Result(programs[0].seed)
    r.failure = "crash: while it was compiled or run"
    return [r]


def kind_of(failure):
    """Failures are alike when they are of one kind, and compilation errors when they have the same words."""
    kind = failure.split(":")[0].split(" (")[0]
    if kind == "compile":
        message = re.search(r"(?:error|warning|assertion|Assertion)[:`'](.{5,60})", failure)
        return kind + (re.sub(r"[\d`'\"]|\w*\[.*?\]|@\w+", "", message[1])[:25] if message else "")
    return kind


def keep(tools, seed, failure, where, folder):
    """Makes the program smaller and writes it to `where`."""
    program, deadline = generate(seed), time.time() + 120

    def fails():
        if time.time() > deadline:
            return False
        r = batch(tools, [program], folder, 5)[0]
        return r.failure is not None and kind_of(r.failure) == kind_of(failure)

    shrink(program, fails)
    where.mkdir(parents=True, exist_ok=True)
    final = batch(tools, [program], folder, 60)[0].failure
    (where / ("%d.tdl" % seed)).write_text("# seed %d, n = %d, m = %d\n# %s\n" % (seed, *program.sizes, (final or failure).replace("\n", "\n# "))
                                            + STRUCT + source(program))


def frequencies(results, ops_def, rare):
    """Prints how often what occurred; returns what was rarer than `rare` percent."""
    counts = collections.Counter(x for r in results for x in r.tags | {"op " + o for o in r.ops})
    rows = re.findall(r'^OP\((\w+), *"(\w+)",.*?\b(PARTIAL|RULE|LINEAR),', pathlib.Path(ops_def).read_text(), re.M) if ops_def else []
    for _, op, _ in rows:
        if op not in NOT_IN_PROGRAMS:
            counts.setdefault("op " + op, 0)
    width = max(map(len, counts))
    for name, k in sorted(counts.items(), key=lambda c: (c[0].startswith("op "), -c[1], c[0])):
        print("%-*s %6.2f %%" % (width, name, 100 * k / len(results)))
    return sorted(n for n, k in counts.items() if 100 * k < rare * len(results))


def main():
    o = argparse.ArgumentParser()
    o.add_argument("tdlc"), o.add_argument("cc")
    for name, value in (("first", 0), ("count", 200), ("batch", 25), ("passes-every", 4), ("full-every", 0)):
        o.add_argument("--" + name, type=int, default=value)
    o.add_argument("--keep", type=pathlib.Path), o.add_argument("--ops")
    o.add_argument("--frequencies", action="store_true"), o.add_argument("--rare", type=float, default=0)
    o.add_argument("--stop", action="store_true", help="at the first failure")
    a = o.parse_args()
    results, failed = [], 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for number, first in enumerate(range(a.first, a.first + a.count, a.batch)):
            due = lambda every: every and number % every == every - 1
            tools = Tools(a.tdlc, a.cc, "full" if due(a.full_every) else "passes" if due(a.passes_every) else "none")
            programs = [generate(s) for s in range(first, min(first + a.batch, a.first + a.count))]
            for r in batch(tools, programs, folder):
                results.append(r)
                if r.failure:
                    failed += 1
                    print("FAIL seed %d: %s" % (r.seed, r.failure[:300]), flush=True)
                    if a.keep:
                        keep(tools, r.seed, r.failure, a.keep, folder)
            for f in folder.iterdir():
                f.unlink()
            if failed and a.stop:
                break
    why = collections.Counter(r.discarded for r in results if r.discarded)
    discarded = sum(why.values())
    rare = frequencies(results, a.ops, a.rare) if a.frequencies or a.rare else []
    for name in rare:
        print("rare: %s" % name)
    print("%d programs, %d failed, %d discarded (%.1f %%)%s" % (len(results), failed, discarded, 100 * discarded / len(results),
                                                             "".join(": %s %d" % w for w in why.items())))
    return bool(failed or rare or 20 * discarded > len(results))


if __name__ == "__main__":
    sys.exit(main())
