"""Derivative cases, one or more for each operation of ir/ops.def whose derivative answer is PARTIAL or RULE.

A case is (title, parameters, result types, body, options of evaluate, settings). The body's last value names are returned
in the order given by "-> %a, %b" at its end. Parameters are numbered from %0.
"""

CASES = []


def case(title, params, body, settings="", options="", dims="n"):
    lines, ret = body.rsplit("->", 1)
    CASES.append((title, params, lines, ret.strip(), settings.split(), options.split(), dims))


# ---- elementwise, on tensors and scalars, inside and outside of their kinks ----
for op in "neg abs sqrt exp expm1 log log1p sin cos tan asinh atan sinh cosh tanh sigmoid erf erfc".split():
    case(op, "x: f64[n]", f"%1 = {op} %0 : f64[n] -> %1:f64[n]")
    case(op + " scalar", "x: f64", f"%1 = {op} %0 : f64 -> %1:f64")
for op in "neg abs exp expm1 sin cos sinh cosh tanh asinh atan sigmoid erf erfc".split():
    case(op + " negative", "x: f64[n]", f"%1 = {op} %0 : f64[n] -> %1:f64[n]", options="--range=-2,-0.1")
for op in "asin acos atanh".split():
    case(op, "x: f64[n]", f"%1 = {op} %0 : f64[n] -> %1:f64[n]", options="--range=-0.8,0.8")
case("acosh", "x: f64[n]", "%1 = acosh %0 : f64[n] -> %1:f64[n]", options="--range=1.2,3")
case("lgamma", "x: f64[n]", "%1 = lgamma %0 : f64[n] -> %1:f64[n]", options="--range=0.6,3 --tol=1e-6")
for k in (0, 1, 2):
    case(f"polygamma {k}", "x: f64[n]", f"%1 = polygamma %0 {{n = {k}}} : f64[n] -> %1:f64[n]", options="--range=1,3 --tol=1e-6")
case("cast", "x: f64[n]", "%1 = cast %0 {to = f32} : f32[n]  %2 = cast %1 {to = f64} : f64[n]  %3 = mul %2, %2 : f64[n] -> %3:f64[n]",
     options="--step=0.05 --tol=1e-4")
case("cast integer", "x: f64[n], k: i64[n]", "%2 = cast %1 {to = f64} : f64[n]  %3 = mul %2, %0 : f64[n] -> %3:f64[n]")
for op in "add sub mul div mod pow atan2 max min".split():
    case(op, "x: f64[n], y: f64[n]", f"%2 = {op} %0, %1 : f64[n] -> %2:f64[n]", "x=0.7,1.1,0.33", "--range=0.4,0.6")
    case(op + " square", "x: f64", f"%1 = const {{value = 2.0}} : f64  %2 = {op} %0, %1 : f64  %3 = {op} %1, %0 : f64 -> %2:f64, %3:f64")
case("mod negative", "x: f64[n], y: f64[n]", "%2 = mod %0, %1 : f64[n] -> %2:f64[n]", "x=-0.7,-1.1,2.33", "--range=0.4,0.6")
case("select", "x: f64[n], y: f64[n]",
     "%2 = gt %0, %1 : bool[n]  %3 = mul %0, %0 : f64[n]  %4 = exp %1 : f64[n]  %5 = select %2, %3, %4 : f64[n] -> %5:f64[n]")
case("select infinite branch", "x: f64[n]",   # sqrt at -x is NaN where it is not taken
     "%1 = const {value = 0.0} : f64  %2 = broadcast %1 {axes = []} : f64[n]  %3 = gt %0, %2 : bool[n]"
     "  %4 = select %3, %0, %2 : f64[n]  %5 = sqrt %0 : f64[n]  %6 = select %3, %5, %4 : f64[n] -> %6:f64[n]")

