// SPDX-License-Identifier: GPL-2.0-only
// One rule for all chosen targets, and one undo for all of them.

import { h, replace, text } from './dom.js';
import { state, refresh, profiles } from './store.js';
import { change } from './undo.js';
import { count } from './now.js';

const AT_ONCE = 1000; // targets that squalld takes by one request

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

	fails(...what) {
		replace(this.error, what);
	}

	// All or none, and one undo.
	async change(rules, said) {
		if (this.busy)
			return;
		if (rules.length > AT_ONCE) {
			this.fails(`${count(rules.length, 'target')} are chosen, and at most ${count(AT_ONCE, 'target')} are changed at once: a rule by label or name has no such limit.`);
			return;
		}
		this.busy = true;
		this.draw();
		this.fails();
		try {
			await change(rules, said);
		} catch (e) {
			const at = /^rules\[(\d+)\]/.exec(e.field);
			if (e.status !== 401)
				this.fails(`Nothing was changed: ${at ? `${rules[at[1]].target}: ` : ''}${e.message.replace(/^rules\[\d+\](\.|: )?/, '')}`);
		}
		this.busy = false;
		await refresh().catch(() => {});
		this.draw();
	}

	apply(sure) {
		const rule = this.rule.value.trim();
		const names = [...this.chosen];
		const running = names.filter((n) => state.schedules.some((s) => s.target === n && s.running));
		if (!rule) {
			this.fails('A rule is missing: for example both loss 5% delay 200ms for 5m');
			this.rule.focus();
			return undefined;
		}
		if (running.length && !sure) {
			this.fails(`The timeline of ${running[0]}${running.length > 1 ? ` and of ${running.length - 1} more` : ''} runs, and its next step would take the place of this rule. `,
				h('button', { class: 'link', id: 'chosen-stop', onclick: () => this.apply(true) }, `Stop ${running.length > 1 ? 'them' : 'it'} and apply`));
			return undefined;
		}
		return this.change(names.map((target) => ({ target, rule: { text: rule } })),
			(n) => `Set on ${count(n.set, 'target')}${n.schedules ? `, ${count(n.schedules, 'timeline')} stopped` : ''}.`);
	}

	// Who follows a selector has no rule of its own to clear.
	end() {
		const follow = [...this.chosen].map((n) => state.targets.get(n)?.rule?.by).filter(Boolean);
		const own = [...this.chosen].filter((n) => !state.targets.get(n)?.rule?.by);
		if (!own.length) {
			this.fails(`They follow ${[...new Set(follow)].join(', ')}: clear that rule, or apply one of their own.`);
			return undefined;
		}
		return this.change(own.map((target) => ({ target, rule: null })), (n) => `Cleared ${count(n.deleted, 'rule')}${n.schedules ? `, ${count(n.schedules, 'timeline')} stopped` : ''}${
			follow.length ? `; ${count(follow.length, 'target')} go on by ${[...new Set(follow)].join(', ')}` : ''}.`);
	}
}
