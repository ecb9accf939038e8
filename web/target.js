// SPDX-License-Identifier: GPL-2.0-only
// One target: what is in force, the form of its next rule, and what happens
// to its packets meanwhile.

import { h, icon, replace, text, toast, empty } from './dom.js';
import { call, get, seg } from './api.js';
import { fmtNum, fmtTime, fmtCount, fmtClock, fmtLeft, fmtRate } from './units.js';
import { state, on, OUTCOMES, loadTarget, setRule, clearRule, watch, grainOf, changesOf, inherited, trace, ruleText, putTarget } from './store.js';
import { profileCards } from './profiles.js';
import { copyAs } from './copy.js';
import { flowsCard } from './flows.js';
import { Editor } from './editor.js';
import { chart, SERIES } from './chart.js';

const FEED = 60; // packets shown
const FEED_SECOND = 20;
// Forms that were left before they were applied: name -> rule. A page that is reloaded starts anew.
const drafts = new Map();

export function targetPage(root, asked) {
	let name = asked;
	let left = () => {};
	let gone = false;
	root.append(h('p', { class: 'empty' }, 'Looking it up …'));
	const open = async () => {
		try {
			const t = state.targets.get(asked) || await loadTarget(asked);
			if (gone)
				return;
			name = t.target;
			replace(root);
			left = page(root, t);
		} catch (e) {
			if (gone || e.status === 401)
				return;
			replace(root, back(), empty(e.status === 409 ? 'Several targets match' : e.status === 404 ? 'No such target' : 'Cannot show this target', e.message,
				h('p', {}, e.status === 404 && name.startsWith('cgroup:')
					? ['Create the cgroup first, for example ', h('code', {}, `mkdir /sys/fs/cgroup${name.slice(7)}`), ', then ']
					: null, h('button', { onclick: open }, 'Try again'))));
		}
	};
	open();
	return () => {
		gone = true;
		left();
	};
}

const back = () => h('a', { class: 'back', href: '#/faults' }, icon('back'), 'All targets');

function facts(t) {
	const list = [];
	const fact = (term, value) => value && list.push(h('div', {}, h('dt', {}, term), h('dd', {}, value)));
	fact('Cgroup', t.kind === 'container' ? t.cgroup : null);
	fact('Image', t.image);
	fact('Container', t.container_id && t.container_id.slice(0, 12));
	fact('Network', t.network_mode);
	fact('Seen at', t.view && [t.view.mode, (t.view.interfaces || []).map((i) => i.name || i).join(', ')].filter(Boolean).join(': '));
	fact('Cannot be faulted', t.why_not);
	fact('ECS', t.ecs && [t.ecs.cluster, t.ecs.task, t.ecs.container].filter(Boolean).join(' / '));
	fact('Cgroup id', t.id);
	return h('dl', { class: 'facts' }, list);
}

function packetRow(p) {
	return h('tr', {}, h('td', { class: 'left num' }, `${fmtClock(p.time_ms)}.${String(Math.floor(p.time_ms % 1000)).padStart(3, '0')}`),
		h('td', {}, p.direction === 'up' ? '↑ up' : '↓ down'),
		h('td', {}, [].concat(p.what || []).map((w) => h('span', { class: `what ${SERIES[w.replace(' ', '_')] || w === 'blackhole' ? w.replace(' ', '_') : ''}` },
			w === 'delayed' && p.delay_ns ? `delayed ${fmtTime(Number(p.delay_ns.toPrecision(3)))}` : w.replace('_', ' ')))),
		h('td', { class: 'num' }, p.len), h('td', { class: 'flow' }, `${p.proto} ${p.src} → ${p.dst}`));
}

