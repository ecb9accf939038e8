// SPDX-License-Identifier: GPL-2.0-only
// The connections of a target whose rule follows them, and what was done to each.

import { h, replace, text } from './dom.js';
import { get, seg } from './api.js';
import { fmtTime, fmtCount, fmtSize } from './units.js';
import { state } from './store.js';

const SHOWN = 50;
const COUNTS = ['seen', 'alive', 'hung', 'reset', 'full', 'evicted', 'refused', 'unparsed'];
const ms = (n) => fmtTime(Number((n * 1e6).toPrecision(2)));

export const follows = (rule) => Boolean(rule && (rule.clauses || []).some((c) => c.each || c.hang || c.reset || c.max_flows));

// rule(): what is in force, or nothing.
export function flowsCard(name, rule) {
	const counts = h('p', { class: 'muted num', id: 'flow-counts' });
	const rows = h('tbody', {});
	const el = h('section', { class: 'card', 'aria-label': 'Connections', id: 'flows', hidden: true },
		h('div', { class: 'card-head' }, h('h2', {}, 'Connections')), counts,
		h('div', { class: 'conns', tabindex: 0, role: 'region', 'aria-label': 'Table of connections' },
			h('table', {}, h('thead', {}, h('tr', {}, ['Local → remote', 'Age', 'Idle', 'Up', 'Down', 'State'].map((t) => h('th', { scope: 'col' }, t)))), rows)));

	async function look() {
		el.hidden = !follows(rule());
		if (el.hidden || state.conn !== 'live' || document.hidden)
			return;
		const answer = await get(`flows/${seg(name)}?limit=${SHOWN}`).catch(() => null);
		if (!answer)
			return;
		text(counts, COUNTS.filter((k) => answer.counts[k]).map((k) => `${fmtCount(answer.counts[k])} ${k}`).join(' · ') || 'No connection yet');
		replace(rows, answer.flows.map((f) => h('tr', {}, h('td', { class: 'flow' }, `${f.proto} ${f.local}${f.remote ? ` → ${f.remote}` : ''}`),
			h('td', { class: 'num' }, ms(f.age_ms)), h('td', { class: 'num' }, ms(f.idle_ms)),
			h('td', { class: 'num' }, `${fmtCount(f.up_pkts)}, ${fmtSize(f.up_bytes)}`), h('td', { class: 'num' }, `${fmtCount(f.down_pkts)}, ${fmtSize(f.down_bytes)}`),
			h('td', {}, f.state.map((s) => h('span', { class: `what ${/hung|reset/.test(s) ? 'lost' : ''}` }, s))))),
		answer.more ? h('tr', {}, h('td', { colspan: 6, class: 'muted' }, `and ${fmtCount(answer.more)} more: squall flows ${name}`)) : null);
	}
	const timer = setInterval(look, 2000);
	look();
	return { el, look, stop: () => clearInterval(timer) };
}
