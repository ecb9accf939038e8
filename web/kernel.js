// SPDX-License-Identifier: GPL-2.0-only
// Kernel: what runs in it on our behalf, and what it lacks. The status object
// differs a little between kernels and lanes, so lists are shown by the keys
// they have rather than by a fixed form.

import { h, replace, text, empty } from './dom.js';
import { get, seg } from './api.js';
import { state } from './store.js';
import { fmtClock, fmtCount, fmtTime } from './units.js';

const PAGE = 100; // entries of a map shown at first

function value(v, key = '') {
	if (/_ns$/.test(key) && typeof v === 'number')
		return fmtTime(v);
	if (/_ms$/.test(key) && v > 1e12)
		return fmtClock(v);
	if (v === null || v === undefined || v === '')
		return '–';
	if (Array.isArray(v))
		return v.map(value).join(', ') || '–';
	if (typeof v === 'object')
		return Object.entries(v).map(([k, x]) => `${k} ${value(x, k)}`).join('  ');
	if (typeof v === 'number')
		return !Number.isInteger(v) ? v.toFixed(3) : v < 1e5 || /^(id|netns)$/.test(key) ? String(v) : fmtCount(v);
	return typeof v === 'boolean' ? (v ? 'yes' : 'no') : String(v);
}

const words = (s) => s.replace(/_/g, ' ');

function table(rows, first = []) {
	if (!rows.length)
		return h('p', { class: 'muted' }, 'None.');
	const keys = [...new Set([...first.filter((k) => rows.some((r) => r[k] !== undefined)), ...rows.flatMap(Object.keys)])];
	return h('div', { class: 'scroll-x', tabindex: 0, role: 'region', 'aria-label': keys.map(words).join(', ') }, h('table', {},
		h('thead', {}, h('tr', {}, keys.map((k) => h('th', { scope: 'col' }, words(k.replace(/_[mn]s$/, '')))))),
		h('tbody', {}, rows.map((r) => h('tr', {}, keys.map((k) => h('td', { class: k === 'name' ? 'mono' : 'left num' }, value(r[k], k))))))));
}

// name / available / why
function ability(list) {
	return h('table', {}, h('tbody', {}, [...list].sort((a, b) => Number(a.available !== false) - Number(b.available !== false)).map((f) => h('tr', {},
		h('th', { scope: 'row' }, h('span', { class: 'mono' }, f.name)),
		h('td', {}, h('span', { class: f.available ? 'yes' : 'no' }, f.available ? 'yes' : 'missing')),
		h('td', { class: 'why' }, f.why || f.text || '')))));
}

// A plain object: names and values.
function pairs(o) {
	const list = Object.entries(o || {});
	return list.length ? h('table', { class: 'pairs' }, h('tbody', {}, list.map(([k, v]) => h('tr', {}, h('th', { scope: 'row' }, words(k.replace(/_ns$/, ''))), h('td', { class: 'left num' }, value(v, k))))))
		: h('p', { class: 'muted' }, 'None.');
}

const asList = (x) => Array.isArray(x) ? x : x && typeof x === 'object'
	? Object.entries(x).map(([name, v]) => v && typeof v === 'object' ? { name, ...v } : { name, value: v }) : [];

function card(title, note, ...children) {
	return h('section', { class: 'card', 'aria-label': title }, h('div', { class: 'card-head' }, h('h2', {}, title), note && h('span', { class: 'muted' }, note)), children);
}

