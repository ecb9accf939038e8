// SPDX-License-Identifier: GPL-2.0-only
// One rule for all chosen targets, and one undo for all of them.

import { h, text, toast } from './dom.js';
import { call, get, seg } from './api.js';
import { state, refresh, profiles } from './store.js';
import { count } from './now.js';

const AT_ONCE = 6; // connections that a browser has to one host

// fn for each, a few at a time; returns [item, error] of those that failed.
async function each(items, fn) {
	const queue = [...items];
	const failed = [];
	await Promise.all(Array.from({ length: AT_ONCE }, async () => {
		for (let item = queue.shift(); item !== undefined; item = queue.shift())
			await fn(item).catch((e) => failed.push([item, e]));
	}));
	return failed;
}

// What to PUT to have a rule back as it was, with the time it had left.
function asItWas(envelope) {
	const rule = structuredClone(envelope.rule);
	if (envelope.deadline)
		rule.for_ns = Math.max(1e6, Math.round((envelope.deadline - performance.now()) * 1e6));
	for (const k of ['text', 'id', 'target_id', 'set_ms', 'expires_in_ns', 'drawn_seed'])
		delete rule[k];
	return rule;
}

export class Several {
	constructor(chosen, changed) {
		Object.assign(this, { chosen, changed, busy: false });
		this.count = h('b', { id: 'chosen-count' });
		this.rule = h('input', { id: 'chosen-rule', type: 'text', class: 'mono', spellcheck: 'false', autocomplete: 'off', placeholder: 'both loss 5% delay 200ms for 5m',
			'aria-label': 'Rule for the chosen targets', 'aria-describedby': 'chosen-error', list: 'chosen-profiles', onkeydown: (e) => e.key === 'Enter' && this.apply() });
		this.profiles = h('select', { 'aria-label': 'A profile', onchange: () => {
			if (this.profiles.value)
				this.rule.value = `${this.profiles.value} for 5m`;
			this.profiles.value = '';
		} }, h('option', { value: '' }, 'Profile …'));
		this.error = h('p', { class: 'field-error', id: 'chosen-error', role: 'alert' });
		this.set = h('button', { class: 'primary', id: 'chosen-apply', onclick: () => this.apply() }, 'Apply to all');
		this.clear = h('button', { class: 'danger-outline', id: 'chosen-clear', onclick: () => this.end() }, 'Clear all');
		this.el = h('div', { class: 'several', role: 'group', 'aria-label': 'Chosen targets', hidden: true }, this.count, this.rule, this.profiles, this.set, this.clear,
			h('button', { onclick: () => { this.chosen.clear(); this.changed(); } }, 'Choose none'), this.error);
		profiles().then((all) => all.forEach((p) => p.rule && p.rule.text && this.profiles.append(h('option', { value: p.rule.text }, p.name)))).catch(() => {});
	}

	draw() {
		this.el.hidden = !this.chosen.size;
		text(this.count, `${count(this.chosen.size, 'target')} chosen`);
		this.set.disabled = this.clear.disabled = this.busy;
		if (!this.chosen.size)
			text(this.error, '');
	}

	// All or none: what one target refuses is taken back from the others.
	async change(fn, said) {
		if (this.busy)
			return;
		const before = new Map([...this.chosen].map((name) => [name, state.targets.get(name)?.rule]));
		const names = [...before.keys()];
		this.busy = true;
		this.draw();
		text(this.error, '');
		const back = (list) => each(list, (name) => before.get(name) ? call('PUT', `rules/${seg(name)}`, asItWas(before.get(name)))
			: call('DELETE', `rules/${seg(name)}`).catch((e) => { if (e.status !== 404) throw e; }));
		const failed = await each(names, (name) => fn(name, before.get(name)));
		if (failed.length) {
			const done = names.filter((n) => !failed.some(([f]) => f === n));
			const stuck = await back(done);
			text(this.error, `Nothing was changed: ${failed[0][0]}: ${failed[0][1].message}${failed.length > 1 ? ` (and ${failed.length - 1} more)` : ''}${stuck.length ? `; not put back: ${stuck.map(([n]) => n).join(', ')}` : ''}`);
		} else {
			toast(said(names.length), 'ok', { label: 'Undo', run: async () => {
				const stuck = await back(names);
				await refresh().catch(() => {});
				toast(stuck.length ? `Not put back: ${stuck.map(([n, e]) => `${n} (${e.message})`).join(', ')}` : 'Put back.', stuck.length ? 'error' : 'ok');
			} });
		}
		this.busy = false;
		await refresh().catch(() => {});
		this.draw();
	}

	apply() {
		const rule = this.rule.value.trim();
		if (!rule) {
			text(this.error, 'A rule is missing: for example both loss 5% delay 200ms for 5m');
			this.rule.focus();
			return undefined;
		}
		return this.change((name) => call('PUT', `rules/${seg(name)}`, { text: rule }), (n) => `Set on ${count(n, 'target')}.`);
	}

	end() {
		return this.change((name, was) => was ? call('DELETE', `rules/${seg(name)}`) : Promise.resolve(), (n) => `Cleared ${count(n, 'target')}.`);
	}
}
