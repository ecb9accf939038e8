# SPDX-License-Identifier: GPL-2.0-only
"""Drives every operation of the API and validates each answer against the
OpenAPI file that the daemon serves. Usage: api.py SOCKET CGROUP"""
import http.client, json, os, socket, sys, time
from urllib.parse import quote
import jsonschema

SOCK, CG = sys.argv[1:]
A, B = "cgroup:" + CG + "/a", "cgroup:" + CG + "/b"
failed = 0


CGROUPS = next(m.split()[1] for m in open("/proc/mounts") if m.split()[2] == "cgroup2")


def next_event(r, want):
    """Data of the stream's next event of that name, validated."""
    name = ""
    while True:
        line = r.readline().decode()
        assert line, "the stream has ended"
        if line.startswith("event: "):
            name = line[7:].rstrip("\n")
        elif line.startswith("data: ") and name == want:
            data = json.loads(line[6:])
            jsonschema.validate(data, doc["components"]["schemas"]["TargetEvent"])
            return data


class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(SOCK)


def call(method, path, body=None, headers=None):
    c = Unix("squall")
    c.request(method, path, json.dumps(body) if isinstance(body, (dict, list)) else body, headers or {})
    r = c.getresponse()
    return r.status, dict((k.lower(), v) for k, v in r.getheaders()), r.read()


doc = json.loads(call("GET", "/api/v1/openapi.json")[2])
seen = set()


def template(path):
    path = path.split("?")[0]
    if path in doc["paths"]:
        return path
    parts = path.split("/")
    for t in doc["paths"]:
        tp = t.split("/")
        if len(tp) == len(parts) and all(a == b or a.startswith("{") for a, b in zip(tp, parts)):
            return t
    raise KeyError(path)


def resolve(o):
    while "$ref" in o:
        ref, o = o["$ref"], doc
        for k in ref[2:].split("/"):
            o = o[k]
    return o


def say(ok, text, why=""):
    global failed
    print(("ok " if ok else "not ok ") + text + ("" if ok else ": " + str(why)[:600]))
    failed += not ok


def step(what, method, path, want, body=None, headers=None, check=None):
    try:
        status, head, raw = call(method, path, body, headers)
        t = template(path)
        op = doc["paths"][t].get(method.lower())
        why = "" if status == want else f"status {status}, wanted {want}: {raw[:300]}"
        data = None
        if op is None:
            if status != 405:
                why = f"no operation, and status {status}"
        elif not why:
            response = resolve(op["responses"][str(status)])
            if status < 300:
                seen.add((t, method.lower()))
            content = response.get("content")
            kind = head.get("content-type", "").split(";")[0]
            if content is None:
                why = f"a body of {len(raw)} bytes where none is described" if raw else ""
            elif kind not in content:
                why = f"content type {kind}, described: {list(content)}"
            elif "json" in kind:
                data = json.loads(raw)
                schema = dict(content[kind]["schema"], components=doc["components"])
                errors = list(jsonschema.Draft202012Validator(schema).iter_errors(data))
                why = "; ".join(f"{list(e.absolute_path)}: {e.message[:200]}" for e in errors[:3])
        if not why and check:
            got = check(data if data is not None else raw.decode(), head)
            why = "" if got else f"check failed on {raw[:400]}"
        say(not why, f"{method} {path.replace(quote(CG, safe=''), '..')[:70]} -> {want}: {what}", why)
        return data, head
    except Exception as e:  # one broken step must not hide the others
        say(False, f"{method} {path}: {what}", repr(e))
        return None, {}


def rules(t, tail=""):
    return "/api/v1/rules/" + quote(t, safe="") + tail


jsonschema.Draft202012Validator.check_schema({"components": doc["components"]})
say(doc["openapi"].startswith("3.1"), "the OpenAPI file is of version 3.1")

