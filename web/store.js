// SPDX-License-Identifier: GPL-2.0-only
// What the page knows: targets, rules, counters as rates, and whether all that
// is fresh. Everything kept here is bounded, so a page may stay open for days.

import { get, getHealth, seg, Events } from './api.js';

export const OUTCOMES = ['seen', 'lost', 'delayed', 'duplicated', 'corrupted', 'reordered', 'over_limit'];
const SERIES = OUTCOMES.flatMap((o) => [o, `${o}_bits`]);
export const HISTORY = 300; // seconds of charts
const STALE_MS = 3500;

export const state = {
	kind: '', // 'squalld' or 'sim', by what answered
	conn: 'connecting', // 'live', 'stale', 'auth'
	status: null, // GET status
	targets: new Map(), // name -> TARGET
	rates: new Map(), // cgroup id -> [seen, lost, delayed, queue in ms], packets per second
	traffic: null, // who is loud: cgroup id -> {now: [packets up, bit/s up, packets down, bit/s down], past: [bit/s ...]}; null: not counted
	live: null, // of the target that is watched: {time, up: {outcome: per second}, down, total: {up, down}, history}
	watched: '', // target whose page is open
	waiting: [], // rules whose target does not run: {target, rule, ...}
	selectors: new Map(), // rules of many: selector -> {target, rule, ...}
	schedules: [], // GET schedules
	experiments: null, // GET experiments: {running, finished}
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

// A name that means all targets of a kind: label:app=web.
export const isSelector = (name) => name.startsWith('cgroup:') ? /[*?[]/.test(name) : name.includes(':') && !name.startsWith('ecs-task:');
// Those that follow it, of the targets that are known here.
export const membersOf = (selector) => ruled().filter((t) => t.rule.by === selector);
// Rules that somebody set: a selector's counts once, whomever it means.
export const ownRules = () => [...ruled().filter((t) => !t.rule.by).map((t) => t.rule), ...state.selectors.values()];

export function setRule(name, rule) {
	if (isSelector(name)) {
		state.selectors[rule ? 'set' : 'delete'](name, rule);
		emit('rule', name);
		return;
	}
	const t = state.targets.get(name);
	if (!t) {
		if (rule)
			look(name);
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
}

// What the list of targets does not hold: rules that wait for theirs, schedules, health. None of
// it may keep the list from being shown. Asked for once a connection; then events tell.
let asking = false;
export async function background() {
	if (asking || state.kind !== 'squalld')
		return;
	asking = true;
	const [rules, schedules, health, experiments] = await Promise.all([get('rules'), get('schedules'), getHealth(), get('experiments')].map((p) => p.catch(() => null)));
	asking = false;
	if (rules) {
		state.waiting = rules.rules.filter((r) => r.in_force === false && !isSelector(r.target));
		state.selectors = new Map(rules.rules.filter((r) => isSelector(r.target)).map((r) => [r.target, stamp(r)]));
	}
	if (schedules)
		state.schedules = schedules.schedules;
	state.health = health;
	if (experiments)
		state.experiments = experiments;
	emit('now');
	emit('experiments');
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

// Targets of which an event told: a few are asked for one by one, of many the list is read.
const toLook = new Set();
let looking = 0;
function look(name) {
	toLook.add(name);
	looking ||= setTimeout(async () => {
		looking = 0;
		const names = [...toLook];
		toLook.clear();
		if (names.length > 20)
			return refreshSoon();
		await Promise.all(names.map((n) => loadTarget(n).catch((e) => {
			if (e.status === 404)
				forget(n);
		})));
		return emit('targets');
	}, 50);
}
function forget(name) {
	toLook.delete(name);
	if (state.targets.delete(name))
		byPath = null;
}

// One target by any name it answers to; it need not be in the list.
export async function loadTarget(name) {
	return putTarget(await get(`targets/${seg(name)}`));
}

// Profiles with all their figures are 10 KB: not read again for each page that one walks through.
let kept = null;
let keptAt = 0;
export function profiles(fresh = false) {
	if (fresh || !kept || performance.now() - keptAt > 5000) {
		keptAt = performance.now();
		kept = get('profiles').then((all) => all.profiles);
		kept.catch(() => { kept = null; });
	}
	return kept.then((list) => structuredClone(list));
}

export const ruled = () => [...state.targets.values()].filter((t) => t.rule);

// --- counters ------------------------------------------------------------------

const none = () => Object.fromEntries(['up', 'down'].map((d) => [d, Object.fromEntries(SERIES.map((n) => [n, []]))]));
const entries = new Map(); // clause and direction -> its counters, of the target that is watched

// The page of a target: its counters come with the events, and its past, which squalld has kept.
export function watch(name) {
	if (state.watched === name)
		return;
	state.watched = name;
	state.live = name ? { time: 0, total: {}, queue_ns: 0, history: { time: [], ...none() } } : null;
	entries.clear();
	if (name)
		past(name);
	restart();
}

// A grain of GET series as a chart has it: per second, null where nothing was counted.
export function grainOf(g) {
	const out = { time: [], ...none() };
	g.time_ms.forEach((ms, i) => {
		const t = ms / 1000;
		const gap = i && t - out.time.at(-1) > 1.9 * g.grain_s;
		if (gap)
			out.time.push(t - g.grain_s);
		out.time.push(t);
		for (const d of ['up', 'down'])
			for (const o of OUTCOMES)
				for (const [to, of, factor] of [[o, `${o}_pkts`, 1], [`${o}_bits`, `${o}_bytes`, 8]]) {
					if (gap)
						out[d][to].push(null);
					out[d][to].push((g[d][of] ? g[d][of][i] : 0) / (g.seconds[i] || 1) * factor);
				}
	});
	return out;
}

async function past(name) {
	const since = Date.now() - 3600e3;
	const [series, happened] = await Promise.all([get(`series/${seg(name)}`), get(`history?target=${seg(name)}&type=rule&since_ms=${since}&limit=12`)]
		.map((p) => p.catch(() => null)));
	if (state.watched !== name)
		return;
	if (series && series.grains.length) {
		const was = grainOf(series.grains[0]);
		const now = state.live.history;
		const n = now.time.length ? was.time.findIndex((t) => t > now.time[0] - 0.5) : -1;
		const join = (a, b) => [...(n < 0 ? a : a.slice(0, n)), ...b];
		now.time = join(was.time, now.time);
		for (const d of ['up', 'down'])
			for (const k of SERIES)
				now[d][k] = join(was[d][k], now[d][k]);
	}
	for (const e of happened ? happened.events.reverse() : [])
		changed(name, e.time_ms, e.rule && { rule: { text: e.rule } });
	const t = state.targets.get(name);
	if (t && t.rule)
		changed(name, t.rule.rule.set_ms || Date.now(), t.rule);
	emit('counters');
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
	if (state.watched !== name && !changes.has(name))
		return;
	const list = changes.get(name) || changes.set(name, []).get(name);
	const said = ruleText(rule);
	const t = time / 1000;
	const i = list.findLastIndex((c) => c.t <= t);
	if (i >= 0 ? list[i].text === said : !said)
		return;
	if (list.some((c) => Math.abs(c.t - t) < 0.5 && c.text === said))
		return; // the event and the history tell the same
	list.splice(i + 1, 0, { t, text: said });
	if (list.length > CHANGES)
		list.shift();
	if (changes.size > 8)
		changes.delete(changes.keys().next().value);
}
export const changesOf = (name) => changes.get(name) || [];

// Both directions of the target that is watched, over the clauses of its rule.
function sums() {
	const t = { queue_ns: 0 };
	for (const e of entries.values()) {
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
	}
	return t;
}

// Only what is other than a second ago comes; the first of a stream has all.
function counters({ time_ms: time, counters: list }) {
	const live = state.live;
	if (!live)
		return;
	for (const e of list)
		if (e.target === state.watched)
			entries.set(`${e.clause} ${e.direction}`, e);
	const total = sums();
	const seconds = (time - live.time) / 1000;
	if (live.time && seconds < 0.2)
		return; // the same second again, after a reconnect
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
	Object.assign(live, { time, total: { up: total.up, down: total.down }, queue_ns: total.queue_ns });
	if (known)
		record(live, time, true);
	else if (live.history.time.length)
		record(live, time, false); // an outage: no line across it
	emit('counters');
}

function rates(data) {
	for (const [id, v] of Object.entries(data.rates))
		if (v[0] || v[3])
			state.rates.set(id, v);
		else
			state.rates.delete(id);
	emit('counters');
}

// --- freshness -----------------------------------------------------------------

function conn(value) {
	if (state.conn !== value) {
		state.conn = value;
		emit('conn');
	}
}

function rule(data) {
	const is = data.rule ? stamp(data.rule.rule ? data.rule : data) : null;
	if (data.target === state.watched)
		entries.clear(); // whatever acts now is told anew
	state.waiting = state.waiting.filter((r) => r.target !== data.target);
	if (is && is.in_force === false && !isSelector(data.target))
		state.waiting.push(is);
	setRule(data.target, is);
	emit('now');
}

function experiment({ id, what, experiment: e }) {
	const now = state.experiments;
	if (!now)
		return;
	const others = (list) => list.filter((x) => x.id !== id);
	now.running = others(now.running);
	if (what === 'finished')
		now.finished = [e, ...others(now.finished)].slice(0, 100);
	else if (what === 'deleted')
		now.finished = others(now.finished);
	else if (what !== 'lost')
		now.running = [e, ...now.running].sort((a, b) => b.started_ms - a.started_ms);
	emit('now');
	emit('experiments');
}

// One packet in so many was guessed when the feed began; a target may have become louder since.
let packets = 0;
let packetsFrom = 0;
function packet(data) {
	const now = performance.now();
	if (now - packetsFrom > 1000) {
		packetsFrom = now;
		packets = 0;
	}
	if (++packets === 200 && state.live && state.live.up)
		restart();
	emit('packet', data);
}

let fewer = 0; // many may go at once
function gone(name) {
	forget(name);
	fewer ||= setTimeout(() => {
		fewer = 0;
		emit('targets');
	}, 50);
}

let retry = 250;
let current = false;
let timer = 0;
let absent = false; // what is watched is not here: there is no stream of its counters
const events = new Events((name, data, newest) => {
	state.lastSeen = performance.now();
	if (name === 'counters' || name === 'rates') {
		conn('live');
		if (newest)
			(name === 'rates' ? rates : counters)(data);
	} else if (name === 'rule') {
		rule(data);
	} else if (name === 'target') {
		if (absent && data.action !== 'remove')
			restart();
		if (!data.target)
			refreshSoon();
		else if (data.action === 'remove' && /^cgroup:/.test(data.target))
			gone(data.target);
		else
			look(data.target);
	} else if (name === 'traffic') {
		if (listing)
			traffic(data);
	} else if (name === 'experiment') {
		experiment(data);
	} else if (name === 'health') {
		state.health = data;
		emit('now');
	} else if (name === 'packet') {
		if (newest)
			packet(data);
	} else {
		if (name === 'schedule') {
			state.schedules = state.schedules.filter((s) => s.target !== data.target);
			if (data.schedule)
				state.schedules.push(data.schedule);
			emit('now');
		}
		emit(name, data);
	}
}, async (kept) => {
	state.lastSeen = performance.now();
	retry = 250;
	try {
		if (!current && !kept) {
			state.status = await get('status');
			await refresh();
			background();
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
	if (why === 404 && state.watched && !absent) {
		absent = true;
		events.start(query());
		return;
	}
	conn('stale');
	again();
});

function query() {
	state.rates.clear();
	entries.clear();
	if (!state.watched || absent)
		return `?counters=rates${listing ? '&traffic=1' : ''}`;
	// traffic: so that the history knows what was before what is set here, and after.
	const one = `?counters=brief&traffic=1&target=${seg(state.watched)}`;
	if (!state.trace)
		return one;
	// Some twenty a second are enough to watch.
	const { live } = state;
	const pps = ['up', 'down'].reduce((n, d) => n + ((live[d] && live[d].seen) || 0), 0);
	return `${one}&trace=1&every=${Math.max(1, Math.round(pps / 20))}`;
}

// With another query. What was known stays, as no event is missed. One page that goes and one
// that comes are one change.
let changing = 0;
function restart() {
	absent = false;
	changing ||= setTimeout(() => {
		changing = 0;
		if (events.abort)
			events.start(query(), state.conn === 'live');
	});
}

// Traffic is counted while a list of targets is looked at.
let listing = false;
export function list(on) {
	listing = on;
	if (!on)
		state.traffic = null;
	restart();
}

export const SPARKS = 30;
function traffic(data) {
	const was = state.traffic || new Map();
	state.traffic = new Map();
	for (const id of new Set([...was.keys(), ...Object.keys(data.traffic)])) {
		const now = data.traffic[id] || [0, 0, 0, 0];
		const past = [...(was.get(id)?.past || []), now[1] + now[3]].slice(-SPARKS);
		if (past.some((n) => n))
			state.traffic.set(id, { now, past });
	}
	emit('traffic');
}

function again() {
	clearTimeout(timer);
	absent = false;
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
	restart();
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
