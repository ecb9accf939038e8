# SPDX-License-Identifier: GPL-2.0-only
"""Stops one thread of a process, as if it got no CPU, until FILE, which it makes, is gone (or 60 s
are over). Usage: hold.py PID THREAD FILE"""
import ctypes, os, sys, time

task = f"/proc/{sys.argv[1]}/task"
tid = next(int(t) for t in os.listdir(task) if open(f"{task}/{t}/comm").read() == sys.argv[2] + "\n")
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
ptrace.argtypes = [ctypes.c_long] * 4
SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
if ptrace(SEIZE, tid, 0, 0):
    sys.exit(f"cannot stop a thread: {os.strerror(ctypes.get_errno())}")
ptrace(INTERRUPT, tid, 0, 0)
os.waitpid(tid, 0x40000000)  # __WALL
open(sys.argv[3], "w").close()
end = time.monotonic() + 60
while time.monotonic() < end and os.path.exists(sys.argv[3]):
    time.sleep(0.05)
ptrace(DETACH, tid, 0, 0)
