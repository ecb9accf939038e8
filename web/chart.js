// SPDX-License-Identifier: GPL-2.0-only
// uPlot with this panel's colours. It is a classic script; loading it only
// when the first chart is drawn keeps it out of the way of the first paint.

import { h, text } from './dom.js';
import { fmtClock } from './units.js';
import { on } from './store.js';

let library = null;
function load() {
	library ||= new Promise((resolve, reject) => {
		document.head.append(h('link', { rel: 'stylesheet', href: 'vendor/uplot/uPlot.min.css' }));
		document.head.append(h('script', { src: 'vendor/uplot/uPlot.iife.min.js',
			onload: () => resolve(window.uPlot), onerror: reject }));
	});
	return library;
}

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export const SERIES = {
	passed: ['untouched', '--c-passed'],
	delayed: ['delayed', '--c-delayed'],
	lost: ['lost', '--c-lost'],
	duplicated: ['duplicated', '--c-duplicated'],
	corrupted: ['corrupted', '--c-corrupted'],
	reordered: ['reordered', '--c-reordered'],
	over_limit: ['over limit', '--c-over'],
};

/*
 * chart(box, {label, series: [[name, css variable]...], fmt, height, bands, marks})
 * Returns {set(data), format(fmt), destroy()}. data is [[seconds...], values...], null for a gap;
 * bands() gives windows to shade as [from, to] in seconds, marks() moments to draw a line at as
 * {t, text}, both told of in the legend. span is the width of the time axis in seconds, so that a
 * young chart does not stretch two points. Dragging zooms, a double click shows all again.
 */
export function chart(box, { label, series, fmt, height = 150, bands, marks, span = 60 }) {
	let plot = null;
	let zoom = null; // [from, to] in seconds
	let data = null;
	let gone = false;
	const off = new Set(); // series switched off, by index
	const values = series.map(() => h('span', { class: 'num' }, '–'));
	const legend = h('div', { class: 'legend' }, series.map(([name, variable], i) => {
		const swatch = h('i', { css: { background: `var(${variable})` } });
		const button = h('button', { 'aria-pressed': 'true', title: `Show or hide ${name}`, onclick: () => {
			off[off.has(i) ? 'delete' : 'add'](i);
			button.setAttribute('aria-pressed', String(!off.has(i)));
			plot?.setSeries(i + 1, { show: !off.has(i) });
		} }, swatch, name, values[i]);
		return button;
	}));
	const key = bands && h('span', { class: 'band-key', hidden: true }, h('i', {}), 'a fault in force');
	const clock = h('span', { class: 'at num' });
	const change = marks && h('span', { class: 'mark-key' });
	legend.prepend(clock);
	legend.append(...[key, change].filter(Boolean));
	const canvas = h('div', { css: { 'min-height': `${height}px` } });
	box.append(canvas, legend);

	// Under the pointer its moment, otherwise the latest one.
	function figures() {
		if (!data || !data[0].length)
			return;
		const pointed = plot && plot.cursor.idx !== null && plot.cursor.idx !== undefined;
		const at = pointed ? plot.cursor.idx : data[0].length - 1;
		text(clock, pointed ? fmtClock(data[0][at] * 1000) : zoom ? 'zoomed; double-click shows all' : '');
		if (change) {
			const last = marks().filter((m) => m.t <= data[0][at]).at(-1);
			text(change, !last ? '' : `${fmtClock(last.t * 1000)} ${last.text || 'rule ended'}`);
		}
		values.forEach((el, i) => {
			const v = data[i + 1][at];
			text(el, v === null || v === undefined ? '–' : fmt(v));
		});
	}

	const lines = (u) => {
		if (!marks)
			return;
		u.ctx.save();
		u.ctx.fillStyle = color('--text');
		for (const { t } of marks()) {
			const x = Math.round(u.valToPos(t, 'x', true));
			if (x >= u.bbox.left && x <= u.bbox.left + u.bbox.width)
				for (let y = u.bbox.top; y < u.bbox.top + u.bbox.height; y += 6)
					u.ctx.fillRect(x, y, 1, 3);
		}
		u.ctx.restore();
	};
	const shade = (u) => {
		if (!bands)
			return;
		u.ctx.save();
		u.ctx.fillStyle = color('--band');
		let shown = 0;
		for (const [from, to] of bands()) {
			const left = Math.max(u.valToPos(from, 'x', true), u.bbox.left);
			const right = Math.min(u.valToPos(to, 'x', true), u.bbox.left + u.bbox.width);
			if (right > left) {
				u.ctx.fillRect(left, u.bbox.top, Math.max(right - left, 2), u.bbox.height);
				shown++;
			}
		}
		key.hidden = !shown;
		u.ctx.restore();
	};

	const options = () => {
		const axis = { stroke: color('--muted'), font: '11px system-ui, sans-serif',
			grid: { stroke: color('--grid'), width: 1 }, ticks: { show: false } };
		return {
			width: Math.max(canvas.clientWidth, 200), height, pxAlign: true,
			cursor: { y: false, points: { size: 6 }, drag: { x: true, y: false, setScale: false } },
			legend: { show: false },
			scales: { x: { range: (u, lo, hi) => zoom || [Math.min(lo, hi - span), hi === null ? 1 : hi] },
				y: { range: (u, lo, hi) => [0, hi > 0 ? hi * 1.08 : 1] } },
			axes: [{ ...axis, size: 26, space: 76, values: (u, ticks) => ticks.map((t) => fmtClock(t * 1000)) },
				{ ...axis, size: 56, space: 34, values: (u, ticks) => ticks.map(fmt) }],
			series: [{}, ...series.map(([name, variable, dash], i) => ({ label: name, stroke: color(variable), width: 1.75, dash,
				show: !off.has(i), points: { show: false } }))],
			hooks: { drawClear: [shade], draw: [lines], setCursor: [figures], setSelect: [(u) => {
				if (u.select.width < 8)
					return;
				zoom = [u.posToVal(u.select.left, 'x'), u.posToVal(u.select.left + u.select.width, 'x')];
				u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
				u.setData(data);
			}] },
		};
	};

	const draw = async () => {
		const Plot = await load();
		if (gone || !data)
			return;
		if (plot)
			plot.destroy();
		plot = new Plot(options(), data, canvas);
		plot.over.addEventListener('dblclick', () => {
			zoom = null;
			plot.setData(data);
			figures();
		});
		plot.root.setAttribute('role', 'img');
		plot.root.setAttribute('aria-label', label);
	};

	const offTheme = on('theme', () => plot && draw());
	const resize = new ResizeObserver(() => plot && canvas.clientWidth && plot.setSize({ width: canvas.clientWidth, height }));
	resize.observe(canvas);

	return {
		set(next) {
			const first = !data;
			data = next;
			if (first)
				draw();
			else if (plot)
				plot.setData(data);
			figures();
		},
		format(next) {
			fmt = next;
			if (plot)
				draw();
		},
		destroy() {
			gone = true;
			offTheme();
			resize.disconnect();
			if (plot)
				plot.destroy();
			plot = null;
			box.textContent = '';
		},
	};
}
