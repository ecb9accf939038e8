// SPDX-License-Identifier: GPL-2.0-only
// "Why has my fault no effect?": squalld's own explanation, as elements.

import { h } from './dom.js';
import { get, seg } from './api.js';

export const explain = (name) => get(`targets/${seg(name)}/explain`);
const sentence = (s) => `${s.charAt(0).toUpperCase()}${s.slice(1)}.`;

// [{text, do, who: elements or nothing}...]
export const reasons = (list) => h('dl', { class: 'why-list' }, list.map((r) => [h('dt', {}, r.text), h('dd', { class: 'muted' }, r.do, r.who && [' (', r.who, ')'])]));

export function explained(x) {
	const { interfaces, processes, connections } = x.seen;
	return [h('p', {}, sentence(x.summary)),
		h('p', { class: 'muted' }, interfaces.length
			? `Seen at ${interfaces.slice(0, 6).map((i) => i.name).join(', ')}${interfaces.length > 6 ? ', …' : ''}; ${processes} processes, ${connections} connections.`
			: `Seen nowhere; ${processes} processes.`),
		x.reasons.length ? reasons(x.reasons) : x.in_force && h('p', { class: 'muted' }, 'Nothing is known that escapes the rule.')];
}

/*
 * A selector's: of the members that follow it a few, each reason once, with whose it is. members is
 * what GET targets?match= has; link(name) makes the way to one.
 */
const LOOKED_AT = 5;
export async function explainedMany(name, ruled, members, link) {
	const mine = members.filter((m) => m.rule && m.rule.by === name);
	const others = members.filter((m) => m.rule && m.rule.by !== name);
	const said = !members.length ? 'it means nobody'
		: !ruled ? 'no rule: packets of those that it means pass untouched, or by the rule of their own'
			: `in force on ${mine.length} of ${members.length} that it means${others.length ? `; ${others.length} ${others.length > 1 ? 'have' : 'has'} another that goes before it` : ''}`;
	const asked = mine.slice(0, LOOKED_AT);
	const all = await Promise.all(asked.map((m) => explain(m.target).catch(() => null)));
	const by = new Map(); // code -> {text, do, who}
	const silent = [];
	all.forEach((x, i) => {
		if (!x)
			return;
		if (x.in_force && !x.seen.up.pkts && !x.seen.down.pkts)
			silent.push(asked[i].target);
		for (const r of x.reasons.filter((o) => o.code !== 'selector')) {
			if (!by.has(r.code))
				by.set(r.code, { ...r, who: [] });
			by.get(r.code).who.push(by.get(r.code).who.length ? ', ' : '', link(asked[i].target));
		}
	});
	return [h('p', {}, sentence(said)),
		mine.length > LOOKED_AT && h('p', { class: 'muted' }, `Looked at: ${LOOKED_AT} of them; each one’s page has its own explanation.`),
		silent.length > 0 && h('p', {}, `No packet was seen of ${silent.length} of ${asked.length}: `, silent.map((n, i) => [i ? ', ' : '', link(n)]), '.'),
		by.size ? reasons([...by.values()]) : asked.length > 0 && !silent.length && h('p', { class: 'muted' }, 'Nothing is known that escapes the rule.')];
}
