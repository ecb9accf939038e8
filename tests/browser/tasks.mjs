// SPDX-License-Identifier: GPL-2.0-only
// See tasks.test. Each task begins on the list of targets, unless it says where.

import fs from 'node:fs';
import path from 'node:path';
import { ok, note, step, browse, axe, sleep, until, end, shot, run, crowding, watchdog, squalld, api, SQUALLD as URL } from './lib.mjs';

const { dev, fleet, CG2 } = process.env;
const name = (leaf) => `cgroup:/${fleet}/${leaf}`;
const rulePath = (leaf) => `rules/${encodeURIComponent(name(leaf))}`;
const ruleOf = async (leaf) => (await api('GET', rulePath(leaf))).rule;
const pageOf = (leaf) => `${URL}/ui/#/faults/${encodeURIComponent(name(leaf))}`;
const inDev = (script, ...args) => run('nsenter', [`--net=/run/netns/${dev}`, 'sh', '-c', script, ...args]);
const ping = (leaf, ...args) => inDev('echo $$ > "$0/cgroup.procs"; exec ping "$@"', path.join(CG2, fleet, leaf), '-q', '-n', ...args, '10.77.0.1');

let b;
watchdog(280, () => b?.close());
const daemon = await squalld('va');
b = await browse();
const page = await b.context.newPage();

// Clicks are counted; typing into what was clicked is none, nor is reading.
let clicks = 0;
const click = (what) => {
	clicks++;
	return (typeof what === 'string' ? page.locator(what) : what).click();
};
const type = async (field, value) => {
	await click(field);
	await page.fill(field, value);
};
async function task(what, fn) {
	clicks = 0;
	await step(what, async () => {
		await fn();
		note(`${what}: ${clicks} clicks`);
		ok(`${what}: in at most six clicks`, clicks <= 6, String(clicks));
	});
}
const inForce = (re) => page.waitForFunction((s) => new RegExp(s).test(document.getElementById('in-force')?.textContent), re.source);
const loss = '[data-field="up.loss"] input[type=text]';
const delay = '[data-field="up.delay"] input[type=text]';

// Others may have cgroups here: with more than 200 nobody is counted unless it is asked for.
await api('PUT', 'traffic', { mode: 'on' });
const noise = ping('boiler-west', '-i', '0.02', '-s', '1000');
ping('pump-07', '-i', '0.2');
await page.goto(`${URL}/ui/`);

