"""compare.py A.npy B.npy TOLERANCE: fails where max |a - b| > TOLERANCE * max |b|. Files of f64 in C order."""
import ast
import struct
import sys


def read(path):
    data = open(path, "rb").read()
    size = struct.unpack("<H", data[8:10])[0]
    header = ast.literal_eval(data[10:10 + size].decode())
    assert header["descr"] == "<f8" and not header["fortran_order"], header
    return header["shape"], [x[0] for x in struct.iter_unpack("<d", data[10 + size:])]


(shape, a), (expected, b) = read(sys.argv[1]), read(sys.argv[2])
error = max(abs(x - y) for x, y in zip(a, b)) / max(abs(y) for y in b)
print(f"relative error {error:.2e}")
sys.exit(shape != expected or not error <= float(sys.argv[3]))
