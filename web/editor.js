// SPDX-License-Identifier: GPL-2.0-only
// The form of one rule: filters, and for each the faults up and down. It
// edits the rule's JSON (include/squall/rule.h) in place, so whatever it has
// no control for passes through unharmed.

import { h, icon, replace } from './dom.js';
import { parseTime, parseDuration, parseRate, parseSize, parsePct, fmtTime, fmtRate, fmtSize, fmtPct } from './units.js';

// Sliders: right is always worse. Times and rates are logarithmic.
const log = (lo, hi) => ({
	steps: 100,
	value: (p) => p <= 0 ? undefined : round2(lo * (hi / lo) ** ((p - 1) / 99)),
	place: (v) => !v ? 0 : Math.min(100, Math.max(1, Math.round(1 + 99 * Math.log(v / lo) / Math.log(hi / lo)))),
});
const round2 = (x) => Math.round(Number(x.toPrecision(2)));
// Loss spans four powers of ten, and people know its stops by heart.
const STOPS = [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 5, 7, 10, 12, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100];
const stops = {
	steps: STOPS.length - 1,
	value: (p) => STOPS[p] || undefined,
	place: (v) => !v ? 0 : STOPS.reduce((best, s, i) => i && Math.abs(s - v) < Math.abs(STOPS[best] - v) ? i : best, 1),
};
const linear = { steps: 100, value: (p) => p || undefined, place: (v) => Math.min(100, Math.max(0, Math.round(v || 0))) };

const BARE = /^\s*(\d+\.?\d*|\.\d+)\s*$/;
const suggest = (unit, parse) => (s) => BARE.test(s) && parse(s) && `${s.trim()}${unit}`;
const PCT = { parse: parsePct, fmt: fmtPct, slider: linear, accepts: 'a percentage, such as 2.5 %' };
const TIME = { parse: parseTime, fmt: fmtTime, slider: log(1e6, 10e9), meant: suggest('ms', parseTime), accepts: 'a time with its unit, such as 150 ms or 2 s' };
const RATE = { parse: parseRate, fmt: fmtRate, slider: log(1e9, 8e3), meant: suggest('kbit', parseRate), accepts: 'a rate with its unit, such as 256 kbit or 1 Mbit/s' };
const SIZE = { parse: parseSize, fmt: fmtSize, accepts: 'a size with its unit, such as 32 kB' };
const LOSS_PCT = { ...PCT, slider: stops };
const DURATION = { ...TIME, parse: parseDuration, slider: null, meant: null, accepts: 'a time with its unit, such as 30 s or 5 min' };
const NUMBER = { parse: (s) => /^\s*\d+\s*$/.test(s) ? Number(s) : NaN, fmt: String, accepts: 'a whole number' };

const get = (o, path) => path.reduce((x, k) => x === undefined || x === null ? undefined : x[k], o);
function set(o, path, value) {
	const parent = path.slice(0, -1).reduce((x, k) => x[k] ||= {}, o);
	if (value === undefined || value === '')
		delete parent[path.at(-1)];
	else
		parent[path.at(-1)] = value;
	if (path.length > 1 && !Object.keys(parent).length)
		delete o[path[0]];
}

const LOSS = {
	random: [['Loss', ['loss', 'pct'], LOSS_PCT]],
	gemodel: [['p, good → bad', ['loss', 'gemodel', 'p_pct'], PCT], ['r, bad → good', ['loss', 'gemodel', 'r_pct'], PCT],
		['1−h, lost while bad', ['loss', 'gemodel', '1-h_pct'], PCT], ['1−k, lost while good', ['loss', 'gemodel', '1-k_pct'], PCT]],
	state: ['p13', 'p31', 'p32', 'p23', 'p14'].map((p) => [p, ['loss', 'state', `${p}_pct`], PCT]),
};
const lossModel = (f) => get(f, ['loss', 'gemodel']) ? 'gemodel' : get(f, ['loss', 'state']) ? 'state' : 'random';

