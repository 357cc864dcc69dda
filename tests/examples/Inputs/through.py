"""through.py TDLC TDL-OPT FILE.tdl FOLDER: the object of FILE is the same when each pass of the pipeline runs in a
tdl-opt process of its own, with IR text in between. (For one processor: text is of one.)"""
import pathlib
import platform
import re
import subprocess
import sys

tdlc, tdl_opt, source, folder = sys.argv[1:]
folder = pathlib.Path(folder)
machine = ["--emit=obj"] + (["--mcpu=x86-64"] if platform.machine() == "x86_64" else [])


def run(*args):
    done = subprocess.run(args, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, args))}: {done.stderr}")
    return done


order = re.findall(r"^(\w+) +[\d.]+ ms$", run(tdlc, source, *machine, "--time-passes", "-o", folder / "whole.o").stderr, re.M)
if "adjoint" not in order or "plan" not in order:
    sys.exit(f"--time-passes names {order}")
text = folder / "text.tir"
run(tdlc, source, "--emit=ir", "--print-spans", "-o", text)
for name in order:
    run(tdl_opt, text, f"--passes={name}", "--print-spans", "-o", folder / "next.tir")
    (folder / "next.tir").replace(text)
run(tdlc, text, "--loops-input", *machine, "-o", folder / "parts.o")
same = (folder / "whole.o").read_bytes() == (folder / "parts.o").read_bytes()
print(f"{len(order)} passes, {'same' if same else 'different'} object")
sys.exit(not same)
