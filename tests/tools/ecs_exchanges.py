# SPDX-License-Identifier: GPL-2.0-only
"""Has each exchange of a table with who serves the ECS agent's fault endpoints, in order:
ecs_exchanges.py TABLE ADDRESS ID. A line of the table: {"call", "body", "status", "answer"}, and where
they are not POST and ID {"method", "id"}. An answer that is a text is the whole body."""
import http.client, json, sys

table, address, task = sys.argv[1:]
bad = 0
for n, line in enumerate(open(table), 1):
    x = json.loads(line)
    c = http.client.HTTPConnection(address, timeout=20)
    c.request(x.get("method", "POST"), f"/api/{x.get('id', task)}/fault/v1/{x['call']}", x["body"].encode())
    r = c.getresponse()
    text = r.read().decode()
    c.close()
    want = x["answer"] if isinstance(x["answer"], str) else json.dumps(x["answer"], separators=(",", ":"))
    kind = (r.getheader("Content-Type") or "").split(";")[0]
    if r.status != x["status"] or text != want or (isinstance(x["answer"], dict) and kind != "application/json"):
        bad += 1
        print(f"not ok exchange {n}: {x['call']} {x['body']!r}: {r.status} {kind} {text!r}, wanted {x['status']} {want!r}")
print(f"{'not ok' if bad or n < 60 else 'ok'} {n} exchanges, {bad} otherwise than the agent's")
sys.exit(bad != 0)
