#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""tests/kernel/flows.py SCENARIO ADDRESS PORT: for flows.test. `serve` is the other end: it echoes
each line that arrives by TCP ("N<newline>" alone asks for N bytes), and over UDP each datagram;
one that begins with S it only notes, and "ports S..." asks from which ports it came."""
import json, os, select, socket, subprocess, sys, threading, time
from target import SLOW, counts, counts_lost, end, rule, said

name, addr, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ':' in addr else socket.AF_INET


def connect(source=0, timeout=3):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.settimeout(timeout * SLOW)
    if source:
        s.bind(('', source))
    s.connect((addr, port))
    return s


def echoes(s, wait=1.0):
    """What comes of a line sent: 'echo', 'silence' or 'reset'."""
    try:
        s.settimeout(wait * SLOW)
        s.sendall(b'hello\n')
        return 'echo' if s.recv(100) else 'end'
    except socket.timeout:
        return 'silence'
    except OSError as e:
        return 'reset' if isinstance(e, ConnectionError) else str(e)


resets = 0
noted = {}  # datagram -> the ports that it came from


def serve():
    def talk(c):
        global resets
        try:
            with c, c.makefile('rb') as f:
                for line in f:
                    if line == b'resets\n':
                        line = b'%d\n' % resets
                    if line.startswith(b'ports '):
                        line = json.dumps(sorted(noted.get(line[6:-1], []))).encode() + b'\n'
                    n = int(line) if line.strip().isdigit() and int(line) > 1000 else 0
                    c.sendall(b'x' * n if n else line)
        except ConnectionResetError:
            resets += 1
        except OSError:
            pass
    u = socket.socket(family, socket.SOCK_DGRAM)
    u.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    u.setsockopt(socket.SOL_SOCKET, 33, 1 << 25)  # SO_RCVBUFFORCE
    u.bind((addr, port))

    def datagrams():
        while True:
            data, who = u.recvfrom(2000)
            if data.startswith(b'S'):
                noted.setdefault(data, set()).add(who[1])
            else:
                u.sendto(data, who)
    threading.Thread(target=datagrams, daemon=True).start()
    s = socket.create_server((addr, port), family=family, backlog=4096, dualstack_ipv6=True)
    while True:
        c, _ = s.accept()
        threading.Thread(target=talk, args=(c,), daemon=True).start()


def hang_old():
    old = connect()
    said(echoes(old) == 'echo', 'a connection before the rule')
    rule('hang', 'old')
    got = echoes(old)
    said(got == 'silence', f'hang old: it goes silent ({got})')
    new = connect()
    got = echoes(new)
    said(got == 'echo', f'a new one works ({got})')
    got = echoes(old)
    said(got == 'silence', f'and the old one stays silent ({got})')
    source = old.getsockname()[1]
    old.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    old.close()
    again = connect(source, 8)
    got = echoes(again)
    said(got == 'echo', f'the same port again is a new connection ({got})')
    out = subprocess.run(['squall', '-j', 'flows', os.environ['TARGET']], text=True,
                         stdout=subprocess.PIPE).stdout
    mine = [f for f in json.loads(out)['flows'] if f['local'].endswith(f':{new.getsockname()[1]}')]
    said(len(mine) == 1 and mine[0]['state'] == [] and mine[0]['up_bytes'] == 6 and
         mine[0]['down_bytes'] == 6 and mine[0]['up_pkts'] >= 3, f'squall flows: {mine}')
    c = counts()
    said(c['hung'] == 1 and c['seen'] >= 3 and c['full'] == 0, f'counted: {c}')


def hang_idle():
    rule('hang', 'idle', '1s')
    s, busy = connect(), connect()
    for _ in range(int(8 * SLOW)):
        time.sleep(0.2)
        echoes(busy)
    said(echoes(busy) == 'echo', 'hang idle 1s: a busy one goes on')
    got = echoes(s)
    said(got == 'silence', f'one that was silent for 1.6 s hangs ({got})')


def hang_after():
    rule('hang', 'after', '1kb', 'down')
    s = connect()
    said(echoes(s) == 'echo', 'hang after 1kb down: what is little passes')
    s.sendall(b'x' * 3000 + b'\n')
    try:
        s.settimeout(1 * SLOW)
        n = 0
        while n < 3001:
            n += len(s.recv(4000))
        said(False, 'hang after 1kb down: 3 kB arrived')
    except socket.timeout:
        said(n < 1100, f'then it hangs ({n} bytes)')
    said(echoes(connect()) == 'echo', 'and another begins at 0')


def reset_old():
    old = connect()
    old.sendall(b'resets\n')
    before = int(old.recv(100))
    rule('reset', 'old')
    got = echoes(old)
    said(got == 'reset', f'reset old: {got}')
    new = connect()
    said(echoes(new) == 'echo', 'a new one works')
    for _ in range(30):  # its thread may not have run yet
        new.sendall(b'resets\n')
        after = int(new.recv(100))
        if after > before:
            break
        time.sleep(0.1)
    said(after == before + 1, f'the other end was reset too ({after - before})')
    c = counts()
    said(c['reset'] == 1, f'counted: {c}')


def reset_after():
    rule('reset', 'after', '1s')
    s = connect()
    said(echoes(s) == 'echo', 'reset after 1s: it begins')
    time.sleep(1.2)
    got = echoes(s)
    said(got == 'reset', f'and is reset with the next packet ({got})')


def reset_idle():
    rule('reset', 'idle', '1s')
    s = connect()
    said(echoes(s) == 'echo', 'reset idle 1s: it begins')
    time.sleep(1.3)
    got = echoes(s)
    said(got == 'reset', f'and is reset after its silence ({got})')


def udp_fates(n, seed, words, first=30000):
    """Which of n source ports get their datagram echoed."""
    rule(*words, 'seed', str(seed))
    out, socks = set(), {}
    for p in range(first, first + n):
        s = socket.socket(family, socket.SOCK_DGRAM)
        s.bind(('', p))
        s.connect((addr, port))
        s.setblocking(False)
        socks[s] = p
    poll = select.poll()
    by_fd = {s.fileno(): s for s in socks}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    for _ in range(6):  # whoever has no answer asks again: a busy machine loses datagrams too
        for i, s in enumerate(s for s, p in socks.items() if p not in out):
            s.send(b'x')
            if i % 50 == 49:
                time.sleep(0.005)
        end = time.time() + 0.15 * SLOW
        while time.time() < end:
            for fd, _ in poll.poll(50):
                try:
                    by_fd[fd].recv(100)
                    out.add(socks[by_fd[fd]])
                except OSError:
                    pass
    for s in socks:
        s.close()
    return out


def flows_share():
    n = 900
    a = udp_fates(n, 7, ['both', 'blackhole', 'flows', '30%'])
    b = udp_fates(n, 7, ['both', 'blackhole', 'flows', '30%'])
    c = udp_fates(n, 8, ['both', 'blackhole', 'flows', '30%'])
    lost = n - len(a)
    bound = 3.29 * (n * 0.3 * 0.7) ** 0.5
    said(abs(lost - 0.3 * n) <= bound, f'flows 30%: {lost} of {n} flows')
    said(a == b, f'the same ones again with the seed ({len(a ^ b)} differ)')
    said(len(a ^ c) > n / 5, f'others with another seed ({len(a ^ c)} differ)')


def flows_many():
    n, first = 10000 if SLOW == 1 else 2000, 20000
    rule('both', 'blackhole', 'flows', '30%', 'match', 'proto', 'udp')
    ask = connect(timeout=20).makefile('rwb')
    sides = []
    for turn in range(3):
        for p in range(first, first + n)[::-1 if turn % 2 else 1]:
            with socket.socket(family, socket.SOCK_DGRAM) as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(('', p))
                s.sendto(b'S%d' % turn, (addr, port))
        time.sleep(0.3 * SLOW)
        ask.write(b'ports S%d\n' % turn)
        ask.flush()
        sides.append(json.loads(ask.readline()))
    lost = n - len(sides[0])
    said(abs(lost - 0.3 * n) <= 3.29 * (n * 0.3 * 0.7) ** 0.5, f'flows 30%: {lost} of {n} flows')
    said(sides[0] == sides[1] == sides[2],
         f'none changes sides in three turns ({[len(set(sides[0]) ^ set(x)) for x in sides]})')


def rates(n, words, seconds=1.5):
    """Bytes that each of n connections gets in that time."""
    rule(*words)
    socks = [connect() for _ in range(n)]
    for s in socks:
        s.sendall(b'300000\n')
        s.setblocking(False)
    got = {s: 0 for s in socks}
    begin = time.time() + 0.7  # after the bucket and the first queue
    while time.time() < begin + seconds:
        for s in select.select(socks, [], [], 0.05)[0]:
            got[s] += len(s.recv(65536)) if time.time() > begin else len(s.recv(65536)) * 0
    for s in socks:
        s.close()
    return [got[s] * 8 / seconds for s in socks]


def each_flow_rate():
    each = rates(6, ['down', 'rate', '400kbit', 'latency', '3s', 'each', 'flow'])
    one = rates(6, ['down', 'rate', '400kbit', 'latency', '3s'])
    said(all(320e3 < r < 440e3 for r in each),
         'each flow: six have 400 kbit/s each: ' + ' '.join(f'{r / 1e3:.0f}' for r in each))
    said(sum(one) < 0.5 * sum(each), f'without it they share one: {sum(one) / 1e3:.0f} kbit/s')


def lossy(seed, order):
    """Which of 60 datagrams of each of 4 flows are lost, the flows sending in this order."""
    rule('up', 'loss', '30%', 'each', 'flow', 'seed', str(seed))
    lost = {}
    socks = []
    for i in range(4):
        s = socket.socket(family, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(('', 31000 + i))
        s.connect((addr, port))
        s.settimeout(0.5 * SLOW)
        socks.append(s)
    for i in order:
        for n in range(60):
            socks[i].send(b'%d' % n)
            if n % 20 == 19:
                time.sleep(0.002)
    for i, s in enumerate(socks):
        came = set()
        try:
            while len(came) < 60:
                came.add(int(s.recv(100)))
        except OSError:
            pass
        lost[i] = frozenset(range(60)) - came
        s.close()
    return lost


def each_flow_seed():
    a, b = lossy(5, [0, 1, 2, 3]), lossy(5, [3, 1, 0, 2])
    said(a == b, 'each flow, a seed: the same packets of each flow, in whatever order flows come')
    said(len(set(a.values())) == 4, 'and not the same ones in each')
    n = sum(len(x) for x in a.values())
    said(abs(n - 72) <= 3.29 * (240 * 0.3 * 0.7) ** 0.5, f'loss 30%: {n} of 240')


def fates(words, n, flows=4):
    """For each of the flows, which send in turns, whether each of n datagrams was lost: 0 or 1."""
    rule('up', *words, 'match', 'proto', 'udp', 'seed', '9')
    socks = []
    for i in range(flows):
        s = socket.socket(family, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.setsockopt(socket.SOL_SOCKET, 33, 1 << 25)  # SO_RCVBUFFORCE
        s.bind(('', 32000 + i))
        s.connect((addr, port))
        socks.append(s)
    for k in range(n):
        for s in socks:
            s.send(b'%d' % k)
        if k % 50 == 49:
            time.sleep(0.002)
    lost = []
    for s in socks:
        s.settimeout(0.5 * SLOW)
        came = set()
        try:
            while len(came) < n:
                came.add(int(s.recv(100)))
        except OSError:
            pass
        lost.append([k not in came for k in range(n)])
        s.close()
    return lost


def correlation(x, y):
    n, a, b = len(x), sum(x) / len(x), sum(y) / len(y)
    return (sum(p and q for p, q in zip(x, y)) / n - a * b) / (a * (1 - a) * b * (1 - b)) ** 0.5


def each_flow_chains():
    n, p, r = 6000, 0.05, 0.2
    words = ['loss', 'gemodel', f'{p * 100:g}%', f'{r * 100:g}%']
    # The chain remembers: each flow's losses follow each other by 1 - p - r, so that of two
    # independent ones the correlation varies as by fewer packets (Bartlett).
    memory = (1 - p - r) ** 2
    bound = 3.29 * ((1 + memory) / (1 - memory) / n) ** 0.5
    each = fates([*words, 'each', 'flow'], n)
    lost = counts_lost()
    said(lost == sum(map(sum, each)), f'each flow: {lost} of {4 * n} lost, and counted')
    own = [correlation(x[:-1], x[1:]) for x in each]
    said(all(abs(c - (1 - p - r)) < 0.1 for c in own),
         'each has its bursts: ' + ' '.join(f'{c:.2f}' for c in own))
    pairs = [(i, k, lag) for i in range(4) for k in range(i) for lag in (0, 1)]
    found = [correlation(each[i][:n - lag], each[k][lag:]) for i, k, lag in pairs]
    said(all(abs(c) <= bound for c in found),
         f'two flows are independent: correlations of {min(found):.3f} to {max(found):.3f} within '
         f'{bound:.3f}')
    one = fates(words, n, 2)
    got = correlation(*one)
    said(got > 0.5, f'without it the same bursts meet both: {got:.2f}')


def each_address():
    rule('up', 'loss', '50%', 'each', 'address', 'seed', '3')
    for i in range(8):
        udp = socket.socket(family, socket.SOCK_DGRAM)
        udp.connect((addr, port))
        udp.send(b'x')
    c = counts()
    said(c['addresses'] == 1, f'each address: eight flows of one address have one link: {c}')


def max_flows():
    before = connect()
    rule('max-flows', '3')
    subprocess.run(['ping', '-q', '-c', '2', '-i', '0.2', addr], stdout=subprocess.DEVNULL)
    said(counts()['seen'] == 0, 'max-flows 3: a ping is none of them')
    said(echoes(before) == 'echo', 'what was there goes on')
    two = [connect(), connect()]
    said([echoes(s) for s in two] == ['echo'] * 2, 'and two more make three')
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.connect((addr, port))
    udp.settimeout(0.5)

    def datagram():
        udp.send(b'x')
        try:
            return udp.recv(100) == b'x'
        except socket.timeout:
            return False
    try:
        connect(timeout=0.7)
        said(False, 'the fourth connects')
    except socket.timeout:
        said(True, 'the fourth does not connect')
    said(not datagram(), 'nor does a datagram pass')
    said([echoes(s) for s in two] == ['echo'] * 2, 'the others go on')
    c = counts()
    said(c['refused'] >= 2 and c['alive'] == 3 and c['full'] == 0, f'counted: {c}')
    two.pop().close()
    later = connect(timeout=8)  # its SYN is sent again while the other one ends
    said(echoes(later) == 'echo', 'one that ended makes room')
    later.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    later.close()
    said(any(datagram() for _ in range(10)), 'and so for a flow of UDP, by a RST')
    c = counts()
    said(c['alive'] == 3, f'three are alive: {c}')
    rule('up', 'loss', '100%', 'max-flows', '3')
    try:
        connect(timeout=3.5)
        said(False, 'its SYNs are lost, and it connects')
    except socket.timeout:
        c = counts()
        said(counts_lost() > 1 and c['seen'] == 1 and c['ended'] == 0, f'a SYN that is sent again is no second flow: {c}')


def places():
    rule('reset', 'after', '1b', 'links', '64')
    how = [echoes(connect()) for _ in range(80)]
    c = counts()
    said(how.count('reset') >= 60 and c['alive'] == 0, f'reset connections are over: {how.count("reset")} of 80, {c}')
    time.sleep(10.5)
    how = [echoes(connect()) for _ in range(40)]
    c = counts()
    said(how.count('reset') == 40, f'and their places are free soon: {how.count("reset")} of 40, {c}')


serve() if name == 'serve' else globals()[name]()
end()
