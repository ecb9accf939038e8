# SPDX-License-Identifier: GPL-2.0-only
"""Requests that two readers could end in two places: 400 and the connection is
closed, and what follows is not taken for a request.
Usage: framing.py NAME PATH ADDRESS   (a port of 127.0.0.1, or a unix socket's path)"""
import re, socket, sys

NAME, PATH, ADDR = sys.argv[1], sys.argv[2].encode(), sys.argv[3]
bad = 0


def answers(data):
    """Statuses of all answers, and whether the connection was closed."""
    if ADDR.isdigit():
        s = socket.create_connection(("127.0.0.1", int(ADDR)))
    else:
        s = socket.socket(socket.AF_UNIX)
        s.connect(ADDR)
    s.settimeout(4)
    s.sendall(data)
    got, closed = b"", False
    try:
        while True:
            more = s.recv(65536)
            if not more:
                closed = True
                break
            got += more
    except TimeoutError:
        pass
    except ConnectionError:
        closed = True
    s.close()
    return [int(n) for n in re.findall(rb"HTTP/1[.][01] ([0-9]{3}) [A-Z]", got)], closed


# What a reader that ends the first request elsewhere would take for the second one.
second = b"GET " + PATH + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
chunked = b"5\r\nhello\r\n0\r\n\r\n"
for what, head, body in (
    ("two Content-Length", b"Content-Length: 5\r\nContent-Length: 0\r\n", b"hello"),
    ("twice the same one", b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"),
    ("Content-Length as a list", b"Content-Length: 5, 5\r\n", b"hello"),
    ("Content-Length with a sign", b"Content-Length: +5\r\n", b"hello"),
    ("Content-Length, then Transfer-Encoding", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", chunked),
    ("Transfer-Encoding, then Content-Length", b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", chunked),
    ("an unknown coding", b"Transfer-Encoding: gzip\r\n", chunked),
    ("two codings", b"Transfer-Encoding: gzip, chunked\r\n", chunked),
    ("two Transfer-Encoding", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunked),
    ("identity", b"Transfer-Encoding: identity\r\n", b""),
    ("a misspelt coding", b"Transfer-Encoding: xchunked\r\n", chunked),
    ("chunked with a tail", b"Transfer-Encoding: chunked;q=1\r\n", chunked),
    ("an empty coding", b"Transfer-Encoding:\r\n", chunked),
    ("a space before the colon", b"Transfer-Encoding : chunked\r\n", chunked),
    ("an underscore", b"Transfer_Encoding: chunked\r\n", chunked),
    ("Content-Length with a space", b"Content-Length : 5\r\n", b"hello"),
    ("Content_Length", b"Content_Length: 5\r\n", b"hello"),
    ("two Host", b"Host: other\r\n", b""),
    ("two Authorization", b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n", b""),
):
    method = b"POST" if body else b"GET"
    got, closed = answers(method + b" " + PATH + b" HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n" + body + second)
    ok = set(got) <= {400} and closed
    bad += not ok
    print(("ok " if ok else "not ok ") + f"{NAME}: {what}: {got}{', closed' if closed else ''}")
got, closed = answers(b"POST " + PATH + b" HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked + second)
ok = set(got) <= {400} and closed
bad += not ok
print(("ok " if ok else "not ok ") + f"{NAME}: chunked in HTTP/1.0: {got}")
good, _ = answers(second + b"GET " + PATH + b" HTTP/1.1\r\nhost: localhost\r\nConnection: close\r\n\r\n")
print(("ok " if good == [200, 200] else "not ok ") + f"{NAME}: two good requests on one connection: {good}")
got, _ = answers(b"PATCH " + PATH + b" HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
print(("ok " if got and got != [400] and len(got) == 1 else "not ok ") + f"{NAME}: a chunked body is read: {got}")
sys.exit(bad > 0 or good != [200, 200])
