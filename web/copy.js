// SPDX-License-Identifier: GPL-2.0-only
// What is in force, as one would type it elsewhere.

import { h, toast } from './dom.js';
import { seg } from './api.js';

const quoted = (s) => /^[\w@%+=:,./-]+$/.test(s) ? s : `'${s.replaceAll("'", "'\\''")}'`;

export function copyAs(name) {
	const field = (label) => {
		const input = h('input', { type: 'text', readonly: true, 'aria-label': `As ${label}`, onfocus: () => input.select() });
		const button = h('button', { 'aria-label': `Copy ${label}`, onclick: async () => {
			input.select();
			try {
				// Only where the page came by https or from this machine.
				await navigator.clipboard.writeText(input.value);
				toast('Copied.', 'ok');
			} catch {
				toast('Marked: copy it with Ctrl-C. This browser lets no page without https copy by itself.');
			}
		} }, 'Copy');
		return [input, h('div', {}, h('span', { class: 'muted' }, label), input, button)];
	};
	const [command, first] = field('squall');
	const [curl, second] = field('curl');
	const [json, third] = field('JSON');
	const el = h('details', { class: 'copy', id: 'copy', hidden: true }, h('summary', {}, 'Copy as …'), first, second, third);
	return { el, set(envelope) {
		el.hidden = !envelope;
		if (!envelope)
			return;
		const { text } = envelope.rule;
		command.value = `squall fault set ${quoted(name)} ${text}`;
		curl.value = `curl -X PUT ${quoted(new URL(`../api/v1/rules/${seg(name)}`, location.href.split('#')[0]).href)} -H 'Content-Type: application/json' -d ${quoted(JSON.stringify({ text }))}`;
		json.value = JSON.stringify({ text });
	} };
}
