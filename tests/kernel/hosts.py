#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""tests/kernel/hosts.py, for hosts.test. `serve ADDR PORT A AAAA`: a server of names that answers with a CNAME
and both addresses, under a compressed name or, if the query's id is odd, a whole one. `ask ADDR PORT NAME
[ID]`: prints the answer's code, or "none". `hello ADDR PORT NAME PAD CUT`: says a ClientHello in which the
name comes behind PAD bytes, CUT bytes of it in a segment of their own, and prints "met" if the server
never gets all, else "passed". `sink ADDR PORT`: a server that takes connections and says nothing.
`tls :: PORT CERT KEY`: one for TLS; openssl's serves one after the other, and those that are met stay."""
import os, socket, struct, sys, time

what, addr, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ':' in addr else socket.AF_INET


def labels(name):
    return b''.join(bytes([len(l)]) + l.encode() for l in name.split('.')) + b'\0'


if what == 'serve':
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.bind((addr, port))
    a, aaaa = socket.inet_aton(sys.argv[4]), socket.inet_pton(socket.AF_INET6, sys.argv[5])
    while True:
        query, who = s.recvfrom(2000)
        end = query.index(b'\0', 12) + 5
        real = labels('real.example')
        own = query[12:end - 4] if query[1] & 1 else b'\xc0\x0c'
        records = (own + struct.pack('!HHIH', 5, 1, 60, len(real)) + real +
                   real + struct.pack('!HHIH', 1, 1, 60, 4) + a + real + struct.pack('!HHIH', 28, 1, 60, 16) + aaaa)
        s.sendto(query[:2] + struct.pack('!HHHHH', 0x8180, 1, 3, 0, 0) + query[12:end] + records, who)
if what == 'tls':
    import ssl, threading
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(sys.argv[4], sys.argv[5])

    def talk(c):
        try:
            with ctx.wrap_socket(c, server_side=True) as t:
                if t.recv(2000).startswith(b'GET'):
                    t.sendall(b'HTTP/1.0 200 OK\r\n\r\n')
        except OSError:
            pass

    s = socket.create_server((addr, port), family=socket.AF_INET6, dualstack_ipv6=True)
    while True:
        threading.Thread(target=talk, args=(s.accept()[0],), daemon=True).start()
if what == 'sink':
    s = socket.create_server((addr, port))
    kept = []
    while True:
        kept.append(s.accept()[0])
if what == 'ask':
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(float(os.environ.get('WAIT', '3')))
    s.connect((addr, port))
    ident = int(sys.argv[5]) if len(sys.argv) > 5 else 2
    s.send(struct.pack('!HHHHHH', ident, 0x0100, 1, 0, 0, 0) + labels(sys.argv[4]) + struct.pack('!HH', 1, 1))
    try:
        print(s.recv(2000)[3] & 15)
    except socket.timeout:
        print('none')
if what == 'hello':
    name, pad, cut = sys.argv[4].encode(), int(sys.argv[5]), int(sys.argv[6])
    server = struct.pack('!HHHBH', 0, len(name) + 5, len(name) + 3, 0, len(name)) + name
    exts = struct.pack('!HH', 0xff01, 1) + b'\0' + struct.pack('!HH', 51, pad) + b'k' * pad + server
    body = b'\3\3' + b'r' * 32 + b'\x20' + b's' * 32 + struct.pack('!HHH', 4, 0x1301, 0x1302) + b'\1\0' + struct.pack('!H', len(exts)) + exts
    hello = b'\1' + struct.pack('!I', len(body))[1:] + body
    data = b'\x16\3\1' + struct.pack('!H', len(hello)) + hello
    s = socket.create_connection((addr, port), 5)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in (data[:cut], data[cut:]) if cut else (data,):
        s.sendall(piece)
        time.sleep(0.1)
    # What waits for an acknowledgement (SIOCOUTQ).
    import array, fcntl
    left = array.array('i', [0])
    end = time.monotonic() + 1
    while time.monotonic() < end:
        fcntl.ioctl(s, 0x5411, left)
        if not left[0]:
            break
        time.sleep(0.02)
    print('met' if left[0] else 'passed')
