# SPDX-License-Identifier: GPL-2.0-only
"""Reads or writes per second over one kept connection. Usage: load.py SOCKET CGROUP read|write|set500 N PID"""
import json, os, socket, sys, time

SOCK, CG, what, n = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
pid = int(sys.argv[5])
s = socket.socket(socket.AF_UNIX)
s.connect(SOCK)


def request(i):
    path = f"/api/v1/rules/cgroup:{CG}/{f't{i + 1}' if what == 'set500' else 'a'}".encode()
    if what == "read":
        return b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    body = b'{"text":"up loss %d%% delay %dms"}' % (i % 50 + 1, i % 90 + 1)
    return b"PUT " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def answer():
    got = b""
    while b"\r\n\r\n" not in got:
        got += s.recv(65536)
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")), head + body
    left = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]) - len(body)
    while left > 0:
        left -= len(s.recv(min(left, 65536)))


def cpu():
    f = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")


t, c = time.time(), cpu()
for i in range(n):
    s.sendall(request(i))
    answer()
c, t = cpu() - c, time.time() - t
# Our own work and that of others is not the daemon's: what it could do on one core is by its CPU time.
print(f"{n / t:.0f} {n / max(c, 0.01):.0f}" if what != "set500" else f"{n} {t:.3f}")
