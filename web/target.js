// SPDX-License-Identifier: GPL-2.0-only
// One target: what is in force, the form of its next rule, and what happens
// to its packets meanwhile.

import { h, icon, replace, text, empty } from './dom.js';
import { get, seg } from './api.js';
import { fmtNum, fmtTime, fmtCount, fmtClock, fmtRate } from './units.js';
import { state, on, OUTCOMES, HISTORY, loadTarget, watch, grainOf, changesOf, inherited, trace, ruleText, putTarget } from './store.js';
import { ruleCard, link } from './rule.js';
import { explain, explained } from './explain.js';
import { flowsCard } from './flows.js';
import { chart, SERIES } from './chart.js';

const FEED = 60; // packets shown
const FEED_SECOND = 20;

export function targetPage(root, asked) {
	let name = asked;
	let left = () => {};
	let gone = false;
	root.append(h('p', { class: 'empty' }, 'Looking it up …'));
	const open = async () => {
		left();
		left = () => {};
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
			const waits = e.status === 404 && (await get('rules').catch(() => ({ rules: [] }))).rules.find((r) => r.target === name);
			if (gone)
				return;
			replace(root, back(), empty(e.status === 409 ? 'Several targets match' : e.status === 404 ? 'No such target' : 'Cannot show this target', e.message,
				waits && h('p', {}, `Its rule waits until it runs: ${ruleText(waits)}`),
				h('p', {}, e.status === 404 && name.startsWith('cgroup:')
					? ['Create the cgroup first, for example ', h('code', {}, `mkdir /sys/fs/cgroup${name.slice(7)}`), ', then ']
					: null, h('button', { onclick: open }, 'Try again'))));
			left = on('targets', () => {
				if (state.targets.has(name))
					open();
			});
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

// On a phone the charts stay in view while one turns the sliders.
const chartHeight = () => matchMedia('(max-width: 760px)').matches ? 92 : 150;

/*
 * How long packets were held back: of those that the kernel shows (some twenty a second), the mean
 * and the longest of each second. Nothing but what it measured itself, and only while it is looked at.
 */
function delayCharts(name, marks, bands) {
	const of = Object.fromEntries(['up', 'down'].map((d) => [d, { box: h('div', { class: 'chart', hidden: true, id: `delay-${d}` }), held: [], rows: [[], [], []], chart: null }]));
	return {
		up: of.up.box, down: of.down.box,
		note: h('p', { class: 'muted', hidden: true }, 'Of sampled packets that waited. Sampling costs the kernel a little, and goes on only while this is shown.'),
		came(p) {
			if (p.delay_ns)
				of[p.direction].held.push(p.delay_ns / 1e9);
		},
		second(shown) {
			for (const [d, x] of Object.entries(of)) {
				const n = x.held.length;
				const row = [Date.now() / 1000, n ? x.held.reduce((a, b) => a + b) / n : null, n ? Math.max(...x.held) : null];
				x.held = [];
				if (!shown)
					continue;
				row.forEach((v, i) => {
					x.rows[i].push(v);
					if (x.rows[i].length > HISTORY)
						x.rows[i].shift();
				});
				x.chart ||= chart(x.box, { label: `Added delay ${d}`, series: [['mean', '--c-delayed'], ['longest', '--c-lost']], fmt: (s) => fmtTime(Number((s * 1e9).toPrecision(3))), marks, bands, height: chartHeight() });
				x.chart.set(x.rows);
			}
		},
		destroy() {
			Object.values(of).forEach((x) => x.chart?.destroy());
		},
	};
}

function page(root, first) {
	const name = first.target;
	const offs = [];
	const about = h('div', {}, facts(first));
	const waiting = () => state.waiting.find((r) => r.target === name) || null;
	// One that is gone has no rule but one that waits for it.
	const target = () => state.targets.get(name) || { ...first, rule: waiting() };
	watch(name);

	// --- rule ---
	const rule = ruleCard({ name, current: () => target().rule, waits: 'the target runs again',
		others: () => {
			const by = inherited(target());
			return by && [`${ruleText(by.rule)}, by the rule of `, link(by.target, { id: 'inherited' })];
		},
		over: () => loadTarget(name).then(() => { rule.show(); graphs(); }).catch(() => {}) });

	// --- live ----------------------------------------------------------------------
	const order = ['passed', 'delayed', 'lost', 'duplicated', 'corrupted', 'reordered', 'over_limit'];
	const boxes = { up: h('div', { class: 'chart' }), down: h('div', { class: 'chart' }) };
	// Shaded while a rule was set, with a line at each change.
	const marks = () => changesOf(name);
	const bands = () => marks().map((m, i, all) => m.text && [m.t, (all[i + 1]?.t) ?? Date.now() / 1000]).filter(Boolean);
	const charts = Object.fromEntries(['up', 'down'].map((d) => [d, chart(boxes[d], {
		label: `Packets per second ${d}, by outcome`, series: order.map((o) => SERIES[o]), fmt: fmtNum, marks, bands, height: chartHeight() })]));
	const delays = delayCharts(name, marks, bands);
	let shows = 'packets';
	let suffix = ''; // of the series drawn: packets, or '_bits'
	const NEXT = { packets: 'bit/s', 'bit/s': 'delay', delay: 'packets' };
	const TITLE = { packets: 'Packets per second', 'bit/s': 'Bits per second', delay: 'Added delay' };
	const unit = h('button', { id: 'chart-unit', onclick: () => {
		shows = NEXT[shows];
		suffix = shows === 'bit/s' ? '_bits' : '';
		text(unit, `Show ${NEXT[shows]}`);
		text(perSecond, TITLE[shows]);
		for (const d of ['up', 'down']) {
			boxes[d].hidden = shows === 'delay';
			delays[d].hidden = shows !== 'delay';
			charts[d].format(suffix ? fmtRate : fmtNum);
		}
		delays.note.hidden = shows !== 'delay';
		span.disabled = shows === 'delay';
		sample();
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
	function ask() {
		if (state.conn !== 'live')
			return;
		explain(name).then((x) => replace(why, explained(x))).catch(() => {});
	}

	const connections = flowsCard(name, () => target().rule && target().rule.rule);

	// --- feed ------------------------------------------------------------------------
	const feed = h('tbody', {});
	const feedBox = h('div', { class: 'feed', tabindex: 0, role: 'region', 'aria-label': 'Sampled packets' },
		h('table', {}, h('thead', {}, h('tr', {}, ['Time', 'Dir', 'What', 'Bytes', 'From → to'].map((t) => h('th', { scope: 'col', class: t === 'Bytes' ? 'num' : null }, t)))), feed));
	const feedNote = h('p', { class: 'muted' }, 'Off. Sampling costs the kernel a little, so it runs only while this is on.');
	const sample = () => trace(feedSwitch.checked || shows === 'delay' ? name : '');
	const feedSwitch = h('input', { type: 'checkbox', role: 'switch', id: 'feed', onchange: () => {
		sample();
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
		delays.second(shows === 'delay');
	}, 1000);
	offs.push(on('packet', (p) => p.target === name && delays.came(p)));

	// --- page --------------------------------------------------------------------------
	root.append(back(),
		h('div', { class: 'page-head' }, h('h1', {}, first.kind === 'container' ? first.name : name), first.running === false && h('span', { class: 'tag' }, 'stopped'),
			h('a', { id: 'to-timeline', href: `#/timeline/${encodeURIComponent(name)}` }, 'Timeline of this target'),
			h('a', { id: 'to-history', href: `#/history/${encodeURIComponent(name)}` }, 'What happened to it')),
		about, rule.force,
		h('div', { class: 'split' },
			rule.form,
			h('div', { class: 'live-col' },
				h('section', { class: 'card live', 'aria-label': 'Live packets' },
					h('div', { class: 'card-head' }, perSecond, span, unit), delays.note,
					h('h3', {}, 'Up'), boxes.up, delays.up, h('h3', {}, 'Down'), boxes.down, delays.down),
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
		graphs();
		connections.look();
		rule.heard();
	}), on('now', rule.show), on('targets', () => {
		// The list was read again: an unlisted cgroup stays known.
		if (!state.targets.has(name))
			loadTarget(name).then(rule.show, rule.show);
		else
			rule.read();
	}));
	const explaining = setInterval(ask, 5000);
	ask();
	// Where a target is seen changes as its processes come and go, without an event.
	const looking = setInterval(() => state.conn === 'live' && get(`targets/${seg(name)}`).then((t) => {
		const now = facts(t);
		if (now.textContent !== about.textContent)
			replace(about, now);
	}).catch(() => {}), 5000);
	putTarget(first);
	rule.show();
	graphs();

	return () => {
		rule.stop();
		for (const off of offs)
			off();
		clearInterval(explaining);
		connections.stop();
		clearInterval(looking);
		clearInterval(second);
		clearInterval(backwards);
		trace('');
		watch('');
		charts.up.destroy();
		charts.down.destroy();
		delays.destroy();
	};
}
