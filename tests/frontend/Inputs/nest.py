# Writes sources that nest without end, runs the parser on each, and prints the one thing it should say.
import subprocess
import sys

folder, parser = sys.argv[1:]
N = 20000
cases = {
    "parentheses": "let x = " + "(" * N + "1" + ")" * N,
    "minus": "let x = " + "-" * N + "1",
    "not": "let x = " + "not " * N + "1",
    "sum": "let x = " + "1 + " * N + "1",
    "power": "let x = " + "1 ** " * N + "1",
    "else-if": "if a { } " + "else if a { }" * N,
    "function type": "fn f(x: " + "fn() -> " * N + "f64) = 1",
    "tuple type": "fn f(x: " + "(" * N,
    "lambda": "let x = " + "fn(x) => " * N + "1",
    "method": "let x = a" + ".b()" * N,
    "blocks": "{" * N,
    "index": "let x = a" + "[0]" * N,
    "shallow": "let x = " + "(" * 100 + "1" + ")" * 100 + " + 1" * 300,
    "many errors": "let x = )\n" * N,
    "long": "let x = 1 + 2\n" * N + "let y = [" + "1, " * N + "1]",
    "large": "# " + "x" * (17 << 20),
}
for name, text in cases.items():
    path = folder + "/nest.tdl"
    with open(path, "w") as f:
        f.write(text)
    run = subprocess.run([parser, "ast", path], capture_output=True, text=True, timeout=60)
    first = run.stderr.split("\n")[0]
    said = first.split("error: ")[1] if "error: " in first else "ok" if run.returncode == 0 else "status %d" % run.returncode
    if run.stderr.count("error: ") > 1:
        said = "%d errors" % run.stderr.count("error: ")
    print("%s: %s" % (name, said))
