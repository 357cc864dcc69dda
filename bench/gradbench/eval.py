"""The other side of GradBench's protocol: sends the adapter each problem at its reference inputs and compares.

    bench/gradbench/eval.py ADAPTER DATA [--seconds S]      DATA: folders of .npy files, an input and its expect_* results

Prints for each function the largest relative error, max |a - b| / max |b|, and the least and median time of a run;
fails where an error is over 1e-10. Needs Python's standard library alone.
"""
import argparse
import ast
import json
import pathlib
import statistics
import struct
import subprocess
import sys

LIMIT = 1e-10


def load(path):
    """(shape, flat list) of a .npy file of f64 or i64 in C order."""
    data = path.read_bytes()
    size = struct.unpack("<H", data[8:10])[0]
    header = ast.literal_eval(data[10:10 + size].decode())
    kind = {"<f8": "<d", "<i8": "<q"}[header["descr"]]
    assert not header["fortran_order"], path
    return header["shape"], [v[0] for v in struct.iter_unpack(kind, data[10 + size:])]


def nested(shape, flat, rank):
    """The array as lists, its leading axes joined so that `rank` are left."""
    for width in reversed(shape[len(shape) - rank + 1:]):
        flat = [flat[i:i + width] for i in range(0, len(flat), width)] if width else [[] for _ in range(shape[0])]
    return flat


def flatten(x):
    return [v for item in x for v in flatten(item)] if isinstance(x, list) else [x]


def error(got, want):
    got = flatten(got)
    if len(got) != len(want) or None in got:
        return float("inf")
    return max((abs(a - b) for a, b in zip(got, want)), default=0) / max((abs(b) for b in want), default=1)


class Case:
    """One data folder: the input of its problem, and the errors of each function's output."""

    def __init__(self, folder):
        self.name = folder.name
        words = {part.split("_")[0] for part in folder.parts}
        self.module = next(m for m in ("gmm", "lstm", "ba", "kmeans", "ode") if m in words)
        self.arrays = {f.stem: load(f) for f in folder.glob("*.npy")}
        self.input, self.functions = getattr(self, self.module)()

    def list(self, name, rank):
        return nested(*self.arrays[name], rank)

    def scalar(self, name):
        return self.arrays[name][1][0]

    def want(self, *names):
        return [v for n in names for v in self.arrays["expect_" + n][1]]

    def gmm(self):
        (n, d), k = self.arrays["x"][0], self.arrays["alpha"][0][0]
        value = {"n": n, "d": d, "k": k, "gamma": float(self.scalar("gamma")), "m": self.scalar("m"),
                 "alpha": self.list("alpha", 1), **{v: self.list(v, 2) for v in ("mu", "q", "l", "x")}}
        return value, {
            "objective": lambda o: error(o, self.want("value")),
            "jacobian": lambda o: max(error(o[v], self.want("d" + v)) for v in ("alpha", "mu", "q", "l"))}

    def lstm(self):
        layers, _, bits = self.arrays["state"][0]
        main = self.arrays["main"][1]
        value = {"main_params": [main[i:i + 4 * bits] for i in range(0, len(main), 4 * bits)],
                 "extra_params": self.list("extra", 2), "state": self.list("state", 2), "sequence": self.list("sequence", 2)}
        return value, {"objective": lambda o: error(o, self.want("value")),
                       "jacobian": lambda o: error(o, self.want("dmain", "dextra"))}

    def ba(self):
        n, m, p = self.arrays["nmp"][1]
        value = {"n": n, "m": m, "p": p, "w": self.scalar("w"), **{v: self.list(v, 1) for v in ("cam", "x", "feat")}}
        cols = [*range(11), *range(11 * n, 11 * n + 3), 11 * n + 3 * m] * 2 + [11 * n + 3 * m + p - 1]
        rows = [15 * min(i, 2 * p) + max(0, i - 2 * p) for i in range(30)] + [31 * p]
        return value, {
            "objective": lambda o: max(error(o["reproj_error"]["elements"], self.want("residual")),
                                       error(o["w_err"]["element"], self.want("werr"))),
            "jacobian": lambda o: float("inf") if (o["cols"], o["rows"]) != (cols, rows) else
            error(o["vals"], self.want("jacobian") + [-2 * value["w"]])}

    def kmeans(self):
        value = {v: self.list(v, 2) for v in ("points", "centroids")}
        return value, {"cost": lambda o: error(o, self.want("cost")), "dir": lambda o: error(o, self.want("dir"))}

    def ode(self):
        value = {"x": self.list("x", 1), "s": self.scalar("s")}
        return value, {"primal": lambda o: error(o, self.want("value")), "gradient": lambda o: error(o, self.want("gradient"))}


class Tool:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.id = 0

    def ask(self, **message):
        self.process.stdin.write(json.dumps({"id": self.id, **message}) + "\n")
        self.process.stdin.flush()
        response = json.loads(self.process.stdout.readline())
        assert response["id"] == self.id, response
        self.id += 1
        return response


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("adapter")
    args.add_argument("data", nargs="+", type=pathlib.Path)
    args.add_argument("--seconds", type=float, default=0)
    args = args.parse_args()
    tool, failed = Tool(args.adapter), 0
    tool.ask(kind="start", eval="reference")
    for case in map(Case, args.data):
        assert tool.ask(kind="define", module=case.module)["success"]
        for function, check in case.functions.items():
            response = tool.ask(kind="evaluate", module=case.module, function=function, description=case.name,
                                input={**case.input, "min_runs": 3, "min_seconds": args.seconds})
            wrong = check(response["output"]) if response["success"] else float("inf")
            times = [1e-6 * t["nanoseconds"] for t in response.get("timings", [])] or [0]
            valid = wrong <= LIMIT
            failed += not valid
            print(f"{case.name} {function}: relative error {wrong:.1e}, {min(times):.3f} ms, median "
                  f"{statistics.median(times):.3f} ms: {'ok' if valid else response.get('error', 'WRONG')}")
            tool.ask(kind="analysis", of=response["id"], valid=valid)
    tool.process.stdin.close()
    sys.exit(tool.process.wait() or failed > 0)


if __name__ == "__main__":
    main()
