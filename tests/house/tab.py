#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""tab.py bash|zsh SCRIPT <LINES: types each line and Tab into a real shell that has read SCRIPT, and
prints the words that the line has then, in angle brackets. Keys wait in the terminal: nothing is timed."""
import os, pty, re, select, sys, time

shell, script = sys.argv[1:]
start = {
    'bash': ['bash', '--norc', '--noprofile', '-i'],
    'zsh': ['zsh', '-f', '-i'],
}[shell]
pid, fd = pty.fork()
if pid == 0:
    os.environ.update(TERM='dumb', PS1='', HISTFILE='/dev/null')
    os.execvp(start[0], start)
seen = b''


def until(what):
    global seen
    end = time.time() + 30
    while not re.search(what, seen):
        if time.time() > end or not select.select([fd], [], [], end - time.time())[0]:
            sys.exit(f'{shell} said only: {seen.decode(errors="replace")}')
        try:
            seen += os.read(fd, 4096)
        except OSError:
            sys.exit(f'{shell} ended: {seen.decode(errors="replace")}')


if shell == 'zsh':
    os.write(fd, b'unsetopt zle_bracketed_paste; autoload -Uz compinit; compinit -u -D; bindkey -e\r')
os.write(fd, b'. %s; printf "<%%s>" ready; echo\r' % script.encode())
until(rb'<ready>')
for line in sys.stdin:
    seen = b''
    # Ctrl-A: to the beginning of the line, which becomes printf's arguments.
    os.write(fd, line.rstrip('\n').encode() + b'\t\x01printf "<%s>" DONE \x05\r')
    until(rb'<DONE>(<[^>]*>)+')
    print(re.search(rb'<DONE>((?:<[^>]*>)+)', seen)[1].decode())
os.close(fd)
os.kill(pid, 9)
os.waitpid(pid, 0)