# ---- structure ----
case("broadcast trailing", "x: f64[n]", "%1 = broadcast %0 {axes = [1]} : f64[2, n]  %2 = mul %1, %1 : f64[2, n] -> %2:f64[2, n]")
case("broadcast leading", "x: f64[n]", "%1 = broadcast %0 {axes = [0]} : f64[n, 2]  %2 = mul %1, %1 : f64[n, 2] -> %2:f64[n, 2]")
case("broadcast stretched", "x: f64[1, n, 1]", "%1 = broadcast %0 {axes = [1, 2, 3]} : f64[2, 2, n, 3]  %2 = sin %1 : f64[2, 2, n, 3] -> %2:f64[2, 2, n, 3]")
case("broadcast between", "x: f64[n, m]", "%1 = broadcast %0 {axes = [0, 2]} : f64[n, 2, m]  %2 = sin %1 : f64[n, 2, m] -> %2:f64[n, 2, m]", "m=2", dims="n, m")
case("reshape", "x: f64[n, m]", "%1 = reshape %0 : f64[m*n]  %2 = sin %1 : f64[m*n] -> %2:f64[m*n]", "m=2", dims="n, m")
case("permute", "x: f64[n, m, 2]", "%1 = permute %0 {perm = [1, 2, 0]} : f64[m, 2, n]  %2 = sin %1 : f64[m, 2, n] -> %2:f64[m, 2, n]", "m=2", dims="n, m")
case("slice", "x: f64[n, 4]", "%1 = const {value = 1} : i64  %2 = const {value = 3} : i64"
     "  %3 = slice %0, %1, %2 {steps = [1, -2]} : f64[2, 2]  %4 = sin %3 : f64[2, 2] -> %4:f64[2, 2]")
case("slice overlap", "x: f64[n]", "%1 = const {value = 1} : i64  %2 = const {value = 0} : i64  %6 = mul %0, %0 : f64[n]"
     "  %3 = slice %6, %1 {steps = [1]} : f64[2]  %4 = slice %6, %2 {steps = [1]} : f64[2]  %5 = mul %3, %4 : f64[2] -> %5:f64[2]")
case("upslice", "x: f64[n, 4], v: f64[2, 2]", "%2 = const {value = 1} : i64  %3 = const {value = 0} : i64"
     "  %4 = upslice %0, %1, %2, %3 {steps = [1, 2]} : f64[n, 4]  %5 = sin %4 : f64[n, 4] -> %5:f64[n, 4]")
case("concat", "x: f64[n, 2], y: f64[n, m]", "%2 = concat %0, %1, %0 {axis = 1} : f64[n, m + 4]  %3 = sin %2 : f64[n, m + 4] -> %3:f64[n, m + 4]", "m=2", dims="n, m")
case("stack", "x: f64[n], y: f64[n]", "%2 = stack %0, %1, %0 : f64[3, n]  %3 = sin %2 : f64[3, n] -> %3:f64[3, n]")
for axis in (0, 1):
    case(f"gather {axis}", "x: f64[n, 3], k: i64[2, 2]", f"%2 = gather %0, %1 {{axis = {axis}}} : f64[2, 2]  %3 = sin %2 : f64[2, 2] -> %3:f64[2, 2]", "k=1,0,1,2")
    case(f"scatter_add {axis}", "x: f64[n, 3], k: i64[2, 2], v: f64[2, 2]",
         f"%3 = scatter_add %0, %1, %2 {{axis = {axis}}} : f64[n, 3]  %4 = sin %3 : f64[n, 3] -> %4:f64[n, 3]", "k=1,0,1,2")
    case(f"cumsum {axis}", "x: f64[n, 2]", f"%1 = cumsum %0 {{axis = {axis}}} : f64[n, 2]  %2 = sin %1 : f64[n, 2] -> %2:f64[n, 2]")
    case(f"cumsum reverse {axis}", "x: f64[n, 2]", f"%1 = cumsum %0 {{axis = {axis}, reverse = 1}} : f64[n, 2]  %2 = sin %1 : f64[n, 2] -> %2:f64[n, 2]")
    case(f"sort {axis}", "x: f64[n, 2]", f"%1, %2 = sort %0 {{axis = {axis}}} : f64[n, 2], i64[n, 2]  %3 = cumsum %1 {{axis = {axis}}} : f64[n, 2]"
         "  %4 = sin %3 : f64[n, 2] -> %4:f64[n, 2]")
