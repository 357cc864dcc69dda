"""rules.py OPS_DEF LIBRARY: fails unless, for each row of the table whose derivative is a rule, the file of the walk
needs the function adj_<NAME> (and tan_<NAME> where the answer is RULE) and exactly one file of the library defines it.
What a file needs and none defines does not link, so the build fails where a rule is deleted."""
import collections
import re
import subprocess
import sys

ROW = r"^OP\((\w+),.*?\b(RULE|LINEAR), (?:SCALAR|EXPAND|STRUCT|EARLY|LOOP)"
WALK = {"adj": "adjoint_core.c", "tan": "tangent.c"}


def symbols(library):
    """The rules that the file of each walk names, and in how many files each is defined."""
    named, defined, member = set(), collections.Counter(), ""
    for line in subprocess.run(["nm", library], capture_output=True, text=True, check=True).stdout.splitlines():
        member = line[:-3] if line.endswith(".o:") else member
        rule = re.search(r" ([UT]) ((adj|tan)_[A-Z0-9_]+)$", line)
        if rule and WALK[rule[3]] == member:
            named.add(rule[2])
        defined[rule and rule[1] == "T" and rule[2]] += 1
    return named, defined


def main():
    named, defined = symbols(sys.argv[2])
    rows = re.findall(ROW, open(sys.argv[1]).read(), re.M)
    rules = ["adj_" + name for name, _ in rows] + ["tan_" + name for name, answer in rows if answer == "RULE"]
    loose = [r for r in rules if r not in named or defined[r] != 1]
    print("%d rules, missing or not needed: %s" % (len(rules), " ".join(loose) or "none"))
    return bool(loose)


sys.exit(main())