step("good", "GET", "/healthz", 200)
step("Prometheus", "GET", "/metrics", 200, check=lambda d, h: "# TYPE squall_up gauge" in d and "squall_up 1" in d)
step("status", "GET", "/api/v1/status", 200, check=lambda d, h: d["health"]["status"] == "ok")
step("capabilities", "GET", "/api/v1/capabilities", 200, check=lambda d, h: len(d["faults"]) >= 9)
step("itself", "GET", "/api/v1/openapi.json", 200)
step("all", "GET", "/api/v1/targets", 200, check=lambda d, h: {A, B} <= {t["target"] for t in d["targets"]})
step("containers only", "GET", "/api/v1/targets?kind=container", 200, check=lambda d, h: d["targets"] == [])
step("bad kind", "GET", "/api/v1/targets?kind=pod", 400)
step("unknown word", "GET", "/api/v1/targets?knid=cgroup", 400, check=lambda d, h: d["field"] == "query" and "accepted: kind match" in d["detail"])
step("a word twice", "GET", "/api/v1/events?target=a&counters=brief&target=b", 400, check=lambda d, h: d["field"] == "query" and "a word twice; accepted, each once: " in d["detail"])
# Each route takes the words that the document has for it, and no other.
for path, ops in doc["paths"].items():
    for method, op in ops.items():
        if not path.startswith("/api/v1/") or method == "parameters":
            continue
        want = sorted(p["name"] for p in op.get("parameters", []) if p.get("in") == "query")
        got = call(method.upper(), path.replace("{", "").replace("}", "") + "?no-such-word=1")
        text = json.loads(got[2]).get("detail", "")
        words = sorted(w for w in text.rpartition("accepted: ")[2].split() if w != "none")
        say(got[0] == 400 and words == want, f"{method} {path}: takes {want} in the query, no other")
t, _ = step("by path", "GET", "/api/v1/targets/" + quote(A, safe=""), 200)
step("what happened", "GET", "/api/v1/history?limit=5", 200, check=lambda d, h: d["kept"] >= len(d["events"]) > 0)
step("of nothing", "GET", "/api/v1/history?format=xml", 400, check=lambda d, h: d["field"] == "format")
step("why its fault acts so", "GET", "/api/v1/targets/" + quote(A, safe="") + "/explain", 200, check=lambda d, h: d["target"] == A and d["seen"]["processes"] == 0)
step("by cgroup id", "GET", "/api/v1/targets/" + t["id"], 200, check=lambda d, h: d["target"] == A)
step("no such", "GET", "/api/v1/targets/" + quote("cgroup:/no/such", safe=""), 404)
step("no such", "GET", "/api/v1/targets/nobody", 404, check=lambda d, h: d["field"] == "target" and "nobody" in d["detail"])
step("the root is no target", "GET", "/api/v1/targets/" + quote("cgroup:/", safe=""), 400)

