// SPDX-License-Identifier: GPL-2.0-only
// Profiles as cards with their figures, grouped by what they are of; one's own can be renamed,
// replaced and deleted.

import { h, replace, toast } from './dom.js';
import { call, get, seg } from './api.js';
import { profiles } from './store.js';

const GROUPS = [['Own', (p) => !p.shipped && !p.read_only], ['Mobile', (p) => /^(GPRS|EDGE|[2345]G)/.test(p.name)],
	['IoT', (p) => /^(NB-IoT|LTE-M)/.test(p.name)], ['As in Augmented Traffic Control', (p) => /^ATC /.test(p.name)], ['Other links', () => true]];

// What a rule does to packets, without whom and for how long: two that do the same are the same.
function deeds(rule) {
	const sorted = (x) => x && typeof x === 'object' && !Array.isArray(x) ? Object.fromEntries(Object.keys(x).sort().map((k) => [k, sorted(x[k])])) : Array.isArray(x) ? x.map(sorted) : x;
	return JSON.stringify(sorted((rule && rule.clauses) || []));
}

export function profileCards(editor, inForce, chosen) {
	let all = [];
	const list = h('div', { id: 'profiles' });
	const saveName = h('input', { type: 'text', 'aria-label': 'Name of the new profile', placeholder: 'Save these faults as …', maxlength: 64 });

	async function store(name, quiet) {
		const body = editor.body();
		if (!body || !name)
			return;
		delete body.for_ns;
		delete body.seed;
		try {
			await call('PUT', `profiles/${seg(name)}`, body);
			if (!quiet)
				toast(`Saved as profile “${name}”.`, 'ok');
			saveName.value = '';
			await read();
		} catch (err) {
			toast(`Not saved: ${err.message}`, 'error');
		}
	}
	// The new name first: a refusal then leaves the old one.
	async function rename(p, name) {
		if (!name || name === p.name)
			return;
		if (all.some((x) => x.name === name)) {
			toast(`Not renamed: there is a profile “${name}” already.`, 'error');
			return;
		}
		try {
			await call('PUT', `profiles/${seg(name)}`, { text: p.rule.text });
			await call('DELETE', `profiles/${seg(p.name)}`);
			await read();
		} catch (err) {
			toast(`Not renamed: ${err.message}`, 'error');
		}
	}
	async function remove(p) {
		try {
			await call('DELETE', `profiles/${seg(p.name)}`);
			await read();
			toast(`Profile “${p.name}” deleted.`, 'ok', { label: 'Undo', run: async () => {
				await call('PUT', `profiles/${seg(p.name)}`, { text: p.rule.text }).catch((e) => toast(`Not put back: ${e.message}`, 'error'));
				await read();
			} });
		} catch (err) {
			toast(`Not deleted: ${err.message}`, 'error');
		}
	}

	function card(p) {
		const own = GROUPS[0][1](p);
		const el = h('div', { class: 'profile' },
			h('button', { title: [p.description, p.source].filter(Boolean).join('. ') || (p.rule && p.rule.text), onclick: async () => {
				editor.propose(p.rule || (await get(`profiles/${seg(p.name)}`)).rule);
				chosen();
			} }, p.name, h('small', {}, p.rule && p.rule.text)));
		if (own)
			el.append(h('div', { class: 'profile-do' },
				h('button', { class: 'link', onclick: () => store(p.name) }, 'Replace by the form'),
				h('button', { class: 'link', onclick: () => {
					const field = h('input', { type: 'text', value: p.name, maxlength: 64, 'aria-label': `New name of ${p.name}`, onkeydown: (e) => {
						if (e.key === 'Enter') {
							e.preventDefault();
							rename(p, field.value.trim());
						} else if (e.key === 'Escape') {
							field.remove();
						}
					} });
					el.append(field);
					field.select();
				} }, 'Rename'),
				h('button', { class: 'link danger', onclick: () => remove(p) }, 'Delete')));
		el.deeds = deeds(p.rule);
		return el;
	}

	function mark() {
		const now = inForce();
		const mine = now ? deeds(now.rule) : '';
		for (const el of list.querySelectorAll('.profile')) {
			const on = mine !== '' && el.deeds === mine;
			el.classList.toggle('is-set', on);
			el.firstElementChild.toggleAttribute('aria-current', on);
		}
	}

	async function read(fresh = true) {
		try {
			all = await profiles(fresh);
			const left = new Set(all);
			replace(list, GROUPS.map(([title, is]) => {
				const some = [...left].filter(is);
				some.forEach((p) => left.delete(p));
				const cards = h('div', { class: 'cards' }, some.map(card));
				return some.length === 0 ? null : title.startsWith('As in') ? h('details', { class: 'more' }, h('summary', {}, title), cards) : [h('h3', {}, title), cards];
			}));
			mark();
		} catch (e) {
			replace(list, h('span', { class: 'muted' }, `No profiles: ${e.message}`));
		}
	}

	return { el: h('div', { class: 'profiles' }, h('h2', {}, 'Profiles'), list, h('form', { class: 'inline', onsubmit: (e) => {
		e.preventDefault();
		store(saveName.value.trim());
	} }, saveName, h('button', { type: 'submit' }, 'Save'))), list: () => read(false), mark };
}
