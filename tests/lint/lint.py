"""Rules of the source tree that a compiler does not check.  lint.py RULE [ROOT]; prints each breach, exit 1 if any.

  includes   the direction of dependence: support <- ir <- {frontend, passes, codegen} <- tools; runtime alone
  words      nothing left undone, no C++ files
  sizes      files up to 800 lines, functions up to 80; what is longer says why in a comment `long: ...`
  globals    no mutable variables at file scope in the libraries
  ops        each operation of ir/ops.def occurs in a test of the stage that lowers it
"""
import os
import re
import sys

LIBRARIES = ["support", "ir", "frontend", "passes", "codegen", "runtime"]
SOURCE_FOLDERS = LIBRARIES + ["tools"]

# What each folder's files may include. The compiler shares the .def tables of the runtime, and the code generator the
# object's ABI constants through its public header.
MAY_INCLUDE = {
    "support": {"support"},
    "ir": {"ir", "support"},
    "frontend": {"frontend", "ir", "support"},
    "passes": {"passes", "ir", "support", "runtime"},
    "codegen": {"codegen", "ir", "support", "runtime"},
    "runtime": {"runtime"},
    "tools": {"tools", "frontend", "passes", "codegen", "ir", "support", "runtime"},
}


def source_files(root, suffixes, folders=SOURCE_FOLDERS):
    for folder in folders:
        for path, dirs, files in os.walk(os.path.join(root, folder)):
            dirs.sort()
            for name in sorted(files):
                if name.endswith(suffixes):
                    full = os.path.join(path, name)
                    yield os.path.relpath(full, root), open(full, encoding="utf-8").read()


def includes(root):
    for path, text in source_files(root, (".c", ".h", ".def", ".y", ".l")):
        folder = path.split(os.sep)[0]
        if os.sep + "gen" + os.sep in path:  # a program that runs during the build, part of no library
            folder = "tools"
        for number, line in enumerate(text.splitlines(), 1):
            m = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if not m:
                continue
            target = m.group(2)
            if target.startswith("llvm-c/") or target.startswith("llvm/"):
                if folder != "codegen":
                    yield "%s:%d: only codegen/ includes llvm-c" % (path, number)
            elif m.group(1) == '"' and "/" in target and target.split("/")[0] in MAY_INCLUDE:
                if target.split("/")[0] not in MAY_INCLUDE[folder]:
                    yield "%s:%d: %s/ must not include %s" % (path, number, folder, target)
                elif folder == "codegen" and target.startswith("runtime/") and not re.search(r"(\.def|tdl\.h)$", target):
                    yield "%s:%d: codegen/ sees of runtime/ its tables and its public header alone" % (path, number)
                elif folder == "passes" and target.startswith("runtime/") and not target.endswith(".def"):
                    yield "%s:%d: passes/ sees of runtime/ its tables alone" % (path, number)


UNDONE = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|not implemented")


def words(root):
    folders = SOURCE_FOLDERS + ["tests", "docs", "cmake", "scripts", "examples", "python", "editors", "bench"]
    suffixes = (".c", ".h", ".def", ".y", ".l", ".tdl", ".tir", ".md", ".test", ".cmake", ".txt", ".in", ".sh")
    for path, text in source_files(root, suffixes, folders):
        if path.startswith(os.path.join("tests", "lint")):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if UNDONE.search(line):
                yield "%s:%d: left undone: %s" % (path, number, line.strip())
    for path, _ in source_files(root, (".cpp", ".cc", ".cxx", ".hpp", ".hh")):
        yield "%s: C++" % path