await task('find the noisy device', async () => {
	await page.fill('#search', fleet); // its neighbours on this machine are none of ours
	await page.waitForFunction(() => [...document.querySelectorAll('.c-traffic span')].some((e) => /kbit/.test(e.textContent)));
	await click('.sort[data-key=traffic]');
	const first = () => page.locator('.rows .row[aria-rowindex="2"]');
	await page.waitForFunction(() => document.querySelector('[role=columnheader].c-traffic').getAttribute('aria-sort') !== 'none');
	// The fleet's own cgroup has what all of them have; the first below it is the one.
	const loudest = await until('the loudest', 20000, async () => {
		await page.evaluate(() => document.activeElement.blur());
		const names = await page.$$eval('.rows .row', (all) => all.sort((x, y) => x.getAttribute('aria-rowindex') - y.getAttribute('aria-rowindex')).slice(0, 2).map((r) => r.querySelector('a').title));
		return names.includes(name('boiler-west')) && names;
	});
	ok('it is on top, with what it sends and receives', loudest[0] === `cgroup:/${fleet}` || loudest[0] === name('boiler-west'), loudest.join());
	const said = await page.locator('.row', { has: page.locator(`a[title="${name('boiler-west')}"]`) }).locator('.c-traffic').textContent();
	ok('in bit/s, not cut off', /^\d{1,3} kbit\/s/.test(said) && await page.$$eval('.c-traffic', (all) => all.every((e) => e.firstElementChild.offsetLeft >= e.offsetLeft && e.scrollWidth <= e.clientWidth)), said);
	ok('with a line of the last minute', await first().locator('polyline[points]').count() === 1);
	ok('and it is no rule', (await api('GET', 'rules')).rules.length === 0 && /, 0 faulted/.test(await page.textContent('#count')));
});
await task('5 % and 200 ms up', async () => {
	await click(`.row a[title="${name('boiler-west')}"]`);
	await page.waitForFunction(() => document.getElementById('form-state')?.textContent === 'No fault set');
	await sleep(4000); // that there are whole seconds before the rule, of which the history tells
	await type(loss, '5 %');
	await type(delay, '200 ms');
	await click('#apply');
	await inForce(/up loss 5% delay 200ms/);
	ok('it is in force', /up loss 5% delay 200ms/.test((await ruleOf('boiler-west')).text));
});
await task('see the effect', async () => {
	const seen = () => page.textContent('[data-total="up.delayed"]').then((t) => Number(t.replace(/,/g, '')));
	await until('delayed packets', 20000, async () => await seen() > 20);
	ok('the charts run', await page.locator('.chart canvas').count() === 2);
	await sleep(5000); // the history tells rates of what lasted a few seconds
});
await task('worse', async () => {
	await type(loss, '20 %');
	await page.keyboard.press('Enter');
	await inForce(/loss 20%/);
});
await task('3G', async () => {
	await click(page.locator('#profiles button, .profile button').filter({ hasText: /^3G/ }).first());
	await click('#apply');
	await inForce(/rate/);
	ok('the profile is in force', /rate/.test((await ruleOf('boiler-west')).text), (await ruleOf('boiler-west')).text);
});
await task('save an own profile', async () => {
	await type('[aria-label="Name of the new profile"]', 'our 3G');
	await page.keyboard.press('Enter');
	await page.waitForSelector('.profile.is-set:has-text("our 3G")');
	ok('kept', (await api('GET', 'profiles')).profiles.some((p) => p.name === 'our 3G'));
});
await task('offline for 10 s of each minute', async () => {
	await click('#to-timeline');
	await page.waitForSelector('#tl-text');
	await type('#tl-text', '0s - 10s both blackhole\nlength 60s\nrepeat 0');
	await click('#tl-use');
	await click('#tl-run');
	await page.waitForFunction(() => /Running/.test(document.getElementById('tl-status').textContent));
	await until('the blackhole', 20000, async () => /blackhole/.test((await ruleOf('boiler-west'))?.text));
});
await task('stop', async () => {
	await click('#tl-stop');
	await until('the end of the rule', 20000, async () => await ruleOf('boiler-west') === undefined);
	ok('nothing acts', (await api('GET', 'schedules')).schedules.every((s) => !s.running));
});
await task('clear everything', async () => {
	for (const leaf of ['gateway', 'pump-08'])
		await api('PUT', rulePath(leaf), { text: 'both loss 1%' });
	await page.waitForFunction(() => document.getElementById('clear-all').classList.contains('armed'));
	await click('#clear-all');
	await until('the end of all', 20000, async () => (await api('GET', 'rules')).rules.length === 0);
});
await task('why there is no effect', async () => {
	await api('PUT', rulePath('press-line'), { text: 'up loss 50%' });
	await page.goto(`${URL}/ui/#/faults`);
	await page.fill('#search', 'press-line');
	await click(`.row a[title="${name('press-line')}"]`);
	await page.waitForFunction(() => document.getElementById('why')?.textContent);
	const said = await page.textContent('#why');
	ok('the page says that nothing runs there, and what to do', /no process|0 processes|Seen nowhere/i.test(said), said);
});
await task('export', async () => {
	await click('#nav [data-page=history]');
	await page.waitForSelector('#history-rows tr');
	const [file] = await Promise.all([page.waitForEvent('download'), click('#history-csv')]);
	const csv = fs.readFileSync(await file.path(), 'utf8');
	ok('as CSV', /^id,time,type,action,/.test(csv) && csv.includes(`"${name('boiler-west')}"`), csv.slice(0, 200));
});

