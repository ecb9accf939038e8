#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A squall-sim worker next to Locust with paho-python: same fleet, same CPU.

    bench_locust.py [--rounds N] [--short] [--only FLEET,...] [--qos N] [--json FILE]

Each fleet runs twice against tests/sim/sink: as Locust users in Locust's own
process (Debian's Python workers cannot join Debian's master, so Locust runs alone,
and so pays for no messages to a master), and as users that a real Locust master
gives to one squall-sim worker. Both have the same core to themselves, the sink has
the other. A third sender is tests/bench/bare, a loop of the same system calls and nothing
else: what it does not reach, no client reaches that puts one message into a write()
(deep: 20). The figure is messages that the sink counted per second of CPU time that
the Locust process, or the worker with all its threads, used meanwhile. The master's
own CPU is shown, not counted: one master serves many workers.

fleets:  paced   what the users of such tests write (tests/bench/locust_seed.py):
                 every device publishes once a second and receives its own message.
                 The worker has 20 times the devices: what a core carries is asked,
                 and with few the fixed costs of a process are all that is seen
         ack     publish, wait for the PUBACK, at once the next: QoS 1, full speed
         deep    the same with up to 20 messages under way per device, written to be
                 as fast as Locust with paho goes (tests/bench/locustfile.py)
The issue asks for 20 times.
"""
import argparse
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bench_sim as bs  # noqa: E402

LOCUST = ["/usr/bin/python3", "-m", "locust"]
HERE = os.path.dirname(os.path.abspath(__file__))
PIN = ["taskset", "-c", bs.SENDER_CPU]
# name, QoS, devices under Locust, devices of the worker, seconds measured
FLEETS = [("paced", 0, 300, 6000, 8.0), ("paced", 1, 300, 6000, 8.0), ("ack", 1, 100, 100, 4.0),
          ("deep", 0, 100, 100, 4.0), ("deep", 1, 100, 100, 4.0)]
# What the seed's JSON takes.
PAYLOAD = '{"message":"' + "Hello World " * 8 + '","mark":"{{mark}}"}'


def peer(sink, kind, qos, users):
    env = dict(os.environ, SINK_PORT=str(sink.port), QOS=str(qos), SIZE=str(bs.SIZE),
               WAIT="1" if kind == "paced" else "0", MODE="receive" if kind == "paced" else "ack")
    f = "locustfile.py" if kind == "deep" else "locust_seed.py"
    log = open(os.path.join(bs.TMP.name, "peer.log"), "w")
    p = bs.start(PIN + LOCUST + ["-f", f"{HERE}/{f}", "--headless", "-u", str(users), "-r",
                                 str(min(users, 100)), "--only-summary"],
                 env=env, stdout=log, stderr=log)
    p.log = log.name
    return p, None


def worker(sink, kind, qos, users):
    """A real master without load of its own, on the sink's core, and our worker."""
    d = bs.TMP.name
    port = str(20000 + os.getpid() % 5000 + int(time.monotonic()) % 5000)
    with open(f"{d}/fleet.yaml", "w") as f:
        f.write(f"broker: mqtt://127.0.0.1:{sink.port}\nqos: {qos}\nthing: 'thing-{{index}}'\n"
                "topic: 'dt/{thing}/telemetry'\nkeepalive: 120\n"
                "bind: '127.0.0.1,127.0.0.2,127.0.0.3'\n")
        if kind == "paced":
            f.write(f"interval: 1s\nsubscribe: 'dt/{{thing}}/telemetry'\nsub-qos: {qos}\n"
                    f"e2e: true\npayload: '{PAYLOAD}'\n")
        else:
            depth = 1 if kind == "ack" else 20
            f.write(f"interval: 0\nburst: {depth}\nbatch: {depth}\ninflight: {depth}\n"
                    f"payload: '{bs.SIZE}'\n")
        f.write("types: [{name: device}]\n")
    bs.subprocess.run([f"{bs.B}/bin/squall-sim", "locustfile", "--fleet", f"{d}/fleet.yaml",
                       "--output", f"{d}/master.py"], check=True)
    log = open(f"{d}/master.log", "w")
    master = bs.start(["taskset", "-c", bs.SINK_CPU] + LOCUST + [
        "-f", f"{d}/master.py", "--master", "--master-bind-host", "127.0.0.1",
        "--master-bind-port", port, "--headless", "--expect-workers", "1", "-u", str(users),
        "-r", "3000", "--only-summary"], stdout=log, stderr=log)
    wlog = open(f"{d}/worker.log", "w")
    p = bs.start(PIN + [f"{bs.B}/bin/squall-sim", "worker", "--fleet", f"{d}/fleet.yaml",
                        "--master-port", port, "--shards", "1", "--max-devices", str(users)], stdout=wlog, stderr=wlog)
    p.log = wlog.name
    return p, master