case("take 1", "x: f64[n, 3, 2], k: i64[2, 2]", "%2 = take %0, %1 {axis = 1} : f64[n, 2, 2, 2]  %3 = sin %2 : f64[n, 2, 2, 2] -> %3:f64[n, 2, 2, 2]", "k=1,0,1,2")
case("take scalar index", "x: f64[n, 3], k: i64", "%2 = take %0, %1 {axis = 0} : f64[3]  %3 = sin %2 : f64[3] -> %3:f64[3]", "k=2")
case("sort descending", "x: f64[n]", "%1, %2 = sort %0 {axis = 0, descending = 1} : f64[n], i64[n]  %3 = cumsum %1 {axis = 0} : f64[n]  %4 = sin %3 : f64[n] -> %4:f64[n]")
DOT = "{batch_a = %s, batch_b = %s, contract_a = %s, contract_b = %s}"
case("dot vectors", "x: f64[n], y: f64[n]", f"%2 = dot %0, %1 {DOT % ('[]', '[]', '[0]', '[0]')} : f64  %3 = sin %2 : f64 -> %3:f64")
case("dot matrices", "x: f64[n, m], y: f64[m, 2]", f"%2 = dot %0, %1 {DOT % ('[]', '[]', '[1]', '[0]')} : f64[n, 2]  %3 = sin %2 : f64[n, 2] -> %3:f64[n, 2]", "m=2", dims="n, m")
case("dot transposed", "x: f64[n, m], y: f64[2, n]", f"%2 = dot %0, %1 {DOT % ('[]', '[]', '[0]', '[1]')} : f64[m, 2]  %3 = sin %2 : f64[m, 2] -> %3:f64[m, 2]", "m=2", dims="n, m")
case("dot batch", "x: f64[2, n, m, 3], y: f64[m, 3, 2, n]",
     f"%2 = dot %0, %1 {DOT % ('[0]', '[2]', '[3, 2]', '[1, 0]')} : f64[2, n, n]  %3 = sin %2 : f64[2, n, n] -> %3:f64[2, n, n]", "m=2 n=2", dims="n, m")
case("dot outer", "x: f64[n], y: f64[m]", f"%2 = dot %0, %1 {DOT % ('[]', '[]', '[]', '[]')} : f64[n, m]  %3 = sin %2 : f64[n, m] -> %3:f64[n, m]", "m=2", dims="n, m")
WINDOWS = "{axes_a = %s, axes_b = %s, dilations = %s, steps = %s, taps = %s}"
for title, x, w, z, lists, result in (
        ("correlate", "f64[n, 2, 5]", "f64[3, 2, 3]", "f64[n, 3, 3]", ([0, 3, 2], [1, 3, 4], [1, 1, 1], [1, 1, 1], [-1, -1, 4]), "n=2"),
        ("correlate rest", "f64[n, 2, 7, 6]", "f64[3, 2, 2, 2]", "f64[n, 3, 4, 4]", ([0, 4, 2, 3], [1, 4, 5, 6], [1, 1, 1, 2], [1, 1, 1, 1], [-1, -1, 5, 6]), "n=1"),
        ("correlate steps", "f64[n, 2, 7]", "f64[3, 2, 3]", "f64[n, 3, 3]", ([0, 3, 2], [1, 3, 4], [1, 1, 1], [1, 1, 2], [-1, -1, 4]), "n=2"),
        ("correlate steps alone", "f64[n, 5]", "f64[3, n]", "f64[3, 3]", ([2, 1], [0, 2], [1, 1], [1, 2], [-1, -1]), "n=2"),
        ("correlate taps first", "f64[9, n]", "f64[5, 2, n]", "f64[2, 3]", ([2, 3], [2, 0, 3], [2, 1], [1, 1], [1, -1]), "n=2"),
        ("correlate batch", "f64[2, n, 5]", "f64[2, 3, n, 2]", "f64[2, 3, 4]", ([0, 3, 2], [0, 1, 3, 4], [1, 1, 1], [1, 1, 1], [-1, -1, 4]), "n=2"),
        ("correlate unknown taps", "f64[2, 4]", "f64[3, 2, n]", "f64[3, 3]", ([2, 1], [0, 2, 3], [1, 1], [1, 1], [-1, 3]), "n=2")):
    case(title, f"x: {x}, w: {w}", f"%2 = correlate %0, %1 {WINDOWS % lists} : {z}  %3 = sin %2 : {z} -> %3:{z}", result)

