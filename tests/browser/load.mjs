// SPDX-License-Identifier: GPL-2.0-only
// See load.test.

import fs from 'node:fs';
import path from 'node:path';
import { ok, note, shaded, step, browse, axe, shot, sleep, until, end, watchdog, run, squalld, api, SQUALLD } from './lib.mjs';

const URL = 'http://127.0.0.1:4081';
const target = `cgroup:/${process.env.fleet}`;
let b;
watchdog(450, () => b?.close());
b = await browse();
const load = () => fetch(`${URL}/api/v1/load`, { signal: AbortSignal.timeout(10000) }).then((r) => r.json());
let page;

await step('a fleet', async () => {
	page = await b.context.newPage();
	await page.goto(`${URL}/ui/`);
	await page.waitForSelector('#start:not([disabled])');
	ok('squall-sim’s panel opens on the load page, idle', /idle|stopped/.test(await page.textContent('#load-state')));
	await page.waitForFunction(() => /cannot be reached/.test(document.getElementById('squalld-note').textContent));
	ok('a squalld that is not there is told of, with its address', /127\.0\.0\.1:4080/.test(await page.textContent('#squalld-note')), await page.textContent('#squalld-note'));
	const r = await fetch(`${URL}/ui/`, { headers: { 'Accept-Encoding': 'gzip' } });
	const csp = r.headers.get('content-security-policy') || '';
	ok('squall-sim sends squalld’s strict Content-Security-Policy, and gzip', /default-src 'none'/.test(csp) && !/unsafe|\*/.test(csp) && r.headers.get('content-encoding') === 'gzip', csp);
	const same = await fetch(`${URL}/ui/app.js`, { headers: { 'If-None-Match': (await fetch(`${URL}/ui/app.js`)).headers.get('etag') } });
	ok('and 304 for what the browser has', same.status === 304, same.status);
	await page.fill('#devices', 'many');
	await page.click('#start');
	ok('a number that cannot be read is said', /cannot be read/.test(await page.textContent('#load-error')));
	await page.fill('#devices', '99999999');
	await page.click('#start');
	await page.waitForFunction(() => /devices/.test(document.getElementById('load-error').textContent));
	ok('one that is refused is said and marked', await page.getAttribute('#devices', 'aria-invalid') === 'true');
	await page.fill('#devices', '40');
	await page.fill('#ramp', '20');
	await page.click('#start');
	await page.waitForFunction(() => document.getElementById('load-state').textContent === 'running');
	await until('40 devices connected', 30000, async () => (await load()).devices.connected === 40);
	ok('Start starts a fleet of 40', true);
	await page.waitForFunction(() => /^40connected/.test(document.querySelector('.stats').textContent));
	ok('the page counts the connected devices', true);
	await page.waitForFunction(() => [...document.querySelectorAll('[aria-label=Requests] tbody td')].some((td) => td.textContent === 'puback'));
	ok('the table has a row for puback', true);
	await page.fill('#devices', '60');
	await page.fill('#interval', '100 ms');
	await page.click('#change');
	await until('60 devices connected', 30000, async () => (await load()).devices.connected === 60);
	const now = await load();
	ok('Apply changes the running fleet', now.settings.devices === 60 && now.settings.interval_ms === 100, JSON.stringify(now.settings));
});

const p50 = async () => (await load()).latency_ms.p50;
let daemon;

