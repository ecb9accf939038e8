// SPDX-License-Identifier: GPL-2.0-only
// Faults: every target in one searchable table. Only the rows in view exist,
// so five thousand targets cost what twenty do.

import { h, svg, icon, text, empty, replace, code, toast } from './dom.js';
import { call, get } from './api.js';
import { fmtNum, fmtTime, fmtLeft, fmtCount, fmtClock, fmtRate } from './units.js';
import { state, on, ruleText, refreshSoon, inherited, isSelector, list as listening, SPARKS } from './store.js';
import { Several } from './several.js';
import { picker, there } from './selector.js';
import { explain, explained } from './explain.js';

const SILENT = [0, 0, 0, 0];
// More would be cut off at their front, where they matter.
const threeDigits = (bps) => fmtRate(Number(bps.toPrecision(3)));
const figure = (t, i) => t.rule ? (state.rates.get(t.id) || SILENT)[i] : undefined;
const loud = (t) => state.traffic ? (state.traffic.get(t.id) || { now: SILENT, past: [] }) : null;
const bits = (t) => {
	const l = loud(t);
	return l ? l.now[1] + l.now[3] : undefined;
};
const [ruleSeen, lost, delayed, queue] = [0, 1, 2, 3].map((i) => (t) => figure(t, i));
// Of who has no rule what it sends and receives, where that is counted.
const seen = (t) => t.rule || !state.traffic ? ruleSeen(t) : loud(t).now[0] + loud(t).now[2];
const most = (of) => (a, b) => (of(b) ?? -1) - (of(a) ?? -1);
const label = (t) => t.kind === 'container' ? t.name : t.target;

// One collator: making it per comparison is what sorting would cost.
const order = new Intl.Collator('en', { numeric: true }).compare;

// A tree: children follow their cgroup, before its neighbours.
const parts = (t) => { t.parts ||= label(t).split('/'); return t.parts; };
function byTree(a, b) {
	const [x, y] = [parts(a), parts(b)];
	for (let i = 0; i < x.length && i < y.length; i++) {
		const n = x[i] === y[i] ? 0 : order(x[i], y[i]);
		if (n)
			return n;
	}
	return x.length - y.length;
}

const COLUMNS = [
	['target', 'Target', byTree],
	['image', 'Image', (a, b) => order(a.image || '', b.image || '')],
	['mode', 'Mode', (a, b) => order(mode(a), mode(b))],
	['rule', 'Rule', (a, b) => order(ruleText(b.rule), ruleText(a.rule))],
	['pps', 'Packets/s', most(seen)],
	['lost', 'Lost/s', most(lost)],
	['delayed', 'Delayed/s', most(delayed)],
	['queue', 'Queue', most(queue)],
	['traffic', 'Traffic', most(bits)],
];

const mode = (t) => t.network_mode || (t.view && t.view.mode) || '';
const href = (name) => `#/faults/${encodeURIComponent(name)}`;

// What was typed and chosen outlives a visit to a target's page.
const view = { query: '', only: 'all', sort: 'target', reverse: false, scroll: 0, chosen: new Set() };