# ---- reductions ----
for op in "sum prod amax amin".split():
    for axes, t in (("[0, 1]", "f64"), ("[0]", "f64[2]"), ("[1]", "f64[n]"), ("[]", "f64[n, 2]")):
        case(f"{op} {axes}", "x: f64[n, 2]", f"%1 = {op} %0 {{axes = {axes}}} : {t}  %2 = sin %1 : {t} -> %2:{t}", "x=0.7,0.2,0.9,0.4,0.3,1.1")
    for ties in ("",) if op in ("sum", "prod") else ("", ", ties = first"):
        case(f"{op} in reduce{ties}", "x: f64[n]",
             f"%1 = dim {{d = n}} : i64  %2 = reduce %1 {{(%3: i64) %4 = index %0, %3 : f64  %5 = sin %4 : f64  yield %5 }} {{kind = {op[-3:] if op[0] == 'a' else op}{ties}}} : f64"
             "  %6 = mul %2, %2 : f64 -> %6:f64", "x=0.7,0.2,0.9")
        case(f"{op} filtered{ties}", "x: f64[n, m]",
             f"%1 = dim {{d = n}} : i64  %7 = dim {{d = m}} : i64  %2 = reduce %1, %7 {{(%3: i64, %8: i64) %4 = index %0, %3, %8 : f64  %5 = sin %4 : f64"
             f"  %9 = le %8, %3 : bool  yield %5, %9 }} {{kind = {op[-3:] if op[0] == 'a' else op}, filter = 1{ties}}} : f64"
             "  %6 = mul %2, %2 : f64 -> %6:f64", "m=3", dims="n, m")
for op in "amax amin".split():
    case(f"{op} ties first", "x: f64[n, 2]", f"%1 = {op} %0 {{axes = [0], ties = first}} : f64[2]  %2 = sin %1 : f64[2] -> %2:f64[2]")
case("prod one zero", "x: f64[n]", "%1 = prod %0 {axes = [0]} : f64 -> %1:f64", "x=0.5,0,2")
case("prod two zeros", "x: f64[n]", "%1 = prod %0 {axes = [0]} : f64 -> %1:f64", "x=0,0,2")
case("reduce prod zeros", "x: f64[n]",
     "%1 = dim {d = n} : i64  %2 = reduce %1 {(%3: i64) %4 = index %0, %3 : f64  yield %4 } {kind = prod} : f64 -> %2:f64", "x=0.5,0,2")
case("reduce of rows", "x: f64[n, 2]",
     "%1 = dim {d = n} : i64  %2 = reduce %1 {(%3: i64) %4 = index %0, %3 : f64[2]  %5 = sin %4 : f64[2]  yield %5 } {kind = max} : f64[2] -> %2:f64[2]")

case("triangular reduce", "x: f64[n]",
     "%1 = dim {d = n} : i64  %2 = map %1 {(%3: i64) %4 = const {value = 1} : i64  %5 = sub %3, %4 : i64  %6 = reduce %5 {(%7: i64) %8 = index %0, %7 : f64"
     "  %9 = sin %8 : f64  yield %9} {kind = sum} : f64  yield %6} : f64[n] -> %2:f64[n]")

