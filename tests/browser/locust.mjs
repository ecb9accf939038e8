// SPDX-License-Identifier: GPL-2.0-only
// See locust.test. The page is Locust 2.12's, not ours: ids and texts are read
// from it, nothing of it is judged but what our workers put there.

import fs from 'node:fs';
import { ok, note, step, browse, shot, sleep, until, leave } from './lib.mjs';

const URL = process.env.WEB;
const b = await browse();
const page = await b.context.newPage();

const users = async () => Number((await page.textContent('#userCount')).trim());
const status = async () => (await page.textContent('#status_text')).trim().toLowerCase();
// mosquitto's count has the client that listens to it as one.
const connected = () => Number(fs.readFileSync(process.env.CLIENTS, 'utf8').trim().split('\n').pop()) - 1;
// The rows of a table of the page, as texts.
const rows = (id) => page.$$eval(`#${id} tbody tr`, (trs) => trs.map((tr) => [...tr.cells].map((td) => td.textContent.trim())));
const tab = (name) => page.click(`.tabs a:text-is("${name}")`);
const both = (n) => until(`${n} users in the UI and at the broker`, 60000, async () => await users() === n && connected() === n);

await step('start', async () => {
	await page.goto(URL);
	ok('Locust’s page says that two workers are there', (await page.textContent('#workerCount')).trim() === '2');
	const fields = await page.$$eval('#swarm_form input[name]', (all) => all.map((i) => i.name));
	ok('its form has the fields that the generated locustfile adds',
		['mqtt_broker', 'mqtt_topic', 'mqtt_payload', 'mqtt_qos', 'mqtt_interval'].every((f) => fields.includes(f)), fields.join(' '));
	await page.fill('#user_count', '30');
	await page.fill('#spawn_rate', '15');
	await page.click('#swarm_form button[type=submit]');
	await both(30);
	ok('Start swarming: 30 users in the UI, 30 connections at the broker', true);
	await until('the UI to be running', 30000, async () => await status() === 'running');
	ok('the UI says running', true);
});

await step('rows', async () => {
	const want = ['meter', 'temp-sensor'].flatMap((t) => ['connect', 'publish', 'puback', 'receive'].map((n) => `MQTT ${t}/${n}`));
	const have = async () => (await rows('stats')).map((r) => `${r[0]} ${r[1]}`);
	await until('all rows', 30000, async () => { const h = await have(); return want.every((w) => h.includes(w)); });
	ok('the table has connect, publish, puback and receive of both device types, of type MQTT', true);
	const connects = async () => (await rows('stats')).filter((r) => /\/connect$/.test(r[1])).map((r) => `${r[1]} ${r[2]}`).sort().join(', ');
	await until('all connects', 20000, async () => (await connects()).match(/\d+/g).reduce((n, c) => n + Number(c), 0) === 30);
	ok('by the weights of the fleet file: 20 and 10 connects', await connects() === 'meter/connect 20, temp-sensor/connect 10', await connects());
	await until('some hundred messages', 30000, async () => (await rows('stats')).some((r) => r[1] === 'meter/receive' && Number(r[2]) > 100));
	const fails = (await rows('stats')).reduce((n, r) => n + Number(r[3]), 0);
	ok('without failures', fails === 0, String(fails));
	await shot(page, 'locust-stats');
});

await step('edit', async () => {
	await page.click('#edit-test');
	await page.fill('#new_user_count', '48');
	await page.fill('#new_spawn_rate', '20');
	await page.click('#edit_form button[type=submit]');
	await both(48);
	ok('Edit, up: 48 users in the UI, 48 connections at the broker', true);
	await page.click('#edit-test');
	await page.fill('#new_user_count', '24');
	await page.click('#edit_form button[type=submit]');
	await both(24);
	ok('Edit, down: 24 users in the UI, 24 connections at the broker', true);
});

await step('stop', async () => {
	await page.click('#box_stop .stop-button');
	await until('no connection', 60000, () => connected() === 0);
	ok('STOP: no connection is left at the broker', true);
	await until('the UI to say stopped', 60000, async () => await status() === 'stopped');
	ok('the UI says stopped', await users() === 0, String(await users()));
	await page.click('#new-test');
	await page.fill('#user_count', '24');
	await page.fill('#spawn_rate', '24');
	await page.click('#swarm_form button[type=submit]');
	await both(24);
	ok('New test: 24 users in the UI, 24 connections at the broker', true);
});

await step('a worker dies', async () => {
	await until('the UI to be running', 30000, async () => await status() === 'running');
	await tab('Workers');
	await until('12 users on each worker', 30000, async () => (await rows('workers')).map((r) => r[2]).join(' ') === '12 12');
	const cells = await rows('workers');
	ok('two workers, 12 users, CPU and memory each', cells.length === 2 && cells.every((r) => r[1] === 'running' && r[3] !== '' && r[4] !== ''), JSON.stringify(cells));
	process.kill(Number(process.env.VICTIM), 'SIGKILL');
	await until('a worker that is missing', 60000, async () => (await rows('workers')).map((r) => r[1]).sort().join(' ') === 'missing running');
	ok('a worker killed is missing in the table of workers', true);
	await both(24);
	ok('its users run on the other: 24 in the UI, 24 connections at the broker', true);
	await shot(page, 'locust-workers');
});

note(`scripts of Locust's page that failed: ${b.errors.length}`);
await leave(b);
