"""Printing against PyTorch's.  print.py TDLC: compares with print.json;  print.py --generate: writes it (needs torch)."""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TORCH = {"f64": "float64", "f32": "float32", "i64": "int64", "i32": "int32", "bool": "bool"}
CASES = [
    ("f64", "[1,2.5,-3]"), ("f64", "[1e-5,1,2]"), ("f64", "[1e9,1]"), ("f64", "[[1,2],[3,4.25]]"), ("f64", "[0,0]"),
    ("f64", "[]"), ("f64", "[100000,2.5]"), ("f64", "[1000,1.5]"), ("i64", "[1,-20,300]"),
    ("f64", "[[[1,2],[3,4]],[[5,6],[7,8]]]"), ("f32", "[1.1,2.2,3.3,4.4,5.5,6.6,7.7,8.8,9.9,10.1,11.1,12.2,13.3]"),
    ("f32", "[0.1,inf,nan,-inf]"), ("f32", "[1,inf,nan]"), ("f32", "[nan,inf]"), ("bool", "[true,false]"),
    ("f32", "[[],[]]"), ("i32", "[1,2]"), ("f64", "3.5"), ("f32", "1e-8"), ("f32", "[12345678,0.5]"), ("f32", "-0.0"),
    ("f64", str([i / 7 for i in range(30)])), ("f32", str(list(range(1001)))), ("i64", str(list(range(-500, 501)))),
    ("f64", str([[i * j for i in range(40)] for j in range(30)])),
    ("f32", str([[[i + j + 0.5 for i in range(9)] for j in range(12)] for k in range(11)])),
    ("f64", str([[i + 0.25 for i in range(9)]])),
]


def generate():
    import torch
    rows = []
    for elem, text in CASES:
        names = {"inf": float("inf"), "nan": float("nan"), "true": True, "false": False}
        x = torch.tensor(eval(text, names), dtype=getattr(torch, TORCH[elem]))
        rows.append({"elem": elem, "rank": x.dim(), "value": text, "text": str(x)})
    json.dump({"torch": torch.__version__, "cases": rows}, open(os.path.join(HERE, "print.json"), "w"), indent=0)


def identity(elem, rank):
    """IR of a function that returns its argument."""
    dims = ", ".join("abcdefgh"[:rank])
    if not rank:
        return "func @f(%%0 x: %s, %%1 out y: buf<%s>) -> () {export} {\n  %%2 = alloc %%1 {local = 1} : buf<%s>\n" \
               "  store %%0, %%2\n  return\n}\n" % (elem, elem, elem)
    t = "buf<%s[%s]>" % (elem, dims)
    return "func @f<%s>(%%0 x: %s, %%1 out y: %s) -> () {export, workspace = %s*8 + 64} {\n  %%2 = alloc %%1 {offset = 0} : %s\n" \
           "  copy %%2, %%0\n  return\n}\n" % (dims, t, t, dims.replace(", ", "*"), t)


def main(tdlc):
    bad = 0
    for case in json.load(open(os.path.join(HERE, "print.json")))["cases"]:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "f.tir")
            open(path, "w").write(identity(case["elem"], case["rank"]))
            run = subprocess.run([tdlc, "run", path, "--loops-input", "--call", "f", "x=" + case["value"]],
                                 capture_output=True, text=True)
        if run.stdout != "y = " + case["text"] + "\n":
            bad += 1
            print("%s %s\n--- PyTorch\n%s\n--- here\n%s%s" % (case["elem"], case["value"][:80], case["text"], run.stdout, run.stderr))
    return bad


if __name__ == "__main__":
    sys.exit(generate() if sys.argv[1] == "--generate" else 1 if main(sys.argv[1]) else 0)
