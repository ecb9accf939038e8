// SPDX-License-Identifier: GPL-2.0-only
// What the page knows: targets, rules, counters as rates, and whether all that
// is fresh. Everything kept here is bounded, so a page may stay open for days.

import { call, get, getHealth, seg, Events } from './api.js';

export const OUTCOMES = ['seen', 'lost', 'delayed', 'duplicated', 'corrupted', 'reordered', 'over_limit'];
const SERIES = OUTCOMES.flatMap((o) => [o, `${o}_bits`]);
export const HISTORY = 300; // seconds of charts
const MANY = 64; // with more ruled targets than this only opened ones keep history
const STALE_MS = 3500;

export const state = {
	kind: '', // 'squalld' or 'sim', by what answered
	conn: 'connecting', // 'live', 'stale', 'auth'
	status: null, // GET status
	targets: new Map(), // name -> TARGET
	live: new Map(), // name -> {time, up: {outcome: per second}, down, total: {up, down}, queue_ns}
	counters: [], // last entries, for the per-filter table
	waiting: [], // rules whose target does not run: {target, rule, ...}
	schedules: [], // GET schedules
	health: null, // GET /healthz: {status, reasons}
	lastSeen: 0, // performance.now() of the last event
	trace: '', // target whose packets are sampled
};

const listeners = new Map();
export function on(topic, fn) {
	if (!listeners.has(topic))
		listeners.set(topic, new Set());
	listeners.get(topic).add(fn);
	return () => listeners.get(topic).delete(fn);
}
export function emit(topic, arg) {
	for (const fn of listeners.get(topic) || [])
		fn(arg);
}

// --- rules -------------------------------------------------------------------

// expires_in_ns was true when it arrived; the countdown needs a point in time.
function stamp(rule) {
	if (rule && rule.rule && rule.rule.expires_in_ns)
		rule.deadline = performance.now() + rule.rule.expires_in_ns / 1e6;
	return rule || null;
}

export function putTarget(t) {
	stamp(t.rule);
	t.hay = [t.target, t.name, t.image, t.container_id, t.network_mode, t.rule && t.rule.rule && t.rule.rule.text,
		...Object.entries(t.labels || {}).map(([k, v]) => `${k}=${v}`),
		...Object.values(t.ecs || {})].filter(Boolean).join('\n').toLowerCase();
	state.targets.set(t.target, t);
	byPath = null;
	return t;
}

export function setRule(name, rule) {
	const t = state.targets.get(name);
	if (!t) {
		refreshSoon();
		return;
	}
	t.rule = rule;
	putTarget(t);
	changed(name, Date.now(), rule);
	emit('rule', name);
}

export const ruleText = (r) => !r ? '' : (r.rule && r.rule.text) || (r.rule ? 'rule' : '');

export async function refresh() {
	const { targets } = await get('targets');
	state.targets.clear();
	byPath = null;
	for (const t of targets)
		putTarget(t);
	emit('targets');
	background();
}

// What the list of targets does not hold: rules that wait for theirs, schedules, health. None of
// it may keep the list from being shown.
let asking = false;
export async function background() {
	if (asking || state.kind !== 'squalld')
		return;
	asking = true;
	const [rules, schedules, health] = await Promise.all([get('rules'), get('schedules'), getHealth()].map((p) => p.catch(() => null)));
	asking = false;
	if (rules)
		state.waiting = rules.rules.filter((r) => r.in_force === false);
	if (schedules)
		state.schedules = schedules.schedules;
	state.health = health;
	emit('now');
}

// A rule acts on all cgroups below its own but those with a rule of theirs: the kernel takes the
// nearest one upwards. The target whose rule acts on t, or null.
let byPath = null; // made anew when a rule or the list changed
export function inherited(t) {
	if (t.rule || !t.cgroup)
		return null;
	byPath ||= new Map(ruled().filter((r) => r.cgroup && r.rule.in_force !== false).map((r) => [r.cgroup, r]));
	if (!byPath.size)
		return null;
	for (let path = t.cgroup; path; path = path.slice(0, path.lastIndexOf('/')))
		if (byPath.has(path))
			return byPath.get(path);
	return byPath.get('/') || null;
}

