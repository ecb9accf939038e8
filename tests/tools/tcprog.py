#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# A TC program of somebody else, which returns 0: TCX_PASS, which ends the chain. bpf(2) by hand: Debian 12's bpftool and tc know no tcx.
#   tcprog.py tcx DEV in|out [FIRST] a tcx link there, until killed; prints "on"
import ctypes, platform, signal, socket, struct, sys

NR = {"x86_64": 321, "aarch64": 280}[platform.machine()]
libc = ctypes.CDLL(None, use_errno=True)


def bpf(cmd, fmt, *values):
    attr = ctypes.create_string_buffer(struct.pack(fmt, *values), 128)
    ret = libc.syscall(NR, cmd, attr, 128)
    if ret < 0:
        sys.exit("bpf(2): errno %d" % ctypes.get_errno())
    return ret


code = ctypes.create_string_buffer(bytes.fromhex("b700000000000000" "9500000000000000"), 16)
gpl = ctypes.create_string_buffer(b"GPL")
prog = bpf(5, "<IIQQIIQII16sII", 3, 2, ctypes.addressof(code), ctypes.addressof(gpl),
           0, 0, 0, 0, 0, b"somebody", 0, 0)
flags = 8 if len(sys.argv) > 4 else 0  # BPF_F_BEFORE
link = bpf(28, "<IIII", prog, socket.if_nametoindex(sys.argv[2]),
           46 if sys.argv[3] == "in" else 47, flags)
print("on", flush=True)
signal.pause()