const MAIN = [
	['Delay', ['delay_ns'], TIME],
	['Jitter', ['jitter_ns'], TIME],
	['Rate', ['rate_bps'], RATE],
	['Duplicate', ['duplicate_pct'], PCT],
	['Corrupt', ['corrupt_pct'], PCT],
	['Reorder', ['reorder_pct'], PCT],
];
const MORE = [
	['Loss correlation', ['loss', 'corr_pct'], PCT],
	['Delay correlation', ['delay_corr_pct'], PCT],
	['Burst', ['burst_bytes'], SIZE],
	['Queue limit, size', ['limit_bytes'], SIZE],
	['Queue limit, time', ['latency_ns'], TIME],
	['Duplicate correlation', ['duplicate_corr_pct'], PCT],
	['Corrupt correlation', ['corrupt_corr_pct'], PCT],
	['Reorder correlation', ['reorder_corr_pct'], PCT],
	['Reorder gap', ['gap'], NUMBER],
	['MTU', ['mtu_bytes'], SIZE],
];
// What hang and reset wait for: the JSON's key, and how its value is read.
const WHEN = [['old', 'connections from before the rule'], ['idle_ns', 'nothing was sent for'], ['after_ns', 'their age is'],
	['after_bytes', 'they have carried'], ['at', 'before a packet of MQTT']];
const PHASES = ['connack', 'suback', 'puback', 'pingresp'].map((p) => [p, p.toUpperCase()]);

const DISTRIBUTIONS = ['uniform', 'normal', 'pareto', 'paretonormal'];

// The daemon's names of fields ("up.loss", "clause[1].match.to", "for") and
// ours differ by unit suffixes and nesting only.
const key = (s) => s.replace(/^clauses?(\[\d+\])?\./, '').replace(/\[\d+\]/g, '').replace(/_(ns|pct|bps|bytes)\b/g, '')
	.replace(/\.(pct|text)$/, '').replace('delay_corr', 'delay.corr').toLowerCase();

let serial = 0;

function blank() {
	// A fault that nobody ends is a choice, not what one forgets.
	return { clauses: [{ up: {}, down: {}, match: {} }], except: [], on_crash: 'clear', for_ns: 300e9 };
}

// What sq_rule_to_json() adds for reading stays out of what is sent.
function fromRule(rule) {
	const r = rule ? structuredClone(rule) : blank();
	for (const k of ['text', 'id', 'target_id', 'set_ms', 'expires_in_ns', 'drawn_seed'])
		delete r[k];
	r.clauses = r.clauses && r.clauses.length ? r.clauses : blank().clauses;
	for (const c of r.clauses) {
		c.up ||= {};
		c.down ||= {};
		c.match ||= {};
	}
	r.except ||= [];
	return r;
}

const TCP_FLAGS = ['syn', 'fin', 'rst'];
const matchText = (m) => [...['proto', 'to', 'host', 'port', 'dport', 'sport'].filter((k) => m[k] !== undefined && m[k] !== '')
	.map((k) => k === 'proto' ? m[k] : `${k} ${m[k]}`), ...TCP_FLAGS.filter((k) => m[k])].join(' ');

// "tcp port 5557" or "to 10.0.0.0/8" -> MATCH; the daemon checks the values.
function parseMatch(line) {
	const m = {};
	const words = line.trim().split(/\s+/);
	for (let i = 0; i < words.length; i++) {
		if (/^(tcp|udp|icmp|any)$/.test(words[i]))
			m.proto = words[i];
		else if (TCP_FLAGS.includes(words[i]))
			m[words[i]] = true;
		else if (/^(proto|to|host|dport|sport|port)$/.test(words[i]) && i + 1 < words.length)
			m[words[i]] = words[++i];
		else
			return null;
	}
	return m;
}

export class Editor {
	constructor(changed) {
		this.changed = changed;
		this.el = h('div', { class: 'editor' });
		this.errors = new Map(); // field key -> message
		this.bad = new Map(); // field element key -> message of our own parser
		this.load(null);
	}

	load(rule) {
		this.rule = fromRule(rule);
		this.clause = 0;
		this.errors.clear();
		this.bad.clear();
		this.dirty = false;
		this.render();
	}

