# SPDX-License-Identifier: GPL-2.0-only
"""A stand-in for the ECS agent's fault endpoints, written from what the agent says and does
(amazon-ecs-agent 1.105.1, ecs-agent/tmds/handlers/fault/v1), not from squalld's own: the two are held
against one table of exchanges. It breaks nothing; what it was asked for is a line in LOG each.
ecs_agent.py PORT ID LOG [--limit SECONDS] [--off]"""
import argparse, ipaddress, json, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

p = argparse.ArgumentParser()
p.add_argument("port", type=int), p.add_argument("id"), p.add_argument("log")
p.add_argument("--limit", type=float, default=0, help="one request of a kind in so many seconds")
p.add_argument("--off", action="store_true", help="the task has no enableFaultInjection")
a = p.parse_args()
lock = threading.Lock()
running = {}        # "network-latency", "network-packet-loss", ("blackhole", "egress-tcp-80") -> body
last = {}           # of each route, for the limit

NETS, TEXT, OPT = "[]*string", "string", False
FIELDS = {
    "network-latency": ("NetworkLatencyRequest", [("DelayMilliseconds", "uint64", True), ("JitterMilliseconds", "uint64", True),
        ("Sources", NETS, True), ("SourcesToFilter", NETS, OPT), ("FlowsPercent", "int", OPT)]),
    "network-packet-loss": ("NetworkPacketLossRequest", [("LossPercent", "uint64", True), ("Sources", NETS, True),
        ("SourcesToFilter", NETS, OPT), ("FlowsPercent", "int", OPT)]),
    "network-blackhole-port": ("NetworkBlackholePortRequest", [("Port", "uint16", True), ("Protocol", TEXT, True),
        ("TrafficType", TEXT, True), ("SourcesToFilter", NETS, OPT)]),
}


class Bad(Exception):
    pass


def go_kind(v):
    if isinstance(v, bool):
        return "bool"
    if isinstance(v, (int, float)):
        return f"number {v}"
    return {str: "string", list: "array", dict: "object"}[type(v)]


def fits(v, kind):
    number = isinstance(v, int) and not isinstance(v, bool)
    if kind == "uint64":
        return number and 0 <= v < 1 << 64
    if kind == "uint16":
        return number and 0 <= v < 1 << 16
    if kind == "int":
        return number
    if kind == TEXT:
        return isinstance(v, str)
    return isinstance(v, list) and all(isinstance(x, str) for x in v)


def is_net(text):
    try:
        ipaddress.ip_network(text, strict=False)
        return text[-1:] != "/"
    except ValueError:
        return False


def parse(kind, raw):
    text = raw.decode().lstrip()
    if not text:
        raise Bad("required request body is missing")
    try:
        o, _ = json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError as e:
        raise Bad("unexpected EOF" if e.pos >= len(text.rstrip()) else
                  f"invalid character '{text[e.pos]}' looking for beginning of value")
    name, fields = FIELDS[kind]
    o = {} if o is None else o
    if not isinstance(o, dict):
        raise Bad(f"json: cannot unmarshal {go_kind(o)} into Go value of type types.{name}")
    o = {k.lower(): v for k, v in o.items()}
    for field, want, _ in fields:
        v = o.get(field.lower())
        if v is not None and not fits(v, want):
            raise Bad(f"json: cannot unmarshal {go_kind(v)} into Go struct field {name}.{field} of type {want}")
    got = {}
    for field, want, needed in fields:
        v = o.get(field.lower())
        if v is None or v == []:
            if needed:
                raise Bad(f"required parameter {field} is missing")
            continue
        wrong = next((x for x in v if not is_net(x)), None) if want == NETS else \
            v if field == "Protocol" and v not in ("tcp", "udp") else \
            v if field == "TrafficType" and v not in ("ingress", "egress") else \
            v if field in ("LossPercent", "FlowsPercent") and not 1 <= v <= 100 else None
        if wrong is not None:
            raise Bad(f"invalid value {wrong} for parameter {'flowsPercent' if field == 'FlowsPercent' else field}")
        got[field] = v
        if field == "JitterMilliseconds" and not v and not got["DelayMilliseconds"]:
            raise Bad("required either DelayMilliseconds or JitterMilliseconds to be non-zero")
    return got


def act(task, kind, op, raw):
    body = None
    if op == "start" or kind == "network-blackhole-port":
        try:
            body = parse(kind, raw)
        except Bad as e:
            return 400, {"Error": str(e)}
    if task != a.id:
        return 404, {"Error": f"unable to get task arn from request: unable to get task Arn from v3 endpoint ID: {task}"}
    if a.off:
        return 400, {"Error": "enableFaultInjection is not enabled for task: arn:aws:ecs:r:1:task/c/t"}
    key = ("blackhole", f"{body['TrafficType']}-{body['Protocol']}-{body['Port']}") if kind == "network-blackhole-port" else kind
    if op == "status":
        return 200, {"Status": "running" if key in running else "not-running"}
    if op == "stop":
        running.pop(key, None)
        return 200, {"Status": "stopped"}
    if kind != "network-blackhole-port":
        for other, words in (("network-latency", "network latency"), ("network-packet-loss", "network packet loss")):
            if other in running:
                return 409, {"Error": f"There is already one {words} fault running"}
    running[key] = body
    return 200, {"Status": "running"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def serve(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        part = self.path.split("/")
        if len(part) != 7 or part[1] != "api" or part[3:5] != ["fault", "v1"] or part[5] not in FIELDS \
                or part[6] not in ("start", "stop", "status"):
            return self.answer(404, b"404 page not found\n", "text/plain; charset=utf-8")
        if self.command != "POST":
            return self.answer(405, b"", "text/plain")
        with lock:
            route, now = (part[5], part[6]), time.monotonic()
            if a.limit and now - last.get(route, -1e9) < a.limit:
                status, answer = 429, None
            else:
                last[route] = now
                status, answer = act(part[2], part[5], part[6], raw)
            with open(a.log, "a") as f:
                f.write(f"{part[5]}/{part[6]} {status} {raw.decode(errors='replace')}\n")
        if answer is None:
            return self.answer(429, b"You have reached maximum request limit", "text/plain; charset=utf-8")
        return self.answer(status, json.dumps(answer, separators=(",", ":")).encode(), "application/json")

    do_POST = do_GET = do_PUT = do_DELETE = serve

    def log_message(self, *args):
        pass


ThreadingHTTPServer.daemon_threads = True
ThreadingHTTPServer(("127.0.0.1", a.port), Handler).serve_forever()