def strip_comments(text):
    """The text with comments and literals blanked, line structure kept."""
    def blank(m):
        return re.sub(r"[^\n]", " ", m.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def functions(text):
    """(name, first line, last line) of each function body, by the layout of the project: `}` in column 0 ends it."""
    lines = strip_comments(text).splitlines()
    start = name = None
    for i, line in enumerate(lines, 1):
        m = re.match(r"^[A-Za-z_][^;={}#]*?\b(\w+)\s*\(", line)
        if m and start is None:
            start, name = i, m.group(1)
        if start is not None and re.match(r"^[^{}]*;\s*$", line) and "{" not in "".join(lines[start - 1:i]):
            start = None  # a declaration
        elif start is not None and (line.startswith("}") or (i == start and line.rstrip().endswith("}"))):
            yield name, start, i
            start = None


def excused(text, first, last):
    """`long: reason` in a comment inside the lines, or in the three above them."""
    return any("long:" in line for line in text.splitlines()[max(0, first - 4):last])


def sizes(root):
    for path, text in source_files(root, (".c", ".h", ".def", ".y", ".l")):
        count = text.count("\n")
        if count > 800 and not excused(text, 1, 20):
            yield "%s: %d lines" % (path, count)
        if path.endswith(".c"):
            for name, first, last in functions(text):
                if last - first + 1 > 80 and not excused(text, first, last):
                    yield "%s:%d: %s has %d lines" % (path, first, name, last - first + 1)


def report(root):
    """Not a rule: how large things are."""
    rows, files = [], 0
    for path, text in source_files(root, (".c",)):
        files += 1
        rows += [(last - first + 1, name, path) for name, first, last in functions(text)]
    rows.sort(reverse=True)
    if rows:
        print("%d functions in %d files; median %d lines, %d over 40, %d over 80" % (
            len(rows), files, rows[len(rows) // 2][0], sum(r[0] > 40 for r in rows), sum(r[0] > 80 for r in rows)))
        for size, name, path in rows[:10]:
            print("  %4d  %s (%s)" % (size, name, path))
    return []


def globals_(root):
    pattern = re.compile(r"^(?:static\s+)?(?!typedef|extern|return|static_assert|_Static_assert|struct\s+\w+\s*\{|enum|union)"
                         r"[A-Za-z_][\w\s\*]*?[\s\*](\w+)\s*(\[[^\]]*\]\s*)*(=[^;]*)?;\s*$")
    for path, text in source_files(root, (".c",), LIBRARIES):
        for number, line in enumerate(strip_comments(text).splitlines(), 1):
            m = pattern.match(line)
            if m and "const" not in line.split("=")[0] and "(" not in line.split("=")[0] \
                    and not re.search(r"_Thread_local|_Atomic", line):
                yield "%s:%d: mutable variable at file scope: %s" % (path, number, m.group(1))


LOWERED_IN = {"SCALAR": "codegen", "LOOP": "codegen", "EXPAND": "expand", "STRUCT": "loops"}
# Emitted or consumed in a form that the stage's input never shows by its mnemonic alone.
STAGE_EXCEPTIONS = {"stack_new": "codegen", "push": "codegen", "pop": "codegen", "call": "codegen", "assert": "codegen",
                    "print": "codegen", "return": "codegen", "yield": "codegen", "for": "codegen", "while": "codegen",
                    "if": "codegen"}


def mnemonics(folder):
    """Every word that stands where an operation's mnemonic does in the IR text of a folder's tests."""
    found = set()
    for path, _, files in os.walk(folder):
        for name in files:
            if name.endswith((".tir", ".test", ".tdl")):
                text = open(os.path.join(path, name), encoding="utf-8").read()
                found |= set(re.findall(r"^\s*(?:%[\w, %]*= *)?([a-z]\w*)\b", text, re.M))
    return found


def ops(root):
    seen = {stage: mnemonics(os.path.join(root, "tests", stage)) for stage in set(LOWERED_IN.values())}
    rows = re.findall(r'^OP\(\w+,\s*"(\w+)",.*?(PARTIAL|RULE|ZERO|NONE), (SCALAR|EXPAND|STRUCT|EARLY|LOOP),',
                      open(os.path.join(root, "ir", "ops.def"), encoding="utf-8").read(), re.M)
    for mnemonic, _, lowering in rows:
        stage = STAGE_EXCEPTIONS.get(mnemonic, LOWERED_IN.get(lowering))
        if stage and mnemonic not in seen[stage]:
            yield "ir/ops.def: no test under tests/%s has the operation %s" % (stage, mnemonic)


RULES = {"ops": ops, "includes": includes, "words": words, "sizes": sizes, "globals": globals_, "report": report}


def main():
    root = sys.argv[2] if len(sys.argv) > 2 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    breaches = list(RULES[sys.argv[1]](os.path.normpath(root)))
    for breach in breaches:
        print(breach)
    sys.exit(1 if breaches else 0)


if __name__ == "__main__":
    main()
