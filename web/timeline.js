// SPDX-License-Identifier: GPL-2.0-only
// Timeline: a schedule of rules for one target, as bars to drag or as text.
// Both are views of the same list of bars; the daemon's steps are made of it
// when it is saved, with a pause (rule null) wherever no bar is.

import { h, icon, replace, text, toast, empty } from './dom.js';
import { call, get, seg } from './api.js';
import { parseDuration, fmtTime, fmtLeft } from './units.js';
import { state, on, profiles } from './store.js';

const S = 1e9;
const PRESETS = [
	['Train tunnel', 'Nothing passes for 8 s of every minute', 60, [[20, 28, 'both blackhole']]],
	['Flapping link', 'Four short outages', 40, [[5, 7, 'both blackhole'], [13, 15, 'both blackhole'], [21, 23, 'both blackhole'], [29, 31, 'both blackhole']]],
	['Slow decay', 'Loss and delay grow step by step', 80, [[10, 25, 'both loss 2% delay 50ms'], [25, 40, 'both loss 5% delay 120ms 20ms'],
		[40, 55, 'both loss 15% delay 300ms 60ms'], [55, 70, 'both loss 40% delay 800ms 200ms']]],
	['Cell hand-over', 'A short gap, then jitter until it settles', 30, [[10, 11, 'both blackhole'], [11, 18, 'both delay 180ms 80ms distribution normal loss 3%']]],
	['Brown-out', 'The uplink narrows to 64 kbit for 20 s', 50, [[15, 35, 'up rate 64kbit']]],
	['Storm test', 'Everybody drops, everybody comes back', 45, [[10, 15, 'both blackhole'], [15, 30, 'both delay 400ms 100ms loss 10%']]],
];

export const toSteps = ({ bars, length }) => {
	const steps = [];
	let at = 0;
	for (const b of [...bars].sort((x, y) => x.from - y.from)) {
		if (b.from > at || (at === 0 && !steps.length && b.from > 0))
			steps.push({ at_ns: at, rule: null });
		steps.push({ at_ns: b.from, rule: { text: b.text } });
		at = b.to;
	}
	if (at < length)
		steps.push({ at_ns: at, rule: null });
	return steps;
};

export const fromSteps = (s) => {
	const steps = [...s.steps].sort((x, y) => x.at_ns - y.at_ns);
	const last = steps.length ? steps.at(-1).at_ns : 0;
	const length = s.length_ns || last + 10 * S;
	return { length, repeat: s.repeat ?? 1, bars: steps.map((x, i) => x.rule && { from: x.at_ns,
		to: i + 1 < steps.length ? steps[i + 1].at_ns : length, text: x.rule.text || JSON.stringify(x.rule) }).filter(Boolean) };
};

const tcTime = (ns) => fmtTime(ns).replace(' ', '').replace('µ', 'u');

export const toText = ({ bars, length, repeat }) => [...[...bars].sort((x, y) => x.from - y.from)
	.map((b) => `${tcTime(b.from)} - ${tcTime(b.to)}  ${b.text}`), `length ${tcTime(length)}`, `repeat ${repeat}`].join('\n');

