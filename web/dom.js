// SPDX-License-Identifier: GPL-2.0-only
// Elements without templates: whatever comes from the daemon becomes a text
// node or an attribute value, never markup, so a container named
// "<script>" is a name. Styles are set through CSSOM, which the page's
// Content-Security-Policy allows, never through a style attribute.

const SVG = 'http://www.w3.org/2000/svg';

export function h(tag, props, ...children) {
	const el = document.createElement(tag);
	return fill(el, props, children);
}

export function svg(tag, props, ...children) {
	return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(el, props, children) {
	for (const [key, value] of Object.entries(props || {})) {
		if (value === undefined || value === null || value === false)
			continue;
		if (key.startsWith('on'))
			el.addEventListener(key.slice(2), value);
		else if (key === 'css')
			for (const [name, v] of Object.entries(value))
				el.style.setProperty(name, v);
		else if (key === 'value' || key === 'checked' || key === 'disabled' || key === 'hidden')
			el[key] = value;
		else
			el.setAttribute(key, value === true ? '' : value);
	}
	add(el, children);
	return el;
}

export function add(el, children) {
	for (const child of children.flat(4))
		if (child !== undefined && child !== null && child !== false)
			el.append(child instanceof Node ? child : document.createTextNode(String(child)));
	return el;
}

export function replace(el, ...children) {
	el.textContent = '';
	return add(el, children);
}

// Changes the text only when it differs: an unchanged row costs no layout.
export function text(el, value) {
	const s = String(value);
	if (el.textContent !== s)
		el.textContent = s;
}

const ICONS = {
	search: 'M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10M11 11l4 4',
	sun: 'M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1',
	back: 'M10 3 5 8l5 5',
	clear: 'M4 4l8 8M12 4l-8 8',
	faults: 'M1 8h3l2-5 3 10 2-5h4',
	timeline: 'M2 4h7M5 8h9M2 12h5',
	load: 'M2 13V9M6 13V5M10 13V7M14 13V2',
	kernel: 'M4 4h8v8H4zM6 1v3M10 1v3M6 12v3M10 12v3M1 6h3M1 10h3M12 6h3M12 10h3',
	play: 'M5 3l8 5-8 5z',
	stop: 'M4 4h8v8H4z',
	plus: 'M8 3v10M3 8h10',
	download: 'M8 2v8M5 7l3 3 3-3M3 13h10',
	warn: 'M8 2 1.5 13.5h13zM8 6.5v3M8 11.6v.1',
};

export function icon(name) {
	return svg('svg', { viewBox: '0 0 16 16', class: 'icon', 'aria-hidden': 'true' },
		svg('path', { d: ICONS[name] }));
}

// Messages that come and go, read out by screen readers.
export function toast(message, kind = 'info', action) {
	const box = document.getElementById('toasts');
	const close = () => el.remove();
	const el = h('div', { class: `toast ${kind}`, role: kind === 'error' ? 'alert' : 'status' },
		h('span', {}, message),
		action && h('button', { class: 'link', onclick: () => { close(); action.run(); } }, action.label),
		h('button', { class: 'icon-button', 'aria-label': 'Dismiss', onclick: close }, icon('clear')));
	// Only what was changed last can be taken back.
	if (action)
		box.querySelectorAll('.toast > .link').forEach((b) => b.parentElement.remove());
	while (box.childElementCount > 2)
		box.firstElementChild.remove();
	box.append(el);
	setTimeout(close, action ? 30000 : kind === 'error' ? 12000 : 5000);
}

export function empty(title, ...body) {
	return h('div', { class: 'empty' }, h('h2', {}, title), body.filter(Boolean).map((b) =>
		b instanceof Node ? b : h('p', {}, b)));
}

export const code = (s) => h('code', {}, s);
