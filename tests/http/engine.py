# SPDX-License-Identifier: GPL-2.0-only
"""A stand-in for the Docker engine, for what a real one leaves to chance: the
ids of its containers. Usage: engine.py SOCKET ID=NAME=PID..."""
import json, socketserver, sys, threading
from http.server import BaseHTTPRequestHandler

containers = [dict(zip(("id", "name", "pid"), a.split("="))) for a in sys.argv[2:]]


def inspect(c):
    return {"Id": c["id"], "Name": "/" + c["name"], "Config": {"Image": "img", "Labels": {}},
            "HostConfig": {"NetworkMode": "host"}, "State": {"Running": True, "Pid": int(c["pid"])}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/events":  # nothing ever happens
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            threading.Event().wait()
        body = {"Version": "stand-in"} if path == "/version" else [{"Id": c["id"]} for c in containers] if path == "/containers/json" \
            else next((inspect(c) for c in containers if path == f"/containers/{c['id']}/json"), None)
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


Server(sys.argv[1], Handler).serve_forever()
