# SPDX-License-Identifier: GPL-2.0-only
"""UDP in frames with VLAN tags, between packet sockets: how many arrive with them, and the least
delay in ms. Usage: vlan.py FROM LINK TO LINK COUNT TAG... (FROM and TO: namespaces; TAG: the
protocols in hex, the outer one first)"""
import os, socket, struct, sys, time

SRC, OUT, DST, IN, COUNT = *sys.argv[1:5], int(sys.argv[5])
TAGS = [(int(p, 16), 0x6005 + i) for i, p in enumerate(sys.argv[6:])]
CLONE_NEWNET, PACKET_AUXDATA, SOL_PACKET, TAG_VALID = 0x40000000, 8, 263, 1 << 4
MAGIC = b"squall-vlan"


def enter(path):
    import ctypes
    with open(path) as f:
        if ctypes.CDLL(None).setns(f.fileno(), CLONE_NEWNET):
            raise OSError("setns")


def link(ns, name):
    # And back: somebody else's process makes a target's namespace a shared one, where what comes
    # down without a socket is nobody's.
    with open("/proc/self/ns/net") as own:
        enter(f"/run/netns/{ns}")
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        s.bind((name, 0))
        enter(f"/proc/self/fd/{own.fileno()}")
    return s


tx, rx = link(SRC, OUT), link(DST, IN)
rx.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
rx.settimeout(0.7)


def csum(b):
    s = sum(struct.unpack(f"!{len(b) // 2}H", b))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


for i in range(COUNT):
    body = MAGIC + struct.pack("!Id", i, time.monotonic())
    body += b"\0" * (len(body) % 2)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(body), i, 0, 64, 17, 0, b"\x0a\x07\0\1", b"\x0a\x07\0\2")
    ip = ip[:10] + struct.pack("!H", csum(ip)) + ip[12:]
    udp = struct.pack("!HHHH", 5000, 5001, 8 + len(body), 0)
    # To everybody: a bridge that knows nobody floods it.
    tx.send(b"\xff" * 6 + b"\x02\0\0\0\0\1" + b"".join(struct.pack("!HH", *t) for t in TAGS) + b"\x08\0" + ip + udp + body)
got, least = 0, 9e9
while got < COUNT:
    try:
        data, aux, _, where = rx.recvmsg(2048, 256)
    except TimeoutError:
        break
    at = data.find(MAGIC)
    if at < 0 or where[2] == 4:  # PACKET_OUTGOING
        continue
    tags = []
    for level, kind, value in aux:  # beside the frame
        if level == SOL_PACKET and kind == PACKET_AUXDATA:
            status, _, _, _, _, tci, proto = struct.unpack("=IIIHHHH", value[:20])
            if status & TAG_VALID:
                tags.append((proto, tci))
    tags += [struct.unpack_from("!HH", data, o) for o in range(12, at - 28 - 2, 4)]  # in its bytes
    got += tags == TAGS
    least = min(least, time.monotonic() - struct.unpack_from("!Id", data, at + len(MAGIC))[1])
print(got, f"{least * 1000:.2f}" if got else "-")
