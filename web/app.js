// SPDX-License-Identifier: GPL-2.0-only
// The frame: pages by hash, log-in, theme, the stale mark, Clear everything.

import { h, icon, replace, toast } from './dom.js';
import { call, get, seg, onAuthFailed, setToken, hasToken, ApiError } from './api.js';
import { state, on, emit, connect, needToken, refresh, ruled, ownRules, isSelector, background } from './store.js';
import { undo } from './undo.js';
import { faultsPage } from './faults.js';
import { targetPage } from './target.js';
import { selectorPage } from './selector.js';
import { timelinePage } from './timeline.js';
import { loadPage } from './load.js';
import { historyPage } from './history.js';
import { experimentsPage, look } from './experiments.js';
import { kernelPage } from './kernel.js';
import { nowStrip, count } from './now.js';

const main = document.getElementById('main');
const TITLES = { faults: 'Faults', timeline: 'Timeline', history: 'History', experiments: 'Experiments', load: 'Load', kernel: 'Kernel' };
let leave = () => {};

// --- pages -------------------------------------------------------------------

function otherProgram() {
	return h('div', { class: 'empty' }, h('h2', {}, 'This is squall-sim’s panel'),
		h('p', {}, 'It runs the fleet; faults, timelines and the kernel belong to squalld.'),
		h('p', {}, 'squalld’s own panel is at ', h('code', {}, 'http://127.0.0.1:4080/ui/'), ' of its machine, unless it was told otherwise with ', h('code', {}, '--listen'), '.'));
}

function show() {
	const [, page = 'faults', arg] = /^#\/(\w+)(?:\/(.*))?$/.exec(location.hash) || [];
	leave();
	leave = () => {};
	for (const a of document.querySelectorAll('#nav a'))
		if (a.dataset.page === page)
			a.setAttribute('aria-current', 'page');
		else
			a.removeAttribute('aria-current');
	document.title = `${TITLES[page] || 'Faults'} · Squall`;
	if (!state.kind)
		return;
	const root = h('div', { class: `page ${page}` });
	replace(main, root);
	window.scrollTo(0, 0);
	let name;
	try {
		name = arg && decodeURIComponent(arg);
	} catch {
		name = arg; // a stray % in an address typed by hand
	}
	if (state.kind === 'sim' && page !== 'load' && page !== 'experiments')
		root.append(otherProgram());
	else if (page === 'timeline')
		leave = timelinePage(root, name);
	else if (page === 'load')
		leave = loadPage(root);
	else if (page === 'history')
		leave = historyPage(root, name);
	else if (page === 'experiments')
		leave = experimentsPage(root);
	else if (page === 'kernel')
		leave = kernelPage(root);
	else if (name)
		leave = isSelector(name) ? selectorPage(root, name) : targetPage(root, name);
	else
		leave = faultsPage(root);
}

window.addEventListener('hashchange', () => {
	show();
	main.focus({ preventScroll: true });
});

// --- log-in ------------------------------------------------------------------

function login() {
	const again = document.getElementById('token-error');
	if (again) {
		again.textContent = 'That token was not accepted.';
		document.getElementById('token').select();
		return;
	}
	needToken();
	const field = h('input', { id: 'token', type: 'password', autocomplete: 'current-password', required: true,
		'aria-describedby': 'token-error', spellcheck: 'false' });
	const keep = h('input', { type: 'checkbox', id: 'keep' });
	const error = h('p', { class: 'field-error', id: 'token-error', role: 'alert' },
		hasToken() ? 'That token was not accepted.' : '');
	const form = h('form', { id: 'login', class: 'login card', onsubmit: (e) => {
		e.preventDefault();
		setToken(field.value.trim(), keep.checked);
		start();
	} },
	h('h1', {}, 'Token needed'),
	h('p', { class: 'muted' }, 'This daemon was started with ', h('code', {}, '--token-file'), '. Paste what that file holds.'),
	h('label', { for: 'token' }, 'Token'), field, error,
	h('label', { class: 'check' }, keep, 'Remember it in this browser'),
	h('button', { class: 'primary', type: 'submit' }, 'Log in'));
	leave();
	leave = () => {};
	replace(main, form);
	field.focus();
}

onAuthFailed(login);

// --- theme -------------------------------------------------------------------

