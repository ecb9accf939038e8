#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""tests/kernel/phases.py plain|tls ADDRESS PORT: hang at packets of MQTT that come as a broker seldom
sends them. `serve ADDRESS PORT [CERT KEY]` is the broker: on PORT each line of hexadecimal words that
arrives is answered with one segment for each of them; so over TLS 1.3 on PORT + 1, with numbers of
sessions as tickets (57 bytes), and on PORT + 2, without tickets."""
import os, socket, ssl, subprocess, sys, threading, time
from target import SLOW, counts, end as verdict, rule, said

name, addr, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
CONNACK, SUBACK, PUBACK = b'\x20\2\0\0', b'\x90\3\0\1\0', b'\x40\2\0\1'
CONNACK5, CONNACK5_ID = bytes.fromhex('200600000322000a'), b'\x20\x35\0\0\x32\x12\0\x2f' + b'i' * 47
PINGRESP = b'\xd0\0'


def end(s):
    """Without the rule, so that the broker hears of it and sends nothing again into the next one's."""
    subprocess.run(['squall', 'fault', 'del', os.environ['TARGET']], check=True,
                   stdout=subprocess.DEVNULL)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    s.close()


def talk(c, context):
    try:
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            c = context.wrap_socket(c, server_side=True)
        with c, c.makefile('rb') as f:
            for line in f:
                for word in line.split():
                    c.sendall(bytes.fromhex(word.decode()))
                    time.sleep(0.03 * SLOW)
    except OSError:
        pass


def listen(at, context=None):
    s = socket.create_server((addr, at), backlog=64)
    while True:
        threading.Thread(target=talk, args=(s.accept()[0], context), daemon=True).start()


def serve():
    for i in (1, 2) if len(sys.argv) > 4 else ():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[4], sys.argv[5])
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if i == 1:
            context.options |= ssl.OP_NO_TICKET
        else:
            context.num_tickets = 0
        threading.Thread(target=listen, args=(port + i, context), daemon=True).start()
    listen(port)


def connect(at=0):
    s = socket.create_connection((addr, port + at), 3 * SLOW)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def line(segments):
    return ' '.join(x.hex() for x in segments).encode() + b'\n'


def receive(s, most):
    """What comes, up to so many bytes, or until nothing does."""
    s.settimeout(0.5 * SLOW)
    got = 0
    try:
        while got < most:
            x = s.recv(65536)
            if not x:
                break
            got += len(x)
    except OSError:
        pass
    return got


def case(what, at, segments, reach, before=b'', unparsed=None):
    """Only the first `reach` of the segments come, None: all; `before` came before the rule."""
    if not before:
        rule('hang', 'at', at, 'match', 'dport', str(port))
        s = connect()
    else:
        s = connect()
        s.sendall(line([before]))
        receive(s, len(before))
        rule('hang', 'at', at, 'match', 'dport', str(port))
    s.sendall(line(segments))
    want, most = sum(map(len, segments[:reach])), sum(map(len, segments))
    time.sleep(0.03 * SLOW * len(segments))
    got, c = receive(s, most), counts()
    said(got == want and c['hung'] == (reach is not None) and unparsed in (None, c['unparsed']),
         f'{what}: {got} of {most} bytes come, {want} wanted (hung {c["hung"]}, unparsed {c["unparsed"]})')
    end(s)


def publish(payload):
    n, length = len(payload) + 3, b''
    while n > 127:
        length += bytes([n & 127 | 128])
        n >>= 7
    return b'\x30' + length + bytes([n]) + b'\0\1t' + payload


