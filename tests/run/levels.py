"""levels.py TDLC PROGRAM...: each program prints the same at -O0 and at -O3, but for reassociation, which four digits do not show."""
import subprocess
import sys


def printed(tdlc, program, level):
    r = subprocess.run([tdlc, "run", level, program], capture_output=True, text=True)
    return r.returncode, r.stdout


differ = 0
for program in sys.argv[2:]:
    plain, full = (printed(sys.argv[1], program, level) for level in ("-O0", "-O3"))
    if plain != full or plain[0]:
        differ += 1
        print(f"{program}: -O0 gives {plain}\n-O3 gives {full}")
print(f"{len(sys.argv) - 2} programs, {differ} differ")
