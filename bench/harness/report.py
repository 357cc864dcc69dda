"""Writes what was measured: bench/results.md, and a plot beside it where matplotlib is installed."""
import platform

OTHERS = ("PyTorch", "torch.compile", "JAX")
OURS = ("tdlc -D", "tdlc")


def processor():
    try:
        with open("/proc/cpuinfo") as f:
            return next(line.split(":")[1].strip() for line in f if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def duration(seconds):
    return f"{1e6 * seconds:.1f} us" if seconds < 1e-3 else f"{1e3 * seconds:.2f} ms"


def size(count):
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def ratio(sample, base):
    return "%.2f (%.2f to %.2f)" % sample.over(base) if sample and base else "-"


def verdict(value, limit, most=True):
    """How a ratio stands to what is wanted: at most, or at least, `limit`."""
    missed = value / limit if most else limit / value
    return f"{'at most' if most else 'at least'} {limit:g}: " + ("met" if missed <= 1 else f"missed by {missed:.2f} times")


def best(row, names):
    there = [n for n in names if n in row.samples]
    return min(there, key=lambda n: row.samples[n].median) if there else None


def label(row):
    return f"{row.problem.TITLE}: {row.text()}{' *' if row.drawn else ''}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join(lines + ["| " + " | ".join(r) + " |" for r in rows]) + "\n"


def against_tuned(results):
    rows = []
    for row in results.rows:
        tuned, target = row.samples.get("tuned"), row.problem.TARGET
        cells = [label(row), duration(row.bound), f"{duration(tuned.median)} ({tuned.median / row.bound:.2f})" if tuned else "-"]
        marks = []
        for name, key in (("tdlc", "run time"), ("tdlc -D", "-D")):
            sample = row.samples.get(name)
            cells.append(ratio(sample, tuned))
            if sample and tuned and key in target:
                marks.append(verdict(sample.over(tuned)[0], target[key]))
        rows.append(cells + ["; ".join(marks) or "-"])
    return table(["problem", "bound", "by hand, tuned (of the bound)", "tdlc / tuned", "tdlc -D / tuned", "wanted"], rows)


def against_others(results):
    rows = []
    for row in results.rows:
        ours, other = best(row, OURS), best(row, OTHERS)
        if not ours:
            continue
        mine, marks = row.samples[ours], []
        cells = [label(row), f"{duration(mine.median)} ({ours})"]
        for name in ("scalar", *OTHERS):
            cells.append(ratio(row.samples.get(name), mine))
        if other and "other" in row.problem.TARGET:
            marks.append(f"{other}: " + verdict(row.samples[other].over(mine)[0], row.problem.TARGET["other"], most=False))
        scalar = getattr(row.problem, "target_over_scalar", lambda s: None)(row.size)
        if scalar and "scalar" in row.samples:
            marks.append("scalar: " + verdict(row.samples["scalar"].over(mine)[0], scalar, most=False))
        rows.append(cells + ["; ".join(marks) or "-"])
    return table(["problem", "tdlc", "scalar by hand / tdlc", *(f"{n} / tdlc" for n in OTHERS), "wanted"], rows)


def costs(results):
    rows = []
    for row in results.rows:
        ours = best(row, OURS)
        cells = [label(row)]
        if row.primal and row.operations and ours:
            over = row.samples[ours].over(row.primal)[0]
            cells += [f"{over:.2f}", f"{row.operations:.2f}", verdict(over / row.operations, 1.2)]
        else:
            cells += ["-", "-", "-"]
        cells += [size(row.workspace[n]) if n in row.workspace else "-" for n in ("tdlc", "tuned")]
        rows.append(cells + [f"{1e3 * row.compile_seconds:.0f} ms", verdict(1e3 * row.compile_seconds, 150)])
    return table(["problem", "gradient / value", "operations, likewise", "ratio of the two", "workspace", "by hand", "tdlc compiles in",
                  "wanted"], rows)


def skipped(results):
    lines = sorted({f"- {row.name}: {n} {why}" for row in results.rows for n, why in row.skipped.items()})
    return "\n".join(lines + [f"- **{e.splitlines()[0]}**" for e in results.errors]) or "- nothing"


def plot(results, path):
    """A bar for each implementation over the time of the tuned code; returns the file's name or why there is none."""
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("svg")
    from matplotlib import pyplot
    rows = [r for r in results.rows if "tuned" in r.samples and not r.drawn]
    names = [n for n in ("tdlc -D", "tdlc", *OTHERS, "scalar") if any(n in r.samples for r in rows)]
    figure, axes = pyplot.subplots(figsize=(9, 0.55 * len(rows) + 1.5))
    height = 0.8 / len(names)
    for i, name in enumerate(names):
        there = [(k, r.samples[name].over(r.samples["tuned"])[0]) for k, r in enumerate(rows) if name in r.samples]
        axes.barh([k + i * height for k, _ in there], [v for _, v in there], height, label=name)
    axes.set_yticks([k + 0.4 for k in range(len(rows))], [f"{r.name} {r.text()}" for r in rows], fontsize=7)
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("time / tuned C by hand")
    axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
    return path.name


def write(results, path):
    drawing = plot(results, path.with_suffix(".svg"))
    picture = f"![Time over the tuned code's]({drawing})" if drawing else "No plot: matplotlib is not installed."
    p = results.peaks
    bandwidth = ", ".join(f"{rate / 1e9:.0f} GB/s from {size(limit)}" for limit, rate in p.bytes.items())
    path.write_text(f"""# Results

Written by `bench/run`. {processor()}, one thread; C by {results.compiler}; seed {results.seed} (`bench/run --seed {results.seed}` draws the
same sizes, marked *). Peaks, thousand million a second in f64 and f32: {p.fma / 1e9:.1f} and {p.fma32 / 1e9:.1f} multiply-adds,
{p.exp / 1e9:.2f} and {p.exp32 / 1e9:.2f} exponentials; {bandwidth}.

A time is the median of runs that took turns, processor time; a ratio the median of the rounds' ratios, with the quartiles in brackets.
Every result was compared with the reference first.

## Against C by hand
{against_tuned(results)}
{picture}

## Against others
How many times tdlc's time they take; tdlc with `-D` where that is faster.

{against_others(results)}
## Costs
{costs(results)}
## Left out
{skipped(results)}
""")
    print(f"{path}{' and ' + drawing if drawing else '; no plot: matplotlib is not installed'}")