	// A profile or a preset: other faults, but the same target's options stay.
	propose(rule) {
		const options = { for_ns: this.rule.for_ns, on_crash: this.rule.on_crash };
		this.rule = { ...fromRule(rule), ...options };
		this.clause = 0;
		this.errors.clear();
		this.bad.clear();
		this.render();
		this.touch();
	}

	// A form that was left before it was applied.
	resume(rule) {
		this.rule = rule;
		this.clause = 0;
		this.render();
		this.touch();
	}

	// [what, as it is, as it would be] of each value in which the form differs from rule.
	changes(rule) {
		const flat = (x, path, into) => {
			for (const [k, v] of Object.entries(x || {}))
				if (v && typeof v === 'object')
					flat(v, [...path, k], into);
				else
					into.set([...path, k].join('.'), [k, v]);
			return into;
		};
		const was = flat(fromRule(rule), [], new Map());
		const is = flat(this.rule, [], new Map());
		const show = (at) => {
			if (!at || at[1] === undefined)
				return '';
			const [k, v] = at;
			return /_ns$/.test(k) ? fmtTime(v) : /pct$/.test(k) ? fmtPct(v) : /_bps$/.test(k) ? fmtRate(v) : /_bytes$/.test(k) ? fmtSize(v) : v === true ? 'on' : String(v);
		};
		const name = (path) => path.replace(/^clauses\.0\./, '').replace(/^clauses\.(\d+)/, (_, n) => `filter ${Number(n) + 1}`)
			.replace(/_(ns|pct|bps|bytes)$/, '').replace(/\.pct$/, '').replaceAll('.', ' ').replaceAll('_', ' ');
		return [...new Set([...was.keys(), ...is.keys()])].map((k) => [name(k), show(was.get(k)), show(is.get(k))]).filter(([, a, b]) => a !== b);
	}

	touch() {
		this.dirty = true;
		this.changed();
	}

	// The body to PUT, or null when a field does not parse (and says so).
	body() {
		if (this.bad.size) {
			this.el.querySelector('.row-error input, [aria-invalid=true]')?.focus();
			return null;
		}
		const rule = structuredClone(this.rule);
		for (const c of rule.clauses) {
			for (const d of ['up', 'down'])
				if (!Object.keys(c[d]).length)
					delete c[d];
			if (!Object.keys(c.match).length)
				delete c.match;
		}
		if (!rule.except.length)
			delete rule.except;
		return rule;
	}

	fails(error) {
		this.errors.clear();
		const n = /^clauses?\[(\d+)\]/.exec(error.field);
		if (n && this.rule.clauses[n[1]])
			this.clause = Number(n[1]);
		const name = key(error.field);
		const parts = name.split('.');
		this.render();
		// The daemon may name a part that has no field of its own here:
		// then its nearest parent takes the message.
		for (let i = parts.length; i > 0; i--) {
			const at = this.el.querySelector(`[data-field="${CSS.escape(parts.slice(0, i).join('.'))}"]`);
			if (at) {
				this.mark(at, error.message);
				at.closest('details')?.setAttribute('open', '');
				at.querySelector('input:not([type=range]), select')?.focus();
				return true;
			}
		}
		return false;
	}

	mark(row, message) {
		const input = row.querySelector('input:not([type=range]), select, textarea');
		const error = row.querySelector('.field-error');
		row.classList.toggle('row-error', Boolean(message));
		error.textContent = message || '';
		if (message)
			input.setAttribute('aria-invalid', 'true');
		else
			input.removeAttribute('aria-invalid');
	}

