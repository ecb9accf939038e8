// SPDX-License-Identifier: GPL-2.0-only
// A stand-in that speaks docs/api.md from memory, for what the real daemon
// cannot be made to show in a test: five thousand targets, hostile names, no
// Docker, no lane, an hour of events in a minute. Everything that is about
// packets runs against the real squalld instead (see *.test).
//
// start({targets, ruled, token, eventMs, status, sim}) -> {url, stop(), state}

import http from 'node:http';
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { fileURLToPath } from 'node:url';

const WEB = fileURLToPath(new URL('../../web', import.meta.url));
const TYPES = { '.html': 'text/html; charset=utf-8', '.css': 'text/css', '.js': 'text/javascript', '.svg': 'image/svg+xml' };
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PROFILES = [['3G', 'both delay 100ms 20ms loss 0.5% rate 2mbit'], ['EDGE', 'both delay 400ms 80ms loss 1% rate 240kbit'],
	['LTE-M', 'both delay 120ms 40ms rate 1mbit'], ['NB-IoT', 'both delay 1500ms 500ms loss 1% rate 60kbit'],
	['Satellite', 'both delay 300ms 15ms loss 0.3% rate 10mbit'], ['Lossy Wi-Fi', 'both loss 5% 25% delay 8ms 6ms'], ['Offline', 'both blackhole']];

export const STATUS = {
	version: '0.1.0', kernel: { release: '6.18.0', arch: 'x86_64' },
	lane: { name: 'tap', why: 'this kernel has no sch_fq (tried to load it: not found)', queued_pkts: 0, late_p99_us: 84 },
	programs: [{ name: 'sq_host_up', id: 41, type: 'sched_cls', jited: true }, { name: 'sq_host_down', id: 42, type: 'sched_cls', jited: true },
		{ name: 'sq_edge_up', id: 43, type: 'sched_cls', jited: true }, { name: 'sq_edge_down', id: 44, type: 'sched_cls', jited: true }],
	attachments: [{ name: 'eth0', ifindex: 2, netns: 'host', role: 'host', hooks: ['ingress', 'egress'] }, { name: 'veth3f2a', ifindex: 12, netns: 'host', role: 'edge', hooks: ['ingress', 'egress'] }],
	faults: ['loss', 'delay', 'jitter', 'duplicate', 'corrupt', 'reorder', 'rate', 'blackhole'].map((name) => ({ name, available: true, why: '' })),
	features: [{ name: 'btf', available: true, why: '/sys/kernel/btf/vmlinux' }, { name: 'cls_bpf', available: true, why: '' },
		{ name: 'sch_fq', available: false, why: 'not in this kernel; the tap lane is used instead' }, { name: 'skb_set_tstamp', available: true, why: '' }],
	limits: { rules: 32768, clauses: 8, excepts: 16, max_delay_ns: 60e9 },
	docker: { connected: true, version: '20.10.24' },
};

export const target = (i, more = {}) => ({ target: more.name || `worker-${i}`, id: String(4000 + i), kind: 'container',
	name: `worker-${i}`, container_id: ((i * 2654435761 + 0x9e3779b97f4a) >>> 0).toString(16).padEnd(64, '5e1c'), image: ['iot/sensor:2.1', 'iot/gateway:1.4', 'eclipse-mosquitto:2'][i % 3], labels: { rack: `r${i % 7}` },
	network_mode: ['bridge', 'host', 'awsvpc'][i % 3], cgroup: `/docker/${i}`, view: { mode: 'bridge', interfaces: [`veth${i}`] }, running: i % 11 !== 10, rule: null, ...more });

function makeRule(body, id) {
	const rule = structuredClone(body);
	const words = [];
	if (!rule.text) {
		for (const c of rule.clauses || [])
			for (const d of ['up', 'down'])
				if (c[d]) {
					words.push(d);
					if (c[d].loss)
						words.push(`loss ${c[d].loss.pct}%`);
					if (c[d].delay_ns)
						words.push(`delay ${c[d].delay_ns / 1e6}ms`);
					if (c[d].rate_bps)
						words.push(`rate ${c[d].rate_bps / 1e3}kbit`);
					if (c[d].blackhole)
						words.push('blackhole');
				}
		rule.text = words.join(' ');
	} else if (!rule.clauses) {
		const loss = /loss ([\d.]+)%/.exec(rule.text);
		const delay = /delay ([\d.]+)ms/.exec(rule.text);
		const faults = { ...(loss && { loss: { pct: Number(loss[1]) } }), ...(delay && { delay_ns: delay[1] * 1e6 }), ...(/blackhole/.test(rule.text) && { blackhole: true }) };
		rule.clauses = [{ up: faults, ...(/^both/.test(rule.text) && { down: faults }) }];
	}
	return { ...rule, id, set_ms: Date.now(), drawn_seed: '8123456789012345678', on_crash: rule.on_crash || 'clear' };
}

