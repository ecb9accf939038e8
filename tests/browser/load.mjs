// SPDX-License-Identifier: GPL-2.0-only
// See load.test.

import fs from 'node:fs';
import { ok, note, step, browse, axe, shot, sleep, until, finish } from './lib.mjs';

const URL = 'http://127.0.0.1:4081';
const b = await browse();
const load = () => fetch(`${URL}/api/v1/load`, { signal: AbortSignal.timeout(10000) }).then((r) => r.json());
let page;

await step('a fleet', async () => {
	page = await b.context.newPage();
	await page.goto(`${URL}/ui/`);
	await page.waitForSelector('#start:not([disabled])');
	ok('squall-sim’s panel opens on the load page, idle', /idle|stopped/.test(await page.textContent('#load-state')));
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
	await page.waitForFunction(() => /^40connected/.test(document.querySelector('.stats').textContent), null, { timeout: 10000 });
	ok('the page counts the connected devices', true);
	await page.waitForFunction(() => [...document.querySelectorAll('[aria-label=Requests] tbody td')].some((td) => td.textContent === 'puback'));
	ok('the table has a row for puback', true);
	await page.fill('#devices', '60');
	await page.fill('#interval', '100 ms');
	await page.click('#change');
	await until('60 devices connected', 30000, async () => (await load()).devices.connected === 60);
	const now = await load();
	ok('Apply changes the running fleet', now.settings.devices === 60 && now.settings.interval_ms === 100, JSON.stringify(now.settings));
	await sleep(process.env.SHOTS ? 25000 : 3000);
	await page.setViewportSize({ width: 1280, height: 1300 });
	await sleep(1200);
	await shot(page, 'panel-load');
	await axe(page, 'load, real');
	note(`latency on the page: ${(await page.textContent('.stats')).replace(/(ms|s|connected|p50|p95|p99)(?=\d)/g, '$1 ')}`);
});

await step('downloads', async () => {
	const [csv] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'CSV' }).click()]);
	ok('CSV downloads Locust’s columns', /^"?Type"?,"?Name/.test(fs.readFileSync(await csv.path(), 'utf8')) && /puback/.test(fs.readFileSync(await csv.path(), 'utf8')));
	const [html] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Report' }).click()]);
	ok('Report downloads a page', /<html|<!doctype/i.test(fs.readFileSync(await html.path(), 'utf8')));
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

ok('no page asked another host for anything', b.foreign.length === 0, b.foreign.join(' '));
ok('no page broke its Content-Security-Policy', b.violations.length === 0, b.violations.join(' '));
ok('no script failed', b.errors.length === 0, b.errors.join(' '));
await b.close();
finish();
setTimeout(() => process.exit(), 500).unref();
