"""Times of several implementations that take turns, and their ratios."""
import statistics

import numpy as np


def difference(got, want):
    """The largest error of any array, relative to the largest element of the wanted one."""
    worst = 0.0
    for name, w in want.items():
        g, w = np.asarray(got[name], np.float64), np.asarray(w, np.float64)
        if g.size != w.size or not np.all(np.isfinite(g)):
            return float("inf")
        scale = np.abs(w).max(initial=0) or 1
        worst = max(worst, np.abs(g.reshape(w.shape) - w).max(initial=0) / scale)
    return worst


class Sample:
    """Times of a run, one a round; rounds of several implementations are paired."""

    def __init__(self, times):
        self.times = times
        self.median = statistics.median(times)

    def over(self, other):
        """(median, lower and upper quartile) of the ratios of the rounds."""
        r = sorted(a / b for a, b in zip(self.times, other.times))
        return statistics.median(r), r[len(r) // 4], r[-1 - len(r) // 4]


def take_turns(bound, rounds, seconds, least=1e-3):
    """{name: Sample}. Each round runs each once, or as often as `least` seconds take; `seconds` for all, about."""
    repeats, cost = {}, 0.0
    for name, run in bound.items():
        run.seconds(1)
        one = max(1e-7, run.seconds(1))
        repeats[name] = max(1, min(10000, round(least / one)))
        cost += repeats[name] * one
    rounds = max(5, min(rounds, int(seconds / cost)))
    times = {name: [] for name in bound}
    for _ in range(rounds):
        for name, run in bound.items():
            run.seconds(1)  # what the others left in the caches is theirs
            times[name].append(run.seconds(repeats[name]) / repeats[name])
    return {name: Sample(t) for name, t in times.items()}
