// SPDX-License-Identifier: GPL-2.0-only
// Load: the fleet of the squall-sim that serves this page. squalld serves no
// fleet; there the page says how to get one.

import { h, icon, replace, text, toast, empty, code } from './dom.js';
import { call, get, download } from './api.js';
import { parseDuration, fmtTime, fmtNum, fmtCount, fmtClock } from './units.js';
import { state } from './store.js';
import { chart } from './chart.js';

const KEEP = 600;
const KINDS = ['--c-lost', '--c-delayed', '--c-duplicated', '--c-reordered', '--c-corrupted', '--c-blue', '--c-passed'];
const ms = (x) => x === null || x === undefined ? '–' : x === 0 ? '0' : x < 9.95 ? `${x.toFixed(1)} ms` : x < 9999 ? `${Math.round(x)} ms` : `${(x / 1000).toFixed(1)} s`;
const idleState = (load) => load.state === 'idle' || load.state === 'stopped';
const bare = (x) => x === null || x === undefined ? '–' : x < 9.95 ? x.toFixed(1) : fmtCount(x);

// squalld asks no host for anything, so its panel knows a fleet's by the address that it is given;
// until then it is this host's, at the port of the examples.
const SIM = 'squall-sim';
function simLink() {
	const link = h('a', { class: 'button primary', id: 'sim-open' }, 'Open its panel');
	const bad = h('p', { class: 'field-error', id: 'sim-error', role: 'alert' });
	const field = h('input', { id: 'sim-address', type: 'text', inputmode: 'url', spellcheck: 'false', autocomplete: 'off', placeholder: '127.0.0.1:4081', value: localStorage.getItem(SIM) || `${location.hostname}:4081`,
		'aria-describedby': 'sim-error', onchange: () => draw() });
	function draw() {
		const said = field.value.trim();
		let url = null;
		try {
			url = said ? new URL(/^https?:\/\//.test(said) ? said : `http://${said}`) : null;
		} catch {
			// told below
		}
		// Chromium takes a space in a host, as %20.
		if (url && !/^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d+)?$/i.test(url.host))
			url = null;
		text(bad, said && !url ? `“${said}” is no address: for example 127.0.0.1:4081` : '');
		link.hidden = !url;
		if (url) {
			link.href = `${url.origin}/ui/#/load`;
			localStorage.setItem(SIM, said);
		} else if (!said) {
			localStorage.removeItem(SIM);
		}
	}
	draw();
	return h('div', { class: 'inline' }, h('label', {}, 'Address of a squall-sim ', field), link, bad);
}