def plain():
    for size in (300, 20000):
        p = publish(b'@\2' * (size // 2))
        for cut in range(1, 5):
            case(f'a PUBLISH of {size} bytes, cut after {cut}', 'puback',
                 [CONNACK, PINGRESP + p[:cut], p[cut:], PINGRESP, PUBACK, PINGRESP], 4, unparsed=0)
    for cut in (1, 2, 3):
        segments = [CONNACK, PINGRESP + PUBACK[:cut], PUBACK[cut:], PINGRESP]
        case(f'PUBACK, cut after {cut}', 'puback', segments, 2 if cut == 1 else 1, unparsed=0)
    p = publish(b'@' * 300)
    case('a PUBLISH whose every byte is a segment', 'puback',
         [CONNACK] + [p[i:i + 1] for i in range(8)] + [p[8:], PUBACK], 10, unparsed=0)
    case('other than MQTT', 'puback', [b'HTTP/1.1 200 OK\r\n', b'@@@@@', b'@home', b'x'], None, unparsed=1)
    # From before the rule, in the middle of a PUBLISH.
    for text, at in ((b'@home', 'puback'), (b'@@@@@', 'puback'), (b' \2hello world', 'connack'),
                     ('Температура'.encode(), 'pingresp'), (b'2hello @\2\0\1', 'puback'),
                     (b'@\2hello', 'puback'), (b'\x90\3hel', 'suback')):
        p = publish(b'x' * 998 + text)
        i = p.index(text)
        case(f'at {at}, from before the rule: {text!r}', at, [text, SUBACK], None if at != 'suback' else 1, p[:i])
    # And what can be followed again is.
    p = publish(b'x' * 2000)
    case('from before the rule: PUBACK', 'puback', [PUBACK, PINGRESP], 0, PINGRESP)
    case('from before the rule: PUBACK of MQTT 5', 'puback', [b'\x40\4\0\1\x10\0', PINGRESP], 0, PINGRESP)
    case('from before the rule: SUBACK, and more', 'suback', [SUBACK + p[:9], p[9:]], 0, PINGRESP)
    case('from before the rule: a PUBLISH in three segments, PUBACK in the last', 'puback',
         [p[:700], p[700:1400], p[1400:] + PUBACK, PINGRESP], 2, PINGRESP)
    case('after what is no MQTT: PUBACK', 'puback', [CONNACK, b'\x36\2\0\0', PUBACK, PINGRESP], 2)


def tls():
    """The client's CONNECT goes with its Finished, so tickets come after it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE

    def play(what, at, port_at, first, then, want, unparsed=0):
        """The broker's packets `first` are asked for with Finished, each of `then` after the one
        before it has come."""
        rule('hang', 'at', at, 'match', 'dport', str(port + port_at))
        s = connect(port_at)
        s.settimeout(0.8 * SLOW)
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        t = context.wrap_bio(into, out)
        got = 0

        def more():
            into.write(s.recv(65536))
        try:
            while True:
                try:
                    t.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    if out.pending:
                        s.sendall(out.read())
                    more()
            for packet in [first] + then:
                packets = packet if isinstance(packet, list) else [packet]
                t.write(line(packets))
                s.sendall(out.read())
                for each in packets:
                    need = len(each)
                    while need:
                        try:
                            need -= len(t.read(need))
                        except ssl.SSLWantReadError:
                            more()
                    got += 1
        except OSError:
            pass
        c = counts()
        said(got == want and c['unparsed'] == unparsed and c['hung'] == (want < 1 + len(then) and not unparsed),
             f'{what}: {got} packets come, {want} wanted (hung {c["hung"]}, unparsed {c["unparsed"]})')
        end(s)

    suback5, puback5 = b'\x90\4\0\1\0\0', b'\x40\3\0\1\x10'
    for kind, i in (('tickets of 57 bytes', 1), ('no tickets', 2)):
        for version, connack, suback, puback in (('3.1.1', CONNACK, SUBACK, PUBACK),
                                                 ('5', CONNACK5, suback5, puback5)):
            what = f'{kind}, MQTT {version}: at '
            play(what + 'connack', 'connack', i, connack, [suback, puback], 0)
            play(what + 'suback', 'suback', i, connack, [puback, suback], 2)
            play(what + 'puback', 'puback', i, connack, [suback, puback], 2)
        what = f'{kind}, MQTT 5, a CONNACK of {len(CONNACK5_ID)} bytes: at '
        play(what + 'suback', 'suback', i, CONNACK5_ID, [puback5, suback5], 2)
        play(what + 'puback', 'puback', i, CONNACK5_ID, [suback5, puback5], 2)
    # Here two tickets tell, and without any the first record may be one.
    what = f'MQTT 5, a CONNACK of {len(CONNACK5_ID) + 3} bytes: at connack'
    longer = b'\x20\x38\0\0\x35\x12\0\x32' + b'i' * 50
    play('tickets of 57 bytes, ' + what, 'connack', 1, longer, [suback5, puback5], 0)
    play('no tickets, ' + what, 'connack', 2, longer, [suback5, puback5], 3, unparsed=1)


globals()[name]()
verdict()