export function faultsPage(root) {
	const rows = new Map(); // index -> row element
	let list = [];
	let rowHeight = 44;
	let drawn = null;
	let above = new Set(); // cgroups that are listed, where they are listed as a tree

	const search = h('input', { type: 'search', id: 'search', value: view.query, placeholder: 'Name, image, label, rule, or cgroup:/path',
		autocomplete: 'off', spellcheck: 'false', 'aria-label': 'Search targets', oninput: () => {
			view.query = search.value;
			refill();
		} });
	const count = h('span', { class: 'muted num', role: 'status', id: 'count' });
	const only = ['all', 'faulted', 'running'].map((value) => h('button', { class: 'segment', 'data-only': value,
		onclick: () => { view.only = value; refill(); } }, value[0].toUpperCase() + value.slice(1)));
	const segments = h('div', { class: 'segments', role: 'group', 'aria-label': 'Show' }, only);
	const several = new Several(view.chosen, () => refill());
	const everyone = h('input', { type: 'checkbox', id: 'choose-all', 'aria-label': 'Choose all that are shown', onchange: () => {
		for (const t of list)
			view.chosen[everyone.checked ? 'add' : 'delete'](t.target);
		refill();
	} });
	const head = h('div', { class: 'row head', role: 'row' }, h('span', { role: 'columnheader', class: 'c-choose' }, everyone), COLUMNS.map(([key, title]) =>
		h('span', { role: 'columnheader', class: `c-${key}` },
			h('button', { class: 'sort', 'data-key': key, onclick: () => {
				view.reverse = view.sort === key ? !view.reverse : false;
				view.sort = key;
				refill();
			} }, title))));
	const body = h('div', { class: 'rows', role: 'rowgroup' });
	const table = h('div', { class: 'table', role: 'table', 'aria-label': 'Targets' }, h('div', { role: 'rowgroup' }, head), body);
	const none = h('div', {});
	root.append(
		h('div', { class: 'page-head' }, h('h1', {}, 'Faults'), count),
		h('div', { class: 'toolbar' }, h('label', { class: 'search' }, icon('search'), search),
			segments, picker()),
		table, none, several.el);

	const passes = {
		all: () => true,
		faulted: (t) => t.rule || inherited(t),
		running: (t) => t.running !== false,
	};

	function refill() {
		const words = view.query.toLowerCase().split(/\s+/).filter(Boolean);
		list = [...state.targets.values()].filter((t) => passes[view.only](t) && words.every((w) => t.hay.includes(w)));
		const compare = COLUMNS.find(([key]) => key === view.sort)[2];
		list.sort((a, b) => (view.reverse ? -compare(a, b) : compare(a, b)) || (a.target < b.target ? -1 : 1));
		above = new Set(view.sort === 'target' && !view.reverse ? list.filter((t) => t.kind === 'cgroup').map((t) => t.target) : []);
		for (const b of only)
			b.setAttribute('aria-pressed', String(b.dataset.only === view.only));
		for (const b of head.querySelectorAll('.sort')) {
			const here = b.dataset.key === view.sort;
			b.parentElement.setAttribute('aria-sort', here ? (view.reverse ? 'descending' : 'ascending') : 'none');
		}
		const faulted = [...state.targets.values()].filter((t) => t.rule).length;
		// A column that says nothing of anybody takes no room.
		table.classList.toggle('no-image', !list.some((t) => t.image));
		table.classList.toggle('no-mode', !list.some(mode));
		table.classList.toggle('no-traffic', !state.traffic);
		const shown = list.length === state.targets.size ? fmtCount(list.length) : `${fmtCount(list.length)} of ${fmtCount(state.targets.size)}`;
		text(count, `${shown} target${state.targets.size === 1 ? '' : 's'}, ${fmtCount(faulted)} faulted`);
		for (const name of view.chosen)
			if (!state.targets.has(name))
				view.chosen.delete(name);
		everyone.checked = list.length > 0 && list.every((t) => view.chosen.has(t.target));
		several.draw();
		// Drawing the same rows again would take the focus from under the reader.
		const key = view.sort + list.map((t) => `${t.target}\t${t.running}\t${t.image}`).join('\n');
		if (key !== drawn) {
			drawn = key;
			for (const el of rows.values())
				el.remove();
			rows.clear();
		}
		layout();
		emptiness();
	}

	// Why nothing is listed. Asked of squalld, so that it is what `squall explain` says.
	let emptyFor = null;
	function emptiness() {
		table.hidden = list.length === 0;
		const what = view.query.trim();
		const key = list.length ? null : JSON.stringify([what, view.only, state.targets.size > 0, state.targets.size ? '' : dockerState()]);
		if (key === emptyFor)
			return; // what is read is not drawn anew
		emptyFor = key;
		if (list.length) {
			replace(none);
			return;
		}
		const path = /^(?:cgroup:)?(\/\S+)$/.exec(what);
		const name = path ? `cgroup:${path[1]}` : what;
		const why = h('div', { id: 'empty-why', role: 'status' });
		// When nobody has typed for a moment; what came too late is of another question.
		const ask = (asked, made) => setTimeout(() => key === emptyFor && asked().then(made).catch((e) => h('p', {}, e.message))
			.then((said) => key === emptyFor && replace(why, said)), 250);
		if (isSelector(what)) {
			replace(none, empty('One rule for many', `${what} means all that fit, those that come included.`, why,
				h('p', {}, h('a', { class: 'button primary', href: href(what) }, `Rule of ${what}`))));
			ask(() => get(`targets?match=${encodeURIComponent(what)}`), ({ targets: all }) => h('p', {}, all.length
				? `It means ${all.length} here: ${all.slice(0, 3).map((t) => t.name || t.target).join(', ')}${all.length > 3 ? ', …' : ''}.` : `It means nobody now. ${there(what)}`));
		} else if (path) {
			replace(none, empty('Not in the list', 'Any cgroup can be a target, whether something runs in it or not.', why,
				h('p', {}, h('a', { class: 'button primary', href: href(name) }, `Fault ${name}`))));
			ask(() => explain(name), explained);
		} else if (state.targets.size) {
			const all = h('p', {}, h('button', { onclick: () => {
				view.query = search.value = '';
				view.only = 'all';
				refill();
			} }, 'Show all'));
			replace(none, what ? empty('Nothing matches', `No target has “${view.query}” in its name, image, labels or rule${view.only === 'all' ? '' : ` and is ${view.only}`}.`, why, all)
				: empty(`No target is ${view.only}`, why, all));
			if (what && !/\s/.test(what))
				ask(() => explain(what), (x) => [h('p', {}, h('a', { href: href(x.target) }, x.target), ' is called so, and is not shown here.'), explained(x)]);
			else if (!what && view.only === 'faulted')
				ask(quiet, (said) => said.map((s) => h('p', {}, s)));
		} else {
			replace(none, empty('No targets yet', dockerState(),
				h('p', {}, 'Any cgroup is a target too: type its path below the cgroup v2 mount above, for example ',
					code('cgroup:/demo'), ', or run ', code('squall fault set cgroup:/demo loss 10%'), '.')));
		}
	}

	// Why no target is faulted: what waits, and what ended last.
	async function quiet() {
		const n = state.waiting.length + state.selectors.size;
		const last = (await get('history?type=rule&limit=20').catch(() => ({ events: [] }))).events.find((e) => e.was && !e.rule);
		return ['Packets of all targets pass untouched.',
			n ? `${n} ${n > 1 ? 'rules wait' : 'rule waits'} for a target: the line Now names ${n > 1 ? 'them' : 'it'}.` : '',
			last ? `The last that ended was “${last.was}” on ${last.target}: ${last.action} at ${fmtClock(last.time_ms)}, by ${last.who}.` : ''].filter(Boolean);
	}

	function layout() {
		rowHeight = matchMedia('(max-width: 760px)').matches ? 84 : 44;
		body.style.setProperty('height', `${list.length * rowHeight}px`);
		table.setAttribute('aria-rowcount', String(list.length + 1));
		paint();
	}

	function paint() {
		const top = body.getBoundingClientRect().top;
		const first = Math.max(0, Math.floor(-top / rowHeight) - 6);
		const last = Math.min(list.length, Math.ceil((innerHeight - top) / rowHeight) + 6);
		for (const [i, el] of rows)
			if ((i < first || i >= last) && !el.contains(document.activeElement)) {
				el.remove();
				rows.delete(i);
			}
		for (let i = first; i < last; i++)
			if (!rows.has(i)) {
				const el = row(i);
				rows.set(i, el);
				body.append(el);
			}
		figures();
	}

	// What it is called below the nearest cgroup above it in the list, and how deep that is.
	function branch(t) {
		let depth = 0;
		let parent = '';
		for (let at = t.target.indexOf('/', 8); at > 0; at = t.target.indexOf('/', at + 1))
			if (above.has(t.target.slice(0, at))) {
				parent = t.target.slice(0, at + 1);
				depth++;
			}
		return t.kind === 'cgroup' ? [label(t).slice(parent.length), Math.min(depth, 6)] : [label(t), 0];
	}

	function row(i) {
		const t = list[i];
		const cell = (key, ...children) => h('span', { role: 'cell', class: `c-${key}` }, children);
		// What tells long names apart is at their end: the middle is what gives way.
		const [full, depth] = branch(t);
		const tail = full.length > 24 ? full.slice(-12) : '';
		const link = h('a', { href: href(t.target), 'data-i': i, title: t.target, 'aria-label': depth ? t.target : null }, h('span', {}, tail ? full.slice(0, -12) : full), tail && h('span', {}, tail));
		const el = h('div', { class: 'row', role: 'row', 'aria-rowindex': i + 2, css: { top: `${i * rowHeight}px`, '--depth': depth },
			onclick: (e) => { if (!e.target.closest('a, input') && !String(getSelection())) location.hash = link.getAttribute('href'); } },
		cell('choose', h('input', { type: 'checkbox', 'aria-label': `Choose ${label(t)}`, onchange: (e) => {
			view.chosen[e.target.checked ? 'add' : 'delete'](t.target);
			refill();
		} })),
		cell('target', link, t.running === false && h('span', { class: 'tag' }, 'stopped'),
			t.kind === 'container' && t.running !== false && h('small', {}, (t.container_id || '').slice(0, 12))),
		cell('image', t.image || '–'),
		cell('mode', mode(t) || '–'),
		cell('rule', h('span', { class: 'rule' }), h('span', { class: 'left num' })),
		['pps', 'lost', 'delayed', 'queue', 'traffic'].map((key) => h('span', { role: 'cell', class: `c-${key} num` })));
		el.lastElementChild.append(h('span', {}), svg('svg', { viewBox: `0 0 ${SPARKS - 1} 16`, preserveAspectRatio: 'none', class: 'spark', 'aria-hidden': 'true' }, svg('polyline', {})));
		el.target = t.target;
		return el;
	}

	function figures() {
		for (const el of rows.values()) {
			const t = state.targets.get(el.target);
			if (!t)
				continue;
			const [choose, , , , rule, ...cells] = el.children;
			choose.firstElementChild.checked = view.chosen.has(t.target);
			const by = inherited(t);
			const said = by ? `by ${label(by)}: ${ruleText(by.rule)}` : t.rule && t.rule.by ? `by ${t.rule.by}: ${ruleText(t.rule)}` : ruleText(t.rule);
			rule.classList.toggle('inherited', Boolean(by || (t.rule && t.rule.by)));
			el.classList.toggle('inherits', Boolean(by));
			el.classList.toggle('faulted', Boolean(t.rule));
			if (rule.firstElementChild.textContent !== said) {
				text(rule.firstElementChild, said || '');
				rule.firstElementChild.setAttribute('title', said);
			}
			text(rule.lastElementChild, t.rule && t.rule.deadline ? fmtLeft(t.rule.deadline - performance.now()) : '');
			for (const [i, of] of [seen, lost, delayed].entries())
				text(cells[i], fmtNum(of(t)));
			cells[1].classList.toggle('hot', lost(t) > 0);
			const q = queue(t);
			spark(cells[4], loud(t));
			text(cells[3], q === undefined ? '–' : q ? fmtTime(Number((q * 1e6).toPrecision(2))) : '0');
		}
	}

	function spark(cell, l) {
		text(cell.firstElementChild, l ? threeDigits(l.now[1] + l.now[3]) : '');
		const top = l ? Math.max(...l.past) : 0;
		const said = top ? l.past.map((n, i) => `${SPARKS - l.past.length + i},${(15 - 14 * n / top).toFixed(1)}`).join(' ') : '';
		const line = cell.lastElementChild.firstElementChild;
		if (line.getAttribute('points') !== said) {
			line.setAttribute('points', said);
			cell.title = top ? `up ${fmtNum(l.now[0])} packets/s, ${fmtRate(l.now[1])}; down ${fmtNum(l.now[2])} packets/s, ${fmtRate(l.now[3])}` : '';
		}
	}

	// --- who is loud: the switch, and why it is not counted ---
	const counting = h('button', { id: 'count-traffic', class: 'segment', onclick: async () => {
		await call('PUT', 'traffic', { mode: state.traffic ? 'off' : 'on' }).catch((e) => e.status !== 401 && toast(`Not switched: ${e.message}`, 'error'));
		if (state.traffic) {
			state.traffic = null;
			refill();
		}
		setTimeout(switched, 2500);
	} }, 'Traffic');
	async function switched() {
		const now = await get('traffic').catch(() => null);
		counting.hidden = !now;
		counting.setAttribute('aria-pressed', String(Boolean(now && now.counting)));
		counting.title = !now ? '' : now.counting ? `Counted of ${now.targets} targets${now.why ? `; ${now.why}` : ''}. Click to stop.` : `Not counted: ${now.why}. Click to count what each target sends and receives.`;
	}
	segments.append(counting);
	listening(true);
	const asked = setTimeout(switched, 3500);
	switched();
	let sorted = 0;
	const traffic = () => {
		table.classList.toggle('no-traffic', !state.traffic);
		// Who is loud now comes to the top, but not from under somebody's hands.
		if (view.sort === 'traffic' && Date.now() - sorted > 4000 && !table.contains(document.activeElement)) {
			sorted = Date.now();
			refill();
		} else {
			figures();
		}
	};

	// Rows are links, so Tab works; arrows and / are quicker.
	function keys(e) {
		if (e.key === '/' && !/INPUT|TEXTAREA|SELECT/.test(document.activeElement.tagName)) {
			e.preventDefault();
			search.focus();
		}
		if (e.key !== 'ArrowDown' && e.key !== 'ArrowUp')
			return;
		const here = document.activeElement;
		let i = here === search ? -1 : here.dataset && here.dataset.i !== undefined ? Number(here.dataset.i) : NaN;
		if (Number.isNaN(i))
			return;
		i += e.key === 'ArrowDown' ? 1 : -1;
		e.preventDefault();
		if (i < 0) {
			search.focus();
			return;
		}
		if (i >= list.length)
			return;
		const y = body.getBoundingClientRect().top + i * rowHeight;
		if (y < 120 || y + rowHeight > innerHeight - 70)
			window.scrollBy(0, y - innerHeight / 2);
		paint();
		rows.get(i).querySelector('a').focus({ preventScroll: true });
	}

	const offs = [on('traffic', traffic), on('targets', refill), on('fresh', refill), on('counters', figures), on('rule', () => {
		several.draw();
		if (view.only === 'faulted' || view.sort === 'rule')
			refill();
		else
			figures();
	})];
	const tick = setInterval(figures, 1000);
	// Where targets are seen changes without an event; seldom, and the list is long.
	const again = setInterval(() => state.conn === 'live' && !document.hidden && refreshSoon(), 300000);
	let frame = 0;
	const scrolled = () => { frame ||= requestAnimationFrame(() => { frame = 0; paint(); }); };
	const resized = () => {
		drawn = null;
		refill();
	};
	window.addEventListener('scroll', scrolled, { passive: true });
	window.addEventListener('resize', resized);
	document.addEventListener('keydown', keys);
	refill();
	if (view.scroll) {
		window.scrollTo(0, view.scroll);
		paint();
	}

	return () => {
		view.scroll = window.scrollY;
		for (const off of offs)
			off();
		clearInterval(tick);
		emptyFor = null;
		clearTimeout(asked);
		listening(false);
		clearInterval(again);
		cancelAnimationFrame(frame);
		window.removeEventListener('scroll', scrolled);
		window.removeEventListener('resize', resized);
		document.removeEventListener('keydown', keys);
	};
}

function dockerState() {
	const docker = state.status && state.status.docker;
	if (docker && docker.connected)
		return 'Docker is connected and no container runs. Start one and it appears here at once.';
	const why = docker && (docker.why || docker.error);
	return why ? `No Docker engine: ${why}. Containers appear here as soon as it answers.`
		: 'No Docker engine answers. Containers appear here as soon as one does.';
}