	field(name, label, unit, read, write, extra = {}) {
		const id = `f${++serial}`;
		const input = h('input', { id, type: 'text', class: 'num', value: show(), autocomplete: 'off', spellcheck: 'false',
			placeholder: extra.placeholder || 'off', 'aria-describedby': `${id}e`, inputmode: extra.inputmode });
		const error = h('span', { class: 'field-error', id: `${id}e`, role: 'alert' });
		const slider = unit.slider && h('input', { type: 'range', min: 0, max: unit.slider.steps, step: 1,
			'aria-label': `${label} slider`, value: unit.slider.place(read()) });
		const row = h('div', { class: `field${slider ? '' : ' no-slider'}`, 'data-field': name },
			h('label', { for: id }, label), slider, input, error);
		const self = this;

		function show() {
			const v = read();
			return v === undefined || v === null ? '' : unit.fmt(v);
		}
		function paint(v) {
			if (!slider)
				return;
			slider.value = unit.slider.place(v);
			slider.style.setProperty('--at', `${slider.value / unit.slider.steps * 100}%`);
			slider.setAttribute('aria-valuetext', v ? unit.fmt(v) : 'off');
			row.classList.toggle('is-set', Boolean(v));
		}
		input.addEventListener('input', () => {
			const s = input.value.trim();
			const v = s === '' ? undefined : unit.parse(s);
			self.bad.delete(name);
			self.mark(row, '');
			if (Number.isNaN(v))
				self.bad.set(name, s);
			else
				write(v);
			paint(Number.isNaN(v) ? 0 : v);
			self.touch();
		});
		input.addEventListener('change', () => {
			if (self.bad.has(name)) {
				self.mark(row, `“${input.value.trim()}” is not ${unit.accepts}`);
				return;
			}
			const typed = input.value;
			const meant = unit.meant?.(typed);
			input.value = show();
			if (meant)
				replace(error, h('span', { class: 'hint' }, `“${typed.trim()}” is ${input.value}, as in tc. `, h('button', { type: 'button', class: 'link', onclick: () => {
					input.value = meant;
					input.dispatchEvent(new Event('input'));
					input.dispatchEvent(new Event('change'));
				} }, `Use ${meant}`)));
		});
		slider?.addEventListener('input', () => {
			write(unit.slider.value(Number(slider.value)));
			self.bad.delete(name);
			self.mark(row, '');
			input.value = show();
			paint(read());
			self.touch();
		});
		paint(read());
		return row;
	}

	select(name, label, values, read, write) {
		const id = `f${++serial}`;
		return h('div', { class: 'field no-slider', 'data-field': name }, h('label', { for: id }, label),
			h('select', { id, 'aria-describedby': `${id}e`, onchange: (e) => {
				write(e.target.value);
				this.touch();
			} }, values.map(([v, t]) => {
				const o = h('option', { value: v }, t);
				o.selected = v === read();
				return o;
			})), h('span', { class: 'field-error', id: `${id}e`, role: 'alert' }));
	}

	plain(name, label, placeholder, read, write) {
		return this.field(name, label, { parse: (s) => s, fmt: String }, read, write, { placeholder });
	}

	direction(d, title, hint) {
		const faults = this.rule.clauses[this.clause][d];
		const one = ([label, path, unit]) => this.field(key(`${d}.${path.join('.')}`), label, unit,
			() => get(faults, path), (v) => set(faults, path, v));
		const hole = h('input', { type: 'checkbox', checked: faults.blackhole === true, role: 'switch', onchange: () => {
			set(faults, ['blackhole'], hole.checked || undefined);
			this.touch();
		} });
		const more = h('details', { class: 'more' }, h('summary', {}, 'More: correlation, distribution, queue, loss models'),
			this.select(`${d}.loss.model`, 'Loss model', [['random', 'random'], ['gemodel', 'Gilbert-Elliott'], ['state', '4-state']],
				() => lossModel(faults), (v) => {
					delete faults.loss;
					if (v !== 'random')
						faults.loss = { [v]: v === 'gemodel' ? { p_pct: 1, r_pct: 10 } : { p13_pct: 1 } };
					this.render();
					this.el.querySelector(`[data-direction=${d}] details`).open = true;
				}),
			this.select(`${d}.distribution`, 'Jitter shape', DISTRIBUTIONS.map((x) => [x, x]),
				() => faults.distribution || 'uniform', (v) => set(faults, ['distribution'], v === 'uniform' ? undefined : v)),
			MORE.filter(([, path]) => path[0] !== 'loss' || lossModel(faults) === 'random').map(one),
			this.select(`${d}.mtu_icmp`, 'Above the MTU', [['', 'nobody is told'], ['icmp', 'the sender is told (ICMP)']],
				() => faults.mtu_icmp ? 'icmp' : '', (v) => set(faults, ['mtu_icmp'], v ? true : undefined)));
		more.open = MORE.some(([, path]) => get(faults, path) !== undefined) || Boolean(faults.distribution && faults.distribution !== 'uniform');
		return h('fieldset', { class: 'direction', 'data-direction': d },
			h('legend', {}, title, h('small', {}, hint)),
			LOSS[lossModel(faults)].map(one), MAIN.map(one),
			h('div', { class: 'field blackhole', 'data-field': `${d}.blackhole` }, h('label', { class: 'check' }, hole, 'Blackhole: nothing passes'),
				h('span', { class: 'field-error' })),
			more);
	}

