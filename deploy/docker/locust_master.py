

# --- appended by squall-sim's image: a login, and a line per minute for metrics ---
# Works with every Locust from 2.12 on. --web-auth is gone since 2.21 and
# --web-login wants a program of its own, hence HTTP Basic by hand.
import base64 as _base64
import hashlib as _hashlib
import hmac as _hmac
import json as _json
import os as _os

import gevent as _gevent
from locust import events as _events


def _password_matches(password):
    """Against LOCUST_LOGIN_PASSWORD, or PBKDF2 as LOCUST_LOGIN_PASSWORD_HASH says."""
    plain = _os.environ.get("LOCUST_LOGIN_PASSWORD")
    if plain:
        return _hmac.compare_digest(password.encode(), plain.encode())
    kind, rounds, salt, want = _os.environ["LOCUST_LOGIN_PASSWORD_HASH"].split(":")
    if kind != "pbkdf2_sha256":
        return False
    made = _hashlib.pbkdf2_hmac("sha256", password.encode(), bytes.fromhex(salt), int(rounds))
    return _hmac.compare_digest(made.hex(), want)


def _guard(app):
    from flask import Response, request

    known = set()  # headers that matched: PBKDF2 is slow on purpose, and charts poll

    @app.before_request
    def login():
        header = request.headers.get("Authorization", "")
        if header in known:
            return None
        try:
            scheme, text = header.split(" ", 1)
            user, password = _base64.b64decode(text).decode().split(":", 1)
            wanted = _os.environ["LOCUST_LOGIN_USERNAME"]
            if scheme.lower() == "basic" and _hmac.compare_digest(user.encode(), wanted.encode()) \
                    and _password_matches(password):
                if len(known) < 16:
                    known.add(header)
                return None
        except (ValueError, UnicodeDecodeError):
            pass
        return Response("Who are you?\n", 401, {"WWW-Authenticate": 'Basic realm="Locust"'})


def _published(stats):
    """Messages sent: a QoS 1 message is a publish and a puback in the table, a connect is none."""
    return sum(e.num_requests - e.num_failures for e in list(stats.entries.values())
               if e.name.endswith("/publish"))


def _report(environment, seconds):
    """One JSON line: what happened in the last minute, over all workers."""
    published = failures = 0
    while True:
        _gevent.sleep(seconds)
        total = environment.runner.stats.total
        sent = _published(environment.runner.stats)
        # Smaller than before: somebody pressed reset, or a new test began.
        if sent < published or total.num_failures < failures:
            published = failures = 0
        print(_json.dumps({
            "squall": "locust",
            "published": sent - published,
            "failures": total.num_failures - failures,
            "p95_ms": total.get_current_response_time_percentile(0.95) or 0,
            "devices": environment.runner.user_count,
            "workers": getattr(environment.runner, "worker_count", 0),
        }), flush=True)
        published, failures = sent, total.num_failures


@_events.init.add_listener
def _squall_master(environment, **_kwargs):
    if environment.web_ui:
        if not _os.environ.get("LOCUST_LOGIN_USERNAME"):
            raise SystemExit("LOCUST_LOGIN_USERNAME is not set: the page would be open to everybody")
        if not (_os.environ.get("LOCUST_LOGIN_PASSWORD") or _os.environ.get("LOCUST_LOGIN_PASSWORD_HASH")):
            raise SystemExit("LOCUST_LOGIN_PASSWORD is not set: the page would be open to everybody")
        _guard(environment.web_ui.app)
    _gevent.spawn(_report, environment, float(_os.environ.get("LOCUST_REPORT_SECONDS", "60")))
