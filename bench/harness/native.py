"""Compiled code under one calling convention: objects of tdlc, and C by hand that defines the same functions.

A library is built from an object and a stub, made from tdlc's manifest, that calls the function with an array of pointers:
so the time of a run is taken in C, without Python between the runs."""
import ctypes
import json
import os
import pathlib
import resource
import shutil
import subprocess

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
TYPES = {"f64": np.float64, "f32": np.float32, "i64": np.int64, "i32": np.int32, "bool": np.uint8}
TUNED = ("-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-Wno-unknown-warning-option", "-Wno-psabi")
SCALAR = ("-ffast-math",)


class Failed(Exception):
    """A build or a run that did not work, or a wrong result."""


def compiler():
    named = os.environ.get("CC")
    return named or next((c for c in ("clang-22", "clang-19", "clang", "gcc", "cc") if shutil.which(c)), "cc")


def command(*words):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"{' '.join(str(w) for w in words)}\n{done.stderr.strip()}")
    return done.stdout


def evaluate(shape, dims):
    """Extents of a manifest's shape, whose expressions are those of the language."""
    return tuple(int(eval(str(e), {"max": max, "min": min}, dims)) for e in shape)  # noqa: S307


class Builder:
    """Compiles into one folder, each thing once."""

    def __init__(self, folder, tdlc):
        self.folder, self.tdlc, self.cc = pathlib.Path(folder), tdlc, compiler()
        self.folder.mkdir(parents=True, exist_ok=True)

    def tdl(self, source, fixed=None, options=("-O3", "--mcpu=native")):
        """(object, processor seconds of the compiler). The header lies beside it."""
        fixed = fixed or {}
        name = "_".join([source.stem, *(f"{k}{v}" for k, v in fixed.items())])
        out = self.folder / name / f"{source.stem}.o"
        out.parent.mkdir(exist_ok=True)
        flags = [w for k, v in fixed.items() for w in ("-D", f"{k}={v}")]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command(self.tdlc, "-w", *options, *flags, source, "-o", out)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return out, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def manifest(self, source):
        return json.loads(command(self.tdlc, "-w", "--emit=manifest", source))

    def by_hand(self, source, header, fixed, flags):
        """An object of a C file that includes the header tdlc made; a fixed dimension d is FIX_d."""
        out = self.folder / ("_".join([source.stem, *(f"{k}{v}" for k, v in fixed.items())]) + ".o")
        defines = [f"-DFIX_{k}={v}" for k, v in fixed.items()]
        command(self.cc, "-std=gnu11", "-O3", "-march=native", "-fPIC", "-Wall", "-Wextra", "-Werror", *flags, *defines,
                f"-I{header.parent}", f"-I{ROOT / 'runtime'}", "-c", source, "-o", out)
        return out

    def library(self, obj, header, function, flush=False):
        """A shared library with the stub for `function`, an entry of the manifest. `flush`: subnormal numbers are 0 in
        it, as in a program that is linked with -ffast-math."""
        stub = obj.with_name(f"{obj.stem}_{function['name']}_stub.c")
        out = stub.with_suffix(".so")
        stub.write_text(stub_source(header.name, function))
        command(self.cc, "-std=gnu11", "-O2", "-fPIC", "-shared", f"-I{header.parent}", *(["-DFLUSH"] if flush else []), stub, obj,
                "-o", out, "-lm")
        return Library(out, function)


def stub_source(header, function):
    names = [f"*(int64_t *)a[{i}]" for i in range(len(function["dimensions"]))]
    for arg in function["arguments"]:
        at = f"a[{len(names)}]"
        names.append(f"*({arg['c_type']} *){at}" if arg["by_value"] else at)
    names += [f"a[{len(names)}]", f"*(size_t *)a[{len(names) + 1}]"]
    return f"""#include "{header}"
#include <time.h>
#if defined FLUSH && defined __SSE2__
#include <immintrin.h>
#define FLUSHED(x) (_mm_setcsr(_mm_getcsr() | 0x8040), x, _mm_setcsr(_mm_getcsr() & ~0x8040u))
#else
#define FLUSHED(x) (x)
#endif

static double now(void) {{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}}

static int bench_call(void **a) {{ return {function['name']}({', '.join(names)}); }}

double bench_seconds(void **a, long runs) {{
    int bad = 0;
    double start = now();
    FLUSHED(({{ for (long i = 0; i < runs; i++) bad |= bench_call(a); }}));
    return bad ? -1 : now() - start;
}}
"""


class Library:
    def __init__(self, path, function):
        self.lib, self.function = ctypes.CDLL(str(path)), function
        self.lib.bench_seconds.restype = ctypes.c_double
        self.lib.bench_seconds.argtypes = [ctypes.c_void_p, ctypes.c_long]

    def workspace_bytes(self, dims, inputs):
        size = getattr(self.lib, self.function["name"] + "_workspace_size")
        size.restype = ctypes.c_size_t
        integers = [a["name"] for a in self.function["arguments"] if a["by_value"] and a["type"] in ("i64", "i32")]
        values = [dims[d] for d in self.function["dimensions"]] + [int(np.ravel(inputs[name])[0]) for name in integers]
        return size(*(ctypes.c_int64(v) for v in values))

    def bind(self, dims, inputs):
        return Bound(self, dims, inputs)


class Bound:
    """A function with its arguments; outputs and the workspace are allocated here, once."""

    def __init__(self, library, dims, inputs):
        self.library, self.outputs, f = library, {}, library.function
        self.keep = [np.array(dims[d], np.int64) for d in f["dimensions"]]
        for arg in f["arguments"]:
            kind = TYPES[arg["type"]]
            if arg["role"] == "input":
                value = np.require(inputs[arg["name"]], kind, "C")
            else:
                value = self.outputs[arg["name"]] = np.zeros(evaluate(arg["shape"], dims), kind)
            self.keep.append(value)
        self.bytes = library.workspace_bytes(dims, inputs)
        self.keep += [np.zeros(self.bytes + 64, np.uint8), np.array(self.bytes, np.uint64)]
        self.pointers = (ctypes.c_void_p * len(self.keep))(*(v.ctypes.data for v in self.keep))

    def seconds(self, runs):
        took = self.library.lib.bench_seconds(self.pointers, runs)
        if took < 0:
            last = getattr(self.library.lib, "tdl_last_error", None)
            if last:
                last.restype = ctypes.c_char_p
            raise Failed(f"{self.library.function['name']}: {last().decode() if last else 'a status other than 0'}")
        return took

    def results(self):
        self.seconds(1)
        return self.outputs


def symbols(manifest, name):
    for f in manifest["functions"]:
        if f["name"] == name:
            return f
    raise Failed(f"{name}: exports are {', '.join(f['name'] for f in manifest['functions'])}")
