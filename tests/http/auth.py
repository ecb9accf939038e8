# SPDX-License-Identifier: GPL-2.0-only
"""Is there a timing signal? Compares the time of a wrong token that shares all
but its last byte with one that shares none, interleaved, by the median.
Usage: auth.py PORT TOKEN"""
import socket, statistics, sys, time

PORT, TOKEN = int(sys.argv[1]), sys.argv[2]
near = TOKEN[:-1] + ("0" if TOKEN[-1] != "0" else "1")
far = ("0" if TOKEN[0] != "0" else "1") + TOKEN[1:]
short = "x"
s = socket.create_connection(("127.0.0.1", PORT))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def once(token):
    req = f"GET /api/v1/rules HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    t = time.perf_counter_ns()
    s.sendall(req)
    got = b""
    while b"\r\n\r\n" not in got:
        more = s.recv(65536)
        assert more, "closed"
        got += more
    head, _, body = got.partition(b"\r\n\r\n")
    length = int([h for h in head.split(b"\r\n") if h.lower().startswith(b"content-length")][0].split(b":")[1])
    while len(body) < length:
        body += s.recv(65536)
    t = time.perf_counter_ns() - t
    assert head.startswith(b"HTTP/1.1 401"), head
    return t


times = {near: [], far: [], short: []}
for i in range(600):
    for token in (near, far, short) if i % 2 else (short, far, near):
        times[token].append(once(token))
m = {k: statistics.median(v) for k, v in times.items()}
spread = statistics.quantiles(times[far], n=4)
noise = spread[2] - spread[0]
worst = max(abs(m[near] - m[far]), abs(m[short] - m[far]))
ok = worst < max(noise / 2, 3000)
print(("ok " if ok else "not ok ") + f"near miss {m[near]:.0f} ns, far miss {m[far]:.0f} ns, short {m[short]:.0f} ns (600 each, quartiles {noise:.0f} ns apart)")
sys.exit(not ok)