def bare(sink, kind, qos, users):
    """As many connections as the worker has, one source address: at most 14,000."""
    how = {"paced": [f"paced{qos}", "8"], "ack": [str(qos), "1"], "deep": [str(qos), "20"]}[kind]
    p = bs.start(PIN + [f"{bs.B}/tests/bench/bare", "127.0.0.1", str(sink.port), str(users), *how,
                        str(len(PAYLOAD) if kind == "paced" else bs.SIZE), "600"])
    return p, None


@bs.measured
def per_cpu(how, kind, qos, users, secs):
    sink = bs.Sink()
    try:
        p, master = how(sink, kind, qos, users)
        bs.until(f"{users} connections", lambda: sink.snap()["connected"] >= users, p)
        bs.until("messages", lambda: sink.snap()["publishes"] > users, p)
        time.sleep(1.5)
        a, ca = sink.snap(), bs.cpu_s(p.pid)
        ma = bs.cpu_s(master.pid) if master else 0
        time.sleep(secs)
        b, cb = sink.snap(), bs.cpu_s(p.pid)
        mb = bs.cpu_s(master.pid) if master else 0
        if p.poll() is not None or b["connected"] < users:
            sys.exit(f"bench: lost connections: {b}")
        bs.stop(p, bs.signal.SIGKILL)
        if master:
            bs.stop(master, bs.signal.SIGKILL)
    finally:
        sink.stop()
    s = (b["t_ns"] - a["t_ns"]) / 1e9
    return {"per_cpu_s": (b["publishes"] - a["publishes"]) / (cb - ca), "cores": (cb - ca) / s,
            "messages_per_s": (b["publishes"] - a["publishes"]) / s, "master_cores": (mb - ma) / s}


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--short", action="store_true")
    ap.add_argument("--only")
    ap.add_argument("--qos", type=int)
    ap.add_argument("--json")
    a = ap.parse_args()
    out = []
    try:
        for kind, qos, users, ours_n, secs in FLEETS:
            if (a.only and kind not in a.only.split(",")) or a.qos not in (None, qos):
                continue
            ratios, limits, rows = [], [], []
            for _ in range(1 if a.short else a.rounds):
                theirs = per_cpu(peer, kind, qos, users, secs)
                ours = per_cpu(worker, kind, qos, ours_n, secs)
                ratios.append(ours["per_cpu_s"] / theirs["per_cpu_s"])
                least = per_cpu(bare, kind, qos, ours_n, secs)
                limits.append(least["per_cpu_s"] / theirs["per_cpu_s"])
                rows.append({"locust": theirs, "worker": ours, "bare": least})
            v, limit = bs.spread(ratios), bs.spread(limits)
            last = rows[-1]
            print(f"{kind}, QoS {qos}, {ours_n} / {users} devices: worker / Locust {v['median']:.1f} "
                  f"[{v['min']:.1f}..{v['max']:.1f}], asked >= 20; "
                  f"bare loop / Locust {limit['median']:.1f} [{limit['min']:.1f}..{limit['max']:.1f}]; per second of CPU "
                  f"{last['worker']['per_cpu_s']:,.0f} / {last['locust']['per_cpu_s']:,.0f} messages; "
                  f"rates {last['worker']['messages_per_s']:,.0f} / "
                  f"{last['locust']['messages_per_s']:,.0f} a second; "
                  f"master {last['worker']['master_cores'] * 100:.1f} % of a core", flush=True)
            out.append({"fleet": kind, "qos": qos, "devices": users, "worker_devices": ours_n, "ratio": v, "bare_ratio": limit, "rounds": rows})
    finally:
        for p in list(bs.running):
            bs.stop(p, bs.signal.SIGKILL)
    if a.json:
        with open(a.json, "w") as f:
            json.dump(out, f, indent=1)


if __name__ == "__main__":
    main()
