# SPDX-License-Identifier: GPL-2.0-only
"""50 targets with traffic, 200 changes a second, cgroups that come and go; and in
between rests, without a rule, in which squalld has to be what it was in the
first ones: memory, descriptors, watches, links, entries of its maps.
Usage: soak.py SECONDS SOCKET PID HOST CGROUPS CGROUP PINS
CGROUP below CGROUPS holds t0..t49; HOST: squalld's namespace."""
import http.client, json, os, random, socket, subprocess, sys, time
from urllib.parse import quote

SECONDS, SOCK, PID, HOST, CGROUPS, CGROUP, PINS = float(sys.argv[1]), *sys.argv[2:8]
TARGETS, RATE, ROUNDS, WARM = 50, 200, 8, 2
EVENT_BYTES = 48  # struct place of control/history.c: its index grows, up to a bound
EVENTS_MAX = 200000
RULES = ["up loss 5%", "up delay 30ms 10ms down delay 5ms", "up rate 2mbit", "both blackhole flows 30%", "up loss 1% each flow links 512",
         "up corrupt 1% duplicate 2%", "up delay 2s", "up reset idle 60s links 1000", "up loss gemodel 1% 20% for 30s",
         "up loss 50% match proto udp dport 9999 also down delay 10ms", "both mtu 900 icmp"]


class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(SOCK)


conn = Unix("squall")
failed = {}


def stuck(what):
    """Where each thread of squalld is, for who has to find out why it does not answer."""
    print(f"not ok {what}: no answer in 30 s, load {os.getloadavg()[0]:.1f}")
    for t in os.listdir(f"/proc/{PID}/task"):
        said = {f: open(f"/proc/{PID}/task/{t}/{f}").read().strip() for f in ("comm", "wchan", "syscall", "stack")}
        state = next(l.split()[1] for l in open(f"/proc/{PID}/task/{t}/status") if l.startswith("State:"))
        print(f"#   {t} {said['comm']} {state} {said['wchan']} {said['syscall'].split()[0]}: " + " ".join(said["stack"].split("\n")))
    subprocess.run(["gdb", "-p", PID, "-batch", "-ex", "thread apply all bt 12"])
    sys.exit(1)


def call(method, path, body=None, may=()):
    try:
        conn.request(method, path, json.dumps(body) if body is not None else None)
        r = conn.getresponse()
        text = r.read()
    except TimeoutError:
        stuck(f"{method} {path}")
    if r.status >= 300 and r.status not in may:
        failed[f"{r.status} {text[:160]!r}"] = failed.get(f"{r.status} {text[:160]!r}", 0) + 1
    return json.loads(text) if text else None


def name(n):
    return quote(f"cgroup:{CGROUP}/t{n}", safe="")


def change(n):
    what, target = random.random(), name(random.randrange(TARGETS))
    if what < 0.75:
        call("PUT", "/api/v1/rules/" + target, {"text": random.choice(RULES)})
    elif what < 0.92:
        call("DELETE", "/api/v1/rules/" + target, may=(404,))
    elif what < 0.95:
        call("PUT", "/api/v1/schedules/" + target, {"steps": [{"at_ns": 0, "rule": {"text": "up loss 2%"}}], "length_ns": 200000000, "repeat": 2})
        call("POST", f"/api/v1/schedules/{target}/start")
    elif what < 0.96:
        call("GET", "/api/v1/rules")
    elif what < 0.97:
        call("GET", "/metrics" if n % 2 else "/api/v1/targets") if n % 2 == 0 else None
    elif what < 0.985:
        call("PUT", "/api/v1/profiles/soak", {"rule": {"text": random.choice(RULES)}})
    else:  # a target comes, is ruled and goes
        path = f"{CGROUPS}{CGROUP}/short{n}"
        os.mkdir(path)
        call("PUT", "/api/v1/rules/" + quote(f"cgroup:{CGROUP}/short{n}", safe=""), {"text": "up loss 5%"}, may=(404,))
        os.rmdir(path)
        call("DELETE", "/api/v1/rules/" + quote(f"cgroup:{CGROUP}/short{n}", safe=""), may=(404,))