await step('history page', async () => {
	await page.fill('#history-target', name('boiler-west'));
	await page.press('#history-target', 'Enter');
	await page.selectOption('#history-type', 'rule');
	await page.waitForFunction(() => [...document.querySelectorAll('#history-rows tr')].every((r) => /^rule/.test(r.children[1].textContent)) && document.querySelectorAll('#history-rows tr').length > 3);
	const rows = await page.textContent('#history-rows');
	ok('before, during and after each, and who asked', /up loss 5% delay 200ms/.test(rows) && /127\.0\.0\.1/.test(rows) && !/press-line/.test(rows), rows.slice(0, 300));
	await page.locator('#history-rows tr', { hasText: 'loss 20%' }).first().getByText('Do it again').click();
	await until('the rule', 20000, async () => Boolean(await ruleOf('boiler-west')));
	ok('do it again does', true);
	await page.locator('.toast .link').last().click();
	await until('its undo', 20000, async () => await ruleOf('boiler-west') === undefined);
	ok('and can be undone', true);
	const cell = (rule, which) => page.locator('#history-rows tr', { has: page.locator('.flow:nth-child(4)', { hasText: rule }) }).first().locator(`[data-window=${which}]`).textContent();
	// 50 pings a second of 1,000 bytes, and their answers.
	const before = await cell(/^up loss 5% delay 200ms/, 'before');
	ok('what it sent and received before', /^↑ (\d+) packets\/s, \d+ kbit\/s↓ \d+ packets\/s/.test(before) && parseInt(before.slice(2), 10) > 10, before);
	const during = await cell(/^up loss 5% delay 200ms/, 'during');
	ok('during', /packets, \d+ lost \(.*%\), \d+ delayed.*↑ \d+ packets\/s/.test(during), during);
	const after = await until('what came after to be counted', 20000, async () => {
		await page.locator('#history-type').dispatchEvent('change');
		await sleep(500);
		const said = await cell(/^up loss 5% delay 200ms/, 'after');
		return said !== 'not over yet' && said;
	});
	await page.evaluate(() => document.getElementById('toasts').replaceChildren());
	await page.setViewportSize({ width: 1600, height: 620 });
	await shot(page, 'panel-history');
	await page.setViewportSize({ width: 1280, height: 900 });
	ok('and after', /^↑ \d+ packets\/s/.test(after) && parseInt(after.slice(2), 10) > 10, after);
	await api('PUT', rulePath('boiler-west'), { text: 'up loss 77%' });
	await api('DELETE', 'rules');
	fs.mkdirSync(path.join(CG2, fleet, 'newcomer'));
	await api('PUT', rulePath('newcomer'), { text: 'up loss 78%' });
	await api('DELETE', 'rules');
	await page.fill('#history-target', '');
	await page.press('#history-target', 'Enter');
	await page.waitForFunction(() => /loss 78%/.test(document.getElementById('history-rows').textContent));
	ok('what is not over is no 0', await cell(/loss 77%/, 'after') === 'not over yet', await cell(/loss 77%/, 'after'));
	ok('nor what nobody counted', await cell(/loss 78%/, 'before') === 'not counted', await cell(/loss 78%/, 'before'));
	ok('which says why', /looked at|--traffic on/.test(await page.locator('[data-window=before] [title]', { hasText: 'not counted' }).first().getAttribute('title')));
	fs.rmdirSync(path.join(CG2, fleet, 'newcomer'));
	// Page by page, here of three.
	await page.route(/history\?.*limit=1000/, (r) => r.continue({ url: r.request().url().replace('limit=1000', 'limit=3') }));
	const [file] = await Promise.all([page.waitForEvent('download'), page.click('#history-json')]);
	await page.unroute(/history\?.*limit=1000/);
	const { events } = JSON.parse(fs.readFileSync(await file.path(), 'utf8'));
	const { events: all } = await api('GET', 'history?type=rule&limit=1000');
	ok('export as JSON: all of them, once each, with figures', events.length > 6 && events.map((e) => e.id).join() === all.map((e) => e.id).join() && events.some((e) => e.counters && e.traffic?.before.up?.pkts_per_s > 10), `${events.length} of ${all.length}`);
	await page.fill('#history-target', 'no-such-thing');
	await page.press('#history-target', 'Enter');
	await page.waitForFunction(() => /Nothing of that kind/.test(document.getElementById('main').textContent));
	ok('nothing is said to be nothing', await page.locator('#history-rows tr').count() === 0);
	await api('DELETE', 'rules');
});

await step('the panel of a fleet', async () => {
	await page.goto(`${URL}/ui/#/load`);
	ok('without an address it is this host', await page.getAttribute('#sim-open', 'href') === `${new globalThis.URL(URL).protocol}//${new globalThis.URL(URL).hostname}:4081/ui/#/load`);
	await page.fill('#sim-address', 'not an address');
	await page.press('#sim-address', 'Enter');
	await page.waitForFunction(() => /is no address/.test(document.getElementById('sim-error').textContent));
	ok('what is no address is said', await page.locator('#sim-open').isHidden());
	await page.fill('#sim-address', '127.0.0.1:4081');
	await page.press('#sim-address', 'Enter');
	await page.reload();
	ok('an address is remembered, and is a link', await page.getAttribute('#sim-open', 'href') === 'http://127.0.0.1:4081/ui/#/load');
});

