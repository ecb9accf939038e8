// SPDX-License-Identifier: GPL-2.0-only
// What happened: who set which fault, what it did while it was in force, and
// what came after; again, or as a file.

import { h, replace, text, toast, empty } from './dom.js';
import { get, download, save } from './api.js';
import { fmtCount, fmtClock, fmtNum, fmtRate } from './units.js';
import { isSelector } from './store.js';
import { change } from './undo.js';

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

// What the target sent and received in the minute before, meanwhile, in the minute after. What was not
// counted is not 0.
const WHERE = { all: 'Of all that it sent and received', rules: 'Of the packets that its rules met, as nobody counted the others' };
function traffic(w) {
	if (!w)
		return h('span', { class: 'muted', title: 'It is over an hour ago' }, 'no longer kept');
	if (!w.seconds)
		return h('span', { class: 'muted', title: w.why }, /just ended/.test(w.why) ? 'not over yet' : 'not counted');
	return h('span', { class: 'num', title: `${WHERE[w.of]}; ${w.seconds} s were counted` }, ['up', 'down'].map((d, i) =>
		[i > 0 && h('br', {}), `${'↑↓'[i]} ${fmtNum(w[d].pkts_per_s)} packets/s, ${fmtRate(Number(w[d].bits_per_s.toPrecision(3)))}`]));
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
		const rule = e.rule || e.was;
		try {
			await change([{ target: e.target, rule: { text: rule } }], () => `Set again: ${rule}`);
			load();
		} catch (err) {
			if (err.status !== 401)
				toast(`Not set: ${err.message}`, 'error');
		}
	}

	// All of them, page by page: an answer has a thousand at most.
	async function exportJson() {
		const q = query();
		const all = [];
		let page;
		q.set('limit', 1000);
		do {
			page = await get(`history?${q}`);
			all.push(...page.events);
			q.set('before', all.at(-1)?.id);
		} while (page.more);
		save(new Blob([JSON.stringify({ events: all }, null, 1)], { type: 'application/json' }), 'squall-history.json');
	}
	const saving = (id, label, run) => h('button', { id, onclick: async (e) => {
		e.target.disabled = true;
		await run().catch((err) => err.status !== 401 && toast(`Not saved: ${err.message}`, 'error'));
		e.target.disabled = false;
	} }, label);

	function row(e) {
		const d = new Date(e.time_ms);
		const around = e.traffic || {};
		const ended = Boolean(e.counters);
		const of = (w) => e.type === 'rule' && e.target && !isSelector(e.target) && traffic(w);
		return h('tr', {}, h('td', { class: 'left num', title: d.toISOString() }, `${d.toLocaleDateString()} ${fmtClock(e.time_ms)}`),
			h('td', {}, `${e.type} ${e.action}`),
			h('td', {}, e.target && h('a', { href: `#/faults/${encodeURIComponent(e.target)}` }, e.target)),
			h('td', { class: 'flow' }, e.was || ''),
			h('td', { 'data-window': 'before' }, of(around.before)),
			h('td', { 'data-window': 'during' }, ended ? [`${lasted(e.lasted_ms)}: ${figures(e)}`, around.during?.seconds > 0 && [h('br', {}), traffic(around.during)]] : e.detail || ''),
			h('td', { 'data-window': 'after' }, ended && of(around.after)),
			h('td', { class: 'flow' }, e.rule || (ended ? 'nothing' : '')),
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
		h('div', { class: 'toolbar' }, target, type,
			saving('history-csv', 'Export CSV', () => {
				const q = query();
				q.set('format', 'csv');
				return download(`history?${q}`, 'squall-history.csv');
			}), saving('history-json', 'Export JSON', exportJson)),
		h('p', { class: 'muted' }, 'Before and after: what the target sent and received in the minute before the rule and in the minute after it, kept for an hour.'),
		h('div', { class: 'feed', tabindex: 0, role: 'region', 'aria-label': 'Events' },
			h('table', {}, h('thead', {}, h('tr', {}, ['Time', 'What', 'Target', 'Rule that ended', 'Before', 'During', 'After', 'Rule from then on', 'By', ''].map((t) => h('th', { scope: 'col' }, t || h('span', { class: 'visually-hidden' }, 'Again'))))), rows)),
		none, said, more);
	load();
	return () => { turn++; };
}