await step('fault windows', async () => {
	ok('no band without a fault', await shaded(page, 'Publish latency') === 0 && await page.locator('.band-key:visible').count() === 0);
	daemon = await squalld('va');
	await page.waitForFunction(() => /^Shaded: faults of cgroup/.test(document.getElementById('squalld-note').textContent));
	ok('a squalld that comes is followed, at the fleet’s own cgroup', (await page.textContent('#squalld-note')).includes(`${target} at ${SQUALLD}`), await page.textContent('#squalld-note'));
	const set = await api('PUT', `rules/${encodeURIComponent(target)}`, { text: 'up delay 150ms for 60s' });
	const from = Date.now();
	ok('a rule is set on the fleet’s cgroup', set.in_force === true, JSON.stringify(set));
	const first = await until('the window to open', 10000, async () => (await load()).faults[0]);
	ok('the load’s JSON has the window, open, with target and rule', first.target === target && /^up delay 150ms/.test(first.rule) && first.to_ms === null && Math.abs(first.from_ms - from) < 2000, JSON.stringify(first));
	await until('latency to show the delay', 30000, async () => await p50() > 100);
	ok('the fleet feels it', true);
	await page.waitForSelector('.band-key:visible');
	await sleep(process.env.SHOTS ? 12000 : 4000);
	const [open, devices] = [await shaded(page, 'Publish latency'), await shaded(page, 'Devices')];
	ok('the charts shade it up to now', open > 0.02 && devices > 0.02, `${open} ${devices}`);
	await api('DELETE', `rules/${encodeURIComponent(target)}`);
	const closed = await until('the window to close', 10000, async () => (await load()).faults[0].to_ms && (await load()).faults[0]);
	ok('cleared: the window has its end', closed.to_ms - closed.from_ms > 3000 && Date.now() - closed.to_ms < 3000, JSON.stringify(closed));
	await until('latency to fall', 30000, async () => await p50() < 100);
	await sleep(process.env.SHOTS ? 15000 : 3000);
	const after = await shaded(page, 'Publish latency');
	ok('its panel is a link', (await page.getAttribute('#squalld-panel', 'href') || '').startsWith(`${SQUALLD}/ui/`) && await page.isVisible('#squalld-panel'), await page.getAttribute('#squalld-panel', 'href'));
	ok('and stays shaded, no longer growing', after > 0 && after <= open + 0.06, `${open} then ${after}`);
	ok('the table lists it', (await page.textContent('#windows')).includes(target));
	await page.setViewportSize({ width: 1280, height: 1340 });
	await sleep(1200);
	await shot(page, 'panel-load');
	await axe(page, 'load, real');
	note(`latency on the page: ${(await page.textContent('.stats')).replace(/(ms|s|connected|p50|p95|p99)(?=\d)/g, '$1 ')}`);
	await api('PUT', `rules/${encodeURIComponent(target)}`, { text: 'up loss 3%' });
	await until('a second window', 10000, async () => (await load()).faults.length === 2);
	daemon.kill('SIGKILL');
	await daemon.ended;
	await page.waitForFunction(() => /cannot be reached/.test(document.getElementById('squalld-note').textContent));
	const lost = (await load()).faults[1];
	ok('squalld killed: the page says so, and shades only what it knows', lost.to_ms !== null, JSON.stringify(lost));
	daemon = await squalld('va');
	await page.waitForFunction(() => /^Shaded/.test(document.getElementById('squalld-note').textContent));
	const again = (await load()).faults;
	ok('back: the rule that it kept is the same window', again.length === 2 && again[1].to_ms === null, JSON.stringify(again));
	await api('DELETE', 'rules');
});

await step('downloads', async () => {
	const [csv] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'CSV' }).click()]);
	ok('CSV downloads Locust’s columns', /^"?Type"?,"?Name/.test(fs.readFileSync(await csv.path(), 'utf8')) && /puback/.test(fs.readFileSync(await csv.path(), 'utf8')));
	const [html] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Report' }).click()]);
	const report = fs.readFileSync(await html.path(), 'utf8');
	ok('Report downloads a page', /<!doctype html/i.test(report) && /Load report/.test(report));
	ok('with the fault windows shaded and listed', (report.match(/<rect class="fault"/g) || []).length === 6 && /id="faults"/.test(report) && report.includes(target) && report.includes('up delay 150ms'));
	const p = await b.context.newPage();
	await p.goto(`${URL}/api/v1/load/report.html`);
	ok('which a browser draws', await p.locator('svg rect.fault').count() === 6 && await p.locator('#faults tr').count() === 3);
	await p.close();
});

