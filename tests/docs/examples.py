# Runs the ```tdl examples of a Markdown page: examples.py PAGE FOLDER TDLC.
# An example compiles to an object; one marked ```tdl script runs, and prints what its `# prints: ...` comments say, in
# order; one marked ```tdl error is refused with the message of its `# error: ...` comment.
# Prints the number of examples; a failure names the page's line.
import re
import subprocess
import sys

page, folder, tdlc = sys.argv[1:]
text = open(page, encoding="utf-8").read()
count = failed = 0
for m in re.finditer(r"^```tdl *(\w*)\n(.*?)^```$", text, re.M | re.S):
    kind, body = m.groups()
    count += 1
    path = "%s/example%d.tdl" % (folder, count)
    with open(path, "w", encoding="utf-8") as f:
        f.write(body)
    command = [tdlc, "run", path] if kind == "script" else [tdlc, path, "-o", path[:-3] + "o"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    want = re.search(r"# error: (.*)", body)
    prints = re.findall(r"# prints: (.*)", body)
    ok = run.returncode == 0 if kind != "error" else run.returncode == 1 and want.group(1) in run.stderr
    ok = ok and (not prints or run.stdout.split("\n")[: len(prints)] == prints)
    if not ok:
        failed += 1
        print("%s:%d: status %d\n%s" % (page, text[: m.start()].count("\n") + 1, run.returncode, run.stdout + run.stderr))
print("%d examples, %d failed" % (count, failed))
sys.exit(failed != 0)