await step('an experiment', async () => {
	const file = path.join(process.env.TMP, 'browser.yaml');
	fs.writeFileSync(file, `name: "<b>browser</b>"
squalld: "${URL}"
before: 1s
faults: [ { name: lossy, at: 2s, for: 100s, target: "${name('pump-08')}", rule: "both loss 20%" } ]
after: 2s
probes: [ { name: up, command: ["true"] } ]
thresholds: { "up.up": ">50%", "up.p95": "<0.001ms" }
`);
	await page.goto(`${URL}/ui/#/experiments`);
	await page.waitForSelector('text=No experiment has been here');
	await axe(page, 'experiments, none');
	const sim = run('squall-sim', ['experiment', file]);
	const card = page.locator('.experiment');
	await card.waitFor();
	await page.waitForFunction(() => /fault: lossy/.test(document.querySelector('.exp-phase')?.textContent));
	ok('a running experiment is there: its name, its phase', await card.locator('h2').textContent() === '<b>browser</b>');
	const said = await card.locator('tbody').textContent();
	ok('its thresholds, each as it stands', /ok.*up\.up/.test(said) && /crossed.*up\.p95/.test(said), said);
	ok('its time line', await card.locator('.exp-part.fault').textContent() === 'lossy');
	ok('Now names it', /1 experiment running/.test(await page.textContent('#now')));
	await axe(page, 'experiments, one runs');
	await shot(page, 'panel-experiments');
	for (const width of [360, 800, 1600]) {
		await page.setViewportSize({ width, height: 800 });
		await sleep(150);
		ok(`experiments fit ${width} px`, await page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth));
	}
	await page.setViewportSize({ width: 1280, height: 900 });
	await card.getByRole('button', { name: 'Stop' }).click();
	const row = page.locator('#exp-finished tr');
	await row.waitFor();
	ok('stopped, it says so', await sim.ended === 1 && /interrupted.*stopped by/.test(await row.textContent()), `${await sim.ended} ${await row.textContent()} ${sim.text.slice(-300)}`);
	ok('and is no longer running', await card.count() === 0 && !/experiment running/.test(await page.textContent('#now')));
	ok('its fault is gone', await ruleOf('pump-08').then((r) => !r, () => true));
	await page.reload();
	const href = await row.getByRole('link', { name: 'Report' }).evaluate((a) => a.href);
	const report = await b.context.newPage();
	await report.goto(href);
	ok('its report is a page', (await report.textContent('h1')).includes('<b>browser</b>') && /interrupted/.test(await report.textContent('body')));
	await report.close();
	await row.getByRole('button', { name: 'Forget' }).click();
	await row.waitFor({ state: 'detached' });
	ok('forgotten, it is gone', (await api('GET', 'experiments')).finished.length === 0);
});

await step('charts survive a reload', async () => {
	await api('PUT', rulePath('boiler-west'), { text: 'up loss 30%' });
	await page.goto(pageOf('boiler-west'));
	await inForce(/loss 30%/);
	await sleep(4000);
	await page.reload();
	await inForce(/loss 30%/);
	// One second after the reload the page itself has seen nothing of the first seconds.
	const { grains } = await api('GET', `series/${encodeURIComponent(name('boiler-west'))}`);
	ok('squalld has the past', grains[0].up.lost_pkts.reduce((x, y) => x + y) > 10, JSON.stringify(grains[0].up.lost_pkts));
	await page.waitForFunction(() => /\d/.test(document.querySelector('.legend .mark-key')?.textContent || ''));
	ok('with the changes of its rule', /loss 30%/.test(await page.textContent('.legend .mark-key')));
	await page.click('#chart-span');
	await page.waitForFunction(() => document.getElementById('chart-span').getAttribute('aria-pressed') === 'true');
	ok('and the last hour is one click away', true);
	await api('DELETE', 'rules');
});

