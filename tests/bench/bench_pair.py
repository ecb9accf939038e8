#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Is this squall-sim slower than another? Both in turn, against the same sink.

    bench_pair.py OLD_BUILD [--rounds N] [--worse PERCENT] [--only REGEX]

OLD_BUILD is the build folder of another tree (`git archive COMMIT | tar x`, make). The figures are
those of bench_sim.py, and what counts is the median of the rounds' ratios. Throughput is taken of
both at the same time, which share a core as their sinks do: what a message costs changes by a fifth
from one second to the next on a virtual machine, however quiet, and one after the other that is what
the ratio would say. Each other figure is taken of the old and the new within seconds of each other.
A row that looks worse is taken some more times. Brackets are the 95 % interval of the median. Exits 1
when one is worse by more than PERCENT (3).
"""
import argparse
import contextlib
import os
import re
import sys
import time
from math import comb
from statistics import median

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bench_sim as b  # noqa: E402

NEW = b.B
SIZES = (100, 1000, 10000)
BINDS = ",".join(f"127.1.0.{i}" for i in range(1, 5))  # older ones take no prefixes


class Sink(b.Sink):
    """Of this tree for both: only the sender differs."""
    def __init__(self, *args, **kw):
        build, b.B = b.B, NEW
        try:
            super().__init__(*args, **kw)
        finally:
            b.B = build


@b.measured
def at_once(builds, conns, start, warm, secs, **kw):
    """{build: (messages, seconds of CPU)} of all builds at once; start(number, port) starts one."""
    sinks, ps, took = {}, {}, []
    try:
        for i, x in enumerate(builds):
            sinks[x] = Sink("--workers", str(-(-conns // 18000)), **kw)
            b.B = x
            ps[x] = start(i, sinks[x].port)
        for x in builds:
            b.until(f"{conns} connections", lambda x=x: sinks[x].snap()["connected"] >= conns, ps[x], 300)
            b.until("messages", lambda x=x: sinks[x].snap()["publishes"] > conns, ps[x])
        time.sleep(warm)
        for pause in (secs, 0):
            took.append({x: (sinks[x].snap(), b.cpu_s(ps[x].pid)) for x in builds})
            time.sleep(pause)
        for x in builds:
            if ps[x].poll() is not None or took[1][x][0]["connected"] < conns:
                sys.exit(f"bench: {x}: lost connections: {took[1][x][0]}")
            b.stop(ps[x], b.signal.SIGKILL)
    finally:
        for x in sinks:
            sinks[x].stop()
        b.B = NEW
    return {x: (took[1][x][0]["publishes"] - took[0][x][0]["publishes"], took[1][x][1] - took[0][x][1])
            for x in builds}


def together(builds, kind, conns, qos):
    """{build: messages per second of CPU time}, as fast as they go."""
    got = at_once(builds, conns, lambda i, port: b.sender(kind, port, conns, qos), 0.3, 2.0)
    return {x: n / cpu for x, (n, cpu) in got.items()}


def paced(builds, n):
    """{build: microseconds of CPU per message}, of 10,000 a second at most."""
    def start(i, port):
        binds = ["--bind", ",".join(f"127.0.{i}.{k}" for k in range(1, 5))] if n > 20000 else []
        return b.sim(port, n, "--interval", f"{max(1, n // 10000)}s", "--jitter", "10%", *binds, ramp="5000/s")
    got = at_once(builds, n, start, 2, 10, spin=False)
    return {x: cpu / m * 1e6 for x, (m, cpu) in got.items()}


def one_more(n, *args, **kw):
    """Bytes; what a process holds before its first device is no device's (as in bench_sim)."""
    return (b.idle(n, *args, **kw)[0] - b.idle(100, *args, **kw)[0]) / (n - 100)


def rows():
    """(name, more is better, every which round, figure, is it one of all builds at once)"""
    for qos in (0, 1):
        for n in SIZES:
            yield f"QoS {qos}, {n} connections", True, 1, lambda builds, q=qos, c=n: together(
                builds, "squall-sim", c, q), True
        yield f"QoS {qos}, 16 per write", True, 1, lambda builds, q=qos: together(
            builds, "squall-sim16", 100, q), True
    yield "connects", True, 1, lambda: b.connects_sim(15000, BINDS), False
    for v in ("1.2", "1.3"):
        yield f"TLS {v}, full handshakes", True, 2, lambda v=v: b.reconnects("full", v, 2), False
        yield f"TLS {v}, resumed", True, 2, lambda v=v: b.reconnects("always", v, 2), False
    for n in (1000, 10000, 50000):
        yield f"CPU per message, {n} devices", False, 2, lambda builds, n=n: paced(builds, n), True
    yield "memory of one more, 50,000 idle", False, 8, lambda: one_more(50000), False
    d = b.certs(5000)
    for v in ("1.2", "1.3"):
        args = b.tls_args(d, "--tls-version", v, "--resume", "full")
        yield f"memory of one more, 5,000 idle, TLS {v}", False, 8, lambda v=v, a=args: one_more(
            5000, *a, sink_args=b.sink_tls(d, v), tls=True, settle=4.0), False


def interval(v):
    """Where the median is with 95 %, by the binomial: the k-th smallest and largest of v."""
    v, below, k = sorted(v), 0.0, 0
    while k < len(v) // 2 and below + comb(len(v), k) / 2 ** len(v) <= 0.025:
        below += comb(len(v), k) / 2 ** len(v)
        k += 1
    k = max(k - 1, 0)
    return v[k], v[-1 - k]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("old")
    ap.add_argument("--rounds", type=int, default=4)
    ap.add_argument("--worse", type=float, default=3.0)
    ap.add_argument("--only", default="", metavar="REGEX", help="rows whose name has it")
    a = ap.parse_args()
    old = os.path.abspath(a.old)
    b.Sink = Sink
    b.certs(5000)
    table = [row for row in rows() if re.search(a.only, row[0])]
    got, began = {row[0]: [] for row in table}, time.monotonic()

    def take(name, figure, at_once):
        v = got[name]
        # Who starts first pays up to 4 % more a message; each is first every other time.
        order = (old, NEW) if len(v) % 2 else (NEW, old)
        if at_once:
            pair = figure(order)
        else:
            pair = {}
            for build in order:
                b.B = build
                pair[build] = figure()
            b.B = NEW
        v.append(pair[NEW] / pair[old])
        print(f"  {time.monotonic() - began:4.0f} s, {name}, {len(v)}: old {pair[old]:.4g}, "
              f"new {pair[NEW]:.4g}, {v[-1]:.3f}", flush=True)

    def worse(name, more):
        r = median(got[name])
        return 100 * (1 - r if more else r - 1)

    for rnd in range(a.rounds):
        for name, _, every, figure, at_once in table:
            if rnd % every == 0:
                take(name, figure, at_once)
    # Single ratios of a row are up to a third apart: who looks worse is looked at closely.
    for name, more, every, figure, at_once in table:
        if worse(name, more) > a.worse:
            for _ in range(6 * a.rounds // every):
                take(name, figure, at_once)
    bad = 0
    for name, more, *_ in table:
        v = got[name]
        is_bad = worse(name, more) > a.worse
        bad += is_bad
        low, high = interval(v)
        print(f"{'not ok' if is_bad else 'ok'} {name}: new / old {median(v):.3f} [{low:.3f}..{high:.3f}], "
              f"{'more' if more else 'less'} is better, {len(v)} rounds")
    print(f"# {time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}")
    return bad != 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    finally:
        for p in list(b.running):
            for pid in reversed(b.tree(p.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, b.signal.SIGKILL)
