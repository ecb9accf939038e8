#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""tests/kernel/dns.py, for dns.test. `serve ADDR PORT`: a server that answers every query (A 192.0.2.1).
`ask ADDR PORT [SECONDS]`: asks it for a name; prints the answer's code, or "none", and ms."""
import socket, struct, sys, time

what, addr, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ':' in addr else socket.AF_INET
question = b'\6broker\7example\0' + struct.pack('!HH', 1, 1)
s = socket.socket(family, socket.SOCK_DGRAM)
if what == 'serve':
    s.bind((addr, port))
    while True:
        query, who = s.recvfrom(2000)
        s.sendto(query[:2] + struct.pack('!HHHHH', 0x8180, 1, 1, 0, 0) + query[12:12 + len(question)] +
                 b'\xc0\x0c' + struct.pack('!HHIH4s', 1, 1, 60, 4, socket.inet_aton('192.0.2.1')), who)
s.settimeout(float(sys.argv[4]) if len(sys.argv) > 4 else 2)
s.connect((addr, port))
begin = time.time()
# An EDNS record behind the question, as resolvers send it.
s.send(struct.pack('!HHHHHH', 0x1234, 0x0110, 1, 0, 0, 1) + question + b'\0' + struct.pack('!HHIH', 41, 1232, 0, 0))
try:
    answer = s.recv(2000)
    ident, flags = struct.unpack('!HH', answer[:4])
    bad = ident != 0x1234 or not flags & 0x8000 or question not in answer
    print('bad' if bad else flags & 15, round((time.time() - begin) * 1000))
except socket.timeout:
    print('none', round((time.time() - begin) * 1000))