export function kernelPage(root) {
	const note = h('span', { class: 'muted' });
	const figures = h('section', { class: 'card stats', 'aria-label': 'In short' });
	const body = h('div', { class: 'grid2' });
	const maps = h('div', {});
	const dump = h('div', { class: 'map-dump', tabindex: 0, role: 'region', 'aria-label': 'Map entries', hidden: true });
	const programs = h('div', {});
	const drawn = new WeakMap(); // element -> what it shows
	let open = '';
	let limit = PAGE;
	let shown = '';
	let gone = false;
	root.append(h('div', { class: 'page-head' }, h('h1', {}, 'Kernel'), note),
		h('div', { class: 'tl' }, figures, body, card('Programs', 'that use these maps', programs), card('Maps', 'decoded, as squall map dump shows them', maps, dump)));

	const stat = (n, label) => h('div', { class: 'stat' }, h('b', {}, n), h('span', {}, label));

	function draw(s) {
		const lane = typeof s.lane === 'object' && s.lane ? s.lane : { name: s.lane };
		const missing = [...asList(s.faults), ...asList(s.features)].filter((f) => f.available === false);
		text(note, `squalld ${s.version || ''}, kernel ${value(typeof s.kernel === 'object' ? s.kernel.release : s.kernel)}`);
		replace(figures, stat(fmtCount((s.attachments || []).length), 'interfaces'),
			stat(value(lane.name || lane.kind), 'lane'), stat(fmtCount([...state.targets.values()].filter((t) => t.rule).length), 'rules'),
			stat(fmtCount(missing.length), 'missing'));
		// Redrawing what did not change would steal the reader's scroll position.
		const { attachments, faults, features, limits, errors, docker, cgroups } = s;
		const now = JSON.stringify([attachments, faults, features, limits, lane, errors, docker, cgroups]);
		if (now === shown)
			return;
		shown = now;
		replace(body,
			card('Lane', value(lane.name || lane.kind), h('p', {}, lane.why || s.lane_why || ''),
				pairs(Object.fromEntries(Object.entries(lane).filter(([k]) => !['name', 'why', 'kind'].includes(k))))),
			card('Faults on this kernel', asList(faults).some((f) => f.available === false) ? 'some are missing' : 'all available', asList(faults).length ? ability(asList(faults)) : h('p', { class: 'muted' }, 'The daemon lists none.')),
			h('div', { class: 'wide' }, card('Attach points', null, (attachments || []).length ? table(attachments, ['name', 'ifindex', 'netns', 'role', 'hooks'])
				: empty('Attached to no interface', 'squalld watches for interfaces that match its --iface patterns and attaches as they appear.'))),
			card('Kernel features', null, asList(features).length ? ability(asList(features)) : h('p', { class: 'muted' }, 'The daemon lists none.')),
			card('Limits', null, pairs(limits)),
			errors !== undefined && card('Errors', 'packets passed because something failed', typeof errors === 'object' ? pairs(errors) : h('p', { class: 'num' }, value(errors))),
			s.cgroups && card('Cgroups', 'seen as they come and go', pairs(s.cgroups)),
			s.docker && card('Docker', null, pairs(s.docker)));
	}

	// Redrawing what did not change would steal the reader's place, and what did must not take the focus.
	function redraw(el, data, make) {
		const now = JSON.stringify(data);
		if (gone || drawn.get(el) === now)
			return;
		drawn.set(el, now);
		const focus = el.contains(document.activeElement) && document.activeElement.dataset.key;
		const { scrollTop, scrollLeft } = el;
		replace(el, make());
		Object.assign(el, { scrollTop, scrollLeft });
		if (focus)
			el.querySelector(`[data-key="${focus}"]`)?.focus();
	}

	async function listPrograms() {
		try {
			const list = (await get('programs')).programs;
			redraw(programs, list, () => table(list.map(({ loaded_ns, ...p }) => p), ['name', 'id', 'type', 'tag']));
		} catch (e) {
			redraw(programs, e.message, () => h('p', { class: 'field-error' }, e.message));
		}
	}

	async function listMaps() {
		try {
			const all = (await get('maps')).maps;
			redraw(maps, [open, all], () => h('div', { class: 'scroll-x', tabindex: 0, role: 'region', 'aria-label': 'All maps' }, h('table', {},
				h('thead', {}, h('tr', {}, ['Name', 'Holds', 'Type', 'Key', 'Value', 'Entries', 'Room'].map((t, i) => h('th', { scope: 'col', class: i > 2 ? 'num' : null }, t)))),
				h('tbody', {}, all.map((m) => h('tr', {}, h('td', {}, h('button', { class: 'link mono', 'data-key': m.name, 'aria-expanded': String(open === m.name), onclick: () => choose(m.name) }, m.name)),
					h('td', { class: 'why' }, m.holds), h('td', {}, m.type), h('td', { class: 'num' }, value(m.key_bytes)), h('td', { class: 'num' }, value(m.value_bytes)),
					h('td', { class: 'num' }, m.type === 'ringbuf' ? '–' : fmtCount(m.entries)), h('td', { class: 'num' }, fmtCount(m.max_entries))))))));
		} catch (e) {
			redraw(maps, e.message, () => h('p', { class: 'field-error' }, e.message));
		}
	}

	function choose(name) {
		open = open === name ? '' : name;
		limit = PAGE;
		listMaps();
		dumpMap();
	}

	async function dumpMap() {
		dump.hidden = !open;
		if (!open)
			return;
		const name = open;
		try {
			const m = await get(`maps/${seg(name)}?limit=${limit}`);
			if (name !== open)
				return;
			redraw(dump, [name, limit, m.entries, m.truncated], () => [h('h3', {}, name),
				m.map.type === 'ringbuf' ? h('p', { class: 'muted' }, 'A ring buffer has no entries to show: the live feed of a target’s page reads it.')
					: !m.entries.length ? h('p', { class: 'muted' }, `${name} is empty.`) : m.map.max_entries === 1 ? pairs(m.entries[0]) : table(m.entries, ['id', 'text']),
				m.truncated && h('p', {}, `The first ${fmtCount(m.entries.length)} entries. `, h('button', { 'data-key': 'more', onclick: () => { limit = Math.min(limit * 10, 10000); dumpMap(); } }, 'More'))]);
		} catch (e) {
			redraw(dump, e.message, () => h('p', { class: 'field-error' }, e.message));
		}
	}

	async function again() {
		try {
			state.status = await get('status');
			if (!gone)
				draw(state.status);
		} catch (e) {
			if (!gone && !shown)
				replace(body, empty('No status', e.message));
		}
	}
	if (state.status)
		draw(state.status);
	const all = () => [again, listPrograms, listMaps, dumpMap].forEach((f) => f());
	all();
	const timer = setInterval(() => state.conn === 'live' && all(), 2000);
	return () => {
		gone = true;
		clearInterval(timer);
	};
}