await step('axe, in both themes, at three widths', async () => {
	for (const theme of ['light', 'dark']) {
		await page.emulateMedia({ colorScheme: theme });
		for (const [hash, there] of [['faults', '.rows .row'], [`faults/${encodeURIComponent(name('pump-07'))}`, '#apply'], [`timeline/${encodeURIComponent(name('pump-07'))}`, '.tl-bar'], ['history', '#history-rows tr'], ['experiments', 'h1'], ['load', 'h1'], ['kernel', '.stats b']]) {
			await page.goto(`${URL}/ui/#/${hash}`);
			await page.waitForSelector(there);
			for (const width of [360, 1024, 1600]) {
				await page.setViewportSize({ width, height: 900 });
				await sleep(50);
				ok(`${hash.split('/')[0]} does not scroll sideways at ${width}`, await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
				await axe(page, `${hash.split('/')[0]}, ${theme}, ${width}`);
			}
		}
	}
	await page.setViewportSize({ width: 1280, height: 900 });
});

await step('what a page costs, with 500 targets and 100 rules', async () => {
	noise.kill();
	await api('PUT', 'traffic', { mode: 'auto' });
	const dirs = Array.from({ length: 500 }, (_, i) => path.join(CG2, fleet, `sensor-${String(i).padStart(3, '0')}`));
	dirs.forEach((d) => fs.mkdirSync(d));
	const set = [];
	for (const d of dirs.slice(0, 100))
		set.push(api('PUT', rulePath(path.basename(d)), { text: 'up loss 10% delay 20ms' }));
	await Promise.all(set);
	const all = inDev('for d in "$@"; do echo $$ > "$d/cgroup.procs"; ping -q -n -i 0.5 10.77.0.1 >/dev/null & done; wait', 'sh', ...dirs.slice(0, 100));
	const p = await b.context.newPage();
	const cdp = await p.context().newCDPSession(p);
	await cdp.send('Network.enable');
	await cdp.send('Performance.enable');
	let bytes = 0;
	cdp.on('Network.dataReceived', (e) => { bytes += e.encodedDataLength || e.dataLength; });
	const sizes = []; // of what was asked for and has ended
	cdp.on('Network.loadingFinished', (e) => sizes.push(e.encodedDataLength));
	const busy = async () => (await cdp.send('Performance.getMetrics')).metrics.find((m) => m.name === 'TaskDuration').value;
	const measure = async (what, seconds, limit, share) => {
		let [rate, cost, factor] = [Infinity, Infinity, 1];
		for (let i = 0; i < 4 && (rate > limit || cost / factor > share); i++) {
			const crowd = crowding();
			const [from, was] = [Date.now(), await busy()];
			bytes = 0;
			await sleep(seconds * 1000);
			factor = crowd();
			rate = bytes / (Date.now() - from) * 1000;
			cost = (await busy() - was) / (Date.now() - from) * 1000;
		}
		note(`${what}: ${(rate / 1000).toFixed(1)} KB/s, ${(cost * 100).toFixed(1)} % of a core (crowded ${factor.toFixed(2)}-fold)`);
		ok(`${what}: at most ${limit / 1000} KB/s`, rate > 10 && rate <= limit, String(rate));
		ok(`${what}: at most ${share * 100} % of a core`, cost / factor <= share, String(cost));
	};
	await p.goto(`${URL}/ui/#/faults`);
	await p.fill('#search', 'sensor');
	await p.waitForFunction(() => /^500 of .*100 faulted/.test(document.getElementById('count')?.textContent));
	await sleep(4000);
	ok('and rates are shown', await p.locator('.row.faulted .c-pps').first().textContent() !== '0', await p.locator('.row.faulted').first().textContent());
	ok('no request of it is over 150 KiB', sizes.length > 10 && Math.max(...sizes) <= 150 * 1024, String(Math.max(...sizes)));
	note(`the largest of its ${sizes.length} requests: ${(Math.max(...sizes) / 1024).toFixed(1)} KiB`);
	await measure('the list', 6, 5000, 0.03);
	await p.goto(pageOf('sensor-007'));
	await p.waitForSelector('.chart canvas');
	await sleep(3000);
	await measure('one target among them', 6, 2500, 0.03);
	await p.locator('#feed').check();
	await sleep(2000);
	await measure('with its packet feed', 6, 10000, 0.06);
	for (const d of dirs.slice(0, 100))
		fs.writeFileSync(path.join(d, 'cgroup.kill'), '1');
	await all.ended;
	await p.close();
});

await end(b, daemon);
