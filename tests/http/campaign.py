# SPDX-License-Identifier: GPL-2.0-only
"""Kills squalld at random points while rules are set and deleted, schedules run,
containers are renamed and its own links deleted under it, and looks after each
restart whether
  - what was answered is so, and what was not is so or is not,
  - a cgroup has one rule, in the book as in the kernel, and it acts,
  - what runs by a schedule has one, and
  - after a clean end nothing is left.
Usage: campaign.py POINTS SECONDS DIR HOST FAR CGROUPS CGROUP PINS [SEED]
DIR: squalld's files; HOST, FAR: namespaces; CGROUP below CGROUPS holds k0..k5;
ends after POINTS, or when SECONDS are over."""
import contextlib, http.client, json, os, random, signal, socket, subprocess, sys, threading, time
from urllib.parse import quote

POINTS, SECONDS, DIR, HOST, FAR, CGROUPS, CGROUP, PINS = int(sys.argv[1]), float(sys.argv[2]), *sys.argv[3:9]
SEED = int(sys.argv[9]) if len(sys.argv) > 9 else random.SystemRandom().randrange(1 << 32)
SOCK, DOCKER, ENGINE, LOG = DIR + "/squalld.sock", DIR + "/docker.sock", DIR + "/engine", DIR + "/squalld.log"
random.seed(SEED)
# As the daemon writes them, so that they can be compared.
RULES = ["up loss 5%", "up blackhole", "down loss 3%", "up loss 7% for 1h", "up delay 20ms 5ms",
         "up blackhole on-crash keep", "up loss 9% on-crash keep", "up rate 1mbit down delay 3ms"]
STEPS = {"steps": [{"at_ns": 0, "rule": {"text": "up loss 4%"}}, {"at_ns": 150000000, "rule": None}],
         "length_ns": 200000000, "repeat": 0}
OURS = ("squall-seg0", "squall-seg1", "squall-tap", "squall-fq0", "squall-fq1")


class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(15)
        self.sock.connect(SOCK)


def call(method, path, body=None):
    """(status, JSON), or (0, None) when no answer came."""
    c = Unix("squall")
    try:
        c.request(method, path, json.dumps(body) if body is not None else None)
        r = c.getresponse()
        text = r.read()
        return r.status, json.loads(text) if text else None
    except (OSError, http.client.HTTPException, ValueError):
        return 0, None
    finally:
        c.close()


def run(*cmd):
    return subprocess.run(cmd, capture_output=True, text=True)


def until(seconds, test):
    end = time.monotonic() + seconds
    while not test():
        if time.monotonic() > end:
            return False
        time.sleep(0.03)
    return True


class Wrong(Exception):
    pass


class Cell:
    """A cgroup, and what its rule and its schedule may be by what was answered."""

    def __init__(self, n, container):
        self.path = f"{CGROUP}/k{n}"
        self.id = str(os.stat(CGROUPS + self.path).st_ino)
        self.container = container
        self.rule, self.schedule = {None}, {None}  # None, "there", "running"

    def url(self, what):
        name = self.container["name"] if self.container and random.random() < 0.5 else "cgroup:" + self.path
        return f"/api/v1/{what}/{quote(name, safe='')}"

    def set_rule(self):
        text = random.choice(RULES)
        self.rule.add(text)
        status, answer = call("PUT", self.url("rules"), {"text": text})
        if status in (200, 201):
            if answer["rule"]["text"] != text:
                raise Wrong(f"{self.path}: set to {text}, answered {answer['rule']['text']}")
            self.rule = {text}
        return status, answer

    def del_rule(self):
        self.rule.add(None)
        status, answer = call("DELETE", self.url("rules"))
        if status in (200, 204, 404) and not (status == 404 and self.container):
            self.rule = {None}
        return status, answer

    def put_schedule(self):
        self.schedule.add("there")
        status, answer = call("PUT", self.url("schedules"), STEPS)
        if status in (200, 201):
            self.schedule = {"there"}
            self.schedule.add("running")
            status, answer = call("POST", self.url("schedules") + "/start")
            if status == 200:
                self.schedule = {"running"}
        return status, answer

    def del_schedule(self):
        self.schedule.add(None)
        status, answer = call("DELETE", self.url("schedules"))
        if status in (200, 204, 404):
            self.schedule = {None}
        return status, answer


