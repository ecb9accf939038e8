// SPDX-License-Identifier: GPL-2.0-only
// Units as tc(8) and the command line have them: `mbps` is megaBYTES per
// second, `mbit` megabits, `kb` is 1024 bytes; a bare number is microseconds,
// bits per second or bytes, and nothing where it is a duration (but 0). Each
// parse returns a number, or NaN for what it cannot read; whether a number is
// acceptable is the daemon's to say, in one place.

const TIME = { ns: 1, us: 1e3, 'µs': 1e3, 'μs': 1e3, usec: 1e3, usecs: 1e3, ms: 1e6, msec: 1e6, msecs: 1e6,
	s: 1e9, sec: 1e9, secs: 1e9, m: 60e9, min: 60e9, h: 3600e9, d: 86400e9 };
const RATE = { bit: 1, kbit: 1e3, mbit: 1e6, gbit: 1e9, tbit: 1e12, kibit: 1024, mibit: 1048576, gibit: 1073741824,
	bps: 8, kbps: 8e3, mbps: 8e6, gbps: 8e9 };
const SIZE = { b: 1, byte: 1, bytes: 1, k: 1024, kb: 1024, kib: 1024, m: 1048576, mb: 1048576, mib: 1048576,
	g: 1073741824, gb: 1073741824, gib: 1073741824 };

function quantity(text, units, fallback) {
	const m = /^\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([^\d\s]*)\s*$/i.exec(text);
	if (!m)
		return NaN;
	const unit = m[2].toLowerCase() || fallback;
	return Object.hasOwn(units, unit) ? Number(m[1]) * units[unit] : NaN;
}

export const parseTime = (s, bare = 'us') => Math.round(quantity(s, TIME, bare));
export const parseDuration = (s) => /^\s*0+\s*$/.test(s) ? 0 : parseTime(s, '');
export const parseRate = (s) => Math.round(quantity(s.replace(/\/s\s*$/i, ''), RATE, 'bit'));
export const parseSize = (s) => Math.round(quantity(s, SIZE, 'b'));
export const parsePct = (s) => quantity(s, { '%': 1 }, '%');

const short = (x) => String(Number(x.toPrecision(6)));

export function fmtTime(ns) {
	const abs = Math.abs(ns);
	if (!abs)
		return '0 ms';
	if (abs < 1e3)
		return `${short(ns)} ns`;
	if (abs < 1e6)
		return `${short(ns / 1e3)} µs`;
	if (abs < 1e9)
		return `${short(ns / 1e6)} ms`;
	if (abs < 600e9 || ns % 60e9)
		return `${short(ns / 1e9)} s`;
	return ns % 3600e9 ? `${short(ns / 60e9)} min` : `${short(ns / 3600e9)} h`;
}

export function fmtRate(bps) {
	for (const [name, unit] of [['Gbit/s', 1e9], ['Mbit/s', 1e6], ['kbit/s', 1e3]])
		if (bps >= unit)
			return `${short(bps / unit)} ${name}`;
	return `${short(bps)} bit/s`;
}

export function fmtSize(n) {
	for (const [name, unit] of [['GiB', 1073741824], ['MiB', 1048576], ['KiB', 1024]])
		if (n >= unit && (n % unit === 0 || n >= unit * 10))
			return `${short(Math.round(n / unit * 10) / 10)} ${name}`;
	return `${short(n)} B`;
}

export const fmtPct = (x) => `${short(x)} %`;

// Rates of packets: three digits are what one can read while they change.
export function fmtNum(x) {
	if (x === undefined || x === null || Number.isNaN(x))
		return '–';
	if (x === 0)
		return '0';
	if (x < 9.95)
		return x.toFixed(1);
	if (x < 99999.5)
		return Math.round(x).toLocaleString('en-US');
	return x < 1e6 ? `${(x / 1e3).toFixed(0)} k` : `${(x / 1e6).toFixed(2)} M`;
}

export const fmtCount = (n) => n === undefined || n === null ? '–' : Math.round(n).toLocaleString('en-US');

export function fmtClock(ms) {
	const d = new Date(ms);
	const two = (n) => String(n).padStart(2, '0');
	return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

// A countdown: 0:42, 12:05, 1:02:03.
export function fmtLeft(ms) {
	const s = Math.max(0, Math.ceil(ms / 1000));
	const two = (n) => String(n).padStart(2, '0');
	return s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`
		: `${Math.floor(s / 60)}:${two(s % 60)}`;
}
