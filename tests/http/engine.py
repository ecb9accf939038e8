# SPDX-License-Identifier: GPL-2.0-only
"""A stand-in for the Docker engine, for what a real one leaves to chance: the
ids of its containers, and when they come. Usage:
  engine.py SOCKET ID=NAME=PID...   these, and nothing ever happens
  engine.py SOCKET @DIR             a container for each file ID in DIR, which holds
                                    {"name", "pid"[, "labels", "image", "env", "mode"]};
                                    pid 0: it does not run. What changes there is told."""
import json, os, socketserver, sys, threading, time
from http.server import BaseHTTPRequestHandler

DIR = sys.argv[2][1:] if sys.argv[2:] and sys.argv[2].startswith("@") else None
fixed = {a.split("=")[0]: dict(zip(("name", "pid"), a.split("=")[1:])) for a in sys.argv[2:] if not DIR}


def containers():
    """What there is, by id. A file that is being written counts when it is whole."""
    if not DIR:
        return fixed
    found = {}
    for name in sorted(os.listdir(DIR)):
        if name.endswith(".new"):
            continue
        try:
            with open(os.path.join(DIR, name)) as f:
                found[name] = json.load(f)
        except (OSError, ValueError):
            pass
    return found


def inspect(i, c):
    return {"Id": i, "Name": "/" + c["name"],
            "Config": {"Image": c.get("image", "img"), "Labels": c.get("labels", {}), "Env": c.get("env", [])},
            "HostConfig": {"NetworkMode": c.get("mode", "host")},
            "State": {"Running": int(c["pid"]) > 0, "Pid": int(c["pid"])}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def events(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        before = {}  # what happened since the listing, told twice rather than not at all
        while not DIR:
            time.sleep(3600)
        while True:
            now = containers()
            for i in sorted(set(before) | set(now)):
                if before.get(i) == now.get(i):
                    continue
                action = "destroy" if i not in now else "start" if i not in before else "update"
                line = json.dumps({"Type": "container", "Action": action, "Actor": {"ID": i}}) + "\n"
                try:
                    self.wfile.write(f"{len(line):x}\r\n{line}\r\n".encode())
                except OSError:  # squalld was killed
                    self.close_connection = True
                    return
            before = now
            time.sleep(0.01)

    def do_GET(self):
        path, have = self.path.split("?")[0], containers()
        if path == "/events":
            return self.events()
        body = {"Version": "stand-in"} if path == "/version" else [{"Id": i} for i in have] if path == "/containers/json" \
            else next((inspect(i, c) for i, c in have.items() if path == f"/containers/{i}/json"), None)
        text = json.dumps(body).encode()
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def address_string(self):
        return "squalld"

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64


Server(sys.argv[1], Handler).serve_forever()