let pending = 0;
export function refreshSoon() {
	if (pending)
		return;
	pending = setTimeout(() => {
		pending = 0;
		refresh().catch(() => {});
	}, Math.min(1000, 150 + state.targets.size / 5)); // a long list costs more to read
}

// One target by any name it answers to; it need not be in the list.
export async function loadTarget(name) {
	return putTarget(await get(`targets/${seg(name)}`));
}

export async function clearRule(name) {
	await call('DELETE', `rules/${seg(name)}`);
	setRule(name, null);
}

export const ruled = () => [...state.targets.values()].filter((t) => t.rule);

// --- counters ------------------------------------------------------------------

const opened = new Set();
export function keepHistory(name) {
	opened.delete(name);
	opened.add(name);
	const t = state.targets.get(name);
	if (t && t.rule && !changes.has(name))
		changed(name, t.rule.rule.set_ms || Date.now(), t.rule);
	if (opened.size > 8) {
		const oldest = opened.values().next().value;
		opened.delete(oldest);
		changes.delete(oldest);
	}
}

function history(live) {
	live.history = { time: [], up: {}, down: {} };
	for (const d of ['up', 'down'])
		for (const s of SERIES)
			live.history[d][s] = [];
}

// null: nothing was counted, which is a gap in a chart and not a zero.
function record(live, time, counted) {
	const all = live.history;
	const push = (list, v) => {
		list.push(v);
		if (list.length > HISTORY)
			list.shift();
	};
	push(all.time, time / 1000);
	for (const d of ['up', 'down'])
		for (const s of SERIES)
			push(all[d][s], counted && live.total[d] ? live[d][s] : null);
}

// When a target's rule was set, changed or ended, for the charts of whoever looks at it.
const CHANGES = 100;
const changes = new Map(); // name -> [{t: seconds, text}]
function changed(name, time, rule) {
	if (!opened.has(name))
		return;
	const list = changes.get(name) || changes.set(name, []).get(name);
	const said = ruleText(rule);
	if (list.length ? list.at(-1).text === said : !said)
		return;
	list.push({ t: time / 1000, text: said });
	if (list.length > CHANGES)
		list.shift();
}
export const changesOf = (name) => changes.get(name) || [];

function sums(entries) {
	const all = new Map();
	for (const e of entries) {
		let t = all.get(e.target);
		if (!t)
			all.set(e.target, t = { queue_ns: 0 });
		const d = t[e.direction] ||= Object.fromEntries(SERIES.map((s) => [s, 0]));
		for (const o of OUTCOMES) {
			d[o] += e[`${o}_pkts`] || 0;
			d[`${o}_bits`] += (e[`${o}_bytes`] || 0) * 8;
		}
		d.lane_lost = (d.lane_lost || 0) + (e.lane_lost_pkts || 0);
		// Since this version of the rule was set, where that is not all.
		const v = e.version || e;
		d.version ||= {};
		for (const o of [...OUTCOMES, 'lane_lost'])
			d.version[o] = (d.version[o] || 0) + (v[`${o}_pkts`] || 0);
		t.queue_ns = Math.max(t.queue_ns, e.queue_ns || 0);
		t.queued = (t.queued || 0) + (e.queued_pkts || 0);
	}
	return all;
}