step("none yet", "GET", "/api/v1/rules", 200, check=lambda d, h: d["rules"] == [])
step("none yet", "GET", rules(A), 404)
step("new, by text", "PUT", rules(A), 201, {"text": "up loss 10% delay 100ms 20ms down rate 1mbit match proto tcp dport 8883"})
r, h = step("read", "GET", rules(A), 200, check=lambda d, h: "loss 10%" in d["rule"]["text"] and h["etag"] == '"' + d["etag"] + '"')
etag = h.get("etag", "")
step("unchanged", "GET", rules(A), 304, headers={"If-None-Match": etag})
step("what was read can be written", "PUT", rules(A), 200, {k: v for k, v in r["rule"].items() if k not in ("id", "target_id", "set_ms", "drawn_seed")})
step("old ETag", "PUT", rules(A), 412, {"text": "up loss 1%"}, {"If-Match": etag}, lambda d, h: "If-Match" in d["detail"])
r2, h2 = step("and nothing changed", "GET", rules(A), 200, check=lambda d, h: "loss 10%" in d["rule"]["text"])
step("right ETag", "PUT", rules(A), 200, {"text": "up loss 1%"}, {"If-Match": h2["etag"]})
step("any ETag", "PUT", rules(A), 200, {"text": "up loss 2%"}, {"If-Match": "*"})
step("only if new", "PUT", rules(A), 412, {"text": "up loss 3%"}, {"If-None-Match": "*"})
step("only if new", "PUT", rules(B), 201, {"text": "up loss 3%"}, {"If-None-Match": "*"})
step("If-Match of nothing", "DELETE", rules("cgroup:" + CG + "/b/c"), 404, headers={"If-Match": "*"})
step("one fault changed, the other kept", "PUT", rules(A), 200, {"text": "up loss 2% delay 50ms"})
step("merge patch", "PATCH", rules(A), 200, {"up": {"loss": {"pct": 7}}}, check=lambda d, h: d["rule"]["text"] == "up loss 7% delay 50ms")
step("merge patch takes away", "PATCH", rules(A), 200, {"up": {"delay_ns": None}}, check=lambda d, h: d["rule"]["text"] == "up loss 7%")
step("merge patch adds the other direction", "PATCH", rules(A), 200, {"down": {"rate_bps": 1000000}}, check=lambda d, h: "down rate 1mbit" in d["rule"]["text"])
step("another loss model", "PATCH", rules(A), 200, {"up": {"loss": {"gemodel": {"p_pct": 1, "r_pct": 10}}}})
step("expiry by patch", "PATCH", rules(A), 200, {"for_ns": 60000000000}, check=lambda d, h: 0 < d["rule"]["expires_in_ns"] <= 60000000000)
step("nothing left", "PATCH", rules(B), 400, {"up": None})
step("old ETag", "PATCH", rules(A), 412, {"for_ns": 1000000000}, {"If-Match": etag})
for body, field in (({"text": "up loss 101%"}, "up.loss"), ({"text": "up delay -1ms"}, "up.delay"), ({"clauses": [{"up": {"lossy": 1}}]}, "lossy"),
                    ({"clauses": []}, "rule"), ({"clauses": "x"}, "clauses"), ({"txt": "up loss 1%"}, "txt"), ([1], "body"), ("{", "body"),
                    ('{"text":"up loss 1%","text":"up loss 2%"}', "body"), ("", "body"), ({"text": "up loss 1% for 5"}, "for"),
                    ({"text": "up loss 1%", "for_ns": -1}, "for_ns"), ("{\"text\":\"up loss 1%\"}\0", "body"), ("nul", "body")):
    step(f"bad rule names its field", "PUT", rules(A), 400, body, check=lambda d, h, f=field: f.split(".")[-1].split("_")[0] in (d.get("field", "") + d["detail"]))
step("and the old rule is in force", "GET", rules(A), 200, check=lambda d, h: "gemodel" in d["rule"]["text"])
step("no such target", "PUT", rules("cgroup:/no/such"), 404, {"text": "up loss 1%"})
one = lambda t, text: {"target": t, "rule": {"text": text}}
step("many at once", "PUT", "/api/v1/rules", 200, {"rules": [one(A, "up loss 8%"), one(B, "up loss 9%"), one(A, "up loss 10%")]},
     check=lambda d, h: d["set"] == 3 and [e["rule"]["text"] for e in d["rules"]] == ["up loss 8%", "up loss 9%", "up loss 10%"])
step("many, told by number", "PUT", "/api/v1/rules?entries=0", 200, {"rules": [one(A, "up loss 11%")]}, check=lambda d, h: d == {"set": 1})
step("many, told in brief", "PUT", "/api/v1/rules?entries=brief", 200, {"rules": [one(A, "up loss 11%")]},
     check=lambda d, h: d == {"set": 1, "rules": [{"target": A, "rule": {"text": "up loss 11%"}}]})