	filters() {
		const rule = this.rule;
		const match = rule.clauses[this.clause].match;
		const tabs = rule.clauses.map((c, i) => h('button', { class: 'segment', 'aria-pressed': String(i === this.clause), onclick: () => {
			this.clause = i;
			this.bad.clear();
			this.render();
		} }, matchText(c.match) || 'All packets'));
		const text = (name, label, placeholder) => this.plain(`match.${name}`, label, placeholder,
			() => match[name], (v) => { set(match, [name], v); tabs[this.clause].textContent = matchText(match) || 'All packets'; });
		return h('fieldset', { class: 'filters' }, h('legend', {}, 'Filter', h('small', {}, 'which packets; the most specific filter wins')),
			h('div', { class: 'segments wrap' }, tabs,
				h('button', { class: 'segment add', 'aria-label': 'Add a filter', disabled: rule.clauses.length >= 8, onclick: () => {
					rule.clauses.push({ up: {}, down: {}, match: { proto: 'tcp' } });
					this.clause = rule.clauses.length - 1;
					this.render();
					this.touch();
				} }, icon('plus'))),
			h('div', { class: 'filter-fields' },
				this.select('match.proto', 'Protocol', [['', 'any'], ['tcp', 'TCP'], ['udp', 'UDP'], ['icmp', 'ICMP']],
					() => match.proto || '', (v) => { set(match, ['proto'], v); tabs[this.clause].textContent = matchText(match) || 'All packets'; }),
				text('to', 'Remote address', '10.0.0.0/8'), text('host', 'Host by DNS or SNI', 'broker.example.com'), text('dport', 'Remote port', '8883 or 8000-9000'),
				text('sport', 'Local port', 'any'), text('port', 'Either port', 'any'),
				this.select('match.syn', 'TCP packets', [['', 'all'], ['syn', 'SYN: a connection begins'], ['fin', 'FIN: it ends'], ['rst', 'RST: it is broken off']],
					() => TCP_FLAGS.find((k) => match[k]) || '', (v) => {
						TCP_FLAGS.forEach((k) => set(match, [k], k === v || undefined));
						tabs[this.clause].textContent = matchText(match) || 'All packets';
					})),
			rule.clauses.length > 1 && h('button', { class: 'link danger', onclick: () => {
				rule.clauses.splice(this.clause, 1);
				this.clause = 0;
				this.render();
				this.touch();
			} }, 'Remove this filter and its faults'));
	}

