# How the tests run: lit with FileCheck, one folder a stage. `lit build/PRESET/tests` runs everything with that
# build; `lit tests/ir` from the checkout runs a part with build/dev (TDL_BUILD=build/release chooses another).
import importlib.util
import os
import platform
import shutil

import lit.formats


def configure():
    config.name = "tdl"
    config.test_format = lit.formats.ShTest(execute_external=False)
    config.suffixes = [".test", ".tdl", ".tir"]
    config.excludes = ["Inputs", "unit"]
    config.test_source_root = os.path.join(config.tdl_source, "tests")
    config.test_exec_root = os.path.join(config.tdl_build, "tests")

    bin = os.path.join(config.tdl_build, "bin")
    config.available_features.add("llvm%d" % config.llvm_major)
    if importlib.util.find_spec("numpy"):
        config.available_features.add("numpy")  # bench/run needs it
    config.available_features.add(platform.machine())
    for machine in ("aarch64", "riscv64"):  # compiled for and run by an emulator
        if shutil.which("qemu-" + machine) and shutil.which(machine + "-linux-gnu-gcc"):
            config.available_features.add("run-" + machine)
    wasm_ld = shutil.which("wasm-ld-%d" % config.llvm_major) or shutil.which("wasm-ld")
    if wasm_ld and shutil.which("node"):
        config.available_features.add("run-wasm32")
    if config.sanitize:
        config.available_features.add("asan")
        config.environment["TDL_ARENA_STRESS"] = "1"
        config.environment["ASAN_OPTIONS"] = "allocator_may_return_null=1"  # as malloc does: tests of a full memory
        config.environment["UBSAN_OPTIONS"] = "print_stacktrace=1"
    config.environment["LC_ALL"] = "C.UTF-8"
    config.environment["PATH"] = os.pathsep.join([bin, config.llvm_bindir, os.environ["PATH"]])

    # Longer names first: lit replaces in order.
    sanitizer = "-fsanitize=%s " % config.sanitize if config.sanitize else ""
    config.substitutions += [
        ("%wasm-ld", wasm_ld or "wasm-ld"),
        ("%tdl-opt", os.path.join(bin, "tdl-opt")),
        ("%tdlc", os.path.join(bin, "tdlc")),
        ("%unit-tests", os.path.join(config.tdl_build, "unit")),
        ("%examples", os.path.join(config.tdl_source, "examples")),
        ("%source-dir", config.tdl_source),
        ("%build-dir", config.tdl_build),
        ("%cmake", config.cmake),
        ("%status", os.path.join(config.tdl_source, "tests", "expect-status")),  # %status 2 COMMAND ...
        # A C compiler for programs that use a generated object, and what to add to link the runtime library.
        ("%link-runtime", sanitizer + os.path.join(config.tdl_build, "lib", "libtdl_runtime.a") + " -lm"),
        ("%cc", config.cc + " -std=c11 -I" + os.path.join(config.tdl_source, "runtime")),
    ]
    for tool in ("FileCheck", "not", "split-file"):
        if not os.path.exists(os.path.join(config.llvm_bindir, tool)):
            lit_config.fatal("%s is not in %s: install the llvm tools package" % (tool, config.llvm_bindir))


if hasattr(config, "tdl_build"):
    configure()
else:  # started on the source tree: the build's site file comes back here with its settings
    build = os.path.abspath(os.environ.get("TDL_BUILD", os.path.join(os.path.dirname(__file__), "..", "build", "dev")))
    site = os.path.join(build, "tests", "lit.site.cfg.py")
    if not os.path.exists(site):
        lit_config.fatal("no build at %s; do: cmake --preset dev && cmake --build build/dev" % build)
    lit_config.load_config(config, site)