for what, status, body, field in (
        ("a bad rule", 400, {"rules": [one(A, "up loss 1%"), one(B, "up loss 200%")]}, "rules[1].up.loss"),
        ("no such target", 404, {"rules": [one(A, "up loss 1%"), one("cgroup:/no/such", "up loss 1%")]}, "rules[1].target"),
        ("another key", 400, {"rules": [dict(one(A, "up loss 1%"), x=1)]}, "rules[0].x"),
        ("no object", 400, {"rules": [5]}, "rules[0]"), ("no rule", 400, {"rules": [{"target": A}]}, "rules[0]"),
        ("none", 400, {"rules": []}, "rules"), ("no list", 400, {"rules": {}}, "rules"), ("nothing", 400, {}, "rules"),
        ("too many", 400, {"rules": [one(A, "up loss 1%")] * 1001}, "rules"), ("a key beside", 400, {"rules": [one(A, "up loss 1%")], "y": 1}, "y")):
    step(f"many, {what}: refused whole", "PUT", "/api/v1/rules", status, body, check=lambda d, h, f=field: d["field"] == f)
step("entries is 0, brief or absent", "PUT", "/api/v1/rules?entries=1", 400, {"rules": [one(A, "up loss 1%")]})
step("an old ETag refuses many as well", "PUT", "/api/v1/rules", 412, {"rules": [one(A, "up loss 1%")]}, {"If-Match": etag})
step("and the rules before are in force", "GET", rules(A), 200, check=lambda d, h: d["rule"]["text"] == "up loss 11%")
step("as before", "PUT", "/api/v1/rules", 200, {"rules": [{"target": A, "rule": {"clauses": [{"up": {"loss": {"gemodel": {"p_pct": 1, "r_pct": 10}}}}]}}, one(B, "up loss 3%")]})
step("two", "GET", "/api/v1/rules", 200, check=lambda d, h: len(d["rules"]) == 2)
maps = ("sq_targets", "sq_rules", "sq_counters", "sq_cfg", "sq_att", "sq_dist", "sq_scratch", "sq_lane", "sq_waiting", "sq_events")
step("all ten", "GET", "/api/v1/maps", 200, check=lambda d, h: {m["name"] for m in d["maps"]} == set(maps)
     and [m["entries"] for m in d["maps"] if m["name"] == "sq_targets"] == [2])
for m in maps:
    step("decoded", "GET", "/api/v1/maps/" + m, 200, check=lambda d, h, m=m: d["map"]["name"] == m and (d["entries"] or m in ("sq_events", "sq_waiting")))
step("the rule in force", "GET", "/api/v1/maps/sq_rules", 200, check=lambda d, h: any("gemodel" in e["text"] for e in d["entries"]))
step("the interface", "GET", "/api/v1/maps/sq_att", 200, check=lambda d, h: "host" in d["entries"][0]["flags"])
step("as many as asked for", "GET", "/api/v1/maps/sq_dist?limit=7", 200, check=lambda d, h: len(d["entries"]) == 7 and d["truncated"])
step("all of them", "GET", "/api/v1/maps/sq_targets?limit=10000", 200, check=lambda d, h: len(d["entries"]) == 2 and not d["truncated"])
for bad in ("0", "-1", "10001", "x", "", "1e3"):
    step("a bad limit", "GET", "/api/v1/maps/sq_dist?limit=" + bad, 400, check=lambda d, h: d["field"] == "limit")
step("no such map, and which there are", "GET", "/api/v1/maps/sq_none", 404, check=lambda d, h: all(m in d["detail"] for m in maps))
step("ours", "GET", "/api/v1/programs", 200, check=lambda d, h: {"squall_ingress", "squall_egress"} <= {p["name"][:14] for p in d["programs"]}
     and all(p["maps"] for p in d["programs"]))