await step('the connections of the fleet', async () => {
	const p = await b.context.newPage();
	const devices = (n) => fetch(`${URL}/api/v1/load`, { method: 'PATCH', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ devices: n }) });
	// A rule that asks for MQTT's packets, and none that these devices get: they do not subscribe.
	await api('PUT', `rules/${encodeURIComponent(target)}`, { text: 'up delay 1ms hang at suback match proto tcp dport 1883' });
	await devices(100);
	await until('100 devices connected', 30000, async () => (await load()).devices.connected === 100);
	await p.goto(`${SQUALLD}/ui/#/faults/${encodeURIComponent(target)}`);
	await p.waitForFunction(() => [...document.querySelectorAll('#flows .what')].some((e) => e.textContent === 'connected'));
	const rows = await p.locator('#flows tbody tr').allTextContents();
	ok('the table tells how far MQTT is on each', rows.filter((r) => /tcp 10\.78\.0\.1:\d+ → 10\.78\.0\.2:1883.*connected/.test(r)).length > 3, rows.slice(0, 3).join(' | '));
	ok('and of whom nobody knows it, nothing', rows.some((r) => /1883/.test(r) && !/connected|hung/.test(r)));
	await p.waitForSelector('.live .u-wrap canvas');
	await until('the shade', 20000, async () => await shaded(p, 'Live packets') > 0.02);
	ok('its charts are shaded meanwhile', true);
	await api('PUT', `rules/${encodeURIComponent(target)}`, { text: 'up delay 1ms hang at connack match proto tcp dport 1883' });
	await devices(110);
	await p.waitForFunction(() => [...document.querySelectorAll('#flows .what.lost')].some((e) => e.textContent === 'hung') || /[1-9]\d* hung/.test(document.getElementById('flow-counts').textContent));
	ok('who never heard a CONNACK hangs', true);
	await api('DELETE', 'rules');
	await p.close();
});

await step('experiments', async () => {
	const dir = fs.mkdtempSync(path.join(process.env.TMP, 'experiments.'));
	const write = (file, more) => fs.writeFileSync(path.join(dir, file), `name: page\nafter: 3s\nprobes: [ { name: up, command: ["true"], every: 200ms } ]\nthresholds: { "up.up": ">50%" }\n${more}`);
	write('good.yaml', '');
	write('bad.yaml', 'nmae: x\n');
	const sim = run('squall-sim', ['run', '--broker', 'mqtt://127.0.0.1:9', '--web', '127.0.0.1:4082', '--quiet', '--experiments', dir]);
	const at = 'http://127.0.0.1:4082';
	await until('its page', 20000, () => fetch(`${at}/healthz`).then((r) => r.ok, () => false));
	const p = await b.context.newPage();
	await p.goto(`${at}/ui/`);
	await p.waitForSelector('#start');
	ok('with --experiments there is a page of them', (await p.locator('#nav a:visible').allTextContents()).join() === 'Experiments,Load');
	await p.click('#nav a[data-page=experiments]');
	await p.waitForFunction(() => document.querySelectorAll('#exp-file option').length === 2);
	await axe(p, 'experiments of squall-sim');
	await p.selectOption('#exp-file', 'bad.yaml');
	await p.click('#exp-start');
	await p.waitForFunction(() => /bad\.yaml:5:1: .*nmae/.test(document.getElementById('exp-error').textContent));
	ok('a bad file is refused beside the button, with line and column', true);
	await p.selectOption('#exp-file', 'good.yaml');
	await p.click('#exp-start');
	await p.locator('.experiment h2', { hasText: 'page' }).waitFor();
	ok('one starts from the page', true);
	await p.setViewportSize({ width: 360, height: 800 });
	ok('it fits 360 px', await p.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth));
	await p.locator('#exp-finished .tag.good', { hasText: 'passed' }).waitFor();
	const href = await p.getByRole('link', { name: 'Report' }).evaluate((a) => a.href);
	await p.goto(href);
	ok('its report is a page', (await p.textContent('h1')).includes('page'));
	await p.close();
	sim.kill('SIGTERM');
	ok('squall-sim ends well', await sim.ended === 0);
});

await step('stop', async () => {
	await page.click('#stop');
	await until('the fleet to stop', 30000, async () => (await load()).state === 'stopped');
	await page.waitForSelector('#start:not([disabled])');
	ok('Stop stops the fleet', (await load()).devices.connected === 0);
	await page.goto(`${URL}/ui/#/faults`);
	await page.waitForSelector('.empty');
	ok('pages that are squalld’s say where they are', /squalld/.test(await page.textContent('.empty')));
});

await end(b, daemon);