	// What a clause does to connections: a link for each, a share of them, an end.
	connections() {
		const c = this.rule.clauses[this.clause];
		const act = c.hang ? 'hang' : c.reset ? 'reset' : '';
		const when = act && WHEN.find(([k]) => c[act][k] !== undefined)?.[0];
		const put = (action, key, value) => {
			delete c.hang;
			delete c.reset;
			if (action)
				c[action] = { [key]: value };
		};
		const first = { old: true, idle_ns: 60e9, after_ns: 30e9, after_bytes: 1024, at: 'puback' };
		const fields = [
			this.select('each', 'A link for each', [['', 'no: all share one'], ['flow', 'connection'], ['address', 'local address']],
				() => c.each || '', (v) => set(c, ['each'], v)),
			this.field('flows', 'Of the connections', { ...PCT, slider: null }, () => c.flows_pct, (v) => set(c, ['flows_pct'], v), { placeholder: 'all' }),
			this.field('max-flows', 'At most so many of them', NUMBER, () => c.max_flows, (v) => set(c, ['max_flows'], v), { placeholder: 'any number' }),
			this.select(c.dns?.slow_ns ? 'dns.answer' : 'dns', 'Queries for names', [['', 'as they are'], ['nxdomain', 'no such name'], ['servfail', 'the server failed'], ['timeout', 'no answer'], ['slow', 'a late answer']],
				() => c.dns?.slow_ns ? 'slow' : c.dns || '', (v) => {
					set(c, ['dns'], v === 'slow' ? { slow_ns: 2e9 } : v);
					this.render();
				}),
			c.dns?.slow_ns && this.field('dns', 'Late by', DURATION, () => c.dns.slow_ns, (v) => { c.dns = { slow_ns: v }; }),
			this.select('action', 'End them', [['', 'no'], ['hang', 'hang: silence'], ['reset', 'reset: RST to both ends']], () => act, (v) => {
				put(v, when || 'old', when ? c[act][when] : true);
				this.render();
			}),
			act && this.select(`${act}.when`, 'When', WHEN, () => when, (v) => {
				put(act, v, first[v]);
				this.render();
			}),
			act && when === 'at' && this.select(act, 'Packet', PHASES, () => c[act].at, (v) => { c[act].at = v; }),
			act && when === 'after_bytes' && this.select(`${act}.of`, 'Counted', [['', 'both ways'], ['up', 'up: what it sends'], ['down', 'down: what it receives']],
				() => c[act].of || '', (v) => set(c, [act, 'of'], v)),
			act && /_(ns|bytes)$/.test(when) && this.field(act, when === 'after_bytes' ? 'Payload' : 'Time', when === 'after_bytes' ? SIZE : DURATION,
				() => c[act][when], (v) => { c[act][when] = v; }),
		];
		const el = h('fieldset', {}, h('details', { class: 'more connections' }, h('summary', {}, 'Connections: a link for each, a share of them, how many, hang, reset, names'), fields));
		el.firstElementChild.open = Boolean(c.each || c.flows_pct || c.max_flows || c.dns || act);
		return el;
	}

	options() {
		const rule = this.rule;
		const chips = [['30 s', 30e9], ['1 min', 60e9], ['5 min', 300e9], ['1 h', 3600e9], ['until cleared', undefined]];
		const duration = this.field('for', 'Duration', DURATION,
			() => rule.for_ns || undefined, (v) => set(rule, ['for_ns'], v), { placeholder: 'until cleared' });
		const except = this.field('except', 'Never fault', {
			parse: (s) => {
				const list = s.split(',').map(parseMatch);
				return list.includes(null) ? NaN : list;
			},
			fmt: (list) => list.map(matchText).join(', '),
			accepts: 'a list such as: tcp port 5557, to 10.0.0.7/32',
		}, () => rule.except.length ? rule.except : undefined, (v) => { rule.except = v || []; }, { placeholder: 'port 5557, to 10.0.0.7/32' });
		return h('fieldset', { class: 'options' }, h('legend', {}, 'For how long, and the rest'),
			duration, h('div', { class: 'chips' }, chips.map(([t, v]) => h('button', { class: 'chip', onclick: () => {
				set(rule, ['for_ns'], v);
				duration.querySelector('input').value = v ? fmtTime(v) : '';
				this.bad.delete('for');
				this.mark(duration, '');
				this.touch();
			} }, t))),
			except,
			this.field('links', 'Connections followed', NUMBER, () => rule.links, (v) => set(rule, ['links'], v), { placeholder: '65,536 where a rule follows them' }),
			this.field('seed', 'Seed', NUMBER, () => rule.seed, (v) => set(rule, ['seed'], v), { placeholder: 'drawn at random' }),
			this.select('on_crash', 'If squalld dies', [['clear', 'the fault ends within 2 s'], ['keep', 'the fault stays until it expires']],
				() => rule.on_crash || 'clear', (v) => { rule.on_crash = v; }));
	}

	render() {
		replace(this.el, this.filters(),
			h('div', { class: 'directions' },
				this.direction('up', 'Up', 'leaves the target'), this.direction('down', 'Down', 'reaches the target')),
			this.connections(), this.options());
	}
}
