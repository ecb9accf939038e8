#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Watches a ramp from both ends: watch.py UI-URL SINK-PID SINK-OUTPUT SECONDS

Asks the sink for its live connections 20 times a second and Locust's page for
its number of users all the while. A worker tells the master at least twice a
second, so the UI is a little late, but what it says must have been true: a sample
must lie between the least and the most that the broker held in the three seconds
before; of a hundred, five may come later than that, for a machine whose cores are
busy elsewhere. Prints what was seen; exit code 1 with the samples that were not.
"""
import json
import os
import re
import signal
import sys
import threading
import time
import urllib.request

LATE = 3.0

url, pid, path, seconds = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
held = []
end = time.monotonic() + seconds


def broker():
    with open(path) as f:
        f.seek(0, os.SEEK_END)
        line = ""
        while time.monotonic() < end:
            asked = time.monotonic()
            os.kill(pid, signal.SIGUSR1)
            while not line.endswith("\n") and time.monotonic() < asked + 2:
                line += f.readline()
                if not line.endswith("\n"):
                    time.sleep(0.002)
            if line.endswith("\n"):
                held.append((asked, time.monotonic(), json.loads(line)["connected"]))
                line = ""
            time.sleep(0.05)


thread = threading.Thread(target=broker)
thread.start()
seen = []
while time.monotonic() < end:
    asked = time.monotonic()
    with urllib.request.urlopen(url, timeout=20) as r:
        m = re.search(r'id="userCount">(\d+)<', r.read().decode())
    seen.append((asked, time.monotonic(), int(m.group(1))))
    time.sleep(0.15)
thread.join()

wrong = []
for t, t1, n in seen:
    window = [c for a, b, c in held if b >= t - LATE and a <= t1]
    # The broker's count between two of its samples: the last one before counts too.
    window += [c for a, b, c in held if b < t - LATE][-1:]
    if window and not min(window) <= n <= max(window):
        wrong.append(f"{n} users when the broker had held {min(window)} to {max(window)}")
steps = sorted({n for _, _, n in seen})
print(f"{len(seen)} samples of the UI, {len(steps)} different ({steps[0]} to {steps[-1]}), "
      f"{len(held)} of the broker" + "".join(f"; {w}" for w in wrong[:5]))
sys.exit(1 if len(wrong) * 20 > len(seen) or len(steps) < 5 or len(held) < seconds else 0)
