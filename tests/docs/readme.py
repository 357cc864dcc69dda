# Runs "The first gradient in a minute" of the README as it stands: readme.py README FOLDER TDLC CC.
# What its comments say is printed must be printed, in order; the declaration that it shows must be that of the header.
import re
import subprocess
import sys

readme, folder, tdlc, cc = sys.argv[1:]
text = open(readme, encoding="utf-8").read()
section = re.search(r"^## The first gradient in a minute\n(.*?)^## ", text, re.M | re.S).group(1)
script = "".join(re.findall(r"^```sh\n(.*?)^```$", section, re.M | re.S))
assert "build/release/bin/tdlc" in script and "\ncc " in script
script = script.replace("build/release/bin/tdlc", tdlc).replace("\ncc ", "\n%s " % cc)
run = subprocess.run(["sh", "-ec", script], cwd=folder, capture_output=True, text=True, timeout=120)
print(run.stdout + run.stderr, end="")
said = re.findall(r"^(?:print|\s+printf)\(.*\S\s+(?:#|//) (.*)$", script, re.M)
failed = run.returncode != 0 or not said or run.stdout.split("\n")[: len(said)] != said
declared = re.search(r"^```c\n(.*?)^```$", section, re.M | re.S).group(1)
header = open(folder + "/loss.h", encoding="utf-8").read()
failed |= " ".join(declared.split()) not in " ".join(header.split())
print("the README says: " + " | ".join(said) + (": wrong" if failed else ": right"))
sys.exit(failed)
