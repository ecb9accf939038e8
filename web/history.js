// SPDX-License-Identifier: GPL-2.0-only
// What happened: who set which fault, what it did while it was in force, and
// what came after; again, or as a file.

import { h, replace, text, toast, empty } from './dom.js';
import { call, get, seg, download } from './api.js';
import { fmtCount, fmtClock } from './units.js';

const TYPES = ['', 'rule', 'schedule', 'target', 'lane', 'health', 'squalld', 'experiment'];

const lasted = (ms) => ms < 60e3 ? `${(ms / 1000).toFixed(1)} s` : ms < 3600e3 ? `${(ms / 60e3).toFixed(1)} min` : `${(ms / 3600e3).toFixed(1)} h`;

function figures(e) {
	if (!e.counters)
		return null;
	const of = (d) => {
		const c = e.counters[d];
		return c.seen_pkts ? `${d}: ${fmtCount(c.seen_pkts)} packets, ${fmtCount(c.lost_pkts)} lost (${(c.lost_pkts / c.seen_pkts * 100).toFixed(1)} %), ${fmtCount(c.delayed_pkts)} delayed` : null;
	};
	return [of('up'), of('down')].filter(Boolean).join('; ') || 'met no packet';
}

export function historyPage(root, asked) {
	const target = h('input', { type: 'search', id: 'history-target', 'aria-label': 'Target', placeholder: 'Target, as listed', value: asked || '' });
	const type = h('select', { id: 'history-type', 'aria-label': 'Kind' }, TYPES.map((t) => h('option', { value: t }, t || 'everything')));
	const rows = h('tbody', { id: 'history-rows' });
	const said = h('p', { class: 'muted', role: 'status' });
	const more = h('button', { onclick: () => load(true) }, 'Older');
	const none = h('div', {});
	let last = 0;
	let turn = 0;

	const query = () => new URLSearchParams(Object.entries({ target: target.value.trim(), type: type.value }).filter(([, v]) => v));

	async function again(e) {
		try {
			await call('PUT', `rules/${seg(e.target)}`, { text: e.rule || e.was });
			toast(`Set again: ${e.rule || e.was}`, 'ok');
			load();
		} catch (err) {
			toast(`Not set: ${err.message}`, 'error');
		}
	}

	function row(e) {
		const d = new Date(e.time_ms);
		return h('tr', {}, h('td', { class: 'left num', title: d.toISOString() }, `${d.toLocaleDateString()} ${fmtClock(e.time_ms)}`),
			h('td', {}, `${e.type} ${e.action}`),
			h('td', {}, e.target && h('a', { href: `#/faults/${encodeURIComponent(e.target)}` }, e.target)),
			h('td', { class: 'flow' }, e.was || ''),
			h('td', {}, e.counters ? `${lasted(e.lasted_ms)}: ${figures(e)}` : e.detail || ''),
			h('td', { class: 'flow' }, e.rule || (e.counters ? 'nothing' : '')),
			h('td', {}, e.who),
			h('td', {}, e.type === 'rule' && e.target && (e.rule || e.was) && h('button', { onclick: () => again(e) }, 'Do it again')));
	}

	async function load(older) {
		const mine = ++turn;
		const q = query();
		q.set('limit', 100);
		if (older)
			q.set('before', last);
		try {
			const { events, more: rest, kept } = await get(`history?${q}`);
			if (mine !== turn)
				return;
			if (!older)
				replace(rows);
			rows.append(...events.map(row));
			last = events.length ? events.at(-1).id : 0;
			more.hidden = !rest;
			text(said, `${rows.childElementCount} shown of ${fmtCount(kept)} kept.`);
			replace(none, !rows.childElementCount && empty('Nothing of that kind', 'Rules that are set, replaced, expired or deleted are listed here, with what they did.'));
		} catch (err) {
			if (err.status !== 401)
				text(said, `No history: ${err.message}`);
		}
	}

	target.addEventListener('change', () => load());
	type.addEventListener('change', () => load());
	root.append(h('div', { class: 'page-head' }, h('h1', {}, 'History')),
		h('div', { class: 'inline' }, target, type,
			h('button', { id: 'history-csv', onclick: () => {
				const q = query();
				q.set('format', 'csv');
				download(`history?${q}`, 'squall-history.csv').catch((e) => toast(`Not saved: ${e.message}`, 'error'));
			} }, 'Export CSV')),
		h('div', { class: 'feed', tabindex: 0, role: 'region', 'aria-label': 'Events' },
			h('table', {}, h('thead', {}, h('tr', {}, ['Time', 'What', 'Target', 'Before', 'During', 'After', 'By', ''].map((t) => h('th', { scope: 'col' }, t || h('span', { class: 'visually-hidden' }, 'Again'))))), rows)),
		none, said, more);
	load();
	return () => { turn++; };
}