export function start({ targets = [], ruled = 0, token = '', eventMs = 1000, status = STATUS, sim = null, port = 0, packets = 4 } = {}) {
	const state = { targets: new Map(targets.map((t) => [t.target, t])), schedules: new Map(), streams: new Set(), id: 0, counters: new Map(), time: Date.now(), sent: 0 };
	const envelope = (t, rule, source = 'api') => ({ target: t.target, id: t.id, rule, on_restart: true, in_force: true, source });
	const now = (r) => r && r.rule.for_ns ? { ...r, rule: { ...r.rule, expires_in_ns: Math.max(1, r.rule.for_ns - (Date.now() - r.rule.set_ms) * 1e6) } } : r;
	const set = (t, body, source) => {
		t.rule = envelope(t, makeRule(body, ++state.id), source);
		emit('rule', { action: 'set', target: t.target, rule: now(t.rule) });
		return t.rule;
	};
	const clear = (t) => {
		t.rule = null;
		state.counters.delete(t.target);
		emit('rule', { action: 'deleted', target: t.target, rule: null });
	};
	function emit(name, data) {
		for (const s of state.streams)
			s.res.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
	}
	[...state.targets.values()].slice(0, ruled).forEach((t, i) => { t.rule = envelope(t, makeRule({ text: ['up loss 10% delay 100ms', 'both blackhole', 'down loss 3%'][i % 3] }, ++state.id)); });

	function counters(advance) {
		const list = [];
		for (const t of state.targets.values()) {
			if (!t.rule)
				continue;
			const c = state.counters.get(t.target) || { up: 0, down: 0 };
			state.counters.set(t.target, c);
			for (const d of ['up', 'down']) {
				if (advance)
					c[d] += Math.round(180 + 40 * Math.sin(state.time / 9000 + t.id) + 20 * Math.random());
				const n = c[d];
				const on = d === 'up' || /both/.test(t.rule.rule.text) ? 1 : 0;
				const hole = /blackhole/.test(t.rule.rule.text);
				list.push({ target: t.target, clause: 0, direction: d, match: '', seen_pkts: n, seen_bytes: n * 120, lost_pkts: hole ? n * on : Math.round(n * 0.1) * on, lost_bytes: 0,
					delayed_pkts: hole ? 0 : Math.round(n * 0.7) * on, delayed_bytes: 0, duplicated_pkts: Math.round(n * 0.02) * on, corrupted_pkts: 0, reordered_pkts: 0, over_limit_pkts: 0, queue_ns: on * 2.4e6 });
			}
		}
		return { time_ms: state.time, counters: list };
	}

	// As a stream asked for it: rates by cgroup id, or one target's counters.
	const before = new Map();
	function figures(s, all) {
		if (s.rates) {
			const rates = {};
			for (const e of all.counters) {
				const t = find(e.target);
				const [seen, lost, delayed] = before.get(`${e.target}${e.direction}`) || [e.seen_pkts, e.lost_pkts, e.delayed_pkts];
				const r = rates[t.id] ||= [0, 0, 0, 0];
				[e.seen_pkts - seen, e.lost_pkts - lost, e.delayed_pkts - delayed].forEach((n, i) => { r[i] += n; });
				r[3] = Math.max(r[3], e.queue_ns / 1e6);
			}
			s.res.write(`event: rates\ndata: ${JSON.stringify({ time_ms: all.time_ms, rates })}\n\n`);
		} else {
			s.res.write(`event: counters\ndata: ${JSON.stringify({ ...all, counters: all.counters.filter((e) => !s.only || e.target === s.only) })}\n\n`);
		}
	}
	function tell(all) {
		for (const s of state.streams)
			figures(s, all);
		for (const e of all.counters)
			before.set(`${e.target}${e.direction}`, [e.seen_pkts, e.lost_pkts, e.delayed_pkts]);
	}

	const timer = setInterval(() => {
		state.time = eventMs < 1000 ? state.time + 1000 : Date.now();
		state.sent++;
		for (const t of state.targets.values())
			if (t.rule && t.rule.rule.for_ns && now(t.rule).rule.expires_in_ns <= 1)
				clear(t);
		tell(counters(true));
		for (const s of state.streams)
			for (const t of s.trace ? [...state.targets.values()].filter((x) => x.target === s.trace) : [])
				for (let i = 0; t.rule && i < packets; i++)
					s.res.write(`event: packet\ndata: ${JSON.stringify({ time_ms: Date.now() - i * 31, target: t.target, target_id: t.id, direction: i % 2 ? 'up' : 'down', what: i % 3 ? ['delayed'] : ['lost'],
						delay_ns: 102.3e6, proto: 'tcp', src: '172.17.0.2:41822', dst: '172.17.0.9:8883', len: 66 + i * 100, segs: 1, rule_id: 1, clause: 0 })}\n\n`);
	}, eventMs);

	const refuse = (field, detail) => Object.assign(new Error(detail), { status: 400, field });
	const find = (name) => {
		const t = state.targets.get(name) || [...state.targets.values()].find((x) => x.name === name);
		if (!t)
			throw Object.assign(new Error(`no target "${name}"`), { status: 404, field: 'target' });
		return t;
	};
	function checkRule(rule) {
		for (const [i, c] of (rule.clauses || []).entries())
			for (const d of ['up', 'down']) {
				const pct = c[d] && c[d].loss && c[d].loss.pct;
				if (pct !== undefined && pct > 100)
					throw refuse(`${i ? `clause[${i}].` : ''}${d}.loss.pct`, `${d}.loss.pct: ${pct} is not accepted: a number from 0 to 100 (percent)`);
			}
		if (!rule.text && !(rule.clauses || []).some((c) => c.up || c.down))
			throw refuse('rule', 'rule: it names no fault');
	}

	function api(method, parts, body, query) {
		const [kind, raw, verb] = parts;
		const name = raw === undefined ? undefined : decodeURIComponent(raw);
		if (sim && kind === 'load')
			return sim(method, parts, body, query);
		if (sim)
			throw Object.assign(new Error('not here'), { status: 404 });
		if (kind === 'status' || kind === 'capabilities')
			return status;
		if (kind === 'targets' && verb === 'explain')
			return { target: find(name).target, ruled: false, in_force: false, inherited_from: null, summary: 'no rule: its packets pass untouched', seen: { mode: 'bridge', interfaces: [], processes: 1, connections: 0, up: { pkts: 0 }, down: { pkts: 0 } }, reasons: [] };
		if (kind === 'targets')
			return name ? { ...find(name), rule: now(find(name).rule) } : { targets: [...state.targets.values()].map((t) => ({ ...t, rule: now(t.rule) })) };
		if (kind === 'rules' && !name && method === 'DELETE') {
			for (const t of state.targets.values())
				if (t.rule)
					clear(t);
			return {};
		}
		if (kind === 'rules' && name) {
			const t = find(name);
			if (method === 'PUT') {
				checkRule(body);
				set(t, body);
			} else if (method === 'DELETE') {
				clear(t);
				return {};
			}
			if (!t.rule)
				throw Object.assign(new Error('no rule'), { status: 404 });
			return now(t.rule);
		}
		if (kind === 'counters')
			return counters();
		if (kind === 'profiles')
			return { profiles: PROFILES.map(([n, text]) => ({ name: n, read_only: true, rule: makeRule({ text }, 0) })) };
		if (kind === 'schedules') {
			if (!name)
				return { schedules: [...state.schedules.values()] };
			if (method === 'PUT')
				state.schedules.set(name, { target: name, ...body, running: false });
			const s = state.schedules.get(name);
			if (!s)
				throw Object.assign(new Error('no schedule'), { status: 404 });
			if (method === 'DELETE')
				state.schedules.delete(name);
			if (verb) {
				s.running = verb === 'start';
				s.position_ns = 0;
				emit('schedule', { action: s.running ? 'started' : 'stopped', target: name, schedule: s });
			}
			return s;
		}
		if (kind === 'programs')
			return { programs: ['squall_ingress', 'squall_egress'].map((n, i) => ({ name: n, id: 41 + i, type: 'sched_cls', tag: 'c37d4d3dac038df2', bytes: 19896, jited_bytes: 11108, loaded_ns: 1e12, maps: ['sq_cfg', 'sq_rules'] })) };
		if (kind === 'maps') {
			const all = [['sq_rules', 'hash', 4, 3768, 65536, 2], ['sq_targets', 'hash', 8, 8, 131072, 250], ['sq_counters', 'percpu_hash', 4, 128, 131072, 4], ['sq_cfg', 'array', 4, 48, 1, 1], ['sq_events', 'ringbuf', 0, 0, 1048576, 0]]
				.map(([n, type, key_bytes, value_bytes, max_entries, entries], i) => ({ name: n, map_id: i + 1, type, key_bytes, value_bytes, max_entries, entries, holds: 'what it holds' }));
			if (!name)
				return { maps: all };
			const map = all.find((m) => m.name === name);
			const n = Math.min(map.entries, Number(query.get('limit')));
			return { map, entries: Array.from({ length: n }, (_, i) => ({ cgroup_id: String(4000 + i), rule_id: i, text: '<b>up</b>' })), truncated: n < map.entries };
		}
		throw Object.assign(new Error('not found'), { status: 404 });
	}

	function file(req, res, url) {
		const name = path.normalize(url.pathname.slice(4) || 'index.html');
		const full = path.join(WEB, name);
		if (!full.startsWith(WEB) || !fs.existsSync(full)) {
			res.writeHead(404).end();
			return;
		}
		res.writeHead(200, { 'Content-Type': TYPES[path.extname(name)] || 'text/plain', 'Content-Security-Policy': CSP, 'X-Content-Type-Options': 'nosniff', 'Content-Encoding': 'gzip', 'Cache-Control': 'no-cache' });
		res.end(zlib.gzipSync(fs.readFileSync(full)));
	}

	const server = http.createServer(async (req, res) => {
		const url = new URL(req.url, 'http://x');
		if (url.pathname.startsWith('/ui/'))
			return file(req, res, url);
		const answer = (code, data) => res.writeHead(code, { 'Content-Type': code < 400 ? 'application/json' : 'application/problem+json', ...(data && data.rule && { ETag: `"${data.rule.id}"` }) }).end(JSON.stringify(data));
		if (token && req.headers.authorization !== `Bearer ${token}`)
			return answer(401, { status: 401, title: 'Unauthorized', detail: 'a token is needed' });
		let text = '';
		for await (const chunk of req)
			text += chunk;
		const parts = url.pathname.replace('/api/v1/', '').split('/');
		if (parts[0] === 'events' && !sim) {
			res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
			const only = url.searchParams.get('target');
			const stream = { res, only, trace: url.searchParams.get('trace') === '1' && only, rates: url.searchParams.get('counters') === 'rates' };
			state.streams.add(stream);
			res.on('close', () => state.streams.delete(stream));
			figures(stream, counters());
			return undefined;
		}
		try {
			const data = api(req.method, parts, text ? JSON.parse(text) : undefined, url.searchParams);
			if (typeof data === 'string')
				return res.writeHead(200, { 'Content-Type': 'text/plain' }).end(data);
			return answer(200, data);
		} catch (e) {
			return answer(e.status || 500, { type: 'about:blank', status: e.status || 500, detail: e.message, field: e.field || '' });
		}
	});
	return new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve({
		url: `http://127.0.0.1:${server.address().port}`, state, emit, set, clear, find,
		stop: () => { clearInterval(timer); server.closeAllConnections(); server.close(); },
	})));
}

