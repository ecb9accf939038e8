#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What squall-sim costs, next to what it is compared with, in one run.

    bench_sim.py [--short] [--only SECTION,...] [--rounds N] [--lock FILE] [--json FILE]
                 [--markdown FILE]

All senders publish to tests/sim/sink. A figure is messages (or connects) that
the sink counted in a window, per second of CPU time that the sender's processes
used in that window (all threads, user and system: /proc/PID/task/*/schedstat).
Wall time plays no part, so neighbours on the machine disturb little; what they
do disturb, alternating rounds and the ratio within a round take out. Sender and
sink have a core each, and the sink polls without sleeping (--spin): otherwise
every sender would mostly pay for waking the sink, which hides the differences.

--short takes about a minute and asserts rough ratios only, for CI; the exit
code is 1 when one is missed. The full form reports against the goals.
"""
import argparse
import fcntl
import functools
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from statistics import median

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
B = os.path.join(TOP, os.environ.get("B", "build"))
SIZE = 128
SENDER_CPU, SINK_CPU = "1", "0"
TMP = tempfile.TemporaryDirectory(prefix="squall-bench.")
running = []
patience = 60.0


def start(argv, **kw):
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, **kw)
    running.append(p)
    return p


def stop(p, sig=signal.SIGINT, wait=20):
    if p.poll() is None:
        p.send_signal(sig)
        try:
            p.wait(wait)
        except subprocess.TimeoutExpired:
            for pid in reversed(tree(p.pid)):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            p.wait()
    if p in running:
        running.remove(p)


def tree(pid):
    """pid and all its descendants."""
    pids = [pid]
    try:
        for t in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{t}/children") as f:
                for c in f.read().split():
                    pids += tree(int(c))
    except (FileNotFoundError, ProcessLookupError):
        pass
    return pids


def cpu_s(pid):
    ns = 0
    for p in tree(pid):
        for t in os.listdir(f"/proc/{p}/task"):
            try:
                with open(f"/proc/{p}/task/{t}/schedstat") as f:
                    ns += int(f.read().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                pass
    return ns / 1e9


def pss_bytes(pid):
    """Memory the process tree really holds: shared pages are divided among their users."""
    kib = 0
    for p in tree(pid):
        with open(f"/proc/{p}/smaps_rollup") as f:
            kib += next(int(line.split()[1]) for line in f if line.startswith("Pss:"))
    return kib * 1024


class Sink:
    def __init__(self, *args, spin=True, pin=True):
        cmd = [f"{B}/tests/sim/sink", *args] + (["--spin"] if spin else [])
        if pin:
            cmd = ["taskset", "-c", SINK_CPU] + cmd
        self.p = start(cmd, stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self.p.stdout.readline())["listening"]

    def snap(self):
        self.p.send_signal(signal.SIGUSR1)
        return json.loads(self.p.stdout.readline())

    def stop(self):
        stop(self.p, signal.SIGTERM)
        self.p.stdout.close()


def measured(f):
    """One measurement at a time on this machine, whoever else measures; let go in between.
    A lock that somebody left held delays a measurement by a minute at most in all."""
    @functools.wraps(f)
    def locked(*args, **kw):
        global patience
        with open("/tmp/squall-quiet.lock", "w") as lock:
            while patience > 0:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(0.1)
                    patience -= 0.1
            return f(*args, **kw)
    return locked


def until(what, cond, sender, limit=120):
    end = time.monotonic() + limit
    while not cond():
        if sender.poll() is not None:
            log = getattr(sender, "log", None)
            sys.exit(f"bench: {sender.args}: ended with {sender.returncode} before {what}: "
                     + (open(log).read()[-2000:] if log else ""))
        if time.monotonic() > end:
            sys.exit(f"bench: {sender.args}: no {what} within {limit} s")
        time.sleep(0.05)


def sim(port, devices, *args, tls=False, pin=True, ramp="1000000/s", threads=1):
    log = os.path.join(TMP.name, f"sim-{time.monotonic_ns()}.log")
    cmd = [f"{B}/bin/squall-sim", "run", "--broker",
           f"{'mqtts' if tls else 'mqtt'}://127.0.0.1:{port}",
           "--devices", str(devices), "--ramp", ramp, "--threads", str(threads),
           "--thing", "thing-{index}", "--first", "1", "--topic", "dt/{thing}/telemetry",
           "--payload", str(SIZE), "--duration", "600s", *args]
    if pin:
        cmd = ["taskset", "-c", SENDER_CPU] + cmd
    with open(log, "w") as f:
        p = start(cmd, stdout=f, stderr=subprocess.STDOUT)
    p.log = log
    return p


def sender(kind, port, conns, qos):
    """One of the programs compared, publishing as fast as it can."""
    pin = ["taskset", "-c", SENDER_CPU]
    quiet = dict(stdout=subprocess.DEVNULL)
    if kind.startswith("bare"):
        batch = {"bare": "1x8", "bare16": "16x8", "bare-turn1": "1x1"}[kind]
        return start(pin + [f"{B}/tests/bench/bare", "127.0.0.1", str(port), str(conns), str(qos),
                            batch, str(SIZE), "600"], **quiet)
    if kind == "libmosquitto":
        return start(pin + [f"{B}/tests/bench/peer_mosq", "127.0.0.1", str(port), str(conns),
                            str(qos), str(SIZE), "600"], **quiet)
    if kind == "locust":
        env = dict(os.environ, SINK_PORT=str(port), QOS=str(qos), SIZE=str(SIZE))
        return start(pin + ["locust", "-f", f"{TOP}/tests/bench/locustfile.py", "--headless",
                            "-u", str(conns), "-r", str(conns), "--only-summary"],
                     env=env, stderr=subprocess.DEVNULL, **quiet)
    n = "16" if kind == "squall-sim16" else "1"
    return sim(port, conns, "--interval", "0", "--qos", str(qos), "--batch", n,
               *(["--inflight", n] if qos else []))


@measured
def throughput(kind, conns, qos, warm, secs):
    sink = Sink()
    try:
        p = sender(kind, sink.port, conns, qos)
        until(f"{conns} connections", lambda: sink.snap()["connected"] >= conns, p)
        until("messages", lambda: sink.snap()["publishes"] > conns, p)
        time.sleep(warm)
        a, ca = sink.snap(), cpu_s(p.pid)
        time.sleep(secs)
        b, cb = sink.snap(), cpu_s(p.pid)
        if p.poll() is not None or b["connected"] < conns:
            sys.exit(f"bench: {kind} lost connections: {b}")
        stop(p, signal.SIGKILL if kind == "locust" else signal.SIGINT)
    finally:
        sink.stop()
    return (b["publishes"] - a["publishes"]) / (cb - ca)


def spread(v):
    return {"min": min(v), "median": median(v), "max": max(v)}


def section_throughput(r, short):
    conns_all = [100] if short else [100, 1000, 10000]
    rounds = r["rounds"]
    warm, secs = (0.2, 1.0) if short else (0.3, 1.5)
    cells = []
    for qos in (0, 1):
        for conns in conns_all:
            kinds = ["bare", "squall-sim"]
            if conns <= 1000:
                kinds.append("libmosquitto")
            if not qos and not short:
                kinds.append("bare-turn1")
            if conns == 100 and not (short and qos):
                kinds += ["bare16", "squall-sim16", "locust"]
            cells.append((qos, conns, kinds))
    out = {}
    for rnd in range(rounds):
        for qos, conns, kinds in cells:
            for kind in kinds:
                if kind == "locust" and short and rnd:
                    continue
                v = throughput(kind, conns, qos, *(
                    (1.0, 2.0 if short else 4.0) if kind == "locust" else (warm, secs)))
                out.setdefault((qos, conns, kind), []).append(v)
                print(f"  round {rnd + 1} QoS {qos} {conns:6d} {kind}: {v:.0f}", flush=True)
    r["throughput"] = [{"qos": q, "connections": c, "sender": k, "per_cpu_s": spread(v)}
                       for (q, c, k), v in sorted(out.items())]

    def ratio(name, asked, slack, top, bottom):
        a, b = out.get(top), out.get(bottom)
        if a and b:
            n = min(len(a), len(b))
            goal(r, name, spread([x / y for x, y in zip(a[:n], b[:n])]), ">=", asked, slack)

    for q in (0, 1):
        for c in (100, 1000):
            ratio(f"QoS {q}, {c} connections: squall-sim / bare loop", 0.95, 0.6,
                  (q, c, "squall-sim"), (q, c, "bare"))
        ratio(f"QoS {q}, 16 per write: squall-sim / bare loop", 0.92, 0.4,
              (q, 100, "squall-sim16"), (q, 100, "bare16"))
        ratio(f"QoS {q}: squall-sim at 10,000 connections / at 100", 0.8, 0.5,
              (q, 10000, "squall-sim"), (q, 100, "squall-sim"))
        ratio(f"for comparison, QoS {q}: the bare loop at 10,000 connections / at 100", None, None,
              (q, 10000, "bare"), (q, 100, "bare"))
        for c in (100, 1000):
            ratio(f"QoS {q}, {c} connections: squall-sim / libmosquitto", 1.4, 1.0,
                  (q, c, "squall-sim"), (q, c, "libmosquitto"))
        # locustfile.py has up to 20 messages under way per device, as squall-sim16 has 16.
        ratio(f"QoS {q}, 16 under way: squall-sim / Locust with paho-python", 20, 5,
              (q, 100, "squall-sim16"), (q, 100, "locust"))
        ratio(f"QoS {q}, one per write: squall-sim / Locust with paho-python", 20, 3,
              (q, 100, "squall-sim"), (q, 100, "locust"))
        ratio(f"for comparison, QoS {q}, one per write: the bare loop / Locust with paho-python",
              None, None, (q, 100, "bare"), (q, 100, "locust"))


def goal(r, name, value, op, asked, slack, unit=""):
    """asked None: a figure to compare with, of which nothing is asked."""
    if asked is None:
        r["goals"].append({"name": name, "value": value, "op": "", "asked": None, "met": None,
                           "rough": True, "slack": None, "unit": unit})
        print(f"         {name}: {value['median']:.3g}{unit}", flush=True)
        return
    met = value["median"] >= asked if op == ">=" else value["median"] <= asked
    rough = value["median"] >= slack if op == ">=" else value["median"] <= slack
    r["goals"].append({"name": name, "value": value, "op": op, "asked": asked, "met": met,
                       "rough": rough, "slack": slack, "unit": unit})
    print(f"  {'met   ' if met else 'MISSED'} {name}: {value['median']:.3g}{unit} "
          f"[{value['min']:.3g}..{value['max']:.3g}], asked {op} {asked}{unit}", flush=True)


@measured
def idle(n, *args, sink_args=(), tls=False, settle=2.0, before=None):
    """Memory of squall-sim with n idle connections, and its CPU while idle."""
    sink = Sink("--workers", str(max(1, -(-n // 12000))), *sink_args, spin=False, pin=False)
    try:
        binds = ["--bind", ",".join(f"127.0.0.{i}" for i in range(1, 5))] if n > 20000 else []
        p = sim(sink.port, n, "--interval", "1h", "--jitter", "0%", "--keepalive", "1200", *binds,
                *args, tls=tls, pin=False, ramp="8000/s")
        until(f"{n} connections", lambda: sink.snap()["connected"] >= n, p, 300)
        if before:
            before(p, sink)
        time.sleep(settle)
        m, procs = pss_bytes(p.pid), len(tree(p.pid))
        if sink.snap()["connected"] < n:
            sys.exit(f"bench: connections lost while idle: {sink.snap()}")
        stop(p)
        return m, procs
    finally:
        sink.stop()


def section_memory(r, short):
    small, big = (100, 5000) if short else (100, 50000)
    a, _ = idle(small)
    b, procs = idle(big)
    each = (b - a) / (big - small) / 1024
    r["memory"] = {"connections": big, "processes": procs, "pss_small": a, "pss_big": b,
                   "kib_each": each, "kib_each_all_in": b / big / 1024}
    v = spread([each])
    goal(r, f"idle TCP connection, {big} of them", v, "<=", 1.5, 3.0, " KiB")


def certs(n):
    d = os.path.join(TMP.name, "certs")
    if not os.path.isdir(d):
        os.mkdir(d)
        subprocess.run([f"{B}/tests/sim/mkcerts", d, str(n), "thing-%d"], check=True)
    return d


def tls_args(d, *more):
    return ("--ca", f"{d}/ca.pem", "--cert", d + "/{thing}.pem", "--key", d + "/{thing}.key", *more)


def sink_tls(d, version, *more):
    return ("--cert", f"{d}/server.pem", "--key", f"{d}/server.key", "--cafile", f"{d}/ca.pem",
            "--tls", version, *more)


def section_tls(r, short):
    d = certs(5000)
    n, small = (1000, 50) if short else (5000, 50)
    r["tls_memory"] = []
    cases = [("1.3", False), ("1.2", False), ("1.2", True)]
    for version, resumed in cases[:2] if short else cases:
        args = tls_args(d, "--tls-version", version, "--resume", "always" if resumed else "full")

        def reconnect(p, sink):
            # The storms go on: wait for one after which all are back and have resumed.
            until("all resumed", lambda: sink.snap()["connected"] >= n
                  and sink.snap()["tls_resumed"] >= n, p, 300)

        a, _ = idle(small, *args, sink_args=sink_tls(d, version), tls=True)
        if resumed:
            storms = [x for t in range(30, 330, 30) for x in ("--storm", f"{t}s")]
            # Freed memory goes back a second after the last handshake.
            b, _ = idle(n, *args, *storms, "--backoff", "100ms..1s",
                        sink_args=sink_tls(d, version), tls=True, settle=6.0, before=reconnect)
        else:
            b, _ = idle(n, *args, sink_args=sink_tls(d, version), tls=True, settle=4.0)
        each = (b - a) / (n - small) / 1024
        name = f"TLS {version}{', resumed' if resumed else ''}, a certificate per device"
        r["tls_memory"].append({"name": name, "connections": n, "kib_each": each})
        goal(r, f"idle connection, {name}, {n} of them", spread([each]), "<=",
             12 if resumed else 30, 20 if resumed else 45, " KiB")


@measured
def reconnects(resume, version, secs):
    d = certs(5000)
    sink = Sink(*sink_tls(d, version))
    try:
        p = sim(sink.port, 200, *tls_args(d, "--tls-version", version, "--resume", resume),
                "--interval", "1h", "--churn", "100000/s", "--backoff", "1ms..1ms", tls=True)
        until("connections", lambda: sink.snap()["connects"] > 400, p)
        a, ca = sink.snap(), cpu_s(p.pid)
        time.sleep(secs)
        b, cb = sink.snap(), cpu_s(p.pid)
        stop(p)
    finally:
        sink.stop()
    if resume == "full" and b["tls_resumed"] > 0:
        sys.exit("bench: --resume full resumed sessions")
    return (b["connects"] - a["connects"]) / (cb - ca)


@measured
def resumes_bare(times):
    """What OpenSSL itself allows: a bare program's, with as many connections under way."""
    d = certs(5000)
    sink = Sink(*sink_tls(d, "1.3"))
    try:
        out = subprocess.run(["taskset", "-c", SENDER_CPU, f"{B}/tests/bench/bare_tls", "127.0.0.1",
                              str(sink.port), d, "thing-1", "200", str(times)],
                             stdout=subprocess.PIPE, check=True).stdout
    finally:
        sink.stop()
    return json.loads(out)["per_cpu_s"]


def section_resume(r, short):
    r["reconnects"] = []
    for version in ("1.2",) if short else ("1.2", "1.3"):
        full, res, bare = [], [], []
        for _ in range(1 if short else r["rounds"]):
            full.append(reconnects("full", version, 1.5 if short else 3))
            res.append(reconnects("always", version, 1.5 if short else 3))
            if version == "1.3":
                bare.append(resumes_bare(10000))
        r["reconnects"].append({"tls": version, "full_per_cpu_s": spread(full),
                                "resumed_per_cpu_s": spread(res),
                                "bare_per_cpu_s": spread(bare) if bare else None})
        goal(r, f"TLS {version} reconnects, resumed / full",
             spread([x / y for x, y in zip(res, full)]), ">=", 3, 1.5)
        if bare:
            goal(r, "TLS 1.3 resumptions: squall-sim / a bare program with the same OpenSSL",
                 spread([x / y for x, y in zip(res, bare)]), ">=", 0.85, 0.6)


def workers(n):
    """The sink may have as many descriptors in a process as most shells give it."""
    return "--workers", str(max(1, -(-n // 18000)))


@measured
def connects(n, begin):
    """n per CPU-second, by the processes that begin(port, n) starts; what as many use that connect
    once is taken off. A thousand take a fiftieth of a second, a start half of that: ten times, in
    turn with starts alone."""
    sink, used, ps = Sink(*workers(n), spin=False), 0, []
    times = 10 if n < 10000 else 1
    try:
        for _ in range(times):
            cpu = []
            for m in (1, n):
                ps = begin(sink.port, m)
                until(f"{m} connections", lambda m=m: sink.snap()["connected"] >= m, ps[-1], 300)
                time.sleep(0.5)
                cpu.append(sum(cpu_s(p.pid) for p in ps))
                for p in ps:
                    stop(p)
                while sink.snap()["connected"]:
                    time.sleep(0.01)
            used += cpu[1] - cpu[0] * len(ps)
    finally:
        for p in ps:
            stop(p)
        sink.stop()
    return times * n / used


def connects_bare(n):
    """By processes of 10,000, each from an address of its own: past 14,000 from one, the kernel's
    search for a free port is what one would measure."""
    return connects(n, lambda port, m: [
        start(["taskset", "-c", SENDER_CPU, f"{B}/tests/bench/bare", "127.0.0.1", str(port),
               str(min(10000, m - 10000 * i)), "hold", "1", str(SIZE), "600", f"127.1.{i}.1"])
        for i in range(-(-m // 10000))])


def connects_sim(n, bind="127.1.0.0/25"):
    return connects(n, lambda port, m: [sim(port, m, "--interval", "1h", "--bind", bind,
                                            "--connect-timeout", "60s")])


def section_connect(r, short, sizes=(1000, 15000, 100000)):
    r["connect"] = r.get("connect", [])
    for n in (5000,) if short else sizes:
        times = 1 if short else r["rounds"]
        bare, ours = [], []
        for i in range(times):
            for which in (connects_bare, connects_sim)[::-1 if i % 2 else 1]:
                (bare if which is connects_bare else ours).append(which(n))
        r["connect"].append({"connections": n, "bare_per_cpu_s": spread(bare),
                             "sim_per_cpu_s": spread(ours)})
        goal(r, f"{n:,} connects: squall-sim / bare connect loop",
             spread([x / y for x, y in zip(ours, bare)]), ">=", 0.95, 0.4)


def section_million(r, short):
    """By name only: it takes 8 GiB and six minutes a round."""
    section_connect(r, False, (1000000,))


@measured
def cpu_each(n, secs):
    # One core for the devices whatever their number, and a sink that never sleeps: waking
    # it would be paid by the sender, and only by one that sends seldom.
    sink = Sink("--workers", str(max(1, -(-n // 18000))))
    try:
        binds = ["--bind", ",".join(f"127.0.0.{i}" for i in range(1, 5))] if n > 20000 else []
        p = sim(sink.port, n, "--interval", "1s", "--jitter", "10%", *binds, ramp="5000/s")
        until(f"{n} connections", lambda: sink.snap()["connected"] >= n, p, 300)
        time.sleep(2)
        a, ca = sink.snap(), cpu_s(p.pid)
        time.sleep(secs)
        b, cb = sink.snap(), cpu_s(p.pid)
        rate = (b["publishes"] - a["publishes"]) / ((b["t_ns"] - a["t_ns"]) / 1e9)
        stop(p)
    finally:
        sink.stop()
    if not 0.95 * n <= rate <= 1.05 * n:
        print(f"  note: {n} devices sent {rate:.0f} messages/s")
    return (cb - ca) / secs / n * 1e6, rate


def section_scale(r, short):
    sizes = (1000, 5000) if short else (1000, 10000, 50000)
    us, rates = {n: [] for n in sizes}, {}
    for rnd in range(1 if short else r["rounds"]):
        for n in sizes:
            each, rates[n] = cpu_each(n, 2 if short else 6)
            us[n].append(each)
            print(f"  round {rnd + 1} {n} devices: {each:.1f} us of CPU per device and second, "
                  f"{rates[n]:.0f} messages/s", flush=True)
    r["scale"] = [{"devices": n, "us_cpu_per_device_s": median(us[n]), "messages_per_s": rates[n]}
                  for n in sizes]
    for n in sizes[1:]:
        v = spread([x / y for x, y in zip(us[n], us[1000])])
        goal(r, f"CPU per device, {n} / 1000 devices", v, "<=", 1.2, 2.0)
        if not short:
            goal(r, f"CPU per device, {n} / 1000 devices", v, ">=", 0.8, 0.2)


SECTIONS = {"throughput": section_throughput, "memory": section_memory,
            "resume": section_resume, "connect": section_connect, "scale": section_scale,
            "tls": section_tls, "million": section_million}


def cpu_model():
    with open("/proc/cpuinfo") as f:
        return next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")),
                    platform.machine())


def num(x):
    return f"{x:,.0f}" if abs(x) >= 100 else f"{x:.3g}"


def markdown(r):
    o = ["# Benchmark of squall-sim", "",
         "Written by `make bench-sim-docs`; do not edit. How each figure is taken stands at the",
         "top of `tests/bench/bench_sim.py`; ratios are taken within a round, and median, minimum",
         "and maximum are over the rounds. A goal is met when its median meets it.", "",
         f"Machine: {r['machine']['cpu']}, {r['machine']['cores']} cores, "
         f"Linux {r['machine']['kernel']}. Squall {r['version']}. {r['rounds']} rounds; load "
         f"average of the machine at most {r['load']:.1f} when a section began.", "",
         "What it means for you: the load generator is not what your test will wait for. One core sends",
         "some hundred thousand messages a second, nearly what a loop of bare system calls does, and a device",
         "at one message a second costs 20 millionths of a core; so your broker is at its limit first. Whether",
         "that holds on your machine, [sizing.md](sizing.md) says with four numbers of this page. A goal that",
         "was missed is a promise of ours not kept; it makes no figure of a run wrong.",
         "", "## Goals", "", "| what | median | min | max | asked | |", "|---|--:|--:|--:|--:|---|"]
    for g in r["goals"]:
        v = g["value"]
        o.append(f"| {g['name']} | {num(v['median'])}{g['unit']} | {num(v['min'])} | "
                 f"{num(v['max'])} | " + ("for comparison | |" if g["asked"] is None else
                 f"{g['op']} {g['asked']}{g['unit']} | {'met' if g['met'] else '**missed**'} |"))
    if r["failed"]:
        o += ["", "Sections that did not finish: " + ", ".join(r["failed"]) + "."]
    if "throughput" in r:
        o += ["", "## Messages per CPU-second of the sender", "",
              f"{SIZE}-byte payloads; as fast as the sender can. `bare` is a loop of one `write()`",
              "per message (QoS 1: with the PUBACK read), `16` are sixteen messages per `write()`.",
              "At QoS 0 `bare`, like squall-sim, writes eight times to a connection before it goes",
              "on to the next; `bare-turn1` once, and shows what the kernel's part of a connection",
              "costs to fetch from memory.",
              "What is ours of a message, by profile, at QoS 1 and 16 per write: some 28 ns beside 250 of",
              "the bare loop. An eighth of it copies the message, three tenths find it an identifier and a",
              "place in the window, a sixth takes its PUBACK; the rest is the turn, the write, and counting.",
              "At one message per write the kernel has 95 % of the CPU at QoS 0 and 93 % at QoS 1, by profile, and",
              "what squall-sim spends on a write, libc included, is some 150 ns: the limit of those rows.",
              "", "| QoS | connections | sender | median | min | max |", "|--:|--:|---|--:|--:|--:|"]
        for t in r["throughput"]:
            v = t["per_cpu_s"]
            o.append(f"| {t['qos']} | {t['connections']:,} | {t['sender']} | {num(v['median'])} | "
                     f"{num(v['min'])} | {num(v['max'])} |")
    if "memory" in r:
        m = r["memory"]
        o += ["", "## Memory", "",
              f"{m['connections']:,} idle TCP connections, from one command in {m['processes']} "
              f"processes: {m['pss_big'] / 1048576:.1f} MiB in all (PSS of all processes), "
              f"{m['kib_each']:.2f} KiB for each further connection, {m['kib_each_all_in']:.2f} KiB "
              "with everything divided among them. The kernel's own memory is not counted."]
    if "tls_memory" in r:
        o += ["", "| idle TLS connections | number | KiB each |", "|---|--:|--:|"]
        o += [f"| {t['name']} | {t['connections']:,} | {t['kib_each']:.1f} |"
              for t in r["tls_memory"]]
    if "reconnects" in r:
        o += ["", "## Reconnects per CPU-second, with mutual TLS", "",
              "The bare program does nothing but connect with OpenSSL as it comes, resume, send CONNECT",
              "and read CONNACK: what OpenSSL allows at most.", "",
              "| TLS | full handshakes | resumed | resumed by the bare program |",
              "|---|--:|--:|--:|"]
        o += [f"| {t['tls']} | {num(t['full_per_cpu_s']['median'])} | "
              f"{num(t['resumed_per_cpu_s']['median'])} | "
              f"{num(t['bare_per_cpu_s']['median']) if t.get('bare_per_cpu_s') else '-'} |"
              for t in r["reconnects"]]
    if "connect" in r:
        o += ["", "## Connects", "", "TCP connects with CONNECT and CONNACK, per CPU-second.", "",
              "| connects | squall-sim | bare loop |", "|--:|--:|--:|"]
        o += [f"| {c['connections']:,} | {num(c['sim_per_cpu_s']['median'])} | "
              f"{num(c['bare_per_cpu_s']['median'])} |" for c in r["connect"]]
    if "scale" in r:
        o += ["", "## CPU per device", "", "One message per second and device, QoS 0.", "",
              "| devices | µs of CPU per device and second | messages/s |", "|--:|--:|--:|"]
        o += [f"| {s['devices']:,} | {s['us_cpu_per_device_s']:.1f} | {num(s['messages_per_s'])} |"
              for s in r["scale"]]
    return "\n".join(o) + "\n"


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--short", action="store_true")
    ap.add_argument("--only", default=",".join(s for s in SECTIONS if s != "million"))
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--lock",
                    help="hold a lock on this file, and let go between sections every few minutes")
    ap.add_argument("--json")
    ap.add_argument("--markdown")
    a = ap.parse_args()
    for s in a.only.split(","):
        if s not in SECTIONS:
            sys.exit(f"bench: --only {s}: one of {' '.join(SECTIONS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # A background job of a script is born deaf to it, and so were all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    version = subprocess.run([f"{B}/bin/squall-sim", "--version"], capture_output=True,
                             text=True).stdout.split()
    r = {"machine": {"cpu": cpu_model(), "cores": os.cpu_count(), "kernel": platform.release()},
         "version": version[-1] if version else "?", "short": a.short, "rounds": a.rounds,
         "load": os.getloadavg()[0], "goals": [], "failed": []}
    lock, since = open(a.lock, "w") if a.lock else None, 0
    try:
        for s in a.only.split(","):
            print(f"{s}:", flush=True)
            try:
                if lock and not since:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    since = time.monotonic()
                r["load"] = max(r["load"], os.getloadavg()[0])
                SECTIONS[s](r, a.short)
                if lock and time.monotonic() - since > 100:
                    fcntl.flock(lock, fcntl.LOCK_UN)
                    since = 0
            except SystemExit as e:
                # The other sections' figures are worth having all the same.
                print(e, file=sys.stderr)
                r["failed"].append(s)
                if a.short or e.code == 1:
                    raise
            if a.json:
                with open(a.json, "w") as f:
                    json.dump(r, f, indent=1)
            if a.markdown:
                with open(a.markdown, "w") as f:
                    f.write(markdown(r))
    finally:
        for p in list(running):
            stop(p, signal.SIGKILL)
    if a.short:
        for g in r["goals"]:
            print(f"{'ok' if g['rough'] else 'not ok'} {g['name']}: {g['value']['median']:.3g}"
                  f"{g['unit']}, at least not beyond {g['slack']}{g['unit']}")
        sys.exit(0 if all(g["rough"] for g in r["goals"]) else 1)
    sys.exit(1 if r["failed"] else 0)


if __name__ == "__main__":
    main()
