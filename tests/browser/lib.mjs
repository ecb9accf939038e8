// SPDX-License-Identifier: GPL-2.0-only
// What the browser tests share: one Chromium, checks that print the lines
// tests/run counts, and screenshots into docs/ when SHOTS is set.

import { chromium } from 'playwright-core';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRequire } from 'node:module';

export const TOP = fileURLToPath(new URL('../..', import.meta.url));
const AXE = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
let bad = 0;

export function ok(what, yes, detail = '') {
	console.log(yes ? `ok ${what}` : `not ok ${what}${detail === '' ? '' : `: ${detail}`}`);
	if (!yes)
		bad++;
	return yes;
}
export const note = (s) => console.log(`# ${s}`);

// One failed step must not hide the rest, nor leave a daemon behind.
export async function step(what, fn) {
	try {
		await fn();
	} catch (e) {
		const line = /\w+\.mjs:\d+/.exec(String(e?.stack).replace(/^.*lib\.mjs.*$/gm, ''));
		ok(what, false, `${line ? `${line[0]}: ` : ''}${String(e && e.message || e).split('\n').slice(0, 6).join(' | ')}`);
	}
}

export async function browse(options = {}) {
	const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'squall-chromium.'));
	// A profile of its own and no background traffic: nothing may leave this machine.
	const context = await chromium.launchPersistentContext(profile, {
		executablePath: process.env.CHROMIUM || '/usr/bin/chromium', headless: true, chromiumSandbox: false,
		args: ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
			'--disable-sync', '--disable-dev-shm-usage', ...(options.args || [])],
		viewport: { width: 1280, height: 900 }, ...options.context });
	context.setDefaultTimeout(45000);
	context.setDefaultNavigationTimeout(45000);
	const foreign = [];
	const violations = [];
	context.on('request', (r) => {
		if (!/^(http:\/\/127\.0\.0\.1[:/]|blob:|data:|about:)/.test(r.url()))
			foreign.push(r.url());
	});
	context.on('console', (m) => {
		if (/Content Security Policy|Refused to/i.test(m.text()))
			violations.push(m.text());
	});
	const errors = [];
	context.on('weberror', (e) => errors.push(String(e.error())));
	return { context, foreign, violations, errors, async close() {
		await context.close().catch(() => {});
		fs.rmSync(profile, { recursive: true, force: true });
	} };
}

// Findings that axe itself calls serious or critical, and names that do not say what is seen, which
// axe looks for only when it is asked to.
const NAMES = 'label-content-name-mismatch';
export async function axe(page, what) {
	// Through the debugger, which the page's own policy does not bind.
	await page.evaluate(AXE);
	const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'], rules: { 'label-content-name-mismatch': { enabled: true } } }));
	const serious = result.violations.filter((v) => v.impact === 'serious' || v.impact === 'critical' || v.id === NAMES);
	for (const v of result.violations.filter((x) => !serious.includes(x)))
		note(`${what}: axe, ${v.impact}: ${v.id}: ${v.nodes[0].html.slice(0, 120)}`);
	ok(`${what}: axe has no serious finding`, serious.length === 0,
		serious.map((v) => `${v.id} (${v.nodes.length}): ${v.nodes.slice(0, 3).map((n) => n.target.join(' ') + ' ' + (n.any[0]?.message || '')).join('; ')}`).join(' || '));
}

