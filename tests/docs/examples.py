# Runs the ```tdl examples of a Markdown page: examples.py PAGE FOLDER COMMAND... calls COMMAND FILE for each.
# An example must be accepted; one marked ```tdl error must be refused with the message of its `# error: ...` comment.
# One marked ```tdl script is a script. Prints the number of examples; a failure names the page's line.
import re
import subprocess
import sys

page, folder, *command = sys.argv[1:]
text = open(page, encoding="utf-8").read()
count = failed = 0
for m in re.finditer(r"^```tdl *(\w*)\n(.*?)^```$", text, re.M | re.S):
    kind, body = m.groups()
    count += 1
    path = "%s/example%d.tdl" % (folder, count)
    with open(path, "w", encoding="utf-8") as f:
        f.write(body)
    run = subprocess.run(command + [path], capture_output=True, text=True, timeout=60)
    want = re.search(r"# error: (.*)", body)
    ok = run.returncode == 0 if kind != "error" else run.returncode == 1 and want.group(1) in run.stderr
    if not ok:
        failed += 1
        print("%s:%d: status %d\n%s" % (page, text[: m.start()].count("\n") + 1, run.returncode, run.stderr))
print("%d examples, %d failed" % (count, failed))
sys.exit(failed != 0)
