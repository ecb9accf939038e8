#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Watches a big ramp: ramp.py UI-URL USERS RATE SINK-PID SINK-OUTPUT MASTER-PID WORKER-PID

Starts the swarm through Locust's web UI, samples the broker's connections and
the users that Locust counts until both are at USERS, holds for five seconds, and
prints one JSON object: how long the ramp took, how far behind the asked line the
connections ever were (in seconds of the ramp), the CPU that master and worker
used, and which states Locust saw its worker in.
"""
import json
import os
import re
import signal
import sys
import time
import urllib.parse
import urllib.request

url, users, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
sink, out, master, worker = int(sys.argv[4]), sys.argv[5], int(sys.argv[6]), int(sys.argv[7])
TICK = os.sysconf("SC_CLK_TCK")


def get(path):
    with urllib.request.urlopen(url + path, timeout=20) as r:
        return r.read().decode()


def tree(pid):
    pids = [pid]
    for t in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{t}/children") as f:
            pids += [int(c) for c in f.read().split()]
    return pids


def cpu(pid):
    s = 0
    for p in tree(pid):
        with open(f"/proc/{p}/stat") as f:
            v = f.read().rsplit(")", 1)[1].split()
        s += int(v[11]) + int(v[12])
    return s / TICK


log = open(out)
log.seek(0, os.SEEK_END)


def held():
    os.kill(sink, signal.SIGUSR1)
    line = ""
    end = time.monotonic() + 30
    while not line.endswith("\n"):
        line += log.readline()
        if time.monotonic() > end:
            sys.exit("the sink does not answer")
        time.sleep(0.002)
    return json.loads(line)["connected"]


def cpus():
    return cpu(master), cpu(worker)


m0, w0 = cpus()
asked = time.monotonic()
urllib.request.urlopen(url + "swarm", timeout=60, data=urllib.parse.urlencode(
    {"user_count": users, "spawn_rate": rate}).encode()).read()
began, behind, ahead, states, line = None, 0.0, 0.0, set(), []
limit = asked + max(120, 10 * users / rate)
polled, full, seen = 0.0, None, 0
while True:
    now, n = time.monotonic(), held()
    if began is None and n:
        # The ramp's line starts where its first connections are.
        began = now - n / rate
    if began is not None:
        line.append((round(now - began, 2), n))
        due = min(users, (now - began) * rate)
        behind = max(behind, (due - n) / rate)
        ahead = max(ahead, (n - due) / rate)
    if now - polled > 0.5:
        polled = now
        seen = int(re.search(r'id="userCount">(\d+)<', get("")).group(1))
        states |= {w["state"] for w in json.loads(get("stats/requests"))["workers"]}
    if full is None and n >= users:
        full = now
    if full is not None and seen == users:
        break
    if now > limit:
        sys.exit(f"after {now - asked:.0f} s the broker holds {n} connections and the UI says "
                 f"{seen} users; asked: {users}")
    time.sleep(0.1)
m1, w1 = cpus()
ramp = time.monotonic() - asked
time.sleep(5)
m2, w2 = cpus()
last = json.loads(get("stats/requests"))
states |= {w["state"] for w in last["workers"]}
print(json.dumps({
    "users": seen, "held_after": held(), "ramp_s": round(full - began, 2),
    "behind_s": round(behind, 2), "ahead_s": round(ahead, 2), "states": sorted(states),
    "ui_users_after": last["user_count"], "fail_ratio": last["fail_ratio"],
    "master_cpu_ramp_s": round(m1 - m0, 2), "master_cpu_share": round((m1 - m0) / ramp, 3),
    "master_cpu_held_share": round((m2 - m1) / 5, 3), "worker_cpu_ramp_s": round(w1 - w0, 2),
    "worker_cpu_held_share": round((w2 - w1) / 5, 3),
    "worker_heartbeat_cpu": [w["cpu_usage"] for w in last["workers"]], "line": line[::5]}))