# ---- elements and regions ----
case("index row", "x: f64[n, 2], k: i64", "%2 = index %0, %1 : f64[2]  %3 = sin %2 : f64[2]  %4 = index %0, %1, %1 : f64  %5 = exp %4 : f64 -> %3:f64[2], %5:f64", "k=1")
case("update", "x: f64[n], v: f64, k: i64", "%3 = mul %0, %0 : f64[n]  %4 = update %3, %1, %2 : f64[n]  %5 = sin %4 : f64[n] -> %5:f64[n]", "k=1")
case("update row", "x: f64[n, 2], v: f64[2], k: i64", "%3 = update %0, %1, %2 : f64[n, 2]  %5 = sin %3 : f64[n, 2] -> %5:f64[n, 2]", "k=1")
case("index of update", "x: f64[n], v: f64, k: i64", "%3 = update %0, %1, %2 : f64[n]  %4 = index %3, %2 : f64  %5 = index %0, %2 : f64  %6 = mul %4, %5 : f64 -> %6:f64", "k=1")
case("map two results", "x: f64[n], y: f64[n]",
     "%2 = dim {d = n} : i64  %3, %4 = map %2 {(%5: i64) %6 = index %0, %5 : f64  %7 = index %1, %5 : f64  %8 = mul %6, %7 : f64"
     "  %9 = sin %0 : f64[n]  yield %8, %9 } : f64[n], f64[n, n] -> %3:f64[n], %4:f64[n, n]")
case("map of map", "x: f64[n], y: f64[n]",
     "%2 = dim {d = n} : i64  %3 = map %2 {(%5: i64) %6 = index %0, %5 : f64  %7 = map %2 {(%8: i64) %9 = index %1, %8 : f64  %10 = mul %9, %6 : f64  yield %10} : f64[n]"
     "  %11 = reduce %2 {(%12: i64) %13 = index %7, %12 : f64  %14 = sin %13 : f64  yield %14} {kind = sum} : f64 yield %11 } : f64[n] -> %3:f64[n]")
case("map with a loop", "x: f64[n], y: f64[n]",
     "%2 = dim {d = n} : i64  %30 = const {value = 0} : i64  %3 = map %2 {(%5: i64) %6 = index %0, %5 : f64"
     "  %7 = for %30, %5, %6 {(%8: i64, %9: f64) %10 = index %1, %8 : f64  %11 = mul %9, %10 : f64  %12 = sin %11 : f64  yield %12} : f64  yield %7} : f64[n] -> %3:f64[n]")
case("for down", "x: f64[n]",
     "%1 = dim {d = n} : i64  %2 = const {value = 0} : i64  %3 = const {value = 1.0} : f64  %4, %5 = for %2, %1, %3, %0 {(%6: i64, %7: f64, %8: f64[n])"
     "  %9 = index %8, %6 : f64  %10 = mul %9, %7 : f64  %11 = sin %10 : f64  yield %11, %8} {down = 1} : f64, f64[n] -> %4:f64, %5:f64[n]")
case("for swaps", "x: f64[n], y: f64[n]",
     "%2 = dim {d = n} : i64  %3 = const {value = 0} : i64  %4, %5 = for %3, %2, %0, %1 {(%6: i64, %7: f64[n], %8: f64[n])"
     "  %9 = mul %7, %8 : f64[n]  %10 = sin %9 : f64[n]  yield %8, %10} : f64[n], f64[n] -> %4:f64[n], %5:f64[n]")
case("for zero trips", "x: f64[n]",
     "%2 = const {value = 2} : i64  %3 = const {value = 2} : i64  %4 = for %2, %3, %0 {(%6: i64, %7: f64[n])"
     "  %9 = mul %7, %7 : f64[n]  yield %9} : f64[n] -> %4:f64[n]")
case("for runtime bounds", "x: f64[n], lo: i64, hi: i64",
     "%4 = const {value = 0.5} : f64  %5 = for %1, %2, %4 {(%6: i64, %7: f64) %8 = index %0, %6 : f64  %9 = mul %7, %8 : f64  %10 = exp %9 : f64  yield %10} : f64 -> %5:f64", "lo=1 hi=3")