class Campaign:
    def __init__(self):
        self.sleepers = []
        for n in range(2):
            self.sleepers.append(subprocess.Popen(
                ["sh", "-c", 'echo 0 >"$1/cgroup.procs"; exec nsenter --net=/run/netns/$2 sleep 3600', "sh",
                 f"{CGROUPS}{CGROUP}/k{4 + n}", HOST]))
        until(5, lambda: all(open(f"{CGROUPS}{CGROUP}/k{4 + n}/cgroup.procs").read() for n in range(2)))
        self.containers = [{"id": "%064x" % (0xabc0 + n), "name": f"worker{n}", "pid": self.sleepers[n].pid} for n in range(2)]
        os.mkdir(ENGINE)
        for c in self.containers:
            self.tell(c)
        # k0, k1: by path; k2, k3: by schedule; k4, k5: containers.
        self.cells = [Cell(n, self.containers[n - 4] if n > 3 else None) for n in range(6)]
        self.engine = self.squalld = None
        self.names = 0
        self.stopping = threading.Event()
        self.asked = self.answered = self.renamed = self.deleted = self.ended = 0
        self.refused = {}
        self.wrong = []

    # --- the parts that come and go ---

    def spawn(self):
        self.squalld = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{HOST}", "squalld", "--socket", SOCK, "--state-dir", DIR + "/state", "--pin-dir", PINS,
             "--docker-socket", DOCKER, "--listen", "none"], stdout=open(LOG, "a"), stderr=subprocess.STDOUT)

    def up(self):
        self.spawn()
        if not until(30, lambda: call("GET", "/api/v1/status")[0] == 200):
            raise Wrong(f"squalld does not start (exit {self.squalld.poll()})")

    def kill(self, sig):
        self.squalld.send_signal(sig)
        try:
            return self.squalld.wait(20)
        except subprocess.TimeoutExpired:
            raise Wrong("squalld does not end within 20 s of SIGTERM")

    def engine_up(self):
        if not self.engine:
            self.engine = subprocess.Popen([sys.executable, os.path.dirname(os.path.abspath(__file__)) + "/engine.py", DOCKER, "@" + ENGINE])

    def engine_down(self):
        if self.engine:
            self.engine.kill()
            self.engine.wait()
            self.engine = None
            with contextlib.suppress(FileNotFoundError):
                os.unlink(DOCKER)

    def tell(self, c):
        """The stand-in reads it, and tells squalld if it is there."""
        with open(f"{DIR}/container", "w") as f:
            json.dump({"name": c["name"], "pid": c["pid"]}, f)
        os.rename(f"{DIR}/container", f"{ENGINE}/{c['id']}")

    def rename(self):
        self.names += 1
        self.renamed += 1
        c = random.choice(self.containers)
        c["name"] = f"worker{self.names}x"
        self.tell(c)

    # --- what is done to it ---

    def work(self, cells, scheduled):
        with contextlib.suppress(Wrong):
            while not self.stopping.is_set():
                cell = random.choice(cells)
                act = (cell.put_schedule if random.random() < 0.6 else cell.del_schedule) if scheduled else \
                    (cell.set_rule if random.random() < 0.7 else cell.del_rule)
                try:
                    status, answer = act()
                except Wrong as e:
                    self.wrong.append(str(e))
                    raise
                self.asked += 1
                if not status:
                    return
                self.answered += 1
                # A name that was just given away, and a rule that is not there, are no news.
                if status >= 400 and status != 404:
                    text = f"{status} {answer.get('detail', answer)}"
                    self.refused[text] = self.refused.get(text, 0) + 1

    def vandal(self):
        while not self.stopping.wait(random.uniform(0, 0.1)):
            what = random.random()
            if what < 0.25:
                if run("ip", "-n", HOST, "link", "del", random.choice(OURS)).returncode == 0:
                    self.deleted += 1
            elif what < 0.6:
                self.rename()

    # --- what must be so ---

    def look(self):
        cells = {c.id: c for c in self.cells}
        rules = call("GET", "/api/v1/rules")[1]["rules"]
        schedules = call("GET", "/api/v1/schedules")[1]["schedules"]
        there = {}
        for e in rules:
            if not e["in_force"]:
                return f"{e['target']}: a rule that is not in force"
            if e["id"] not in cells:
                return f"{e['target']}: a rule of a cgroup that nobody asked for"
            if e["id"] in there:
                return f"{e['target']} and {there[e['id']]['target']}: two rules of one cgroup"
            there[e["id"]] = e
        runs = {s["target"]: "running" if s["running"] else "there" for s in schedules}
        for c in self.cells:
            e = there.get(c.id)
            text = e["rule"]["text"] if e else None
            schedule = runs.pop("cgroup:" + c.path, None)
            if schedule not in c.schedule:
                return f"{c.path}: schedule {schedule}, expected one of {c.schedule}"
            if e and e["source"] == "schedule":
                if schedule != "running":
                    return f"{c.path}: a rule of a schedule that is {schedule}"
            elif text not in c.rule:
                return f"{c.path}: rule {text}, expected one of {c.rule}"
            if c.container and e and e["target"] != c.container["name"]:
                return f"{c.path}: its rule is called {e['target']}, the container {c.container['name']}"
            if text and "for 1h" in text and not 3500e9 < e["rule"]["expires_in_ns"] <= 3600e9:
                return f"{c.path}: for 1h, and {e['rule']['expires_in_ns']} ns are left"
        if runs:
            return f"schedules of nobody: {runs}"
        dump = run("squall", "--pin-dir", PINS, "-j", "map", "dump", "sq_targets", "-r")
        try:
            kernel = len(json.loads(dump.stdout))
        except ValueError:
            return f"the kernel's targets cannot be read: {dump.stdout}{dump.stderr}"
        scheduled = sum("running" in c.schedule for c in self.cells)
        if not len(there) - scheduled <= kernel <= len(there) + scheduled:
            return f"{kernel} rules in the kernel, {len(there)} in the book"
        return None

    def settle(self):
        said = []

        def good():
            said[:] = [self.look()]
            return said == [None]
        if not until(20, good):
            raise Wrong(said[0])
        # From here on it is known.
        rules = {e["id"]: e for e in call("GET", "/api/v1/rules")[1]["rules"]}
        for c in self.cells:
            e = rules.get(c.id)
            if not e or e["source"] != "schedule":
                c.rule = {e["rule"]["text"] if e else None}
            s = call("GET", f"/api/v1/schedules/{quote('cgroup:' + c.path, safe='')}")
            c.schedule = {"running" if s[1]["running"] else "there"} if s[0] == 200 else {None}
        if not until(15, lambda: call("GET", "/healthz")[1]["status"] == "ok"):
            raise Wrong(f"health: {call('GET', '/healthz')[1]}")

    def ping(self, cell):
        return run("sh", "-c", 'echo 0 >"$1/cgroup.procs"; exec nsenter --net=/run/netns/$2 ping -c 1 -W 1 -q 10.99.0.2', "sh",
                   CGROUPS + cell.path, HOST).returncode == 0

    def acts(self):
        cell = random.choice([c for c in self.cells if not c.schedule - {None}] or self.cells[:1])
        text, = cell.rule
        if text and "blackhole" in text and self.ping(cell):
            raise Wrong(f"{cell.path}: {text} lets packets through")
        if text is None and not any(self.ping(cell) for _ in range(3)):
            raise Wrong(f"{cell.path}: no rule, and its packets are lost")

    def left(self):
        links = run("ip", "-n", HOST, "-o", "link").stdout
        found = [name for name in OURS if name in links]
        for way in "ingress", "egress":
            for dev in "h0", "lo":
                if "squall" in run("tc", "-n", HOST, "filter", "show", "dev", dev, way).stdout:
                    found.append(f"filter at {dev} {way}")
        if os.path.exists(PINS):
            found.append("pins: " + " ".join(os.listdir(PINS)))
        return found

    def end_clean(self):
        keeps = any(r and "keep" in r for c in self.cells for r in c.rule)
        self.kill(signal.SIGTERM)
        self.ended += 1
        saved = json.load(open(DIR + "/state/rules.json"))
        if saved["clean"] == any("on-crash keep" in r["rule"]["text"] for r in saved["rules"]):
            raise Wrong(f"ended in good order, and the state file says clean: {saved['clean']}")
        if saved["clean"] and not keeps and self.left():
            raise Wrong(f"ended in good order, and left {self.left()}")

    def point(self, n):
        self.stopping.clear()
        threads = [threading.Thread(target=self.work, args=(cells, scheduled))
                   for cells, scheduled in ((self.cells[:2], False), (self.cells[2:4], True), (self.cells[4:], False))]
        threads.append(threading.Thread(target=self.vandal))
        for t in threads:
            t.start()
        time.sleep(random.uniform(0, 0.3))
        if random.random() < 0.2:
            self.end_clean()
        else:
            self.kill(signal.SIGKILL)
        self.stopping.set()
        for t in threads:
            t.join()
        if self.wrong:
            raise Wrong(self.wrong[0])
        if random.random() < 0.5:
            self.engine_down()
        if random.random() < 0.5:
            self.rename()
        if random.random() < 0.3:
            run("ip", "-n", HOST, "link", "del", random.choice(OURS))
        if random.random() < 0.2:  # in the middle of its start
            self.spawn()
            time.sleep(random.uniform(0, 0.4))
            self.kill(signal.SIGKILL)
        early = random.random() < 0.5
        if early:
            self.engine_up()
        self.up()
        self.engine_up()
        self.settle()
        if n % 4 == 0:
            self.acts()

    def last(self):
        call("DELETE", "/api/v1/rules")
        for c in self.cells:
            c.del_schedule()
        size = {}

        def empty():
            for name in "sq_targets", "sq_rules", "sq_counters":
                size[name] = len(json.loads(run("squall", "--pin-dir", PINS, "-j", "map", "dump", name, "-r").stdout or "[]"))
            return not any(size.values())
        if not until(10, empty):
            raise Wrong(f"all rules are deleted, and the kernel still has {size}")
        self.kill(signal.SIGTERM)
        if self.left():
            raise Wrong(f"at the end there is left {self.left()}")

    def close(self):
        if self.squalld and self.squalld.poll() is None:
            self.squalld.kill()
            self.squalld.wait()
        self.engine_down()
        for s in self.sleepers:
            s.kill()
            s.wait()


def main():
    campaign, begun, n = Campaign(), time.monotonic(), 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(1))
    try:
        campaign.engine_up()
        campaign.up()
        while n < POINTS and time.monotonic() - begun < SECONDS:
            campaign.point(n)
            n += 1
        campaign.last()
    except Wrong as e:
        print(f"not ok point {n} (seed {SEED}): {e}")
        return 1
    finally:
        campaign.close()
    print(f"# {n} points in {time.monotonic() - begun:.0f} s (seed {SEED}): {campaign.answered} requests answered, "
          f"{campaign.asked - campaign.answered} cut off, {campaign.ended} clean ends, {campaign.renamed} renames, "
          f"{campaign.deleted} links deleted")
    for text, count in campaign.refused.items():
        print(f"# refused {count} times: {text}")
    if n < min(POINTS, 10) or campaign.answered < 2 * n:
        print(f"not ok too little happened: {n} points, {campaign.answered} answers")
        return 1
    print(f"ok {n} points, each answered write kept, one rule for a cgroup, nothing left")
    return 0


sys.exit(main())
