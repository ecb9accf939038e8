// SPDX-License-Identifier: GPL-2.0-only
// Experiments: those that run, as they tell it each second, and the reports of those that have
// ended. squalld runs none; squall-sim with --experiments starts one of its files.

import { h, icon, replace, text, toast, empty, code } from './dom.js';
import { call, get, seg, download, hasToken } from './api.js';
import { fmtClock } from './units.js';
import { state, on, emit } from './store.js';

const seconds = (s) => s < 60 ? `${Math.round(s)} s` : `${Math.floor(s / 60)} min ${String(Math.round(s % 60)).padStart(2, '0')} s`;
const phaseText = (e) => e.faults.length ? `fault: ${e.faults.join(', ')}` : e.phase;
const GOOD = { ok: 'good', passed: 'good', found: 'good', crossed: 'bad', failed: 'bad' };
const verdict = (word) => h('span', { class: `tag ${GOOD[word] || ''}` }, word);

function thresholdRows(list) {
	return list.map((t) => h('tr', {}, h('td', {}, verdict(t.verdict)), h('td', { class: 'flow' }, t.metric), h('td', { class: 'flow' }, t.limit), h('td', {}, t.said || '–')));
}

async function send(method, path, said) {
	try {
		await call(method, path);
		if (said)
			toast(said, 'ok');
		return true;
	} catch (e) {
		if (e.status !== 401)
			toast(e.message, 'error');
		return false;
	}
}

// One that runs. It is drawn once and then told what is new, so that a button stays the button that
// one is about to press.
function runningCard(first) {
	const phase = h('b', { class: 'exp-phase' });
	const time = h('span', { class: 'muted num' });
	const head = h('div', { class: 'tl-head' });
	const track = h('div', { class: 'exp-track', 'aria-hidden': 'true' }, first.phases.map((p) => h('div', { class: `exp-part${p.faults.length ? ' fault' : ''}`, title: p.faults.join(', ') || p.phase,
		css: { left: `${p.from_s / first.duration_s * 100}%`, width: `${(p.to_s - p.from_s) / first.duration_s * 100}%` } }, p.faults.join(', ') || p.phase)), head);
	const rows = h('tbody', {});
	const stop = h('button', { class: 'danger-outline', onclick: () => send('POST', `experiments/${seg(first.id)}/stop`, 'Asked to stop: its faults go first.') }, icon('stop'), 'Stop');
	const el = h('section', { class: 'card experiment', 'aria-label': `Experiment ${first.name}`, 'data-id': first.id },
		h('div', { class: 'card-head' }, h('h2', {}, first.name), h('span', { class: 'muted' }, first.host ? `on ${first.host}, since ${fmtClock(first.started_ms)}` : ''), stop),
		h('p', { role: 'status' }, phase, ' ', time), track,
		h('div', { class: 'scroll-x', tabindex: 0, role: 'region', 'aria-label': `Thresholds of ${first.name}` }, h('table', {}, h('thead', {}, h('tr', {}, ['So far', 'Threshold', 'Limit', 'Value'].map((c) => h('th', { scope: 'col' }, c)))), rows)));
	let drawn = '';
	return { el, update(e) {
		text(phase, phaseText(e));
		text(time, `${seconds(e.elapsed_s)} of ${seconds(e.duration_s)}`);
		head.style.setProperty('left', `${Math.min(100, e.elapsed_s / e.duration_s * 100)}%`);
		stop.disabled = e.stopping;
		const key = JSON.stringify(e.thresholds);
		if (key !== drawn)
			replace(rows, thresholdRows(e.thresholds));
		drawn = key;
	} };
}

function report(e) {
	const path = `experiments/${seg(e.id)}/report`;
	if (!e.report)
		return h('span', { class: 'muted' }, 'none');
	// A link cannot show the token.
	return hasToken() ? h('button', { onclick: () => download(path, `${e.id}.html`).catch((err) => toast(err.message, 'error')) }, icon('download'), 'Report')
		: h('a', { href: `../api/v1/${path}`, target: '_blank', rel: 'noopener' }, 'Report');
}