for down in ("", ", down = 1"):
    case("for exit" + down, "x: f64[n], top: f64",
         "%2 = dim {d = n} : i64  %3 = const {value = 0} : i64  %4 = const {value = 0.0} : f64  %5, %6 = for %3, %2, %4 {(%7: i64, %8: f64)"
         "  %9 = index %0, %7 : f64  %10 = mul %9, %9 : f64  %11 = add %8, %10 : f64  %12 = sin %11 : f64  %13 = gt %12, %1 : bool  yield %13, %12}"
         " {exit = 1" + down + "} : i64, f64 -> %6:f64", "n=5 x=0.4,0.5,0.6,0.7,0.5 top=0.55")
    case("for exit, long" + down, "x: f64, top: f64",
         "%2 = const {value = 1000000000} : i64  %3 = const {value = 7} : i64  %20 = const {value = 1.0} : f64  %4 = add %0, %20 : f64  %5, %6 = for %3, %2, %4 {(%7: i64, %8: f64)"
         "  %9 = mul %8, %8 : f64  %10 = mul %9, %4 : f64  %11 = log %10 : f64  %12 = add %8, %11 : f64  %13 = gt %12, %1 : bool  yield %13, %12}"
         " {exit = 1" + down + "} : i64, f64 -> %6:f64", "x=0.4 top=5.5", "--step=1e-4 --tol=1e-6")
case("while", "x: f64, y: f64",
     "%2 = const {value = 3.0} : f64  %3, %4 = while %0, %1 {(%5: f64, %6: f64) %7 = lt %5, %2 : bool  yield %7}"
     " {(%8: f64, %9: f64) %10 = add %8, %9 : f64  %11 = mul %9, %9 : f64  %12 = sin %11 : f64  %13 = exp %12 : f64  yield %10, %13} : f64, f64 -> %3:f64, %4:f64",
     "x=0.3 y=0.8", "--step=1e-4 --tol=1e-6")
case("while of tensors", "x: f64[n], k: i64",
     "%2 = const {value = 0} : i64  %20 = const {value = 1} : i64  %3, %4 = while %0, %1 {(%5: f64[n], %6: i64) %7 = gt %6, %2 : bool  yield %7}"
     " {(%8: f64[n], %9: i64) %10 = sin %8 : f64[n]  %11 = mul %10, %8 : f64[n]  %12 = sub %9, %20 : i64  yield %11, %12} : f64[n], i64 -> %3:f64[n]", "k=3")
case("while in for", "x: f64[n]",
     "%2 = dim {d = n} : i64  %3 = const {value = 0} : i64  %4 = const {value = 0.3} : f64  %5 = const {value = 1.0} : f64"
     "  %6 = for %3, %2, %5 {(%7: i64, %8: f64) %9 = index %0, %7 : f64  %10 = while %8 {(%11: f64) %12 = gt %11, %4 : bool  yield %12}"
     " {(%13: f64) %14 = mul %13, %9 : f64  %15 = sin %14 : f64  yield %15} : f64  %16 = add %10, %9 : f64  yield %16} : f64 -> %6:f64",
     "x=0.71,0.61,0.77", "--step=1e-4 --tol=1e-5")
case("if in for", "x: f64[n], s: f64",
     "%2 = dim {d = n} : i64  %3 = const {value = 0} : i64  %5 = const {value = 0.5} : f64  %6 = for %3, %2, %1 {(%7: i64, %8: f64) %9 = index %0, %7 : f64"
     "  %10 = gt %9, %5 : bool  %11 = if %10 { %12 = mul %9, %8 : f64  %13 = sin %12 : f64  yield %13 } { %14 = mul %8, %8 : f64  yield %14 } : f64"
     "  yield %11 } : f64 -> %6:f64", "x=0.3,0.9,0.7")
case("if of tensors", "x: f64[n], c: f64",
     "%2 = const {value = 0.5} : f64  %3 = gt %1, %2 : bool  %4, %5 = if %3 { %6 = mul %0, %0 : f64[n]  yield %6, %1 }"
     " { %7 = sin %0 : f64[n]  yield %7, %2 } : f64[n], f64 -> %4:f64[n], %5:f64")
