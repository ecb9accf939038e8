# SPDX-License-Identifier: GPL-2.0-only
"""Sends malformed requests: every answer must be 4xx (or 501/505) or a closed
connection, and the daemon must live. Usage: malformed.py SOCKET CGROUP [SEED]"""
import json, random, socket, sys, time

SOCK, CG = sys.argv[1:3]
seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
rnd = random.Random(seed)
RULE = "/api/v1/rules/cgroup:" + CG + "/a"
failed = sent = 0


def send(data, parts=1, shut=True, leave=False):
    """The answer's status, or 0 for a closed connection. leave: hang up without waiting for either."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(3)
    s.connect(SOCK)
    try:
        step = max(1, len(data) // parts)
        for i in range(0, len(data), step):
            s.sendall(data[i:i + step])
        if leave:
            return 0
        if shut:
            s.shutdown(socket.SHUT_WR)
        got = b""
        while len(got) < 12:
            more = s.recv(65536)
            if not more:
                break
            got += more
        return int(got.split(b" ")[1]) if got.startswith(b"HTTP/1.") else 0
    except (ConnectionError, BrokenPipeError):
        return 0
    except TimeoutError:  # it waits for more, until its time-out: see auth.test
        return 0
    finally:
        s.close()


def bad(name, data, accept=(), **kw):
    global failed, sent
    sent += 1
    t = time.time()
    status = send(data, **kw)
    if time.time() - t > 3:
        print(f"slow {time.time() - t:.1f} s: {name}", flush=True)
    if not (status == 0 or 400 <= status < 500 or status in (501, 505) or status in accept):
        failed += 1
        print(f"not ok malformed: {name}: status {status}")


def put(body, head=b"", path=RULE.encode(), method=b"PUT"):
    return method + b" " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), head, body)


good = put(b'{"text":"up loss 1%"}')
assert send(good, shut=False) in (200, 201), "the good request must work"
assert send(good, parts=40, shut=False) == 200, "also in pieces"

for cut in range(4, len(good) - 1, 3):
    bad(f"cut at {cut}", good[:cut], leave=cut != 4)
for n in (33000, 70000, 1 << 20):
    bad(f"header of {n}", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * n + b"\r\n\r\n")
    bad(f"target of {n}", b"GET /" + b"a" * n + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    bad(f"method of {n}", b"G" * n + b" / HTTP/1.1\r\nHost: x\r\n\r\n")
bad("10,000 headers", b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: 1\r\n" % i for i in range(10000)) + b"\r\n")
for te in (b"zz\r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n", b"5\r\nhel", b"ffffffffffffffffff\r\nhello\r\n", b"5;ext\r\nhellohello\r\n0\r\n\r\n",
           b"\r\n\r\n", b"7fffffffffffffff\r\nx", b"5\r\nhello0\r\n\r\n"):
    bad(f"chunking {te[:20]!r}", b"PUT " + RULE.encode() + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + te)
for cl in (b"-1", b"abc", b"99999999999999999999999", b"1e3", b"0x10", b"", b"18446744073709551615", b"9999999999"):
    bad(f"Content-Length {cl!r}", b"PUT " + RULE.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: " + cl + b'\r\n\r\n{"text":"up lose 1%"}')
for line in (b"", b"\r\n", b"GET", b"GET /", b"GET  / HTTP/1.1", b"GET / HTTP/9.9", b"GET / FTP/1.1", b"GET x HTTP/1.1", b"GET /\0 HTTP/1.1", b"\0\0\0\0",
             b"GET /%00 HTTP/1.1", b"GET /%zz HTTP/1.1", b"GET /% HTTP/1.1", b"GET /a%2 HTTP/1.1", b"PRI * HTTP/2.0", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
             b"GET //../../etc/passwd HTTP/1.1", b"GET /ui/../../../etc/passwd HTTP/1.1", b"GET /ui/%2e%2e/%2e%2e/etc/passwd HTTP/1.1",
             b"GET /ui/..%2f..%2fetc%2fpasswd HTTP/1.1", b"CONNECT a:1 HTTP/1.1", b"GET /api/v1/targets/" + b"%ff" * 40 + b" HTTP/1.1",
             b"GET /" + b"/" * 500 + b" HTTP/1.1", b"GET /api/v1/rules/%25%25 HTTP/1.1", b"DELETE /../api/v1/rules HTTP/1.1"):
    # libmicrohttpd forgives a doubled space, as RFC 9112 allows, and ends a target at a NUL, before
    # we see it: both are then a harmless GET /.
    bad(f"request line {line[:40]!r}", line + b"\r\nHost: x\r\n\r\n", accept=(200,) if line in (b"GET  / HTTP/1.1", b"GET /\0 HTTP/1.1") else ())
for body in (b"[" * 100000, b'{"a":' * 3000, b'{"clauses":' + b"[" * 5000, b"\0" * 100, b'{"text":"\0"}', b'{"text":"\\u0000"}', b'{"text":1}', b'{"text":null}',
             b'{"text":["up"]}', b'{"text":"up loss 1%","text":"up loss 2%"}', b'{"clauses":{"a":1}}', b'{"clauses":[1]}', b'{"clauses":[{"up":1}]}',
             b'{"clauses":[{"up":{"loss":{"pct":1e999}}}]}', b'{"clauses":[{"up":{"loss":{"pct":"NaN"}}}]}', b'{"clauses":[{"up":{"delay_ns":99999999999999999999}}]}',
             b'{"clauses":[{"up":{"delay_ns":-1}}]}', b'{"clauses":[{"up":{"delay_ns":1.5}}]}', b'{"clauses":[{"up":{"blackhole":"yes"}}]}',
             b'{"clauses":[{"up":{"loss":{"pct":1}},"match":{"to":"::1/129"}}]}', b'{"clauses":[{"up":{"loss":{"pct":1}},"match":{"dport":70000}}]}',
             b'{"clauses":' + json.dumps([{"up": {"loss": {"pct": 1}}, "match": {"dport": i}} for i in range(1, 40)]).encode() + b"}",
             b'\xff\xfe{}', b'\xef\xbb\xbf{}', b'{"\xc0\xaf":1}', b"true", b'"x"', b"{}", b"{'text':'up loss 1%'}", b'{"text":"' + b"up loss 1% also " * 4000 + b'"}',
             b'{"text":"up loss 1% \x1b[31m"}', b'{"text":"%s%n%s%n"}', b"x" * ((1 << 20) + 1), b"x" * (3 << 20)):
    bad(f"body {body[:40]!r}", put(body))
    if not body.startswith((b"x", b"true", b'"x"')):
        bad(f"patch {body[:40]!r}", put(body, method=b"PATCH"), accept=(200,) if body == b"{}" else ())
for body in (b'{"steps":1,"length_ns":1}', b'{"steps":[' + b'{"at_ns":0,"rule":null},' * 300 + b'{"at_ns":1,"rule":null}],"length_ns":5}', b'{"steps":[[]],"length_ns":1e99}',
             b'{"steps":[{"at_ns":0,"profile":1}],"length_ns":1000000000}'):
    bad(f"schedule {body[:40]!r}", put(body, path=RULE.replace("rules", "schedules").encode()))
    bad(f"profile {body[:40]!r}", put(body, path=b"/api/v1/profiles/x"))
for form in (b"rate", b"=", b"&&&", b"rate=1mbit;reboot", b"\0=\0", b"a=" + b"b" * 100000, b"rate=%00", b"delay=" + b"1 " * 1000):
    bad(f"docker-tc {form[:30]!r}", put(form, path=b"/nobody", method=b"POST"))
alphabet = [b"GET ", b"PUT ", b"/", b"api", b"/v1/", b"rules", b"HTTP/1.1", b"\r\n", b"\n", b": ", b"Host", b"Content-Length", b"Transfer-Encoding: chunked", b"\0",
            b"\xff", b"{", b"}", b'"', b"text", b"5", b"0", b"%2f", b"?", b"&", b"=", b"Expect: 100-continue", b"Connection: close", b"*", b" "]
for i in range(60):
    bad(f"random {i} of seed {seed}", b"".join(rnd.choice(alphabet) for _ in range(rnd.randrange(1, 120))), accept=(200, 204, 303, 308))

assert send(good, shut=False) == 200, "the good request still works"
print(f"ok {sent} malformed requests: {sent - failed} answered 4xx or closed")
sys.exit(failed > 0 or sent < 200)