function finishedRow(e) {
	const crossed = e.thresholds.filter((t) => t.verdict === 'crossed').map((t) => `${t.metric} ${t.limit}: ${t.said}`);
	return h('tr', { 'data-id': e.id }, h('td', { class: 'left num' }, `${new Date(e.ended_ms).toLocaleDateString()} ${fmtClock(e.ended_ms)}`),
		h('td', {}, e.name), h('td', {}, verdict(e.verdict)), h('td', { class: 'flow' }, [e.why, ...crossed].filter(Boolean).join('; ') || `${e.thresholds.length} held`),
		h('td', { class: 'num left' }, seconds(e.elapsed_s)), h('td', {}, e.host || ''), h('td', {}, report(e)),
		h('td', {}, h('button', { class: 'icon-button', 'aria-label': `Forget ${e.id}`, title: 'Forget it', onclick: () => send('DELETE', `experiments/${seg(e.id)}`).then((done) => done && state.kind === 'sim' && look()) }, icon('clear'))));
}

// squall-sim has no stream of these: it is asked each second while somebody looks.
export async function look() {
	try {
		state.experiments = await get('experiments');
		emit('experiments');
	} catch (e) {
		return e.status;
	}
	return 200;
}

function startCard() {
	const files = h('select', { id: 'exp-file', 'aria-describedby': 'exp-error' });
	const error = h('p', { class: 'field-error', id: 'exp-error', role: 'alert' });
	const start = h('button', { class: 'primary', id: 'exp-start', onclick: async () => {
		start.disabled = true;
		text(error, '');
		try {
			await call('POST', `experiment-files/${seg(files.value)}/start`);
			toast(`${files.value} runs.`, 'ok');
		} catch (e) {
			text(error, e.message);
		}
		await look();
		start.disabled = false;
	} }, icon('play'), 'Start');
	const el = h('section', { class: 'card', 'aria-label': 'Start one' }, h('div', { class: 'card-head' }, h('h2', {}, 'Start one')),
		h('div', { class: 'controls' }, h('label', {}, 'File ', files), start), error);
	get('experiment-files').then((o) => {
		replace(files, o.files.map((f) => h('option', { value: f }, f)));
		if (!o.files.length)
			replace(el, empty('No files', `In ${o.folder} there is no experiment: NAME.yaml`));
	}).catch((e) => text(error, e.message));
	return el;
}

export function experimentsPage(root) {
	const sim = state.kind === 'sim';
	const running = h('div', { class: 'stack-cards', id: 'exp-running' });
	const rows = h('tbody', { id: 'exp-finished' });
	const none = h('div', {});
	const table = h('div', { class: 'feed', tabindex: 0, role: 'region', 'aria-label': 'Finished experiments' },
		h('table', {}, h('thead', {}, h('tr', {}, ['Ended', 'Name', 'Verdict', 'Why', 'Took', 'Host', 'Report', ''].map((t) => h('th', { scope: 'col' }, t || h('span', { class: 'visually-hidden' }, 'Forget'))))), rows));
	const cards = new Map();
	let drawn = '';

	function draw() {
		const now = state.experiments || { running: [], finished: [] };
		for (const e of now.running) {
			if (!cards.has(e.id)) {
				cards.set(e.id, runningCard(e));
				running.prepend(cards.get(e.id).el);
			}
			cards.get(e.id).update(e);
		}
		for (const [id, card] of cards)
			if (!now.running.some((e) => e.id === id)) {
				card.el.remove();
				cards.delete(id);
			}
		const key = now.finished.map((e) => e.id).join();
		if (key !== drawn || !state.experiments)
			replace(rows, now.finished.map(finishedRow));
		drawn = key;
		table.hidden = !now.finished.length;
		replace(none, !now.running.length && !now.finished.length && empty('No experiment has been here',
			'Load, faults and a verdict in one file. Each squalld of its faults is told while it runs, and keeps the report:',
			h('p', {}, code('squall-sim experiment examples/experiments/tunnel.yaml')),
			!sim && h('p', {}, 'To start one from a page, give a squall-sim the folder of its files: ', code('squall-sim run --broker mqtt://BROKER --web 127.0.0.1:4081 --experiments DIR'), ' (', h('a', { href: '#/load' }, 'its panel'), ').')));
	}
	root.append(...[h('div', { class: 'page-head' }, h('h1', {}, 'Experiments')), running, sim && startCard(), table, none].filter(Boolean));
	draw();
	const off = on('experiments', draw);
	const timer = sim && setInterval(() => document.hidden || look(), 1000);
	if (sim)
		look();
	return () => {
		off();
		clearInterval(timer);
	};
}
