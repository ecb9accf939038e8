# SPDX-License-Identifier: GPL-2.0-only
"""docker-tc's requests, as its users send them, and what must come back.
Usage: dockertc.py SOCKET; containers tc-a (user bridge), tc-host, tc-none, locust-tc-worker, stopped."""
import http.client, json, re, socket, sys

SOCK = sys.argv[1]
failed = n = 0


class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(SOCK)


def call(method, path, body=None):
    c = Unix("x")
    c.request(method, path, body, {"Content-Type": "application/x-www-form-urlencoded"} if body else {})
    r = c.getresponse()
    return r.status, r.read().decode()


def rule(name):
    status, text = call("GET", "/api/v1/rules/" + name)
    return json.loads(text)["rule"]["text"] if status == 200 else None


SET = r"Set {0} on (\S+)\nControlling traffic of the container /tc-a on \1\n"


def ex(method, path, body, status, answer, now=..., who="tc-a"):
    """One exchange: request, status, the answer as a regular expression, and the rule afterwards."""
    global failed, n
    n += 1
    got, text = call(method, path, body)
    after = rule(who)
    ok = got == status and re.fullmatch(answer, text, re.S) and (now is ... or after == now)
    failed += not ok
    print(("ok " if ok else "not ok ") + f"{method} {path} {body if body is None else body[:60]!r} -> {status}" +
          ("" if ok else f": got {got} {text!r}, rule {after!r}, wanted {answer!r} {now!r}"))


A = "/tc-a"
# What works there works here, in the same words.
ex("GET", A, None, 200, r"qdisc noqueue 0: root refcnt 2\n", None)
ex("POST", A, "rate=1mbps", 200, SET.format("rate=1mbps"), "up rate 8mbit")  # megabytes, as in tc
ex("GET", A, None, 200, r"qdisc tbf 1: root refcnt 2 rate 8mbit burst \S+ lat 50ms direction up\n")
ex("POST", A, "delay=100ms", 200, SET.format("delay=100ms"), "up delay 100ms")  # replaces all
ex("GET", A, None, 200, r"qdisc netem 1: root refcnt 2 limit 1000 delay 100ms direction up\n")
ex("POST", A, "rate=512kbit&delay=50ms&loss=1%", 200, SET.format("rate=512kbit, delay=50ms, loss=1%"), "up loss 1% delay 50ms rate 512kbit")
ex("GET", A, None, 200, r"qdisc netem 1: .* delay 50ms loss 1% direction up\nqdisc tbf 2: parent 1: rate 512kbit .*\n")
ex("POST", A, "delay=100", 200, SET.format("delay=100"), "up delay 100us")  # a bare number is microseconds
ex("POST", A, "delay=1s", 200, SET.format("delay=1s"), "up delay 1s")
ex("POST", A, "delay=20msecs", 200, SET.format("delay=20msecs"), "up delay 20ms")
ex("POST", A, "corrupt=2%", 200, SET.format("corrupt=2%"), "up corrupt 2%")
ex("POST", A, "duplicate=3%", 200, SET.format("duplicate=3%"), "up duplicate 3%")
ex("POST", A, "reorder=25%&delay=10ms", 200, SET.format("reorder=25%, delay=10ms"), "up delay 10ms reorder 25%")
ex("POST", A, "loss=50%25", 200, SET.format("loss=50%"), "up loss 50%")  # percent-encoded
ex("POST", A, "loss=0.5%", 200, SET.format("loss=0.5%"), "up loss 0.5%")
ex("POST", A, "loss=10%&", 200, SET.format("loss=10%"), "up loss 10%")  # a trailing &
ex("POST", A, "&loss=10%&&delay=1ms&", 200, SET.format("loss=10%, delay=1ms"), "up loss 10% delay 1ms")
ex("POST", A, "loss=10%\n", 200, SET.format("loss=10%"), "up loss 10%")  # curl --data-binary @file
ex("POST", A, "delay=100ms+20ms", 200, SET.format("delay=100ms 20ms"), "up delay 100ms 20ms")
ex("POST", A, "delay=100ms%2020ms%2025%25", 200, SET.format("delay=100ms 20ms 25%"), "up delay 100ms 20ms 25%")
ex("POST", A + "?rate=2mbit", None, 200, SET.format("rate=2mbit"), "up rate 2mbit")  # in the query
ex("POST", A + "?rate=2mbit", "rate=3mbit", 200, SET.format("rate=3mbit"), "up rate 3mbit")  # a body goes first
ex("SET", A, "rate=4mbit", 200, SET.format("rate=4mbit"), "up rate 4mbit")
ex("set", A, "rate=5mbit", 200, SET.format("rate=5mbit"), "up rate 5mbit")  # documented there, and never worked
ex("post", A, "rate=6mbit", 200, SET.format("rate=6mbit"), "up rate 6mbit")
ex("INSPECT", A, None, 200, r"qdisc tbf .* rate 6mbit .*")
ex("get", A, None, 200, r"qdisc tbf .* rate 6mbit .*")
ex("POST", A, "rate=1mibit", 200, SET.format("rate=1mibit"), "up rate 1.048576mbit")  # IEC
ex("POST", A, "rate=64kibps", 200, SET.format("rate=64kibps"), "up rate 524.288kbit")
ex("POST", A, "rate=70.5%", 200, SET.format("rate=70.5%"), "up rate 7.05gbit")  # of a veth's 10 Gbit/s
ex("POST", A, "limit=1mbit", 200, SET.format("limit=1mbit"), "up rate 1mbit")
ex("POST", A, "rate=1mbit&direction=down", 200, SET.format("rate=1mbit, direction=down"), "down rate 1mbit")
ex("POST", A, "loss=1%&direction=both", 200, SET.format("loss=1%, direction=both"), "both loss 1%")
ex("LIST", "/", None, 200, r".*# id=[0-9a-f]{12} name=tc-a\nqdisc netem .*")
ex("GET", "/", None, 200, r".*# id=[0-9a-f]{12} name=tc-a\nqdisc netem .*")
ex("list", "/", None, 200, r".*name=tc-host\nqdisc noqueue.*")
ex("DELETE", A, None, 200, "", None)
ex("GET", A, None, 200, r"qdisc noqueue 0: root refcnt 2\n", None)
ex("PUT", A, None, 200, "", None)
ex("IGNORE", A, None, 200, "", None)
ex("UNIGNORE", A, None, 200, "", None)
ex("POST", "/tc-host", "delay=10ms", 200, r"Set delay=10ms on \S+\nControlling traffic of the container /tc-host on \S+\n.*", "up delay 10ms", "tc-host")
ex("DELETE", "/tc-host", None, 200, "", None, "tc-host")

