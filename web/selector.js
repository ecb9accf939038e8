// SPDX-License-Identifier: GPL-2.0-only
// One rule for all targets of a kind, those that come included: whom it means, and the rule's form.

import { h, icon, replace, text, empty } from './dom.js';
import { get, seg } from './api.js';
import { fmtNum, fmtCount } from './units.js';
import { state, on, ruleText, setRule, background } from './store.js';
import { ruleCard, link } from './rule.js';
import { count } from './now.js';
import { explainedMany } from './explain.js';

const SHOWN = 100;

// What people mean targets by: [kind, in words, an example, the values that targets have].
const ecs = (key) => (t) => t.ecs && t.ecs[key];
const labelled = (key) => (t) => t.labels && t.labels[key];
export const KINDS = [
	['label', 'Label', 'app=web', (t) => Object.entries(t.labels || {}).map(([k, v]) => `${k}=${v}`)],
	['name', 'Name, * for any', 'web-*', (t) => t.kind === 'container' && t.name],
	['image', 'Image, * for any', 'registry.example/shop/*', (t) => t.image],
	['compose', 'Compose service', 'web', labelled('com.docker.compose.service')],
	['swarm', 'Swarm service', 'stack_web', labelled('com.docker.swarm.service.name')],
	['ecs', 'ECS container', 'web', ecs('container')],
	['ecs-service', 'ECS service', 'shop', ecs('service')],
	['ecs-family', 'ECS task family', 'shop', ecs('family')],
	['cgroup', 'Cgroups below', '/fleet/*', (t) => t.kind === 'cgroup' && t.cgroup && `${t.cgroup.replace(/\/[^/]*$/, '')}/*`],
];

// Why a selector means nobody, or less than one thought: what targets here have of its kind, those
// that begin alike first.
export function there(name) {
	const [kind, ...rest] = name.split(':');
	const found = KINDS.find(([k]) => k === kind);
	if (!found)
		return `No kind of selector is called “${kind}”: ${KINDS.map(([k]) => k).join(', ')} are.`;
	const start = rest.join(':').split(/[=*]/)[0];
	const [, title, , of] = found;
	const have = [...new Set([...state.targets.values()].flatMap((t) => of(t) || []))].sort((a, b) => b.startsWith(start) - a.startsWith(start) || (a < b ? -1 : 1));
	const what = title.split(',')[0].toLowerCase();
	return have.length ? `Of the kind “${what}” there is here: ${have.slice(0, 5).join(', ')}${have.length > 5 ? `, and ${fmtCount(have.length - 5)} more` : ''}.`
		: `No target here has one of the kind “${what}”.`;
}

// The way to such a page: a kind and a value, of those that targets here have.
export function picker() {
	const kind = h('select', { id: 'by-kind', 'aria-label': 'By what', onchange: () => fill() }, KINDS.map(([k, title]) => h('option', { value: k }, title)));
	const values = h('datalist', { id: 'by-values' });
	const value = h('input', { id: 'by-value', type: 'text', class: 'mono', list: 'by-values', autocomplete: 'off', spellcheck: 'false', 'aria-label': 'Which', 'aria-describedby': 'by-said', oninput: () => look() });
	const said = h('span', { class: 'muted', id: 'by-said', role: 'status' });
	let turn = 0;

	function fill() {
		const [, , example, of] = KINDS.find(([k]) => k === kind.value);
		const have = new Set([...state.targets.values()].flatMap((t) => of(t) || []));
		replace(values, [...have].sort().slice(0, 200).map((v) => h('option', { value: v })));
		value.placeholder = example;
		look();
	}
	const name = () => `${kind.value}:${value.value.trim()}`;
	async function look() {
		const mine = ++turn;
		if (!value.value.trim()) {
			text(said, '');
			return;
		}
		await new Promise((resolve) => { setTimeout(resolve, 200); });
		if (mine !== turn)
			return;
		const all = await get(`targets?match=${seg(name())}`).catch((e) => e);
		if (mine === turn)
			text(said, all.targets ? `${count(all.targets.length, 'target')} now${all.targets.length ? `: ${all.targets.slice(0, 3).map((t) => t.name).join(', ')}${all.targets.length > 3 ? ', …' : ''}` : ', and whoever comes'}` : all.message);
	}
	const el = h('details', { class: 'picker', id: 'by-selector', ontoggle: () => el.open && fill() }, h('summary', {}, 'A rule for all by label, name, image, service …'),
		h('form', { class: 'inline', onsubmit: (e) => {
			e.preventDefault();
			if (value.value.trim())
				location.hash = `#/faults/${encodeURIComponent(name())}`;
		} }, kind, value, values, h('button', { type: 'submit', id: 'by-open' }, 'Open'), said));
	return el;
}

