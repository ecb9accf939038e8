// SPDX-License-Identifier: GPL-2.0-only
// Changes that can be taken back, whole: squalld keeps what each target had, its timeline included.

import { toast } from './dom.js';
import { call } from './api.js';
import { refresh, background } from './store.js';

export async function undo(id) {
	let back;
	try {
		back = (await call('POST', 'undo', { undo: id })).data;
	} catch (e) {
		if (e.status !== 401)
			toast(`Not put back: ${e.message}`, 'error');
		return;
	}
	await refresh().catch(() => {});
	await background();
	toast(back.failed.length ? `Not put back: ${back.failed.map((f) => `${f.target} (${f.why})`).join(', ')}` : 'Put back.',
		back.failed.length ? 'error' : 'ok');
}

// [{target, rule}...] as one: all of it, or none. A rule of null ends what that target has. Running
// timelines of these targets are stopped. said(answer) is the message, with its Undo.
export async function change(rules, said, headers) {
	const { data } = await call('PUT', rules.length > 1 ? 'rules?entries=0' : 'rules', { rules, undo: true }, headers);
	toast(said(data), 'ok', { label: 'Undo', run: () => undo(data.undo) });
	return data;
}
