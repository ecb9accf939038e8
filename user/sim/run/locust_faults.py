

# --- faults: this master's page /squall, over all hosts (squall-sim locustfile --faults) ---
# Locust's own channel carries them: squall.fault to the workers, squall.fault.result back. Whoever
# reaches a master's port may command its workers, so a worker does nothing of it unless it was
# started with --faults. Works with Locust 2.12 to 2.46.
import json as _json
import logging as _logging
import re as _re
import time as _time
import uuid as _uuid
from urllib.parse import urlsplit as _urlsplit

import gevent as _gevent
from locust.runners import MasterRunner as _MasterRunner

_log = _logging.getLogger("squall")
_ANSWER_S = 5.0     # a worker that says nothing for so long counts as failed
_STOP_S = 3.0       # how long the end of a run waits for "removed"
_AGAIN_S = 15.0     # a worker that cannot is asked again: its squalld may be there by now
_KEEP = 200         # faults that the page remembers


@events.init_command_line_parser.add_listener
def _squall_options(parser):
    # A text with default "" is the only kind that 2.12's form can edit.
    parser.add_argument("--squall-faults", type=str, default="",
                        help="Faults of each run, by ';': START for TIME [share PERCENT] on TARGET: RULE")


def _seconds(text):
    m = _re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", str(text).strip())
    if not m:
        raise ValueError(f"'{text}' is not a time: 500ms, 30s, 5m, 1h")
    return float(m[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, None: 1}[m[2]]


def _timeline(text):
    for part in filter(None, (p.strip() for p in text.split(";"))):
        m = _re.fullmatch(r"(\S+) for (\S+)(?: share (\d+)%?)? on (\S+): (.+)", part)
        if not m:
            raise ValueError(f"--squall-faults: '{part}' is not START for TIME [share PERCENT] on TARGET: RULE")
        yield _seconds(m[1]), _seconds(m[2]), int(m[3] or 100), m[4], m[5]


class SquallFaults:
    """On the master. What its message listener calls neither blocks nor raises: before Locust 2.20 an
    exception there ends the listener, and with it the run."""

    def __init__(self, environment):
        self.env, self.runner = environment, environment.runner
        self.faults = {}    # id -> fault, the newest last
        self.known = {}     # client id -> what it answered to "hello", and when
        self.asked = {}     # client id -> how often and when it was asked
        self.plan = None
        self.runner.register_message("squall.fault.result", self.on_result)  # two arguments: all versions
        _gevent.spawn(self.watch)

    # --- to the workers ---
    def send(self, client, op, **data):
        self.runner.send_message("squall.fault", dict(data, v=1, op=op), client)

    def there(self, client):
        return client in self.runner.clients and self.runner.clients[client].state != "missing"

    def members(self):
        """One worker of each squalld, in the order in which they joined: two would fight over a target."""
        seen, chosen = set(), []
        for client in sorted((c for c, k in self.known.items() if k["ok"] and self.there(c)),
                             key=lambda c: self.known[c]["order"]):
            if self.known[client]["squalld"] not in seen:
                seen.add(self.known[client]["squalld"])
                chosen.append(client)
        return chosen

    def set(self, target, rule, for_s, share=100):
        target, rule = str(target).strip(), str(rule).strip()
        if not target or not rule:
            raise ValueError("a fault needs a target and a rule")
        if not 0 < for_s <= 86400:
            raise ValueError("a fault needs an end: for 1s to 24h")
        if not 0 < share <= 100:
            raise ValueError("share: 1 to 100 percent")
        members = self.members()
        if not members:
            raise ValueError("no worker is there that can: start them with squall-sim worker --faults")
        now = _time.time()
        fault = dict(id="f" + _uuid.uuid4().hex[:12], target=target, rule=rule, share=share, start=now,
                     until=now + for_s, state="on", workers={})
        self.faults[fault["id"]] = fault
        while len(self.faults) > _KEEP:
            del self.faults[next(iter(self.faults))]
        for client in members[:max(1, len(members) * share // 100)]:
            self.ask(fault, client)
        return fault

    def ask(self, fault, client):
        fault["workers"][client] = dict(state="asked", since=_time.time(), text="",
                                        host=self.known[client]["host"], squalld=self.known[client]["squalld"])
        self.send(client, "set", id=fault["id"], target=fault["target"], rule=fault["rule"],
                  for_ms=max(1, int((fault["until"] - _time.time()) * 1000)))

    def delete(self, fault_id=None):
        asked = []
        for fault in list(self.faults.values()):
            if fault["state"] != "on" or fault_id not in (None, fault["id"]):
                continue
            fault["state"], fault["until"] = "off", _time.time()
            for client, w in fault["workers"].items():
                if w["state"] in ("asked", "on", "no answer"):
                    w.update(state="leaving", since=_time.time())
                    self.send(client, "del", id=fault["id"], target=fault["target"])
                    asked.append(w)
        return asked

    def settle(self, asked):
        """Waits, from any greenlet; the message listener's own hears nothing meanwhile: hence the limit."""
        end = _time.time() + _STOP_S
        while any(w["state"] == "leaving" for w in asked) and _time.time() < end:
            _gevent.sleep(0.02)
        return all(w["state"] != "leaving" for w in asked)

    # --- from the workers ---
    def on_result(self, environment, msg, **_kwargs):
        try:
            self.result(str(msg.node_id), msg.data)
        except Exception as e:  # a broken worker must not deafen the master
            _log.warning("ignored a squall.fault.result of %s: %r", msg.node_id, e)

    def result(self, client, d):
        op, ok, text = d["op"], bool(d["ok"]), str(d["text"])[:500]
        if op == "hello":
            order = self.known[client]["order"] if client in self.known else len(self.known)
            self.known[client] = dict(ok=ok, text=text, order=order, host=str(d.get("host"))[:100],
                                      squalld=str(d.get("squalld"))[:200], at=_time.time())
            if ok and client in self.members():     # who comes late joins what is on for all
                for fault in list(self.faults.values()):
                    if fault["state"] == "on" and fault["share"] == 100 and fault["until"] > _time.time() and not any(
                            w["squalld"] == self.known[client]["squalld"] and w["state"] in ("asked", "on")
                            for w in fault["workers"].values()):
                        self.ask(fault, client)
            return
        fault = self.faults[d["id"]]
        w = fault["workers"][client]
        was = w["state"]
        w["text"] = text
        if op != "lost":
            w["took_ms"] = round((_time.time() - w["since"]) * 1000, 1)
        if op == "lost":
            w["state"] = "lost"
        elif op == "set":
            w["state"] = "on" if ok else "failed"
        else:
            w["state"] = "removed" if ok else "failed"
        _log.info("fault %s: %s on %s: %s", fault["id"], w["state"], client, text)
        if op == "set" and ok and fault["state"] != "on":  # it hung, and the fault is over
            w.update(state="leaving", since=_time.time())
            self.send(client, "del", id=fault["id"], target=fault["target"])
        if not ok and was != "ended":
            self.complain(client, f"fault on {fault['target']}, {op}: {text}")

    def complain(self, node, text):
        """Into Locust's own table and CSV of exceptions; the exit code is then 1."""
        _log.warning("%s: %s", node, text)
        self.runner.log_exception(node, text, text)

    def watch(self):
        while True:
            _gevent.sleep(0.25)
            try:
                self.look()
            except Exception as e:
                _log.warning("faults: %r", e)

    def look(self):
        now = _time.time()
        for c in list(self.runner.clients.all):     # 2.12 has no event for who joins
            known = self.known.get(c.id)
            times, at = self.asked.get(c.id, (0, 0))
            if known and not known["ok"] and now - known["at"] > _AGAIN_S:
                known["at"] = now
                self.send(c.id, "hello")
            elif not known and times < 3 and now - at > _ANSWER_S:
                self.asked[c.id] = times + 1, now
                self.send(c.id, "hello")
        for client in [c for c in self.known if c not in self.runner.clients]:
            del self.known[client]
        for fault in list(self.faults.values()):
            for client, w in fault["workers"].items():
                gone = not self.there(client)
                if w["state"] in ("asked", "leaving") and (gone or now - w["since"] > _ANSWER_S):
                    w["state"] = "missing" if gone else "no answer"
                    self.complain(client, f"fault on {fault['target']}: {w['state']}")
                elif w["state"] == "on" and gone and fault["state"] == "on":
                    w["state"] = "missing"
                    self.complain(client, f"fault on {fault['target']}: its worker is gone, and the fault with it")
            if fault["state"] == "on" and now > fault["until"]:
                fault["state"] = "ended"
                for w in fault["workers"].values():
                    if w["state"] == "on":
                        w["state"] = "ended"

    # --- runs ---
    def run(self):
        """On the run's own clock: LoadTestShape.tick() is not called while a ramp goes."""
        start = _time.time()
        try:
            plan = sorted(_timeline(self.env.parsed_options.squall_faults or ""))
        except ValueError as e:
            return self.complain("master", str(e))
        for at, for_s, share, target, rule in plan:
            _gevent.sleep(max(0, start + at - _time.time()))
            try:
                self.set(target, rule, for_s, share)
            except ValueError as e:
                self.complain("master", str(e))

    def test_start(self, **_kwargs):
        self.plan = _gevent.spawn(self.run)

    def test_stopping(self, **_kwargs):
        if self.plan:
            self.plan.kill(block=False)
        if not self.settle(self.delete()):
            self.complain("master", "not all workers said that their faults are gone; each ends by itself")

    def state(self):
        return dict(
            now=_time.time(), run=self.runner.state,
            workers=[dict(id=c.id, state=c.state, faults=self.known.get(c.id)) for c in list(self.runner.clients.all)],
            faults=list(self.faults.values()))


_PAGE = """<!doctype html><html lang=en><meta charset=utf-8><title>Faults - Locust</title>
<style>body{font:15px sans-serif;background:#132b21;color:#e6f2ec;margin:2em}input,button{font:inherit;margin:.2em}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3em .6em;border-bottom:1px solid #355}
.failed,.missing,.lost{color:#ff8a8a}.on{color:#5fe39a}a{color:#8fd}</style>
<h1>Faults <small><a href="@BASE@/">back to Locust</a></small></h1>
<form id=form><label>Target <input name=target required size=24></label>
<label>Rule <input name=rule placeholder="up loss 10%" required size=40></label>
<label>for <input name=for value=60s size=6></label>
<label>on <input name=share type=number min=1 max=100 value=100 size=4>% of the hosts</label>
<button>Set</button> <button type=button id=off>Remove all</button> <span id=say role=status></span></form>
<h2>Workers</h2><table id=workers></table><h2>Faults</h2><table id=faults></table>
<script>
const url="@BASE@/squall/faults", $=i=>document.getElementById(i);
const row=(tag,cells,cls)=>{const r=document.createElement("tr");if(cls)r.className=cls;
 for(const c of cells){const d=document.createElement(tag);d.textContent=c;r.append(d)}return r};
async function call(method,body){const r=await fetch(url,{method,headers:{"Content-Type":"application/json"},body:body&&JSON.stringify(body)});
 const j=await r.json(); if(method!="GET"||!r.ok)$("say").textContent=r.ok?"":j.error; return j}
$("form").onsubmit=async e=>{e.preventDefault();await call("POST",Object.fromEntries(new FormData(e.target)));look()};
$("off").onclick=async()=>{await call("DELETE");look()};
async function look(){const s=await call("GET"); if(!s.faults)return;
 const left=f=>f.state=="on"?Math.max(0,Math.round(f.until-s.now))+" s left":f.state;
 $("workers").replaceChildren(row("th",["worker","state","host","faults"]),...s.workers.map(w=>row("td",[w.id,w.state,w.faults?w.faults.host:"",w.faults?w.faults.text:"does not answer"],w.state)));
 $("faults").replaceChildren(row("th",["fault","target","rule","share","time","host","there","answer"]));
 for(const f of s.faults.slice().reverse())for(const w of Object.values(f.workers))
  $("faults").append(row("td",[f.id,f.target,f.rule,f.share+" %",left(f),w.host,w.state+(w.took_ms?" after "+w.took_ms+" ms":""),w.text],w.state))}
look();setInterval(look,1000);
</script></html>"""

# Added to Locust's own page: a link, and in 2.12, whose charts are globals, the faults' times.
_SCRIPT = """(() => { const a=document.createElement("a"); a.href="@BASE@/squall"; a.textContent="Faults"; a.id="squall-link";
 a.style="position:fixed;right:1em;bottom:1em;z-index:9999;background:#15803d;color:#fff;padding:.5em 1em;border-radius:4px;font:15px sans-serif;text-decoration:none";
 document.body.append(a);
 if (typeof rpsChart === "undefined") return;
 setInterval(async () => { const s=await (await fetch("@BASE@/squall/faults")).json(), h=stats_history["time"];
  if (!h.length) return;
  const day=t=>new Date(t*1000).toLocaleTimeString(), sec=x=>new Date("1970-01-01 "+x).getTime();
  const at=t=>h.find(x=>sec(x)>=sec(day(t)))||h[h.length-1];
  const data=s.faults.filter(f=>f.until*1000>Date.now()-3.6e6).map(f=>[{name:f.rule,xAxis:at(f.start)},{xAxis:at(Math.min(f.until,s.now))}]);
  for (const c of [rpsChart,responseTimeChart,usersChart])
   c.chart.setOption({series:[{markArea:{itemStyle:{color:"rgba(255,160,0,.18)"},label:{color:"#ffb74d"},data}}]});
 },2000)})();
"""


def _squall_web(environment, faults):
    from flask import Response, jsonify, request
    ui, app = environment.web_ui, environment.web_ui.app
    base = (getattr(environment.parsed_options, "web_base_path", None) or "").rstrip("/")

    def foreign():
        """Locust lets every web site read and post (flask-cors, all origins): not here."""
        origin = request.headers.get("Origin")
        return origin is not None and _urlsplit(origin).netloc != request.host

    @app.route(base + "/squall")
    @ui.auth_required_if_enabled
    def squall_page():
        return Response(_PAGE.replace("@BASE@", base), mimetype="text/html")

    @app.route(base + "/squall/script.js")
    @ui.auth_required_if_enabled
    def squall_script():
        return Response(_SCRIPT.replace("@BASE@", base), mimetype="text/javascript")

    @app.route(base + "/squall/faults", methods=["GET", "POST", "DELETE"])
    @ui.auth_required_if_enabled
    def squall_faults():
        if request.method != "GET" and (foreign() or (request.method == "POST" and not request.is_json)):
            return jsonify(error="refused: from another site, or not JSON"), 403
        try:
            if request.method == "POST":
                d = request.get_json()
                return jsonify(faults.set(d["target"], d["rule"], _seconds(d.get("for", "60s")),
                                          int(d.get("share", 100)))), 202
            if request.method == "DELETE":
                faults.settle(faults.delete(request.args.get("id")))
        except (AttributeError, KeyError, TypeError, ValueError) as e:
            return jsonify(error=str(e)), 400
        return jsonify(faults.state())

    @app.after_request
    def squall_in_pages(response):
        if request.path.rstrip("/") == base and response.mimetype == "text/html" and response.status_code == 200:
            response.direct_passthrough = False
            page = response.get_data(as_text=True)
            response.set_data(page.replace("</body>", f'<script src="{base}/squall/script.js"></script></body>'))
        elif request.path == base + "/stats/requests" and response.is_json:
            rows = [dict(fault=f["id"], target=f["target"], rule=f["rule"], state=f["state"], worker=c,
                         there=w["state"], answer=w["text"])
                    for f in faults.faults.values() for c, w in f["workers"].items()]
            response.set_data(_json.dumps({**response.json, "extended_stats": [{"key": "faults", "data": rows[-500:]}]}))
        return response

    # Read by the page of 2.28 and later; older ones have no use for it.
    ui.template_args["extended_tabs"] = [{"title": "Faults", "key": "faults"}]
    ui.template_args["extended_tables"] = [{"key": "faults", "structure": [
        {"key": k, "title": k.title()} for k in ("fault", "target", "rule", "state", "worker", "there", "answer")]}]


@events.init.add_listener
def _squall_init(environment, **_kwargs):
    if not isinstance(environment.runner, _MasterRunner):
        return
    faults = environment.squall_faults = SquallFaults(environment)
    environment.events.test_start.add_listener(faults.test_start)
    environment.events.test_stopping.add_listener(faults.test_stopping)
    # quitting is fired in reverse order: what is added here runs before the runner's own quit().
    environment.events.quitting.add_listener(faults.test_stopping)
    if environment.web_ui:
        _squall_web(environment, faults)