// A running fleet as docs/sim.md describes it.
export function fleet(seconds = 0) {
	const started = Date.now() - seconds * 1000;
	const settings = { devices: 500, ramp: 50, interval_ms: 1000, qos: 1, topic: 'dt/{thing}/telemetry', payload: '128', broker: 'mqtt://127.0.0.1:1883', max_devices: 10000 };
	const points = Array.from({ length: seconds }, (_, t) => ({ t_s: t, connected: Math.min(500, t * 50), rate: Math.min(500, t * 50), fail_rate: 0, p50: 1.9, p95: 4.2, p99: 9.8 }));
	let running = seconds > 0;
	const faults = [{ from_ms: started + 20000, to_ms: started + 35000, target: 'cgroup:/fleet', rule: '<b>up</b> loss 10%' }];
	return (method, parts, body) => {
		if (parts[1] === 'history')
			return { points };
		if (body && body.devices > settings.max_devices)
			throw Object.assign(new Error(`devices: ${body.devices} is not accepted: 0 to ${settings.max_devices}`), { status: 400, field: 'devices' });
		Object.assign(settings, body);
		if (method === 'POST')
			running = parts[1] === 'start';
		const n = running ? settings.devices : 0;
		return { t_s: (Date.now() - started) / 1000, time_ms: Date.now(), start_ms: started, faults, squalld: { peer: 'http://127.0.0.1:4080', state: 'live', target: 'cgroup:/fleet', why: null }, state: running ? 'running' : 'stopped', devices: { target: n, running: n, connected: n, backoff: 0 }, msgs_per_s: n, fails_per_s: 2,
			latency_ms: { of: 'puback', samples: n, p50: 1.9, p95: 4.2, p99: 9.8, max: 12 }, failures: { 'no-puback': 2 }, settings,
			rows: [{ type: 'device', name: 'puback', method: 'MQTT', requests: 41230, failures: 10, bytes: 5277440, avg_ms: 2.4, min_ms: 0.1, max_ms: 18.8, p50_ms: 1.9, p95_ms: 4.2, p99_ms: 9.8, rate: n, fail_rate: 2 }],
			errors: [{ type: 'device', name: 'puback', kind: 'no-puback', text: 'no PUBACK in time', count: 10 }] };
	};
}
