// SPDX-License-Identifier: GPL-2.0-only
// Kernel: what runs in it on our behalf, and what it lacks. The status object
// differs a little between kernels and lanes, so lists are shown by the keys
// they have rather than by a fixed form.

import { h, replace, text, empty, code } from './dom.js';
import { get, seg } from './api.js';
import { state } from './store.js';
import { fmtCount, fmtTime } from './units.js';

const PAGE = 100; // entries of a map shown at once

function value(v, key = '') {
	if (/_ns$/.test(key) && typeof v === 'number')
		return fmtTime(v);
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
		h('thead', {}, h('tr', {}, keys.map((k) => h('th', { scope: 'col' }, words(k))))),
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
	let open = '';
	let shown = '';
	let gone = false;
	root.append(h('div', { class: 'page-head' }, h('h1', {}, 'Kernel'), note),
		h('div', { class: 'tl' }, figures, body, card('Maps', 'decoded, as squall map dump shows them', maps, dump)));

	const stat = (n, label) => h('div', { class: 'stat' }, h('b', {}, n), h('span', {}, label));

	function draw(s) {
		const lane = typeof s.lane === 'object' && s.lane ? s.lane : { name: s.lane };
		const missing = [...asList(s.faults), ...asList(s.features)].filter((f) => f.available === false);
		text(note, `squalld ${s.version || ''}, kernel ${value(typeof s.kernel === 'object' ? s.kernel.release : s.kernel)}`);
		replace(figures, s.programs && stat(fmtCount(s.programs.length), 'programs'), stat(fmtCount((s.attachments || []).length), 'interfaces'),
			stat(value(lane.name || lane.kind), 'lane'), stat(fmtCount([...state.targets.values()].filter((t) => t.rule).length), 'rules'),
			stat(fmtCount(missing.length), 'missing'));
		// Redrawing what did not change would steal the reader's scroll position.
		const { programs, attachments, faults, features, limits, errors } = s;
		const now = JSON.stringify([programs && programs.map((p) => p.name), attachments, faults, features, limits, lane.why, errors]);
		if (now === shown)
			return;
		shown = now;
		replace(body,
			card('Lane', value(lane.name || lane.kind), h('p', {}, lane.why || s.lane_why || ''),
				pairs(Object.fromEntries(Object.entries(lane).filter(([k]) => !['name', 'why', 'kind'].includes(k))))),
			card('Faults on this kernel', asList(faults).some((f) => f.available === false) ? 'some are missing' : 'all available', asList(faults).length ? ability(asList(faults)) : h('p', { class: 'muted' }, 'The daemon lists none.')),
			programs && h('div', { class: 'wide' }, card('Programs', null, table(asList(programs), ['name', 'id', 'tag', 'type']))),
			h('div', { class: 'wide' }, card('Attach points', null, (attachments || []).length ? table(attachments, ['name', 'ifindex', 'netns', 'role', 'hooks'])
				: empty('Attached to no interface', 'squalld watches for interfaces that match its --iface patterns and attaches as they appear.'))),
			card('Kernel features', null, asList(features).length ? ability(asList(features)) : h('p', { class: 'muted' }, 'The daemon lists none.')),
			card('Limits', null, pairs(limits)),
			errors !== undefined && card('Errors', 'packets passed because something failed', typeof errors === 'object' ? pairs(errors) : h('p', { class: 'num' }, value(errors))),
			s.docker && card('Docker', null, pairs(s.docker)));
	}

	async function listMaps() {
		try {
			const all = (await get('maps')).maps;
			replace(maps, h('div', { class: 'scroll-x', tabindex: 0, role: 'region', 'aria-label': 'Maps' }, h('table', {},
				h('thead', {}, h('tr', {}, ['Name', 'Type', 'Key', 'Value', 'Entries', 'Room'].map((t, i) => h('th', { scope: 'col', class: i > 1 ? 'num' : null }, t)))),
				h('tbody', {}, all.map((m) => h('tr', {}, h('td', {}, h('button', { class: 'link mono', 'aria-expanded': String(open === m.name), onclick: () => { open = open === m.name ? '' : m.name; listMaps(); dumpMap(); } }, m.name)),
					h('td', {}, value(m.type)), h('td', { class: 'num' }, value(m.key_size)), h('td', { class: 'num' }, value(m.value_size)),
					h('td', { class: 'num' }, m.entries === undefined ? '–' : fmtCount(m.entries)), h('td', { class: 'num' }, fmtCount(m.max_entries))))))));
		} catch (e) {
			replace(maps, h('p', { class: 'why' }, e.status === 404 ? ['This daemon does not serve maps over HTTP. On its machine run ', code('squall map list'), ' and ', code('squall map dump NAME'), '.'] : e.message));
		}
	}

	async function dumpMap() {
		dump.hidden = !open;
		if (!open)
			return;
		try {
			const m = await get(`maps/${seg(open)}?limit=${PAGE}`);
			const rows = (m.entries || []).map((e) => h('tr', {}, h('td', { class: 'mono' }, value(e.key)), h('td', { class: 'mono' }, value(e.value))));
			replace(dump, rows.length ? h('table', {}, h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Key'), h('th', { scope: 'col' }, 'Value'))), h('tbody', {}, rows))
				: h('p', { class: 'muted' }, `${open} is empty.`), m.truncated && h('p', { class: 'muted' }, `The first ${PAGE} entries.`));
		} catch (e) {
			replace(dump, h('p', { class: 'field-error' }, e.message));
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
	again();
	listMaps();
	const timer = setInterval(again, 2000);
	return () => {
		gone = true;
		clearInterval(timer);
	};
}