# Where it lied, a 4xx with the reason, and the old rule stays.
ex("POST", A, "loss=7%", 200, SET.format("loss=7%"), "up loss 7%")
KEPT = "up loss 7%"
ex("POST", A, "rate=abc", 400, r"Error: rate: .*abc.*not accepted.*", KEPT)  # defect 1: a false 200
ex("POST", A, "loss=101%", 400, r"Error: .*101%.*", KEPT)
ex("POST", A, "delay=-5ms", 400, r"Error: delay.*-5ms.*", KEPT)
ex("POST", A, "delay=", 400, r"Error: delay: an empty value.*", KEPT)
ex("POST", A, "delay", 400, r"Error: delay: NAME=VALUE.*", KEPT)
ex("POST", A, "bogus=1", 400, r"Error: Invalid field bogus; accepted: .*", KEPT)
ex("POST", A, "", 400, r"Error: Nothing to do.*", KEPT)
ex("POST", A, "loss=1%&loss=2%", 400, r"Error: loss: given twice.*", KEPT)
ex("POST", A, "rate=1mbit&limit=2mbit", 400, r"Error: limit: given twice.*", KEPT)
ex("POST", A, "delay=10ms down loss 5%", 400, r"Error: delay: .*down.*", KEPT)  # no words smuggled in
ex("POST", A, "rate=1mbit;id", 400, r"Error: rate: .*", KEPT)
ex("POST", A, "rate=$(id)", 400, r"Error: rate: .*", KEPT)
ex("POST", A, "loss=1%&direction=left", 400, r"Error: direction: \"left\".*up, down or both\n", KEPT)
ex("POST", "/stopped", "loss=1%", 409, r"stopped is not running\n", None, "stopped")
ex("GET", "/stopped", None, 409, r"stopped is not running\n", None, "stopped")
ex("GET", "/nobody", None, 404, r"nobody is not running\n")
ex("DELETE", "/nobody", None, 404, r"nobody is not running\n")
ex("GET", "/worker", None, 404, r"worker is not running\n")  # defect 4: not locust-tc-worker
ex("POST", "/c-a", "loss=1%", 404, r"c-a is not running\n", KEPT)
ex("POST", "/tc", "loss=1%", 404, r"tc is not running\n", KEPT)
ex("POST", "/tc-none", "loss=1%", 422, r"Error: container tc-none has no network interface.*none.*\n", None, "tc-none")  # defect 7
ex("LIST", A, None, 404, r"Error: .*")
ex("POST", "/", "loss=1%", 404, r"Error: name a container.*")
ex("MOVE", A, None, 405, r"Error: method MOVE is not known; accepted: .*", KEPT)
ex("GET", "/a/b", None, 404, r"Error: .*")
ex("DELETE", A, None, 200, "", None)
print(f"ok {n} exchanges" if n >= 50 else f"not ok only {n} exchanges")
sys.exit(failed > 0)
