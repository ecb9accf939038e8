// SPDX-License-Identifier: GPL-2.0-only
// One rule, of a target or of a selector: what is in force, the form of the next one, and Apply.

import { h, replace, text, toast } from './dom.js';
import { call, get, seg } from './api.js';
import { fmtClock, fmtLeft } from './units.js';
import { state, setRule, ruleText } from './store.js';
import { change } from './undo.js';
import { profileCards } from './profiles.js';
import { copyAs } from './copy.js';
import { Editor } from './editor.js';

// Forms that were left before they were applied: name -> rule. A page that is reloaded starts anew.
const drafts = new Map();
export const link = (name, props) => h('a', { href: `#/faults/${encodeURIComponent(name)}`, ...props }, name);

/*
 * current(): what is in force or waits, null for none. others(): of a target without a rule of its
 * own, whose acts on it, as elements; null. waits: of a rule that is not in force, for what.
 * over(): its time is up.
 */
export function ruleCard({ name, current, others, waits, over }) {
	const path = `rules/${seg(name)}`;
	let etag = null; // of the rule the form started from
	let busy = false;
	let applied = ''; // etag of what this page set last
	let drawn = null; // the rule that the form shows, as text

	// --- in force ------------------------------------------------------------
	const said = h('code', { class: 'in-force-text', id: 'in-force' });
	const since = h('span', { class: 'muted' });
	const copy = copyAs(name);
	const left = h('span', { class: 'countdown num', id: 'countdown', role: 'timer' });
	const timeline = () => state.schedules.find((s) => s.target === name && s.running);
	const clear = h('button', { class: 'danger-outline', id: 'clear', onclick: async () => {
		clear.disabled = true;
		const was = current();
		try {
			await change([{ target: name, rule: null }], (n) => n.schedules ? 'Cleared, and its timeline stopped.' : 'Cleared.');
			// The stream may have been faster, and have said whose rule acts now.
			if (current() === was)
				setRule(name, null);
		} catch (e) {
			if (e.status !== 401)
				toast(`Not cleared: ${e.message}`, 'error');
		}
		show();
	} }, 'Clear');
	const force = h('section', { class: 'card force', 'aria-label': 'In force' },
		h('div', { class: 'force-main' }, h('h2', {}, 'In force'), said, since, copy.el), left, clear);

	function show() {
		const rule = current();
		const by = !rule && others();
		force.classList.toggle('on', Boolean(rule || by));
		if (by)
			replace(said, by);
		else if (rule && rule.by)
			replace(said, `${ruleText(rule)}, by the rule of `, link(rule.by, { id: 'by-selector' }));
		else
			text(said, rule ? ruleText(rule) : 'Nothing: packets pass untouched');
		copy.set(rule);
		const when = rule && rule.rule.set_ms ? `set ${fmtClock(rule.rule.set_ms)}` : '';
		const asleep = rule && rule.in_force === false ? `waits until ${waits}` : '';
		const source = rule && rule.source && rule.source !== 'api' ? `by ${rule.source}` : '';
		const seed = rule && !rule.members && `seed ${rule.rule.seed ?? rule.rule.drawn_seed ?? '–'}`;
		text(since, rule ? [asleep, when, source, timeline() && 'its timeline runs', seed].filter(Boolean).join(' · ') : timeline() ? 'its timeline runs, and is between two bars' : '');
		clear.disabled = !timeline() && (!rule || Boolean(rule.by));
		clear.title = rule && rule.by ? `It follows ${rule.by}: clear that rule, or apply one of its own here` : '';
		countdown();
	}
	function countdown() {
		const rule = current();
		const ms = rule && rule.deadline ? rule.deadline - performance.now() : NaN;
		text(left, Number.isNaN(ms) ? '' : `${fmtLeft(ms)} left`);
		if (ms <= -300 && !rule.asked) {
			// The kernel has ended it; hear that from the daemon too.
			rule.asked = true;
			over();
		}
	}

	// --- form ------------------------------------------------------------------
	const problem = h('p', { class: 'field-error form-error', role: 'alert', id: 'form-error' });
	const apply = h('button', { class: 'primary', id: 'apply', onclick: () => send() }, 'Apply');
	const revert = h('button', { onclick: () => reload() }, 'Revert');
	const stateText = h('span', { class: 'muted', role: 'status', id: 'form-state' });
	const editor = new Editor(() => {
		problem.textContent = '';
		formState();
	});
	const question = h('div', { class: 'notice', role: 'status', hidden: true });
	const diff = h('ul', { class: 'diff', id: 'diff', 'aria-label': 'What Apply would change' });

	function formState(message) {
		const changes = editor.dirty && current() ? editor.changes(current().rule) : [];
		replace(diff, changes.map(([what, was, is]) => h('li', {}, `${what} `, was && h('del', {}, was), was && is && ' → ', is && h('b', {}, is), !is && ' removed')));
		const rest = editor.dirty ? 'Not applied yet' : current() ? 'As in force' : 'No fault set';
		text(stateText, message || (current()?.by ? `${rest}; Apply gives it a rule of its own` : rest));
		revert.disabled = !editor.dirty;
		apply.classList.toggle('ready', editor.dirty);
	}

	async function reload() {
		drafts.delete(name);
		question.hidden = true;
		const rule = current();
		editor.load(rule && rule.rule);
		drawn = ruleText(rule);
		problem.textContent = '';
		formState();
		etag = null;
		if (rule)
			etag = (await call('GET', path).catch(() => ({}))).etag || null;
	}

	function ask(why, ...buttons) {
		replace(question, h('span', {}, why), buttons.map(([label, run]) => h('button', { onclick: () => {
			question.hidden = true;
			run();
		} }, label)));
		question.hidden = false;
	}

	// force: over whatever was set meanwhile. How: 'stop' its timeline first, or 'until' its next step.
	async function send(force, how) {
		if (busy)
			return;
		const body = editor.body();
		problem.textContent = '';
		if (!body) {
			problem.textContent = 'A field above cannot be read; nothing was sent.';
			return;
		}
		if (timeline() && !how) {
			ask('Its timeline runs, and the next step would take the place of this rule.', ['Stop it and apply', () => send(force, 'stop')],
				['Apply until the next step', () => send(force, 'until')], ['Do not apply', () => {}]);
			question.querySelector('button').focus();
			return;
		}
		busy = true;
		apply.disabled = true;
		formState('Applying …');
		try {
			const match = etag && !force ? { 'If-Match': etag } : undefined;
			const answer = how === 'stop' ? await change([{ target: name, rule: body }], () => 'Applied, and its timeline stopped.', force ? undefined : match)
				: await call('PUT', path, body, match);
			const given = how === 'stop' ? answer.rules[0] : answer.data;
			etag = how === 'stop' ? `"${given.etag}"` : answer.etag;
			applied = (given && given.etag) || '';
			const rule = given && given.rule ? given : (await get(path));
			if (rule.rule.expires_in_ns)
				rule.deadline = performance.now() + rule.rule.expires_in_ns / 1e6;
			setRule(name, rule);
			editor.load(rule.rule);
			drawn = ruleText(rule);
			question.hidden = true;
			formState(`Applied at ${fmtClock(Date.now())}`);
		} catch (err) {
			if (err.status === 412) {
				changedElsewhere('It was changed elsewhere since you opened it.');
			} else if (err.status !== 401) {
				const beside = err.field && editor.fails(err);
				problem.textContent = beside ? 'Nothing was changed.' : `Nothing was changed. ${err.message}`;
			}
			formState('Not applied');
		}
		busy = false;
		apply.disabled = false;
	}

	function changedElsewhere(why) {
		formState();
		ask(`${why} In force now: ${ruleText(current()) || 'nothing'}.`, ['Use that', reload], ['Apply mine', () => send(true)]);
	}

	const profiles = profileCards(editor, current, () => apply.focus({ preventScroll: true }));
	const form = h('section', { class: 'card', 'aria-label': 'Rule' },
		h('div', { class: 'card-head' }, h('h2', {}, 'Rule')),
		profiles.el,
		h('div', { onkeydown: (e) => {
			if (e.key === 'Enter' && e.target.matches('input:not([type=checkbox])')) {
				e.target.dispatchEvent(new Event('change'));
				send();
			}
		} }, editor.el), question, problem, diff,
		h('div', { class: 'apply-bar' }, apply, revert, stateText));

	const ticking = setInterval(countdown, 250);
	show();
	const draft = drafts.get(name);
	reload().then(() => {
		if (!draft)
			return;
		editor.resume(draft);
		formState('Not applied yet, kept from before');
	});
	profiles.list();

	return {
		force, form, show,
		// It is another than before, by whomever.
		heard() {
			show();
			profiles.mark();
			if (busy || (applied && current()?.etag === applied))
				return; // our own change, told to all
			if (editor.dirty)
				changedElsewhere('Changed elsewhere.');
			else
				reload();
		},
		// All was read again: a form nobody touched follows.
		read() {
			if (!editor.dirty && !busy && ruleText(current()) !== drawn)
				reload();
			show();
		},
		stop() {
			clearInterval(ticking);
			if (editor.dirty && !busy)
				drafts.set(name, structuredClone(editor.rule));
			else
				drafts.delete(name);
		},
	};
}