export function selectorPage(root, name) {
	const [kind] = name.split(':', 1);
	const about = h('p', { class: 'muted', id: 'meant' }, 'Looking whom it means …');
	const rows = h('tbody', { id: 'members' });
	const notes = h('ul', { class: 'why-list', id: 'member-notes' });
	const why = h('div', { id: 'why' });
	const offs = [];
	const cells = new Map(); // id -> [seen, lost, delayed]
	let turn = 0;

	const rule = ruleCard({ name, current: () => state.selectors.get(name) || null, others: () => null,
		waits: 'there is a target that it means', over: () => background().then(() => { rule.show(); look(); }) });

	function figures() {
		for (const [id, [seen, lost, delayed]] of cells) {
			const r = state.rates.get(id) || [0, 0, 0];
			text(seen, fmtNum(r[0]));
			text(lost, fmtNum(r[1]));
			text(delayed, fmtNum(r[2]));
		}
	}
	function list(members) {
		cells.clear();
		replace(rows, members.slice(0, SHOWN).map(({ target, id, rule: has }) => {
			const num = [0, 0, 0].map(() => h('td', { class: 'num' }, '–'));
			const own = state.targets.has(target) ? state.targets.get(target).rule : has;
			if (own && own.by === name)
				cells.set(id, num);
			return h('tr', {}, h('td', {}, link(target)), h('td', { class: 'flow' }, !own ? '' : own.by === name ? 'follows it' : `${ruleText(own)}${own.by ? `, by ${own.by}` : ', its own'}`), num);
		}), members.length > SHOWN ? h('tr', {}, h('td', { colspan: 5, class: 'muted' }, `and ${fmtCount(members.length - SHOWN)} more`)) : null);
		figures();
	}
	async function look() {
		const mine = ++turn;
		const set = state.selectors.get(name);
		const [meant, entry] = await Promise.all([get(`targets?match=${seg(name)}`).catch((e) => e), set ? get(`rules/${seg(name)}`).catch(() => null) : null]);
		if (mine !== turn)
			return;
		if (!meant.targets) {
			if (meant.status !== 401)
				replace(root, back(), empty('Cannot show this', meant.message));
			return;
		}
		text(about, `${meant.targets.length ? `It means ${count(meant.targets.length, 'target')} now, and each that comes` : 'It means nobody now; each that comes has its rule from the start'}. A rule of a target's own goes before it.`);
		list(meant.targets);
		replace(notes, (entry?.notes || []).map((n) => h('li', {}, n)));
		const said = await explainedMany(name, Boolean(set), meant.targets, link);
		if (mine === turn)
			replace(why, said, !meant.targets.length && h('p', { class: 'muted' }, there(name)));
	}
	let soon = 0;
	const lookSoon = () => { soon ||= setTimeout(() => { soon = 0; look(); }, 400); };

	root.append(back(), h('div', { class: 'page-head' }, h('h1', {}, name), h('span', { class: 'muted' }, KINDS.find(([k]) => k === kind)?.[1] || ''),
		h('a', { id: 'to-timeline', href: `#/timeline/${encodeURIComponent(name)}` }, 'Timeline of all of them'),
		h('a', { id: 'to-history', href: `#/history/${encodeURIComponent(name)}` }, 'What happened')),
	about, rule.force,
	h('div', { class: 'split' }, rule.form, h('div', { class: 'live-col' },
		h('section', { class: 'card', 'aria-label': 'Targets that it means' }, h('div', { class: 'card-head' }, h('h2', {}, 'Whom it means')), notes,
			h('div', { class: 'scroll-x', tabindex: 0, role: 'region', 'aria-label': 'Table of targets' }, h('table', {},
				h('thead', {}, h('tr', {}, ['Target', 'Rule', 'Packets/s', 'Lost/s', 'Delayed/s'].map((t, i) => h('th', { scope: 'col', class: i > 1 ? 'num' : null }, t)))), rows))),
		h('section', { class: 'card', 'aria-label': 'Explanation' }, h('div', { class: 'card-head' }, h('h2', {}, 'Why it acts so, or not')), why))));

	offs.push(on('counters', figures), on('now', rule.show), on('targets', () => { rule.read(); lookSoon(); }), on('rule', (who) => {
		if (who === name)
			rule.heard();
		lookSoon();
	}));
	// An event may have come before the rules were read.
	if (!state.selectors.has(name))
		get(`rules/${seg(name)}`).then((r) => setRule(name, r)).catch(() => {});
	look();
	const again = setInterval(() => state.conn === 'live' && !document.hidden && lookSoon(), 10000);
	return () => {
		turn++;
		clearInterval(again);
		clearTimeout(soon);
		rule.stop();
		for (const off of offs)
			off();
	};
}

const back = () => h('a', { class: 'back', href: '#/faults' }, icon('back'), 'All targets');