def status_of(key):
    return next(int(line.split()[1]) for line in open(f"/proc/{PID}/status") if line.startswith(key + ":"))


def entries(which):
    # Of an array, the elements that mean something.
    raw = [] if which == "sq_waiting" else ["-r"]
    out = subprocess.run(["squall", "--pin-dir", PINS, "-j", "map", "dump", which] + raw, capture_output=True, text=True).stdout
    return len(json.loads(out))


def rest():
    """All rules and schedules away, what waits drained: what is left."""
    call("DELETE", "/api/v1/rules")
    for s in call("GET", "/api/v1/schedules")["schedules"]:
        call("DELETE", "/api/v1/schedules/" + quote(s["target"], safe=""), may=(404,))
    maps = {}
    end = time.monotonic() + 20
    while time.monotonic() < end:
        maps = {m: entries(m) for m in ("sq_targets", "sq_rules", "sq_counters", "sq_waiting")}
        if not any(maps.values()):
            break
        time.sleep(0.3)
    fds = os.listdir(f"/proc/{PID}/fd")
    watches = 0
    for fd in fds:
        try:
            watches += open(f"/proc/{PID}/fdinfo/{fd}").read().count("inotify wd")
        except OSError:
            pass
    # One for each cgroup of the machine that may have a rule, and others' come and go.
    spare = watches - subprocess.run(["find", CGROUPS, "-maxdepth", "12", "-type", "d"], capture_output=True, text=True).stdout.count("\n")
    links = subprocess.run(["ip", "-n", HOST, "-o", "link"], capture_output=True, text=True).stdout.count("\n")
    folder = f"{sys.argv[2].rsplit('/', 1)[0]}/state"
    events = sum(open(f"{folder}/{f}").read().count("\n") for f in os.listdir(folder) if f.startswith("history"))
    return {"anon_kb": status_of("RssAnon"), "threads": status_of("Threads"), "fds": len(fds), "watches": spare, "links": links,
            "map_entries": sum(maps.values()), "events": events}


samples, n, begun = [], 0, time.monotonic()
for i in range(ROUNDS):
    until = begun + SECONDS * (i + 1) / ROUNDS
    done, since = 0, time.monotonic()
    while time.monotonic() < until:
        n += 1
        done += 1
        change(n)
        # At the rate, without a burst to catch up after a rest.
        ahead = since + done / RATE - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
        elif ahead < -1:
            done, since = 0, time.monotonic()
    samples.append(rest())
    print(f"# {time.monotonic() - begun:5.0f} s, {n} changes: " + ", ".join(f"{k} {v}" for k, v in samples[-1].items()), flush=True)

first, last, bad = samples[WARM], samples[-1], 0
for text, count in failed.items():
    print(f"not ok refused {count} times: {text}")
    bad = 1
index = (min(last["events"], EVENTS_MAX) - min(first["events"], EVENTS_MAX)) * EVENT_BYTES / 1024
# By the least of the last three: malloc gives back when it likes.
anon = min(s["anon_kb"] for s in samples[-3:])
for what, ok in (
        (f"memory: {first['anon_kb']} kB, then {anon}", anon <= first["anon_kb"] * 1.1 + 1024 + max(index, 0)),
        (f"descriptors: {first['fds']}, then {last['fds']}", last["fds"] <= first["fds"] + 2),
        (f"inotify watches beyond one for each cgroup: {first['watches']}, then {last['watches']}", last["watches"] <= 8),
        (f"links: {first['links']}, then {last['links']}", last["links"] == first["links"]),
        (f"threads: {first['threads']}, then {last['threads']}", last["threads"] <= first["threads"]),
        (f"entries of maps at rest: {last['map_entries']}", all(s["map_entries"] == 0 for s in samples)),
        (f"{n} changes, {n / (time.monotonic() - begun):.0f} a second", n > 100)):
    print(("ok " if ok else "not ok ") + what)
    bad |= not ok
sys.exit(bad)