export function fromText(source) {
	const result = { bars: [], length: 0, repeat: 1 };
	source.split('\n').forEach((raw, i) => {
		const line = raw.replace(/#.*/, '').trim();
		if (!line)
			return;
		const fail = (why) => { throw new Error(`line ${i + 1}: ${why}`); };
		let m;
		if ((m = /^length\s+(\S+)$/.exec(line))) {
			result.length = parseDuration(m[1]);
			if (!(result.length > 0))
				fail(`“${m[1]}” is not a time with its unit, such as 10s`);
		} else if ((m = /^repeat\s+(\d+)$/.exec(line))) {
			result.repeat = Number(m[1]);
		} else if ((m = /^(\S+?)\s*(?:-|\.\.)\s*(\S+)\s+(.+)$/.exec(line))) {
			const [from, to] = [parseDuration(m[1]), parseDuration(m[2])];
			if (!(from >= 0))
				fail(`“${m[1]}” is not a time with its unit, such as 10s`);
			if (!(to > from))
				fail(`“${m[2]}” is not a time with its unit after ${m[1]}`);
			result.bars.push({ from, to, text: m[3].trim() });
		} else {
			fail('expected “FROM - TO RULE”, “length TIME” or “repeat N”');
		}
	});
	result.bars.sort((a, b) => a.from - b.from);
	for (let i = 1; i < result.bars.length; i++)
		if (result.bars[i].from < result.bars[i - 1].to)
			throw new Error(`bars at ${tcTime(result.bars[i - 1].from)} and ${tcTime(result.bars[i].from)} overlap`);
	result.length ||= (result.bars.at(-1)?.to || 0) + 10 * S;
	if (result.bars.length && result.bars.at(-1).to > result.length)
		throw new Error(`length ${tcTime(result.length)} ends before the last bar does`);
	return result;
}

const preset = ([, , length, bars]) => ({ length: length * S, repeat: 1, bars: bars.map(([a, b, t]) => ({ from: a * S, to: b * S, text: t })) });
const kept = { target: '', plan: null };

export function timelinePage(root, asked) {
	let name = asked || kept.target;
	let plan = (name === kept.target && kept.plan) || preset(PRESETS[0]);
	let chosen = 0;
	let running = null; // SCHEDULE while it runs, with .at = performance.now() of arrival
	const offs = [];

	const targets = h('datalist', { id: 'target-list' });
	const there = h('a', { id: 'tl-there', hidden: true }, 'Its rule and packets');
	const picker = h('input', { id: 'tl-target', list: 'target-list', value: name, placeholder: 'Container name or cgroup:/path', autocomplete: 'off', spellcheck: 'false',
		onchange: () => open(picker.value.trim()) });
	const run = h('button', { class: 'primary', id: 'tl-run', onclick: start }, icon('play'), 'Run');
	const save = h('button', { id: 'tl-save', onclick: () => keep().then((ok) => ok && toast(`Saved for ${name}; it runs when you press Run.`, 'ok')) }, 'Save');
	const stop = h('button', { class: 'danger-outline', id: 'tl-stop', onclick: halt }, icon('stop'), 'Stop');
	const status = h('span', { class: 'muted num', role: 'status', id: 'tl-status' });
	const problem = h('p', { class: 'field-error', role: 'alert', id: 'tl-error' });
	const track = h('div', { class: 'tl-track', role: 'group', 'aria-label': 'Bars of the timeline' });
	const axis = h('div', { class: 'tl-axis num', 'aria-hidden': 'true' });
	const head = h('div', { class: 'tl-head', hidden: true });
	const source = h('textarea', { id: 'tl-text', 'aria-label': 'The timeline as text', spellcheck: 'false', rows: 8 });
	const sourceError = h('p', { class: 'field-error', role: 'alert' });
	const all = h('div', {});

	const labelled = (label, input, cls) => h('label', { class: cls }, label, input, h('span', { class: 'field-error', role: 'alert' }));
	// A value that cannot be taken stays where it was typed, with the reason beside it.
	function take(input, why) {
		if (!why)
			draw();
		text(input.parentElement.querySelector('.field-error'), why);
		input[why ? 'setAttribute' : 'removeAttribute']('aria-invalid', 'true');
	}
	const from = h('input', { class: 'num', onchange: () => edit('from', from) });
	const to = h('input', { class: 'num', onchange: () => edit('to', to) });
	const rule = h('input', { spellcheck: 'false', id: 'tl-rule', oninput: () => { if (bar()) { bar().text = rule.value; draw(false); } } });
	const profile = h('select', { onchange: () => {
		if (profile.value && bar()) {
			bar().text = profile.value;
			profile.selectedIndex = 0;
			draw();
		}
	} }, h('option', { value: '' }, 'from a profile'));
	const length = h('input', { class: 'num', id: 'tl-length', onchange: () => {
		const v = parseDuration(length.value);
		const end = Math.max(...plan.bars.map((b) => b.to), 1);
		if (v >= end)
			plan.length = v;
		take(length, v >= end ? '' : Number.isNaN(v) ? `“${length.value}” is not a time with its unit, such as 60s` : `${fmtTime(v)} ends before the last bar does, at ${fmtTime(end)}`);
	} });
	const repeat = h('input', { class: 'num', id: 'tl-repeat', inputmode: 'numeric', onchange: () => {
		const good = /^\d+$/.test(repeat.value.trim());
		if (good)
			plan.repeat = Number(repeat.value);
		take(repeat, good ? '' : `“${repeat.value}” is not a number of rounds, such as 3, or 0`);
	} });
	const remove = h('button', { class: 'danger-outline', onclick: () => drop() }, 'Remove');
	const fields = h('div', { class: 'tl-fields' }, labelled('From', from), labelled('To', to), labelled('Rule', rule, 'wide'), labelled('Faults', profile), h('div', { class: 'controls' }, h('button', { id: 'tl-add', onclick: append }, icon('plus'), 'Add'), remove));

	root.append(h('div', { class: 'page-head' }, h('h1', {}, 'Timeline'), status),
		h('div', { class: 'tl' },
			h('section', { class: 'card', 'aria-label': 'Schedule' },
				h('div', { class: 'controls stack' }, labelled('Target', picker), targets, there, labelled('Length', length), labelled('Rounds, 0 = until stopped', repeat),
					h('div', { class: 'controls' }, run, stop, save)),
				problem, track, axis, fields,
				h('p', { class: 'why help' }, 'Drag a bar to move it, its ends to resize it, double-click the track to add one. Keys: ← → move, Shift + ← → resize, Delete removes.')),
			h('div', { class: 'tl-bottom' },
				h('section', { class: 'card', 'aria-label': 'As text' }, h('div', { class: 'card-head' }, h('h2', {}, 'As text'),
					h('button', { id: 'tl-use', onclick: use }, 'Use this text')), source, sourceError),
				h('section', { class: 'card', 'aria-label': 'Presets' }, h('div', { class: 'card-head' }, h('h2', {}, 'Presets')),
					h('table', {}, h('tbody', {}, PRESETS.map((p) => h('tr', {}, h('td', {}, h('button', { class: 'chip', onclick: () => { plan = preset(p); chosen = 0; draw(); } }, p[0])), h('td', { class: 'why' }, p[1]))))))),
			h('section', { class: 'card', 'aria-label': 'All schedules' }, h('div', { class: 'card-head' }, h('h2', {}, 'Schedules')), all)));

	const bar = () => plan.bars[chosen];
	const unit = () => [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60].find((s) => plan.length / (s * S) <= 240) * S || 60 * S;
	const snap = (ns) => Math.round(ns / unit()) * unit();
	const room = (b) => [Math.max(0, ...plan.bars.filter((x) => x !== b && x.to <= b.from).map((x) => x.to)),
		Math.min(plan.length, ...plan.bars.filter((x) => x !== b && x.from >= b.to).map((x) => x.from))];

	function move(b, by) {
		const [lo, hi] = room(b);
		const size = b.to - b.from;
		b.from = Math.min(hi - size, Math.max(lo, snap(b.from + by)));
		b.to = b.from + size;
	}
	function resize(b, end, ns) {
		const [lo, hi] = room(b);
		if (end === 'from')
			b.from = Math.max(lo, Math.min(b.to - unit(), snap(ns)));
		else
			b.to = Math.min(hi, Math.max(b.from + unit(), snap(ns)));
	}
	function edit(end, input) {
		const v = parseDuration(input.value);
		if (bar() && !Number.isNaN(v))
			resize(bar(), end, v);
		take(input, Number.isNaN(v) ? `“${input.value}” is not a time with its unit, such as 5s` : '');
	}
	function drop() {
		plan.bars.splice(chosen, 1);
		chosen = Math.max(0, chosen - 1);
		draw();
	}

	function draw(bars = true) {
		kept.plan = plan;
		const current = bar();
		plan.bars.sort((a, b) => a.from - b.from);
		chosen = Math.max(0, plan.bars.indexOf(current));
		const pct = (ns) => `${ns / plan.length * 100}%`;
		if (bars) {
			const focused = track.contains(document.activeElement);
			replace(track, plan.bars.map((b, i) => {
				const el = h('div', { class: 'tl-bar', tabindex: 0, role: 'button', 'aria-current': String(i === chosen), 'data-i': i,
					title: b.text, css: { left: pct(b.from), width: pct(b.to - b.from) },
					onpointerdown: (e) => drag(e, b, el), onfocus: () => { if (chosen !== i) { chosen = i; choose(); } }, onkeydown: (e) => keys(e, b) },
				h('b', { class: 'num' }, `${fmtTime(b.from)} – ${fmtTime(b.to)}`), h('span', {}, b.text),
				h('i', { class: 'tl-grip l' }), h('i', { class: 'tl-grip r' }));
				return el;
			}), head);
			if (focused)
				track.querySelector(`[data-i="${chosen}"]`)?.focus();
			replace(axis, Array.from({ length: 6 }, (_, i) => h('span', { css: { left: `${i * 20}%` } }, fmtTime(plan.length * i / 5))));
		}
		choose();
		text(track.children[chosen]?.querySelector?.('span') || h('i'), bar()?.text || '');
		length.value = fmtTime(plan.length);
		repeat.value = plan.repeat;
		source.value = toText(plan);
		text(sourceError, '');
		buttons();
	}
	function choose() {
		for (const el of track.querySelectorAll('.tl-bar'))
			el.setAttribute('aria-current', String(Number(el.dataset.i) === chosen));
		const b = bar();
		for (const x of [from, to, rule, profile, remove])
			x.disabled = !b;
		from.value = b ? fmtTime(b.from) : '';
		to.value = b ? fmtTime(b.to) : '';
		if (document.activeElement !== rule)
			rule.value = b ? b.text : '';
	}
	function keys(e, b) {
		const by = { ArrowLeft: -unit(), ArrowRight: unit() }[e.key];
		if (by && e.shiftKey)
			resize(b, 'to', b.to + by);
		else if (by)
			move(b, by);
		else if (e.key === 'Delete' || e.key === 'Backspace')
			drop();
		else if (e.key === 'Enter')
			rule.focus();
		else
			return;
		e.preventDefault();
		if (by)
			draw();
	}
	function drag(e, b, el) {
		if (e.button)
			return;
		chosen = plan.bars.indexOf(b);
		choose();
		el.focus({ preventScroll: true });
		const grip = e.target.classList.contains('l') ? 'from' : e.target.classList.contains('r') ? 'to' : '';
		const start = { x: e.clientX, from: b.from, to: b.to };
		const scale = plan.length / track.clientWidth;
		el.setPointerCapture(e.pointerId);
		const moving = (m) => {
			const by = (m.clientX - start.x) * scale;
			if (grip) {
				resize(b, grip, start[grip] + by);
			} else {
				Object.assign(b, { from: start.from, to: start.to });
				move(b, by);
			}
			el.style.setProperty('left', `${b.from / plan.length * 100}%`);
			el.style.setProperty('width', `${(b.to - b.from) / plan.length * 100}%`);
			text(el.querySelector('b'), `${fmtTime(b.from)} – ${fmtTime(b.to)}`);
			choose();
		};
		const done = () => {
			el.removeEventListener('pointermove', moving);
			draw();
		};
		el.addEventListener('pointermove', moving);
		el.addEventListener('pointerup', done, { once: true });
		el.addEventListener('pointercancel', done, { once: true });
		e.preventDefault();
	}
	track.addEventListener('dblclick', (e) => {
		if (e.target === track)
			insert(snap((e.clientX - track.getBoundingClientRect().left) / track.clientWidth * plan.length));
	});
	function insert(at) {
		const b = { from: at, to: at, text: 'up loss 10%' };
		const [lo, hi] = room(b);
		b.from = Math.max(lo, Math.min(at, hi - unit()));
		b.to = Math.min(hi, b.from + Math.max(unit(), snap(plan.length / 10)));
		if (b.to <= b.from)
			return;
		plan.bars.push(b);
		chosen = plan.bars.length - 1;
		draw();
	}
	// Without a pointer: into the first gap that is wide enough.
	function append() {
		let at = 0;
		for (const b of plan.bars) {
			if (b.from - at >= 2 * unit())
				break;
			at = b.to;
		}
		if (plan.length - at < 2 * unit())
			plan.length = at + 10 * S;
		insert(at);
	}

	function use() {
		try {
			plan = fromText(source.value);
			chosen = 0;
			draw();
		} catch (e) {
			text(sourceError, e.message);
		}
	}

	// --- the daemon's side -------------------------------------------------------
	function buttons() {
		run.disabled = save.disabled = !name || !plan.bars.length;
		stop.disabled = !running;
		there.hidden = !name;
		there.setAttribute('href', `#/faults/${encodeURIComponent(name)}`);
		if (!running)
			text(status, name ? '' : 'Pick a target to run it on');
	}
	function heard(s) {
		running = s && s.running ? { ...s, at: performance.now() } : null;
		buttons();
		if (running)
			tick();
		else
			head.hidden = true;
	}
	function tick() {
		if (!running)
			return;
		const total = running.length_ns || plan.length;
		const at = (running.position_ns || 0) + (performance.now() - running.at) * 1e6;
		const here = total ? Math.min(at, total) : 0;
		head.hidden = false;
		head.style.setProperty('left', `${Math.min(100, here / plan.length * 100)}%`);
		text(status, `Running, ${fmtLeft(here / 1e6)} of ${fmtLeft(total / 1e6)}${running.round ? `, round ${running.round + 1}` : ''}`);
	}
	async function open(target) {
		name = target;
		kept.target = name;
		text(problem, '');
		heard(null);
		if (!name) {
			draw();
			return;
		}
		try {
			const s = await get(`schedules/${seg(name)}`);
			plan = fromSteps(s);
			chosen = 0;
			draw();
			heard(s);
		} catch (e) {
			if (e.status !== 404)
				text(problem, e.message);
			draw();
		}
	}
	// Stores the schedule; a refusal is said beside the bar it is about.
	async function keep() {
		text(problem, '');
		try {
			await call('PUT', `schedules/${seg(name)}`, { steps: toSteps(plan), length_ns: plan.length, repeat: plan.repeat });
			list();
			return true;
		} catch (e) {
			const step = /^steps\[(\d+)\]/.exec(e.field || '');
			if (step) {
				const at = toSteps(plan)[step[1]].at_ns;
				chosen = Math.max(0, plan.bars.findIndex((b) => b.from === at));
				draw();
				track.querySelector(`[data-i="${chosen}"]`)?.classList.add('bad');
			}
			text(problem, `${running ? 'Not changed, the one before goes on.' : 'Not saved.'} ${e.message}`);
			return false;
		}
	}
	async function start() {
		if (!await keep())
			return;
		try {
			const { data } = await call('POST', `schedules/${seg(name)}/start`);
			heard(data && data.steps ? data : await get(`schedules/${seg(name)}`));
			list();
		} catch (e) {
			text(problem, `Saved, not started. ${e.message}`);
		}
	}
	async function halt(e, who = name) {
		try {
			await call('POST', `schedules/${seg(who)}/stop`);
			if (who === name)
				heard(null);
			list();
		} catch (err) {
			toast(`Not stopped: ${err.message}`, 'error');
		}
	}
	async function list() {
		try {
			const { schedules } = await get('schedules');
			replace(all, schedules.length ? h('div', { class: 'scroll-x', tabindex: 0, role: 'region', 'aria-label': 'Schedules' }, h('table', {}, h('thead', {}, h('tr', {}, ['Target', 'Bars', 'Length', 'State', 'Do'].map((t) => h('th', { scope: 'col' }, t)))),
				h('tbody', {}, schedules.map((s) => {
					const p = fromSteps(s);
					return h('tr', {}, h('td', {}, h('button', { class: 'link', onclick: () => { picker.value = s.target; open(s.target); } }, s.target)), h('td', { class: 'why' }, p.bars.map((b) => b.text).join(' | ')),
						h('td', { class: 'num' }, fmtTime(p.length)), h('td', {}, s.running ? 'running' : 'stopped'),
						h('td', {}, s.running ? h('button', { onclick: (e) => halt(e, s.target) }, 'Stop') : h('button', { onclick: async () => {
							await call('DELETE', `schedules/${seg(s.target)}`).catch((e) => toast(e.message, 'error'));
							list();
						} }, 'Delete')));
				})))) : empty('None yet', 'A schedule that was run stays here until it is deleted, so that it can be run again.'));
		} catch (e) {
			replace(all, h('p', { class: 'muted' }, `The daemon cannot list schedules: ${e.message}`));
		}
	}
	function names() {
		replace(targets, [...state.targets.values()].slice(0, 500).map((t) => h('option', { value: t.target })));
	}

	offs.push(on('schedule', (e) => {
		const s = state.targets.get(e.target);
		if (e.target === name || (s && s.name === name))
			heard(e.schedule);
		if (e.action === 'failed')
			toast(`Timeline of ${e.target}: ${e.detail}`, 'error');
		list();
	}), on('targets', names));
	const timer = setInterval(tick, 200);
	names();
	draw();
	if (name)
		open(name);
	list();
	profiles().then((all) => all.forEach((p) => p.rule && p.rule.text && profile.append(h('option', { value: p.rule.text }, p.name)))).catch(() => {});

	return () => {
		clearInterval(timer);
		for (const off of offs)
			off();
	};
}