step("read only", "DELETE", "/api/v1/maps/sq_rules", 405)
step("counters", "GET", "/api/v1/counters", 200, check=lambda d, h: {c["target"] for c in d["counters"]} == {A, B})
step("flows of a rule that follows none", "GET", "/api/v1/flows/" + quote(B, safe=""), 404)
step("flows: a bad limit", "GET", "/api/v1/flows/" + quote(B, safe="") + "?limit=0", 400)
step("a rule that follows flows", "PUT", "/api/v1/rules/" + quote(A, safe=""), 200, {"clauses": [{"hang": {"old": True}, "flows_pct": 50}], "links": 64})
step("its flows", "GET", "/api/v1/flows/" + quote(A, safe="") + "?limit=5", 200, check=lambda d, h: d["counts"]["full"] == 0)
step("counters with flows", "GET", "/api/v1/counters", 200, check=lambda d, h: [f["target"] for f in d["flows"]] == [A])
step("traffic", "GET", "/api/v1/traffic", 200, check=lambda d, h: d["mode"] == "auto" and not d["counting"] and d["why"] == "nobody looks")
step("traffic off", "PUT", "/api/v1/traffic", 200, {"mode": "off"}, check=lambda d, h: d["mode"] == "off")
step("traffic of no mode", "PUT", "/api/v1/traffic", 400, {"mode": "loud"}, check=lambda d, h: d["field"] == "mode")
step("traffic with more", "PUT", "/api/v1/traffic", 400, {"mode": "on", "x": 1})
step("traffic auto", "PUT", "/api/v1/traffic", 200, {"mode": "auto"})
step("the last hour of one", "GET", "/api/v1/series/" + quote(B, safe=""), 200, check=lambda d, h: d["target"] == B)
step("counters of one", "GET", "/api/v1/counters/" + quote(B, safe=""), 200, check=lambda d, h: len(d["counters"]) == 1)
step("too large", "PUT", rules(A), 413, "x" * ((1 << 20) + 1))
step("not allowed", "POST", rules(A), 405, check=lambda d, h: "PUT" in h["allow"])

ps, _ = step("shipped", "GET", "/api/v1/profiles", 200)
names = {p["name"] for p in ps["profiles"]}
say(all(p["source"] for p in ps["profiles"]) and {"GPRS", "EDGE", "3G", "4G", "5G", "NB-IoT", "LTE-M", "satellite", "train-tunnel", "lossy-wifi",
    "offline", "ATC 2G-DevelopingRural"} <= names, "every shipped profile has a source, and all that were promised are there", names)
for p in ps["profiles"]:
    step("applies", "POST", rules(A, "/profile"), 200, {"name": p["name"], "for_ns": 60000000000},
         check=lambda d, h, n=p["name"]: d["source"] == "profile:" + n and d["rule"]["for_ns"] == 60000000000)
step("unknown", "POST", rules(A, "/profile"), 404, {"name": "6G"})
step("bad time", "POST", rules(A, "/profile"), 400, {"name": "3G", "for_ns": "1s"})
step("put off in place", "POST", rules(A, "/prolong"), 200, {"for_ns": 90000000000},
     check=lambda d, h: d["rule"]["for_ns"] == 90000000000 and not d["held"])
step("put off, of another version", "POST", rules(A, "/prolong"), 412, {"for_ns": 1}, {"If-Match": '"0"'})
step("put off for no time", "POST", rules(A, "/prolong"), 400, {"for_ns": 0}, check=lambda d, h: d["field"] == "for_ns")
step("neither held nor not", "PUT", rules(A) + "?hold=2", 400, {"text": "up loss 4%"}, check=lambda d, h: d["field"] == "hold")
step("saved", "PUT", "/api/v1/profiles/my%20lab", 201, {"rule": {"text": "up loss 4%"}, "description": "<b>lab</b>"})
step("saved again, bare", "PUT", "/api/v1/profiles/my%20lab", 200, {"text": "up loss 5%"})
step("read", "GET", "/api/v1/profiles/my%20lab", 200, check=lambda d, h: d["rule"]["text"] == "up loss 5%" and not d["shipped"])
step("a shipped one stays", "PUT", "/api/v1/profiles/3G", 409, {"text": "up loss 5%"})
step("a shipped one stays", "DELETE", "/api/v1/profiles/3G", 403)
step("bad name", "PUT", "/api/v1/profiles/" + quote("a/b", safe=""), 400, {"text": "up loss 5%"})
step("bad rule", "PUT", "/api/v1/profiles/x", 400, {"text": "up lose 5%"})
step("gone", "DELETE", "/api/v1/profiles/my%20lab", 204)
step("gone", "DELETE", "/api/v1/profiles/my%20lab", 404)