const dark = matchMedia('(prefers-color-scheme: dark)');
function theme() {
	const chosen = localStorage.getItem('squall-theme');
	document.documentElement.dataset.theme = chosen || (dark.matches ? 'dark' : 'light');
	emit('theme');
}
dark.addEventListener('change', theme);
document.getElementById('theme').append(icon('sun'));
document.getElementById('theme').addEventListener('click', () => {
	localStorage.setItem('squall-theme', document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark');
	theme();
});
theme();

// --- Clear everything ----------------------------------------------------------

const clearAll = document.getElementById('clear-all');
function clearable() {
	const n = [[ownRules().length, 'rule'], [state.waiting.filter((r) => !state.targets.get(r.target)?.rule).length, 'waiting rule'],
		[state.schedules.filter((s) => s.running).length, 'schedule'], [state.experiments?.running.length, 'experiment']].filter(([k]) => k);
	clearAll.disabled = state.kind !== 'squalld' || state.conn === 'auth' || state.conn === 'connecting';
	clearAll.title = n.length ? `End ${n.map(([k, what]) => count(k, what)).join(', ')}` : 'Nothing is in force';
	clearAll.classList.toggle('armed', n.length > 0);
}

// No question first: in an emergency one click must do. Undo puts back what
// was ended, with the time that each had left; squalld keeps it until then.
clearAll.addEventListener('click', async () => {
	let ended;
	try {
		ended = (await call('DELETE', 'rules')).data;
		await refresh();
		await background();
	} catch (e) {
		if (e.status !== 401)
			toast(`Not cleared: ${e.message}`, 'error');
		return;
	}
	const said = [count(ended.deleted, 'rule')];
	if (ended.schedules)
		said.push(`${count(ended.schedules, 'schedule')} stopped`);
	if (ended.labels)
		said.push(`labels of ${count(ended.labels, 'container')} ignored`);
	if (ended.experiments)
		said.push(`${count(ended.experiments, 'experiment')} asked to stop`);
	toast(ended.undo || ended.experiments ? `Cleared ${said.join(', ')}.` : 'No rule was in force.', 'ok',
		ended.undo && { label: 'Undo', run: () => undo(ended.undo) });
});

// --- freshness -----------------------------------------------------------------

// What a daemon that is gone leaves behind is each rule's own on-crash.
function onCrash() {
	const rules = ruled().map((t) => t.rule.rule);
	const kept = rules.filter((r) => r.on_crash === 'keep').length;
	if (!rules.length)
		return '';
	if (!kept)
		return 'If it has died, its faults end within 2 s (on-crash clear).';
	return kept === rules.length ? 'If it has died, its faults stay until they expire (on-crash keep).'
		: `If it has died, ${count(kept, 'fault')} of ${rules.length} stay until they expire (on-crash keep), the others end within 2 s.`;
}

const mark = document.getElementById('conn');
const bar = document.getElementById('stale');
function freshness() {
	const text = { live: 'Live', stale: 'Stale', auth: 'Locked', connecting: 'Connecting' }[state.conn];
	const ill = state.conn === 'live' && state.health && state.health.status !== 'ok';
	mark.className = `conn ${state.conn}${ill ? ' ill' : ''}`;
	mark.title = ill ? `squalld is ${state.health.status}: ${(state.health.reasons || []).join('; ')}` : '';
	if (mark.textContent !== text)
		mark.textContent = text;
	document.body.classList.toggle('is-stale', state.conn === 'stale');
	bar.hidden = state.conn !== 'stale';
	if (state.conn === 'stale') {
		const age = state.lastSeen ? Math.round((performance.now() - state.lastSeen) / 1000) : 0;
		const said = age
			? `The daemon does not answer. What you see is ${age} s old; reconnecting by itself. ${onCrash()}`
			: 'The daemon does not answer yet; trying again by itself.';
		if (bar.textContent !== said)
			bar.textContent = said;
	}
	clearable();
}
on('conn', freshness);
on('targets', clearable);
on('rule', clearable);
on('now', freshness);

// --- start -----------------------------------------------------------------------

// Which program serves this page? Both are asked for what only one has.
async function start() {
	const listed = refresh().then(() => null, (e) => e); // both at once: the list is what one waits for
	try {
		state.status = await get('status');
		state.kind = 'squalld';
	} catch (e) {
		if (e.status === 401)
			return;
		if (e.status === 404) {
			try {
				await get('load');
				state.kind = 'sim';
				state.conn = 'live';
				document.body.classList.toggle('has-experiments', await look() === 200);
				if (!/^#\/(load|experiments)/.test(location.hash))
					location.replace('#/load');
				document.body.classList.add('sim');
				freshness();
				show();
				return;
			} catch (inner) {
				if (inner.status === 401)
					return;
			}
		}
		state.conn = 'stale';
		freshness();
		setTimeout(start, 1000);
		return;
	}
	const failed = await listed;
	if (failed instanceof ApiError && failed.status !== 401)
		toast(failed.message, 'error');
	show();
	connect(!failed);
	background();
	freshness();
}

nowStrip(document.getElementById('now'));
show();
freshness();
start();
