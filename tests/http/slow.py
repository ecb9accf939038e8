# SPDX-License-Identifier: GPL-2.0-only
"""Many connections that never end a request, and whether others are answered.
Usage: slow.py PORT N KIND PATH
KIND: header (a byte of a header now and then), body, none (nothing is sent),
read (asks, and does not read), stream (event streams).
Prints how many of ten questions PATH answered meanwhile."""
import socket, sys

PORT, N, KIND, PATH = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
first = {
    "header": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ",
    "body": b"POST /nobody HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n",
    "none": b"",
    "read": b"GET /ui/vendor/uplot/uPlot.iife.min.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 40,
    "stream": b"GET %s/events HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"/api/v1/load" if PATH.endswith("load") else b"/api/v1"),
}[KIND]
drip = b"." if KIND in ("header", "body") else b""
slow = []


def ask():
    s = socket.create_connection(("127.0.0.1", PORT), timeout=10)
    s.sendall(f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    got = s.recv(100)
    s.close()
    return got.startswith(b"HTTP/1.1 200")


def fill():
    for s in slow[:]:
        try:
            if drip:
                s.send(drip)
        except OSError:
            slow.remove(s)
    while len(slow) < N:
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.settimeout(5)
        s.connect(("127.0.0.1", PORT))
        try:
            s.sendall(first)
        except OSError:
            pass
        s.setblocking(False)
        slow.append(s)


answered = 0
for i in range(10):
    fill()
    try:
        answered += ask()
    except OSError:
        pass
print(answered)