case("for of for", "w: f64[n, n], x: f64[n]",
     "%2 = dim {d = n} : i64  %3 = const {value = 0} : i64  %4 = for %3, %2, %1 {(%5: i64, %6: f64[n])"
     "  %7 = for %3, %2, %6 {(%8: i64, %9: f64[n]) %10 = index %0, %5, %8 : f64  %11 = index %9, %8 : f64  %12 = mul %10, %11 : f64"
     "  %13 = sin %12 : f64  %14 = update %9, %13, %8 : f64[n]  yield %14} : f64[n]  yield %7} : f64[n] -> %4:f64[n]")
case("triangular loops", "x: f64[n]",
     "%2 = dim {d = n} : i64  %3 = const {value = 1} : i64  %50 = const {value = 0} : i64  %4 = for %50, %2, %0 {(%6: i64, %7: f64[n]) %60 = add %6, %3 : i64"
     "  %8 = for %60, %2, %7 {(%9: i64, %10: f64[n]) %11 = index %10, %6 : f64  %12 = index %10, %9 : f64  %13 = mul %11, %12 : f64  %14 = sin %13 : f64"
     "  %15 = update %10, %14, %9 : f64[n]  yield %15} : f64[n]  yield %8} : f64[n] -> %4:f64[n]")
case("ragged loops", "x: f64[n], ptr: i64[m + 1]",
     "%2 = dim {d = m} : i64  %3 = const {value = 1} : i64  %50 = const {value = 0} : i64  %4 = for %50, %2, %0 {(%6: i64, %7: f64[n]) %60 = add %6, %3 : i64"
     "  %61 = index %1, %6 : i64  %62 = index %1, %60 : i64  %8 = for %61, %62, %7 {(%9: i64, %10: f64[n]) %11 = index %10, %6 : f64  %12 = index %10, %9 : f64"
     "  %13 = mul %11, %12 : f64  %14 = sin %13 : f64  %15 = update %10, %14, %9 : f64[n]  yield %15} : f64[n]  yield %8} : f64[n] -> %4:f64[n]",
     "n=6 m=3 ptr=0,3,4,6", dims="n, m")
case("ragged tensor in a loop", "x: f64[n]",
     "%2 = dim {d = n} : i64  %50 = const {value = 0} : i64  %51 = const {value = 1.0} : f64  %4 = for %50, %2, %51 {(%6: i64, %7: f64)"
     "  %8 = newdim %6 {sym = t} : i64  %9 = map %8 {(%10: i64) %11 = index %0, %10 : f64  %12 = mul %11, %7 : f64  yield %12} : f64[t]"
     "  %13 = sin %9 : f64[t]  %14 = mul %13, %9 : f64[t]  %15 = sum %14 {axes = [0]} : f64  %16 = add %15, %7 : f64  yield %16} : f64 -> %4:f64")
case("withacc accadd", "x: f64[n], y: f64[n], k: i64[n]",
     "%3 = dim {d = n} : i64  %4 = withacc %0 {(%5: acc<f64[n]>) map %3 {(%6: i64) %7 = index %1, %6 : f64  %8 = sin %7 : f64  %9 = index %2, %6 : i64"
     "  accadd %5, %8, %9  yield}  accadd %5, %1  yield} : f64[n]  %10 = mul %4, %4 : f64[n] -> %10:f64[n]", "k=1,0,1")
case("checkpoint", "x: f64[n], s: f64",
     "%2, %3 = checkpoint { %4 = exp %0 : f64[n]  %5 = sin %4 : f64[n]  %6 = sum %5 {axes = [0]} : f64  %7 = mul %6, %1 : f64  yield %5, %7 } : f64[n], f64"
     "  %8 = mul %2, %0 : f64[n] -> %8:f64[n], %3:f64")