export async function shot(page, name) {
	if (!process.env.SHOTS)
		return;
	fs.mkdirSync(process.env.SHOTS, { recursive: true });
	await page.screenshot({ path: path.join(process.env.SHOTS, `${name}.png`) });
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function until(what, ms, fn) {
	const end = Date.now() + ms;
	for (;;) {
		const value = await fn();
		if (value)
			return value;
		if (Date.now() > end)
			throw new Error(`waited ${ms} ms in vain for: ${what}`);
		await sleep(40);
	}
}

// Programs of the test. They go when we do, however we go.
const children = new Set();
export function run(cmd, args, options = {}) {
	const child = spawn('setpriv', ['--pdeathsig', 'KILL', cmd, ...args], { stdio: ['ignore', 'pipe', 'pipe'], ...options });
	child.text = '';
	child.stdout.on('data', (d) => { child.text += d; });
	child.stderr.on('data', (d) => { child.text = (child.text + d).slice(-20000); });
	children.add(child);
	child.ended = new Promise((resolve) => child.on('exit', (code) => { children.delete(child); resolve(code); }));
	return child;
}
export async function stop() {
	for (const c of children)
		c.kill('SIGKILL');
	await Promise.all([...children].map((c) => c.ended));
}

// Whatever hangs, nothing of ours stays behind.
export function watchdog(seconds, close) {
	const abandon = async (why) => {
		ok(why, false);
		await Promise.race([Promise.all([stop(), close()]), sleep(4000)]);
		process.exit(1);
	};
	process.on('SIGTERM', () => abandon('interrupted'));
	process.on('SIGINT', () => abandon('interrupted'));
	setTimeout(() => abandon('finished in time'), seconds * 1000).unref();
}

// The real squalld on our loopback, with the folders that the .test made.
export const SQUALLD = 'http://127.0.0.1:4080';
export async function squalld(iface, ...more) {
	const { TMP, pins, B } = process.env;
	const daemon = run(path.join(B, 'bin/squalld'), ['--listen', '127.0.0.1:4080', '--socket', path.join(TMP, 'sock'), '--state-dir', path.join(TMP, 'state'),
		'--pin-dir', pins, '--docker-socket', 'none', '--iface', iface, ...more]);
	await until('squalld to answer', 60000, async () => {
		if (daemon.exitCode !== null)
			throw new Error(`squalld ended: ${daemon.text}`);
		return fetch(`${SQUALLD}/healthz`, { signal: AbortSignal.timeout(5000) }).then((r) => r.ok, () => false);
	});
	return daemon;
}
// How much longer things take because others hold the CPU: time that our programs' main threads ran
// and waited to run, over the time they ran. 1 on a machine of our own.
function ours() {
	const parent = new Map();
	for (const pid of fs.readdirSync('/proc').filter((n) => /^\d+$/.test(n)))
		try {
			parent.set(pid, fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\) \S /, '').split(' ')[0]);
		} catch {
			// it has ended
		}
	const all = new Map();
	for (const pid of parent.keys()) {
		let up = pid;
		while (up && up !== String(process.pid))
			up = parent.get(up);
		try {
			if (up && up !== pid)
				all.set(pid, fs.readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ').map(Number));
		} catch {
			// it has ended
		}
	}
	return all;
}
export function crowding() {
	const before = ours();
	return () => {
		let [ran, waited] = [1, 0];
		for (const [pid, [run, wait]] of ours()) {
			const was = before.get(pid) || [0, 0];
			ran += run - was[0];
			waited += wait - was[1];
		}
		return Math.max(1, (ran + waited) / ran);
	};
}

export async function api(method, what, body) {
	const r = await fetch(`${SQUALLD}/api/v1/${what}`, { method, signal: AbortSignal.timeout(20000), body: body && JSON.stringify(body), headers: body ? { 'Content-Type': 'application/json' } : {} });
	return { status: r.status, ...(await r.json().catch(() => ({}))) };
}

// How much of a chart's width has the colour of a band, which nothing else paints so near its top.
export const shaded = (page, card) => page.evaluate((of) => {
	const c = document.querySelector(`[aria-label="${of}"] .u-wrap canvas`);
	const row = c.getContext('2d').getImageData(0, Math.round(20 * devicePixelRatio), c.width, 1).data;
	let n = 0;
	for (let i = 0; i < row.length; i += 4)
		n += row[i] > 150 && row[i + 1] < 80 && row[i + 3] > 15 && row[i + 3] < 60 ? 1 : 0;
	return n / c.width;
}, card);

// The end of a test, and of what it started. daemon may be none.
export async function leave(b, daemon) {
	await b.close();
	daemon?.kill('SIGTERM');
	await daemon?.ended;
	await stop();
	process.exitCode = bad ? 1 : 0;
	setTimeout(() => process.exit(), 500).unref();
}

// And before it what must hold of all pages of the panel.
export function end(b, daemon) {
	ok('no page asked another host for anything', b.foreign.length === 0, b.foreign.join(' '));
	ok('no page broke its Content-Security-Policy', b.violations.length === 0, b.violations.join(' '));
	ok('no script failed', b.errors.length === 0, b.errors.join(' '));
	return leave(b, daemon);
}
