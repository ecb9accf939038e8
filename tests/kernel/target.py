# SPDX-License-Identifier: GPL-2.0-only
"""What flows.py and phases.py say, and ask of $TARGET's rule."""
import json, os, subprocess, sys

SLOW = 3 if os.environ.get('SQUALL_VM') else 1
_bad = False


def said(good, text):
    global _bad
    _bad |= not good
    print(('ok ' if good else 'not ok ') + text, flush=True)


def end():
    sys.exit(_bad)


def rule(*words):
    subprocess.run(['squall', 'fault', 'set', os.environ['TARGET'], *words], check=True,
                   stdout=subprocess.DEVNULL)


def _stats():
    out = subprocess.run(['squall', '-j', 'stats', os.environ['TARGET']], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    return json.loads(out)


def counts():
    return _stats()['flows'][0]


def counts_lost():
    return next(c['lost_pkts'] for c in _stats()['counters'] if c['direction'] == 'up')