export function loadPage(root) {
	if (state.kind !== 'sim') {
		root.append(h('div', { class: 'page-head' }, h('h1', {}, 'Load')),
			empty('The fleet has its own panel', 'squalld faults packets; squall-sim makes the load. Start a fleet with a panel of its own:',
				h('p', {}, code(`squall-sim run --broker mqtt://BROKER --devices 100 --web 127.0.0.1:4081 --squalld ${location.origin}`)),
				simLink(),
				h('p', {}, 'Its page shades the faults of this squalld, and links back. Locust users keep Locust’s own page: ', code('squall-sim worker --help'), '.')));
		return () => {};
	}
	const samples = [];
	let faults = [];
	let clock = 0; // squall-sim's, when it last answered
	let last = -1; // t_s of the newest sample
	let kinds = [];
	let gone = false;
	let dirty = false;

	const badge = h('span', { class: 'tag', id: 'load-state' });
	const about = h('span', { class: 'muted' });
	const problem = h('p', { class: 'field-error', role: 'alert', id: 'load-error' });
	const input = (id, label, mode) => {
		const el = h('input', { id, class: 'num', inputmode: mode, autocomplete: 'off', oninput: () => { dirty = true; el.removeAttribute('aria-invalid'); buttons(); } });
		return [el, h('label', {}, label, el)];
	};
	const [devices, devicesL] = input('devices', 'Devices', 'numeric');
	const [ramp, rampL] = input('ramp', 'Ramp, devices/s', 'decimal');
	const [interval, intervalL] = input('interval', 'Interval');
	const qos = h('select', { id: 'qos', onchange: () => { dirty = true; buttons(); } }, [0, 1, 2].map((q) => h('option', { value: q }, String(q))));
	const start = h('button', { class: 'primary', id: 'start', onclick: () => send('POST', 'load/start') }, icon('play'), 'Start');
	const change = h('button', { id: 'change', onclick: () => send('PATCH', 'load') }, 'Apply changes');
	const stop = h('button', { class: 'danger-outline', id: 'stop', onclick: () => send('POST', 'load/stop', {}) }, icon('stop'), 'Stop');
	const save = (path, name, label) => h('button', { onclick: () => download(path, name).catch((e) => toast(e.message, 'error')) }, icon('download'), label);
	const figures = h('section', { class: 'card stats', 'aria-label': 'Now' });
	const boxes = ['devices', 'rate', 'latency', 'failures'].map(() => h('div', { class: 'chart' }));
	const rows = h('tbody', {});
	const failures = h('div', {});
	const windows = h('tbody', {});
	const windowsCard = h('section', { class: 'card', 'aria-label': 'Faults in force', hidden: true }, h('div', { class: 'card-head' }, h('h2', {}, 'Faults in force'), h('span', { class: 'muted' }, 'shaded on the charts')),
		h('div', { class: 'scroll-x', tabindex: 0, role: 'region', 'aria-label': 'Table of faults' }, h('table', { id: 'windows' }, h('thead', {}, h('tr', {}, ['From', 'To', 'Target', 'Rule'].map((c) => h('th', { scope: 'col' }, c)))), windows)));
	const source = h('p', { class: 'muted', role: 'status', id: 'squalld-note' });
	const faultsAt = h('a', { id: 'squalld-panel', hidden: true }, 'Its panel: faults, timelines, history');
	let current = null;

	const columns = ['Type', 'Name', 'Requests', 'Failures', 'Median', 'p95', 'p99', 'Average', 'Min', 'Max', 'Bytes', 'RPS', 'Failures/s'];
	root.append(h('div', { class: 'page-head' }, h('h1', {}, 'Load'), badge, about, h('span', { class: 'grow' }),
		save('load/stats.csv', 'squall-stats.csv', 'CSV'), save('load/report.html', 'squall-report.html', 'Report')),
	h('div', { class: 'tl' },
		h('section', { class: 'card', 'aria-label': 'Fleet' }, h('div', { class: 'stack controls' }, devicesL, rampL, intervalL, h('label', {}, 'QoS', qos),
			h('div', { class: 'controls' }, start, change, stop)), problem),
		figures,
		h('div', { class: 'grid2' }, ['Devices', 'Messages per second', 'Publish latency', 'Failures per second'].map((t, i) =>
			h('section', { class: 'card', 'aria-label': t }, h('div', { class: 'card-head' }, h('h2', {}, t), i === 2 && h('span', { class: 'muted', id: 'latency-of' })), boxes[i]))),
		source, faultsAt, windowsCard,
		h('section', { class: 'card', 'aria-label': 'Requests' }, h('div', { class: 'card-head' }, h('h2', {}, 'Requests'), h('span', { class: 'muted' }, 'times in ms')),
			h('div', { class: 'scroll-x', tabindex: 0, role: 'region', 'aria-label': 'Table of requests' }, h('table', {}, h('thead', {}, h('tr', {}, columns.map((c, i) => h('th', { scope: 'col', class: i > 1 ? 'num' : null }, c)))), rows))),
		h('section', { class: 'card', 'aria-label': 'Failures' }, h('div', { class: 'card-head' }, h('h2', {}, 'Failures')), failures)));

	const bands = () => faults.map((f) => [f.from_ms / 1000, (f.to_ms || clock) / 1000]);
	const make = (box, label, series, fmt) => chart(box, { label, series, fmt, bands, span: 60 });
	const charts = [
		make(boxes[0], 'Devices', [['asked for', '--c-passed', [4, 4]], ['connected', '--c-blue']], fmtNum),
		make(boxes[1], 'Messages per second', [['messages', '--c-blue']], fmtNum),
		make(boxes[2], 'Publish latency percentiles', [['p50', '--c-green'], ['p95', '--c-delayed'], ['p99', '--c-lost']], ms)];
	let failed = null;

	function body() {
		const out = {};
		const fields = [['devices', devices, (s) => /^\d+$/.test(s) ? Number(s) : NaN], ['ramp', ramp, (s) => /^[\d.]+$/.test(s) ? Number(s) : NaN],
			['interval_ms', interval, (s) => parseDuration(s) / 1e6]];
		for (const [key, el, parse] of fields) {
			const v = parse(el.value.trim());
			if (Number.isNaN(v)) {
				el.setAttribute('aria-invalid', 'true');
				throw new Error(`${key.replace(/_.*/, '')}: “${el.value.trim()}” cannot be read`);
			}
			out[key] = v;
		}
		out.qos = Number(qos.value);
		return out;
	}

	async function send(method, path, fixed) {
		text(problem, '');
		try {
			const { data } = await call(method, path, fixed || body());
			dirty = false;
			if (data && data.state)
				show(data);
			poll();
		} catch (e) {
			text(problem, e.message);
			const at = { devices, ramp, interval_ms: interval, qos }[e.field];
			at?.setAttribute('aria-invalid', 'true');
		}
	}

	function buttons() {
		const idle = !current || idleState(current);
		start.disabled = !current || !idle;
		stop.disabled = !current || idle || current.state === 'stopping';
		change.disabled = !current || idle || !dirty;
	}

	function show(load) {
		current = load;
		text(badge, load.state);
		badge.className = `tag ${load.state === 'running' ? 'good' : ''}`;
		text(about, load.settings ? load.settings.broker : '');
		if (!dirty && load.settings) {
			devices.value = load.settings.devices;
			ramp.value = load.settings.ramp;
			interval.value = fmtTime(load.settings.interval_ms * 1e6);
			qos.value = load.settings.qos;
		}
		const { devices: d = {}, latency_ms: l = {} } = load;
		const t = Math.floor(load.t_s);
		if (t < last) {
			samples.length = 0; // a new run
			last = -1;
		}
		if (t > last && !idleState(load)) {
			last = t;
			samples.push({ time_ms: load.time_ms, devices: d.target, connected: d.connected, rate: load.msgs_per_s,
				p50: l.samples ? l.p50 : null, p95: l.samples ? l.p95 : null, p99: l.samples ? l.p99 : null, failures: load.failures });
		}
		samples.splice(0, Math.max(0, samples.length - KEEP));
		clock = load.time_ms;
		shadings(load);
		text(document.getElementById('latency-of'), l.of || '');
		const stat = (n, label) => h('div', { class: 'stat' }, h('b', {}, n), h('span', {}, label));
		replace(figures, stat(fmtCount(d.connected), 'connected'), stat(fmtNum(load.msgs_per_s), 'messages/s'), stat(ms(l.samples ? l.p50 : null), 'p50'), stat(ms(l.samples ? l.p95 : null), 'p95'),
			stat(ms(l.samples ? l.p99 : null), 'p99'), stat(fmtNum(load.fails_per_s), 'failures/s'));
		draw();
		replace(rows, (load.rows || []).map((r) => h('tr', {}, h('td', {}, r.type), h('td', {}, r.name), [fmtCount(r.requests), fmtCount(r.failures), bare(r.p50_ms), bare(r.p95_ms), bare(r.p99_ms),
			bare(r.avg_ms), bare(r.min_ms), bare(r.max_ms), fmtCount(r.bytes), fmtNum(r.rate), fmtNum(r.fail_rate)].map((v) => h('td', { class: 'num' }, v)))));
		const list = load.errors || [];
		replace(failures, list.length ? h('table', {}, h('thead', {}, h('tr', {}, ['Type', 'Name', 'Kind', 'What'].map((c) => h('th', { scope: 'col' }, c)), h('th', { scope: 'col', class: 'num' }, 'Count'))),
			h('tbody', {}, list.map((f) => h('tr', {}, [f.type, f.name, f.kind].map((x) => h('td', {}, x)), h('td', { class: 'why' }, f.text), h('td', { class: 'num' }, fmtCount(f.count))))))
			: h('p', { class: 'muted' }, 'None so far.'));
		buttons();
	}

	// Which squalld the shaded times come from, and whether it can be believed now.
	function shadings({ squalld, faults: list = [] }) {
		faults = list;
		const of = squalld && `${squalld.target ? `${squalld.target} at ` : ''}${squalld.peer}`;
		text(source, !squalld ? 'No squalld is followed: start squall-sim with --squalld http://127.0.0.1:4080 to see its faults shaded here.'
			: squalld.state === 'unreachable' ? `squalld cannot be reached, so faults since then are not shaded: ${squalld.why}`
				: squalld.state === 'connecting' ? `Looking for ${of} …` : squalld.why ? `Shaded: faults of ${of}. ${squalld.why}` : `Shaded: faults of ${of}.`);
		faultsAt.hidden = !squalld || !/^https?:/.test(squalld.peer);
		if (!faultsAt.hidden)
			faultsAt.href = `${squalld.peer}/ui/`;
		source.className = squalld && (squalld.state === 'unreachable' || squalld.why) ? 'field-error' : 'muted';
		windowsCard.hidden = !list.length;
		replace(windows, list.slice(-20).reverse().map((f) => h('tr', {}, h('td', { class: 'num left' }, fmtClock(f.from_ms)), h('td', { class: 'num left' }, f.to_ms ? fmtClock(f.to_ms) : 'now'),
			h('td', {}, f.target), h('td', { class: 'mono' }, f.rule))));
	}

	function draw() {
		if (!samples.length)
			return;
		const col = (f) => samples.map((s) => f(s) ?? null);
		const time = col((s) => s.time_ms / 1000);
		charts[0].set([time, col((s) => s.devices), col((s) => s.connected)]);
		charts[1].set([time, col((s) => s.rate)]);
		charts[2].set([time, col((s) => s.p50), col((s) => s.p95), col((s) => s.p99)]);
		const seen = [...new Set(samples.flatMap((s) => Object.keys(s.failures || {})))].slice(0, KINDS.length);
		const want = seen.length ? seen : ['failures'];
		if (!failed || want.join() !== kinds.join()) {
			failed?.destroy();
			kinds = want;
			failed = make(boxes[3], 'Failures per second by kind', kinds.map((k, i) => [k, KINDS[i]]), fmtNum);
		}
		failed.set([time, ...kinds.map((k) => col((s) => (s.failures || {})[k] || 0))]);
	}

	let polling = false;
	async function poll() {
		if (polling)
			return;
		polling = true;
		try {
			const load = await get('load');
			state.conn = 'live';
			if (!gone)
				show(load);
		} catch (e) {
			if (e.status !== 401 && !gone) {
				state.conn = 'stale';
				text(problem, 'squall-sim does not answer; what you see is old. Trying again by itself.');
			}
		}
		if (state.conn === 'live' && /^squall-sim does not/.test(problem.textContent))
			text(problem, '');
		polling = false;
	}
	// What was before this page was opened.
	async function past() {
		try {
			const [load, { points }] = await Promise.all([get('load'), get('load/history')]);
			const zero = load.start_ms;
			if (!gone && !idleState(load) && !samples.length) {
				for (const p of points.slice(-KEEP))
					samples.push({ time_ms: zero + p.t_s * 1000, devices: load.devices.target, connected: p.connected, rate: p.rate, p50: p.p50, p95: p.p95, p99: p.p99,
						failures: p.failures });
				last = Math.floor(points.at(-1)?.t_s ?? -1);
			}
		} catch {
			// poll() says what is wrong
		}
		poll();
	}
	past();
	buttons();
	const timer = setInterval(poll, 1000);
	return () => {
		gone = true;
		clearInterval(timer);
		for (const c of charts)
			c.destroy();
		failed?.destroy();
	};
}
