// SPDX-License-Identifier: GPL-2.0-only
// One line on every page: what acts at this moment, what waits to act, and what is wrong with the
// daemon. Its "stop" is the header's Clear everything, which ends all of it.

import { h, replace } from './dom.js';
import { state, on, ruled, ownRules, inherited, isSelector, membersOf, ruleText } from './store.js';

export const count = (n, what) => `${n.toLocaleString('en-US')} ${what}${n === 1 ? '' : 's'}`;
const page = (name) => `#/faults/${encodeURIComponent(name)}`;
const LISTED = 50;

// A part of the line that opens into the list of what it counts.
function part(id, title, items, open) {
	const more = items.length > LISTED ? h('li', { class: 'muted' }, `and ${(items.length - LISTED).toLocaleString('en-US')} more`) : null;
	const el = h('details', { id }, h('summary', {}, title),
		h('ul', {}, items.slice(0, LISTED).map(([name, href, said]) => h('li', {}, href ? h('a', { href }, name) : name, said && h('span', { class: 'muted' }, ` ${said}`))), more));
	el.open = open;
	return el;
}

export function nowStrip(box) {
	let drawn = '';

	function draw() {
		if (state.kind !== 'squalld' || state.conn === 'auth') {
			box.hidden = true;
			return;
		}
		const rules = ownRules().filter((r) => r.in_force !== false && (!isSelector(r.target) || membersOf(r.target).length));
		const waiting = [...state.waiting.map((r) => [r, 'as soon as the target runs']),
			...[...state.selectors.values()].filter((r) => !membersOf(r.target).length).map((r) => [r, 'as soon as there is a target that it means'])];
		const members = ruled().filter((t) => t.rule.by).length;
		const acts = (r) => isSelector(r.target) ? `${ruleText(r)}, on ${count(membersOf(r.target).length, 'target')}` : ruleText(r);
		const children = rules.length ? [...state.targets.values()].map((t) => [t, inherited(t)]).filter(([, by]) => by) : [];
		const running = state.schedules.filter((s) => s.running);
		const experiments = state.experiments ? state.experiments.running : [];
		const bad = state.health && state.health.status !== 'ok' ? state.health.reasons || [state.health.reason] : [];
		const list = [
			rules.length && ['now-rules', `${count(rules.length, 'rule')}${members ? ` on ${count(members + rules.filter((r) => !isSelector(r.target)).length, 'target')}` : ''}`, rules.map((r) => [r.target, page(r.target), acts(r)])],
			children.length && ['now-inherited', `${count(children.length, 'target')} below a rule`, children.map(([t, by]) => [t.target, page(t.target), `by the rule of ${by.target}`])],
			waiting.length && ['now-waiting', count(waiting.length, 'waiting rule'), waiting.map(([r, when]) => [r.target, page(r.target), `${ruleText(r)}, ${when}`])],
			running.length && ['now-schedules', count(running.length, 'schedule') + ' running', running.map((s) => [s.target, `#/timeline/${encodeURIComponent(s.target)}`, ''])],
			experiments.length && ['now-experiments', count(experiments.length, 'experiment') + ' running', experiments.map((e) => [e.name, '#/experiments', e.faults.length ? `fault: ${e.faults.join(', ')}` : e.phase])],
			bad.length && ['now-health', `squalld is ${state.health.status}`, bad.map((why) => [why])],
		].filter(Boolean);
		const key = JSON.stringify(list);
		if (key === drawn)
			return;
		drawn = key;
		const open = new Set([...box.querySelectorAll('details[open]')].map((d) => d.id));
		box.hidden = !list.length;
		box.classList.toggle('bad', bad.length > 0);
		replace(box, h('b', {}, 'Now'), list.map(([id, title, items]) => part(id, title, items, open.has(id))));
	}

	for (const topic of ['now', 'rule', 'targets', 'conn'])
		on(topic, draw);
	draw();
}