function page(root, first) {
	const name = first.target;
	const path = `rules/${seg(name)}`;
	let etag = null; // of the rule the form started from
	let busy = false;
	let applied = ''; // etag of what this page set last
	const offs = [];
	const about = h('div', {}, facts(first));
	const target = () => state.targets.get(name) || first;
	watch(name);

	// --- in force ------------------------------------------------------------
	const said = h('code', { class: 'in-force-text', id: 'in-force' });
	const since = h('span', { class: 'muted' });
	const copy = copyAs(name);
	const left = h('span', { class: 'countdown num', id: 'countdown', role: 'timer' });
	const clear = h('button', { class: 'danger-outline', id: 'clear', onclick: async () => {
		clear.disabled = true;
		try {
			await clearRule(name);
			toast('Cleared.', 'ok');
		} catch (e) {
			if (e.status !== 401)
				toast(`Not cleared: ${e.message}`, 'error');
		}
		inForce();
	} }, 'Clear');
	const force = h('section', { class: 'card force', 'aria-label': 'In force' },
		h('div', { class: 'force-main' }, h('h2', {}, 'In force'), said, since, copy.el), left, clear);

	function inForce() {
		const rule = target().rule;
		const by = inherited(target());
		force.classList.toggle('on', Boolean(rule || by));
		if (by)
			replace(said, `${ruleText(by.rule)}, by the rule of `, h('a', { href: `#/faults/${encodeURIComponent(by.target)}`, id: 'inherited' }, by.target));
		else
			text(said, rule ? ruleText(rule) : 'Nothing: packets pass untouched');
		copy.set(rule);
		const when = rule && rule.rule.set_ms ? `set ${fmtClock(rule.rule.set_ms)}` : '';
		const asleep = rule && rule.in_force === false ? 'waits until the target runs again' : '';
		const source = rule && rule.source && rule.source !== 'api' ? `by ${rule.source}` : '';
		text(since, rule ? [asleep, when, source, `seed ${rule.rule.seed ?? rule.rule.drawn_seed ?? '–'}`].filter(Boolean).join(' · ') : '');
		clear.disabled = !rule;
		countdown();
	}
	function countdown() {
		const rule = target().rule;
		const ms = rule && rule.deadline ? rule.deadline - performance.now() : NaN;
		text(left, Number.isNaN(ms) ? '' : `${fmtLeft(ms)} left`);
		if (ms <= -300 && !rule.asked) {
			// The kernel has ended it; hear that from the daemon too.
			rule.asked = true;
			loadTarget(name).then(() => { inForce(); graphs(); }).catch(() => {});
		}
	}

	// --- form ------------------------------------------------------------------
	const problem = h('p', { class: 'field-error form-error', role: 'alert', id: 'form-error' });
	const apply = h('button', { class: 'primary', id: 'apply', onclick: send }, 'Apply');
	const revert = h('button', { onclick: () => reload() }, 'Revert');
	const stateText = h('span', { class: 'muted', role: 'status', id: 'form-state' });
	const editor = new Editor(() => {
		problem.textContent = '';
		formState();
	});
	const elsewhere = h('div', { class: 'notice', role: 'status', hidden: true });

	const diff = h('ul', { class: 'diff', id: 'diff', 'aria-label': 'What Apply would change' });
	function formState(message) {
		const changes = editor.dirty && target().rule ? editor.changes(target().rule.rule) : [];
		replace(diff, changes.map(([what, was, is]) => h('li', {}, `${what} `, was && h('del', {}, was), was && is && ' → ', is && h('b', {}, is), !is && ' removed')));
		text(stateText, message || (editor.dirty ? 'Not applied yet' : target().rule ? 'As in force' : 'No fault set'));
		revert.disabled = !editor.dirty;
		apply.classList.toggle('ready', editor.dirty);
	}

	async function reload() {
		drafts.delete(name);
		elsewhere.hidden = true;
		const rule = target().rule;
		editor.load(rule && rule.rule);
		problem.textContent = '';
		formState();
		etag = null;
		if (rule)
			etag = (await call('GET', path).catch(() => ({}))).etag || null;
	}

	async function send(e, force) {
		if (busy)
			return;
		const body = editor.body();
		problem.textContent = '';
		if (!body) {
			problem.textContent = 'A field above cannot be read; nothing was sent.';
			return;
		}
		busy = true;
		apply.disabled = true;
		formState('Applying …');
		try {
			const answer = await call('PUT', path, body, etag && !force ? { 'If-Match': etag } : undefined);
			etag = answer.etag;
			applied = (answer.data && answer.data.etag) || '';
			const rule = answer.data && answer.data.rule ? answer.data : (await get(path));
			if (rule.rule.expires_in_ns)
				rule.deadline = performance.now() + rule.rule.expires_in_ns / 1e6;
			setRule(name, rule);
			editor.load(rule.rule);
			elsewhere.hidden = true;
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
		replace(elsewhere, h('span', {}, `${why} In force now: ${ruleText(target().rule) || 'nothing'}.`),
			h('button', { onclick: reload }, 'Use that'),
			h('button', { onclick: () => send(null, true) }, 'Apply mine'));
		elsewhere.hidden = false;
	}

	// --- profiles ----------------------------------------------------------------
	const profiles = profileCards(editor, () => target().rule, () => apply.focus({ preventScroll: true }));

	// --- live ----------------------------------------------------------------------
	const order = ['passed', 'delayed', 'lost', 'duplicated', 'corrupted', 'reordered', 'over_limit'];
	const boxes = { up: h('div', { class: 'chart' }), down: h('div', { class: 'chart' }) };
	// Shaded while a rule was set, with a line at each change.
	const marks = () => changesOf(name);
	const bands = () => marks().map((m, i, all) => m.text && [m.t, (all[i + 1]?.t) ?? Date.now() / 1000]).filter(Boolean);
	const charts = Object.fromEntries(['up', 'down'].map((d) => [d, chart(boxes[d], {
		label: `Packets per second ${d}, by outcome`, series: order.map((o) => SERIES[o]), fmt: fmtNum, marks, bands })]));
	let suffix = ''; // of the series drawn: packets, or '_bits'
	const unit = h('button', { id: 'chart-unit', onclick: () => {
		suffix = suffix ? '' : '_bits';
		text(unit, suffix ? 'Show packets' : 'Show bit/s');
		text(perSecond, suffix ? 'Bits per second' : 'Packets per second');
		for (const d of ['up', 'down'])
			charts[d].format(suffix ? fmtRate : fmtNum);
		graphs();
	} }, 'Show bit/s');
	const perSecond = h('h2', {}, 'Packets per second');
	let hour = null; // the last hour, in place of the last minutes
	const lookBack = async () => {
		const { grains } = await get(`series/${seg(name)}`).catch(() => ({ grains: [] }));
		if (!hour || !grains[1])
			return;
		hour = grainOf(grains[1]);
		graphs();
	};
	const span = h('button', { id: 'chart-span', 'aria-pressed': 'false', onclick: () => {
		hour = hour ? null : state.live.history;
		span.setAttribute('aria-pressed', String(Boolean(hour)));
		(hour ? lookBack : graphs)();
	} }, 'Last hour');
	const backwards = setInterval(() => hour && state.conn === 'live' && lookBack(), 10000);
	const cells = { up: {}, down: {} };
	const TOTALS = [...OUTCOMES, 'lane_lost'];
	const sinceSet = h('input', { type: 'checkbox', id: 'since-set', onchange: () => graphs() });
	const totals = h('tbody', {}, TOTALS.map((o) => h('tr', {}, h('th', { scope: 'row', title: o === 'lane_lost' ? 'Lost by squalld itself, as its lane was full: asked for by no rule' : null }, o === 'lane_lost' ? 'lost by the lane' : o.replace('_', ' ')), ['up', 'down'].map((d) => {
		cells[d][o] = [h('td', { class: 'num', 'data-total': `${d}.${o}` }, '–'), h('td', { class: 'num why' })];
		return cells[d][o];
	}))));

	function graphs() {
		const live = state.watched === name && state.live;
		for (const d of ['up', 'down']) {
			const all = live && target().rule && live.total[d];
			const sum = all && sinceSet.checked ? all.version : all;
			for (const o of TOTALS) {
				text(cells[d][o][0], sum ? fmtCount(sum[o]) : '–');
				text(cells[d][o][1], sum && sum.seen && o !== 'seen' ? `${(sum[o] / sum.seen * 100).toFixed(1)} %` : '');
			}
			if (!live)
				continue;
			const { time, [d]: series } = hour || live.history;
			// A packet may be both delayed and duplicated; what none of the
			// outcomes claims passed untouched, and is never less than zero.
			const of = (o) => series[o + suffix];
			const passed = of('seen').map((n, i) => n === null ? null : Math.max(0, n - of('lost')[i] - of('delayed')[i] - of('over_limit')[i]));
			charts[d].set([time, passed, ...order.slice(1).map(of)]);
		}
	}

	// --- why ---
	const why = h('div', { id: 'why' });
	function explain() {
		if (state.conn !== 'live')
			return;
		get(`targets/${seg(name)}/explain`).then((x) => replace(why,
			h('p', {}, x.summary.charAt(0).toUpperCase() + x.summary.slice(1), '.'),
			h('p', { class: 'muted' }, x.seen.interfaces.length
				? `Seen at ${x.seen.interfaces.slice(0, 6).map((i) => i.name).join(', ')}${x.seen.interfaces.length > 6 ? ', …' : ''}; ${x.seen.processes} processes, ${x.seen.connections} connections.`
				: `Seen nowhere; ${x.seen.processes} processes.`),
			x.reasons.length ? h('dl', { class: 'why-list' }, x.reasons.map((r) => [h('dt', {}, r.text), h('dd', { class: 'muted' }, r.do)]))
				: x.in_force && h('p', { class: 'muted' }, 'Nothing is known that escapes the rule.'))).catch(() => {});
	}

	const connections = flowsCard(name, () => target().rule && target().rule.rule);

	// --- feed ------------------------------------------------------------------------
	const feed = h('tbody', {});
	const feedBox = h('div', { class: 'feed', tabindex: 0, role: 'region', 'aria-label': 'Sampled packets' },
		h('table', {}, h('thead', {}, h('tr', {}, ['Time', 'Dir', 'What', 'Bytes', 'From → to'].map((t) => h('th', { scope: 'col', class: t === 'Bytes' ? 'num' : null }, t)))), feed));
	const feedNote = h('p', { class: 'muted' }, 'Off. Sampling costs the kernel a little, so it runs only while this is on.');
	const feedSwitch = h('input', { type: 'checkbox', role: 'switch', id: 'feed', onchange: () => {
		trace(feedSwitch.checked ? name : '');
		feedBox.hidden = !feedSwitch.checked;
		text(feedNote, feedSwitch.checked ? 'At most 20 packets a second are shown.' : 'Off. Sampling costs the kernel a little, so it runs only while this is on.');
	} });
	feedBox.hidden = true;
	// Drawn once a second: a row is dear, and nobody reads more.
	let came = [];
	offs.push(on('packet', (p) => p.target === name && came.length < FEED_SECOND && came.push(p)));
	const second = setInterval(() => {
		if (came.length && !document.hidden)
			feed.prepend(...came.reverse().map(packetRow));
		came = [];
		while (feed.childElementCount > FEED)
			feed.lastElementChild.remove();
	}, 1000);

	// --- page --------------------------------------------------------------------------
	root.append(back(),
		h('div', { class: 'page-head' }, h('h1', {}, first.kind === 'container' ? first.name : name), first.running === false && h('span', { class: 'tag' }, 'stopped'),
			h('a', { id: 'to-timeline', href: `#/timeline/${encodeURIComponent(name)}` }, 'Timeline of this target'),
			h('a', { id: 'to-history', href: `#/history/${encodeURIComponent(name)}` }, 'What happened to it')),
		about, force,
		h('div', { class: 'split' },
			h('section', { class: 'card', 'aria-label': 'Rule' },
				h('div', { class: 'card-head' }, h('h2', {}, 'Rule')),
				profiles.el,
				h('div', { onkeydown: (e) => { if (e.key === 'Enter' && e.target.matches('input:not([type=checkbox])')) { e.target.dispatchEvent(new Event('change')); send(); } } }, editor.el), elsewhere, problem, diff,
				h('div', { class: 'apply-bar' }, apply, revert, stateText)),
			h('div', { class: 'live-col' },
				h('section', { class: 'card', 'aria-label': 'Live packets' },
					h('div', { class: 'card-head' }, perSecond, span, unit),
					h('h3', {}, 'Up'), boxes.up, h('h3', {}, 'Down'), boxes.down),
				h('section', { class: 'card', 'aria-label': 'Totals' },
					h('div', { class: 'card-head' }, h('h2', {}, 'Since the rule was first set'), h('label', { class: 'check' }, sinceSet, 'Since it was last changed')),
					h('table', { class: 'totals' }, h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Outcome'), ['Up', 'Down'].map((d) => [h('th', { scope: 'col', class: 'num' }, d), h('th', { scope: 'col', class: 'num' }, 'of seen')]))), totals)),
				h('section', { class: 'card', 'aria-label': 'Explanation' },
					h('div', { class: 'card-head' }, h('h2', {}, 'Why it acts so, or not')), why),
				connections.el,
				h('section', { class: 'card', 'aria-label': 'Packet feed' },
					h('div', { class: 'card-head' }, h('h2', {}, 'Packets'), h('label', { class: 'check' }, feedSwitch, 'Live feed')), feedNote, feedBox))));

	offs.push(on('counters', graphs), on('rule', (who) => {
		if (who !== name)
			return;
		inForce();
		graphs();
		profiles.mark();
		connections.look();
		if (busy || (applied && target().rule?.etag === applied))
			return; // our own change, told to all
		if (editor.dirty)
			changedElsewhere('Changed elsewhere.');
		else
			reload();
	}), on('now', () => { inForce(); }), on('targets', () => {
		// The list was read again: an unlisted cgroup stays known, and a form
		// nobody touched follows.
		if (!state.targets.has(name))
			loadTarget(name).then(inForce).catch(() => {});
		else if (!editor.dirty && !busy && ruleText(state.targets.get(name).rule) !== said.textContent)
			reload();
		inForce();
	}));
	const ticking = setInterval(countdown, 250);
	const explaining = setInterval(explain, 5000);
	explain();
	// Where a target is seen changes as its processes come and go, without an event.
	const looking = setInterval(() => state.conn === 'live' && get(`targets/${seg(name)}`).then((t) => {
		const now = facts(t);
		if (now.textContent !== about.textContent)
			replace(about, now);
	}).catch(() => {}), 5000);
	putTarget(first);
	inForce();
	const draft = drafts.get(name);
	reload().then(() => {
		if (!draft)
			return;
		editor.resume(draft);
		formState('Not applied yet, kept from before');
	});
	profiles.list();
	graphs();

	return () => {
		if (editor.dirty && !busy)
			drafts.set(name, structuredClone(editor.rule));
		else
			drafts.delete(name);
		for (const off of offs)
			off();
		clearInterval(ticking);
		clearInterval(explaining);
		connections.stop();
		clearInterval(looking);
		clearInterval(second);
		clearInterval(backwards);
		trace('');
		watch('');
		charts.up.destroy();
		charts.down.destroy();
	};
}