S = "/api/v1/schedules/" + quote(B, safe="")
plan = {"steps": [{"at_ns": 0, "rule": {"text": "up loss 11%"}}, {"at_ns": 500000000, "rule": None}, {"at_ns": 1000000000, "profile": "3G"}],
        "length_ns": 60000000000, "repeat": 2}
step("none", "GET", "/api/v1/schedules", 200, check=lambda d, h: d["schedules"] == [])
step("none", "POST", S + "/start", 404)
step("saved", "PUT", S, 201, plan)
step("read", "GET", S, 200, check=lambda d, h: d["repeat"] == 2 and len(d["steps"]) == 3)
step("listed", "GET", "/api/v1/schedules", 200, check=lambda d, h: len(d["schedules"]) == 1)
for change, field in (({"steps": []}, "steps"), ({"length_ns": 900000000}, "length_ns"), ({"repeat": -1}, "repeat"), ({"steps": [{"at_ns": 0}]}, "steps[0]"),
                      ({"steps": [{"at_ns": 5, "rule": None}, {"at_ns": 5, "rule": None}]}, "steps[1]"),
                      ({"steps": [{"at_ns": 0, "rule": {"text": "up loss 200%"}}]}, "steps[0]")):
    step("bad: names its field", "PUT", S, 400, {**plan, **change}, check=lambda d, h, f=field: d["field"].startswith(f))
step("runs", "POST", S + "/start", 200, check=lambda d, h: d["running"])


def wait_text(text, seconds=10):
    end = time.time() + seconds
    while time.time() < end:
        status, _, raw = call("GET", rules(B))
        got = json.loads(raw)["rule"]["text"] if status == 200 else None
        if got == text:
            return True
        time.sleep(0.02)
    return False


say(wait_text("up loss 11%"), "the schedule's first step is in force")
say(wait_text(None), "then nothing, as its second step says")
say(wait_text(json.loads(call("GET", "/api/v1/profiles/3G")[2])["rule"]["text"]), "then its third, a profile")
step("stopped", "POST", S + "/stop", 200, check=lambda d, h: not d["running"])
step("its rule is gone", "GET", rules(B), 404)
step("stopped already", "POST", S + "/stop", 409)
step("deleted", "DELETE", S, 204)
step("deleted", "GET", S, 404)

step("deleted", "DELETE", rules(A), 204)
step("deleted", "DELETE", rules(A), 404)
call("PUT", rules(A), {"text": "up loss 1%"})
call("PUT", rules(B), {"text": "up loss 1%"})
E = "/api/v1/experiments"
tells = {"name": "x", "started_ms": 1, "ttl_s": 10, "phase": "ramp", "faults": [], "elapsed_s": 0, "duration_s": 1,
         "phases": [{"phase": "ramp", "faults": [], "from_s": 0, "to_s": 1}], "thresholds": []}