for down in ("", ", down = 1"):
    case("for, few states" + down, "x: f64[n], s: f64, k: i64",
         "%3 = const {value = 2} : i64  %4, %5 = for %3, %2, %0, %1 {(%6: i64, %7: f64[n], %8: f64) %9 = sin %7 : f64[n]  %10 = mul %9, %0 : f64[n]"
         "  %11 = sum %10 {axes = [0]} : f64  %12 = cast %6 {to = f64} : f64  %13 = mul %8, %11 : f64  %14 = add %13, %12 : f64  yield %10, %14} {checkpoint = 1" + down + "} : f64[n], f64 -> %4:f64[n], %5:f64",
         "k=7 n=2", "--step=1e-4 --tol=1e-5")
case("while, few states", "x: f64, y: f64",
     "%2 = const {value = 3.0} : f64  %3, %4 = while %0, %1 {(%5: f64, %6: f64) %7 = lt %5, %2 : bool  yield %7}"
     " {(%8: f64, %9: f64) %10 = add %8, %9 : f64  %11 = mul %9, %9 : f64  %12 = sin %11 : f64  %13 = exp %12 : f64  yield %10, %13} {checkpoint = 1} : f64, f64 -> %3:f64, %4:f64",
     "x=-3.3 y=0.8", "--step=1e-4 --tol=1e-5")
case("checkpoint in loops", "x: f64[n], k: i64",
     "%2 = const {value = 0} : i64  %3 = const {value = 3.0} : f64  %4 = for %2, %1, %0 {(%5: i64, %6: f64[n]) %7 = checkpoint { %8 = sin %6 : f64[n]"
     "  %9 = checkpoint { %10 = exp %8 : f64[n]  %11 = mul %10, %0 : f64[n]  yield %11 } : f64[n]  yield %9 } : f64[n]  yield %7 } : f64[n]"
     "  %12 = sum %4 {axes = [0]} : f64  %13 = while %12 {(%14: f64) %15 = lt %14, %3 : bool  yield %15 }"
     "  {(%16: f64) %17 = checkpoint { %18 = exp %16 : f64  %19 = sin %18 : f64  %20 = mul %19, %19 : f64  %21 = add %20, %18 : f64  yield %21 } : f64  yield %17 } : f64 -> %13:f64",
     "k=3 n=2 x=0.1,0.07", "--step=1e-4 --tol=1e-5")
case("checkpoint around a loop, accumulators", "x: f64[n], y: f64[n]",
     "%2 = dim {d = n} : i64  %3 = const {value = 0} : i64  %30 = const {value = 0.0} : f64  %4, %31 = withacc %0 {(%5: acc<f64[n]>) %6 = checkpoint { %7 = for %3, %2, %30 {(%8: i64, %9: f64)"
     "  %10 = index %1, %8 : f64  %11 = add %9, %10 : f64  %12 = sin %11 : f64  accadd %5, %12, %8  yield %12 } : f64  yield %7 } : f64  yield %6 } : f64[n], f64"
     "  %13 = mul %4, %4 : f64[n] -> %13:f64[n], %31:f64")
case("push pop", "x: f64, y: f64[n]",
     "%2 = stack_new : stack<f64, f64[n]>  %3 = sin %0 : f64  %4 = push %2, %3, %1 : stack<f64, f64[n]>  %5 = exp %0 : f64  %6 = mul %1, %1 : f64[n]"
     "  %7 = push %4, %5, %6 : stack<f64, f64[n]>  %8, %9, %10 = pop %7 : stack<f64, f64[n]>, f64, f64[n]  %11, %12, %13 = pop %8 : stack<f64, f64[n]>, f64, f64[n]"
     "  %14 = mul %9, %12 : f64  %15 = mul %10, %13 : f64[n] -> %14:f64, %15:f64[n]")
case("leaf", "x: f64[n]", "%1 = leaf %0 : f64[n]  %2 = sin %1 : f64[n] -> %2:f64[n]")
case("call", "x: f64[n]", "%1 = call %0 {callee = @helper, dims = <n>} : f64[n]  %2 = call %1 {callee = @helper, dims = <n>} : f64[n] -> %2:f64[n]")

HELPER = """func @helper<n>(%0 x: f64[n]) -> (y: f64[n]) {
  %1 = sin %0 : f64[n]
  %2 = mul %1, %0 : f64[n]
  return %2
}
"""
