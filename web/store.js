// SPDX-License-Identifier: GPL-2.0-only
// What the page knows: targets, rules, counters as rates, and whether all that
// is fresh. Everything kept here is bounded, so a page may stay open for days.

import { call, get, seg, Events } from './api.js';

export const OUTCOMES = ['seen', 'lost', 'delayed', 'duplicated', 'corrupted', 'reordered', 'over_limit'];
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
	emit('rule', name);
}

export const ruleText = (r) => !r ? '' : (r.rule && r.rule.text) || (r.rule ? 'rule' : '');

export async function refresh() {
	const { targets } = await get('targets');
	state.targets.clear();
	for (const t of targets)
		putTarget(t);
	emit('targets');
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
	if (opened.size > 8)
		opened.delete(opened.values().next().value);
}

function history(live) {
	live.history = { time: [], up: {}, down: {} };
	for (const d of ['up', 'down'])
		for (const o of OUTCOMES)
			live.history[d][o] = [];
}

function record(live) {
	const all = live.history;
	const push = (list, v) => {
		list.push(v);
		if (list.length > HISTORY)
			list.shift();
	};
	push(all.time, live.time / 1000);
	for (const d of ['up', 'down'])
		for (const o of OUTCOMES)
			push(all[d][o], live[d] ? live[d][o] : 0);
}

function sums(entries) {
	const all = new Map();
	for (const e of entries) {
		let t = all.get(e.target);
		if (!t)
			all.set(e.target, t = { queue_ns: 0 });
		const d = t[e.direction] ||= Object.fromEntries(OUTCOMES.map((o) => [o, 0]));
		for (const o of OUTCOMES)
			d[o] += e[`${o}_pkts`] || 0;
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
			for (const o of OUTCOMES) {
				const n = was && is && known ? is[o] - was[o] : 0;
				live[d][o] = n > 0 ? n / seconds : 0; // less than before: a new rule
			}
		}
		Object.assign(live, { time, total: { up: total.up, down: total.down },
			queue_ns: total.queue_ns, queued: total.queued });
		if (!live.history && (opened.has(name) || totals.size <= MANY))
			history(live);
		if (live.history && totals.size > MANY && !opened.has(name))
			live.history = null;
		if (live.history && known)
			record(live);
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
	} else if (name === 'target') {
		refreshSoon();
	} else {
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