function counters({ time_ms: time, counters: entries }) {
	const totals = sums(entries);
	for (const name of state.live.keys())
		if (!totals.has(name) && !opened.has(name))
			state.live.delete(name);
	for (const name of opened)
		if (!totals.has(name))
			totals.set(name, { queue_ns: 0 });
	for (const [name, total] of totals) {
		let live = state.live.get(name);
		if (!live)
			state.live.set(name, live = { time: 0, total: {}, queue_ns: 0, history: null });
		const seconds = (time - live.time) / 1000;
		if (live.time && seconds < 0.2)
			continue; // the same second again, after a reconnect
		const known = live.time && seconds < 10; // a rate needs a before
		for (const d of ['up', 'down']) {
			const was = live.total[d];
			const is = total[d];
			live[d] = {};
			for (const s of SERIES) {
				const n = was && is && known ? is[s] - was[s] : 0;
				live[d][s] = n > 0 ? n / seconds : 0; // less than before: a new rule
			}
		}
		Object.assign(live, { time, total: { up: total.up, down: total.down },
			queue_ns: total.queue_ns, queued: total.queued });
		if (!live.history && (opened.has(name) || totals.size <= MANY))
			history(live);
		if (live.history && totals.size > MANY && !opened.has(name))
			live.history = null;
		if (live.history && known)
			record(live, time, true);
		else if (live.history && live.history.time.length)
			record(live, time, false); // an outage: no line across it
	}
	state.counters = entries;
	emit('counters');
}

// --- freshness -----------------------------------------------------------------

function conn(value) {
	if (state.conn !== value) {
		state.conn = value;
		emit('conn');
	}
}

let retry = 250;
let current = false;
let timer = 0;
const events = new Events((name, data) => {
	state.lastSeen = performance.now();
	if (name === 'counters') {
		conn('live');
		counters(data);
	} else if (name === 'rule') {
		setRule(data.target, data.rule ? stamp(data.rule.rule ? data.rule : data) : null);
		if (!data.rule)
			background();
	} else if (name === 'target') {
		refreshSoon();
	} else {
		if (name === 'schedule')
			refreshSoon();
		emit(name, data);
	}
}, async () => {
	state.lastSeen = performance.now();
	retry = 250;
	try {
		if (!current) {
			state.status = await get('status');
			await refresh();
		}
		current = false;
		conn('live');
		emit('status');
		emit('fresh');
	} catch {
		// the watch below notices
	}
}, (why) => {
	if (why === 401)
		return;
	conn('stale');
	again();
});

function query() {
	if (!state.trace)
		return '';
	// Some fifty a second are enough to watch.
	const live = state.live.get(state.trace);
	const pps = live ? ['up', 'down'].reduce((n, d) => n + ((live[d] && live[d].seen) || 0), 0) : 0;
	return `?trace=1&every=${Math.max(1, Math.round(pps / 50))}&target=${seg(state.trace)}`;
}

function again() {
	clearTimeout(timer);
	timer = setTimeout(() => events.start(query()), retry);
	retry = Math.min(retry * 1.6, 2000);
}

// fresh: the list was read a moment ago and need not be again.
export function connect(fresh = false) {
	current = fresh;
	clearTimeout(timer);
	retry = 250;
	events.start(query());
}

// Sampling costs the kernel something, so it is on only while a feed is open.
export function trace(target) {
	if (state.trace === target)
		return;
	state.trace = target;
	if (state.conn !== 'auth' && state.kind === 'squalld')
		events.start(query());
}

export function needToken() {
	events.stop();
	clearTimeout(timer);
	conn('auth');
}

// A dead connection (a laptop that slept, a cable) sends nothing at all, so
// silence itself counts as stale.
setInterval(() => {
	if (state.kind !== 'squalld' || state.conn === 'auth')
		return;
	if (state.conn === 'live' && performance.now() - state.lastSeen > STALE_MS) {
		conn('stale');
		events.stop();
		again();
	}
	if (state.conn === 'stale')
		emit('conn');
}, 500);

// Six connections per host is all a browser has: hidden tabs give theirs back.
let hidden = 0;
document.addEventListener('visibilitychange', () => {
	clearTimeout(hidden);
	if (state.kind !== 'squalld' || state.conn === 'auth')
		return;
	if (document.hidden) {
		hidden = setTimeout(() => {
			events.stop();
			conn('stale');
		}, 60000);
	} else if (!events.abort) {
		connect();
	}
});