step("none", "GET", E, 200)
step("told", "PUT", E + "/x", 200, tells)
step("one", "GET", E + "/x", 200)
step("not known", "PUT", E + "/x", 400, {**tells, "more": 1})
step("asked", "POST", E + "/x/stop", 202, {})
step("its page", "PUT", E + "/x/report", 204, {"html": "<p>"})
step("over", "PUT", E + "/x", 200, {**tells, "verdict": "passed", "exit": 0, "why": ""}, check=lambda d, h: d["stop"])
step("all", "GET", E, 200, check=lambda d, h: len(d["finished"]) == 1)
step("the page", "GET", E + "/x/report", 200)
step("nobody", "POST", E + "/x/stop", 404, {})
step("forgotten", "DELETE", E + "/x", 204)
step("forgotten", "GET", E + "/x", 404)
cleared = step("all", "DELETE", "/api/v1/rules", 200, check=lambda d, h: d["deleted"] == 2)[0]
step("put back", "POST", "/api/v1/undo", 200, {"undo": cleared["undo"]}, check=lambda d, h: d["rules"] == 2)
step("once only", "POST", "/api/v1/undo", 404, {"undo": cleared["undo"]})
step("what is no undo", "POST", "/api/v1/undo", 400, {"undo": 5})
step("all again", "DELETE", "/api/v1/rules?schedules=keep", 200, check=lambda d, h: d["deleted"] == 2)

# Expiry: gone within the second, and an event says so.
call("PUT", rules(A), {"text": "up loss 1% for 300ms"})
time.sleep(1.2)
step("expired by itself", "GET", rules(A), 404)

# Events
c = Unix("squall")
c.request("GET", "/api/v1/events?trace=1&every=1")
r = c.getresponse()
say(r.status == 200 and r.getheader("Content-Type") == "text/event-stream", "events are a text/event-stream")
seen.add(("/api/v1/events", "get"))
call("PUT", rules(A), {"text": "up loss 1% for 400ms"})
call("PUT", rules(A), {"text": "up loss 2% for 400ms"})
got, counters, end, name = [], 0, time.time() + 20, ""
while time.time() < end and not ("expired" in got and counters >= 3):
    line = r.readline().decode().rstrip("\n")
    if line.startswith("event: "):
        name = line[7:]
    elif line.startswith("data: "):
        data = json.loads(line[6:])
        if name == "rule":
            got.append(data["action"])
            if data["rule"]:
                jsonschema.validate({k: v for k, v in data.items() if k != "action"}, dict(doc["components"]["schemas"]["Rule"], components=doc["components"]))
        if name == "counters":
            counters += 1
            jsonschema.validate(data, dict(doc["components"]["schemas"]["Counters"], components=doc["components"]))
# Cgroups come and go, one by one and in crowds.
new = CGROUPS + CG + "/new"
os.mkdir(new)
os.mkdir(new + "/inner")
made = time.time()
wait_target = lambda **want: next(data for _ in range(100000) for data in [next_event(r, "target")] if all(data[k] == v for k, v in want.items()))
a = wait_target(target="cgroup:" + CG + "/new", what="created")
b = wait_target(target="cgroup:" + CG + "/new/inner", what="created")
say(time.time() - made < 1.5 and a["id"] == str(os.stat(new).st_ino), f"a stream tells of new cgroups within 1.5 s ({time.time() - made:.2f} s)", [a, b])
os.rmdir(new + "/inner")
os.rmdir(new)
gone = time.time()
a = wait_target(target="cgroup:" + CG + "/new", what="removed")
say(time.time() - gone < 1.5, f"and of their going ({time.time() - gone:.2f} s)", a)
for i in range(100):
    os.mkdir(f"{new}-{i}")
say(wait_target(what="many")["target"] is None, "a crowd is one event")
for i in range(100):
    os.rmdir(f"{new}-{i}")
status = json.loads(call("GET", "/api/v1/status")[2])
say(status["cgroups"]["error"] is None and status["cgroups"]["watched"] >= 4, "status says how many are watched", status["cgroups"])
say(got == ["set", "set", "expired"], "a stream tells of each change of a rule and of its expiry", got)
say(counters >= 3, "and sends counters at once and each second", counters)
c.close()
step("bad sampling", "GET", "/api/v1/events?trace=1&every=0", 400)
step("bad trace", "GET", "/api/v1/events?trace=yes", 400)

todo = {(p, m) for p, ops in doc["paths"].items() for m in ops if m != "parameters"} - seen
say(not todo, f"all {len(seen)} operations of the OpenAPI file succeeded at least once", todo)
sys.exit(failed > 0)
