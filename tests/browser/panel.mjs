// SPDX-License-Identifier: GPL-2.0-only
// See panel.test, which made the namespaces and cgroups and runs this inside "host".

import fs from 'node:fs';
import path from 'node:path';
import { ok, note, step, browse, axe, shot, sleep, until, end, run, crowding, watchdog, squalld as start, api, SQUALLD as URL } from './lib.mjs';

const { dev, fleet, TMP, CG2 } = process.env;
let daemon;
const squalld = async (...more) => { daemon = await start('va', ...more); };
async function kill(signal) {
	daemon.kill(signal);
	await daemon.ended;
}
const name = (leaf) => `cgroup:/${fleet}/${leaf}`;
const page_of = (leaf) => `${URL}/ui/#/faults/${encodeURIComponent(name(leaf))}`;
const ruleOf = async (leaf) => (await api('GET', `rules/${encodeURIComponent(name(leaf))}`)).rule;

// A ping out of a device's cgroup, from the device's namespace.
function ping(leaf, ...args) {
	return run('nsenter', [`--net=/run/netns/${dev}`, 'sh', '-c', 'echo $$ > "$0/cgroup.procs"; exec ping "$@"', path.join(CG2, fleet, leaf), ...args, '10.77.0.1']);
}
async function lossOf(leaf, count) {
	const p = ping(leaf, '-q', '-n', '-i', '0.01', '-W', '1', '-c', String(count));
	await p.ended;
	const m = /(\d+) packets transmitted, (\d+) received/.exec(p.text);
	return m ? 1 - m[2] / m[1] : NaN;
}
// Half of the 99.9 % interval around p of n Bernoulli trials, and one for discreteness.
const bound = (p, n) => 3.29 * Math.sqrt(p * (1 - p) / n) + 1 / n;

let b;
watchdog(450, () => b?.close());

await squalld();
b = await browse();
let page;

await step('loss by the slider', async () => {
	page = await b.context.newPage();
	await page.goto(page_of('pump-07'));
	const slider = page.locator('[data-field="up.loss"] input[type=range]');
	await page.waitForFunction(() => document.querySelectorAll('#profiles button').length > 0 && document.getElementById('form-state').textContent === 'No fault set');
	await sleep(500);
	await slider.scrollIntoViewIfNeeded();
	const box = await slider.boundingBox();
	await page.mouse.move(box.x + 9, box.y + box.height / 2);
	await page.mouse.down();
	await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2, { steps: 8 });
	await page.mouse.up();
	// Its middle is a few per cent; keys do the rest.
	const field = async () => parseFloat(await page.inputValue('[data-field="up.loss"] input[type=text]'));
	ok('the loss slider gives small values their room', await field() >= 1 && await field() <= 10, String(await field()));
	for (let i = 0; i < 30 && await field() !== 50; i++)
		await slider.press(await field() < 50 ? 'ArrowRight' : 'ArrowLeft');
	ok('the field follows the slider', await page.inputValue('[data-field="up.loss"] input[type=text]') === '50 %');
	await page.click('#apply');
	await page.waitForFunction(() => /loss 50%/.test(document.getElementById('in-force').textContent));
	ok('the page shows what the kernel has', /up loss 50%/.test((await ruleOf('pump-07')).text));
	const loss = await lossOf('pump-07', 600);
	ok('a ping out of the target loses half', Math.abs(loss - 0.5) <= bound(0.5, 600), `${(loss * 100).toFixed(1)} %`);
	const total = async (what) => Number((await page.textContent(`[data-total="up.${what}"]`)).replace(/,/g, ''));
	await until('the counters on the page', 20000, async () => await total('seen') >= 600);
	const [seen, lost] = [await total('seen'), await total('lost')];
	ok('and the counters on the page say so', Math.abs(lost / seen - 0.5) <= bound(0.5, seen), `${lost} of ${seen}`);
});

await step('an invalid value', async () => {
	const before = JSON.stringify((await ruleOf('pump-07')).clauses);
	await page.fill('[data-field="up.loss"] input[type=text]', '101');
	await page.click('#apply');
	await page.waitForSelector('[data-field="up.loss"].row-error');
	const said = await page.textContent('[data-field="up.loss"] .field-error');
	ok('the daemon’s message stands beside the field', /101 is not accepted/.test(said), said);
	ok('and the field is marked', await page.getAttribute('[data-field="up.loss"] input[type=text]', 'aria-invalid') === 'true');
	await shot(page, 'panel-refused');
	ok('nothing changed', JSON.stringify((await ruleOf('pump-07')).clauses) === before && /loss 50%/.test(await page.textContent('#in-force')));
	await page.fill('[data-field="up.loss"] input[type=text]', '');
	await page.click('[aria-label="Add a filter"]');
	await page.fill('[data-field="match.to"] input', '10.77.0.999');
	await page.fill('[data-field="up.loss"] input[type=text]', '1');
	await page.click('#apply');
	await page.waitForSelector('[data-field="match.to"].row-error');
	ok('so for a filter’s field', /10\.77\.0\.999/.test(await page.textContent('[data-field="match.to"] .field-error')));
	await page.click('text=Revert');
	await page.waitForFunction(() => document.querySelector('[data-field="up.loss"] input[type=text]').value === '50 %');
	ok('Revert brings back what is in force', true);
});

await step('numbers without a unit, and Enter', async () => {
	const delay = '[data-field="up.delay"]';
	await page.fill(`${delay} input[type=text]`, '100');
	await page.press(`${delay} input[type=text]`, 'Tab');
	ok('a bare time is what the command line takes it for, and says so', await page.inputValue(`${delay} input[type=text]`) === '100 µs' && /as in tc/.test(await page.textContent(`${delay} .field-error`)), await page.textContent(delay));
	await page.click(`${delay} .field-error button`);
	ok('what was meant is one click away', await page.inputValue(`${delay} input[type=text]`) === '100 ms');
	await page.fill(`${delay} input[type=text]`, '20 ms');
	await page.press(`${delay} input[type=text]`, 'Enter');
	await page.waitForFunction(() => /delay 20ms/.test(document.getElementById('in-force').textContent));
	ok('Enter applies', /delay 20ms/.test((await ruleOf('pump-07')).text));
});

await step('expiry', async () => {
	await page.fill('[data-field="for"] input', '8 s');
	await page.fill('[data-field="up.loss"] input[type=text]', '100 %');
	await page.click('#apply');
	await page.waitForFunction(() => /left/.test(document.getElementById('countdown').textContent));
	const read = async () => Number(/0:0(\d)/.exec(await page.textContent('#countdown'))?.[1] ?? NaN);
	const first = await read();
	const second = await until('the countdown to go on', 20000, async () => {
		const n = await read();
		return n < first && n;
	});
	ok('the countdown counts down', first <= 8 && second >= 1, `${first} then ${second}`);
	await page.waitForFunction(() => /Nothing/.test(document.getElementById('in-force').textContent), null, { timeout: 30000 });
	await page.waitForFunction(() => document.getElementById('countdown').textContent === '');
	ok('the page says when it is over', true);
	ok('and packets pass again', await lossOf('pump-07', 20) === 0);
	ok('the daemon has no rule either', await ruleOf('pump-07') === undefined);
});

await step('a second tab', async () => {
	const other = await b.context.newPage();
	await other.goto(page_of('pump-07'));
	await other.waitForSelector('#apply');
	await page.click('#profiles button');
	const chip = await page.textContent('#profiles button');
	ok('a profile fills the form', await page.textContent('#form-state') === 'Not applied yet');
	await page.fill('[data-field="for"] input', '');
	// A neighbour's burst is not the panel's time: the best of a few tries is.
	let ms = Infinity;
	for (let i = 0; i < 5 && ms > 1500; i++) {
		if (i) {
			await page.click('#clear');
			await other.waitForFunction(() => /Nothing/.test(document.getElementById('in-force').textContent));
			await page.click('#profiles button');
		}
		let from = 0;
		page.once('request', () => { from = Date.now(); }); // when the change leaves the first
		await page.click('#apply');
		await other.waitForFunction(() => !/Nothing/.test(document.getElementById('in-force').textContent), null, { polling: 20 });
		ms = Math.min(ms, Date.now() - from);
	}
	ok('a second tab sees the change within 1.5 s', ms <= 1500, `${ms} ms`);
	note(`a second tab saw it after ${ms} ms`);
	await page.waitForFunction(() => /Applied/.test(document.getElementById('form-state').textContent));
	note(`profile ${chip}: ${await page.textContent('#in-force')}`);
	await other.waitForFunction(() => document.getElementById('form-state').textContent === 'As in force');
	ok('and its untouched form follows', true);
	await other.fill('[data-field="down.loss"] input[type=text]', '3');
	await page.click('#clear');
	await other.waitForSelector('.notice:not([hidden])');
	ok('a form someone is typing in is kept, with a notice', await other.inputValue('[data-field="down.loss"] input[type=text]') === '3');
	await other.close();
});

await step('packets', async () => {
	await api('PUT', `rules/${encodeURIComponent(name('pump-07'))}`, { text: 'up loss 30% delay 20ms' });
	const p = ping('pump-07', '-q', '-n', '-i', '0.05');
	await page.locator('#feed').check();
	await page.waitForFunction(() => /lost/.test(document.querySelector('.feed tbody').textContent) && /delayed/.test(document.querySelector('.feed tbody').textContent), null, { timeout: 40000 });
	const feed = await page.textContent('.feed tbody');
	ok('the feed shows sampled packets and what was done to them', /icmp 10\.77\.0\.2 → 10\.77\.0\.1/.test(feed), feed.slice(0, 200));
	p.kill();
	await page.locator('#feed').uncheck();
});

await step('the scene for the pictures', async () => {
	if (!process.env.SHOTS)
		return;
	const set = (leaf, text) => api('PUT', `rules/${encodeURIComponent(name(leaf))}`, { text });
	await set('pump-07', 'up loss 12% delay 80ms 20ms distribution normal duplicate 3%');
	await set('boiler-east', 'up loss 5% 25% delay 120ms');
	await set('gateway', 'both rate 256kbit for 10m');
	await set('press-line', 'both blackhole match proto tcp dport 8883');
	const pings = [['pump-07', 0.008], ['boiler-east', 0.02], ['gateway', 0.05], ['press-line', 0.1]].map(([leaf, i]) => ping(leaf, '-q', '-n', '-i', String(i)));
	await page.setViewportSize({ width: 1280, height: 1180 });
	await page.goto(page_of('pump-07'));
	await page.locator('#feed').check();
	await sleep(25000);
	await page.evaluate(() => { window.scrollTo(0, 0); document.getElementById('toasts').replaceChildren(); });
	await shot(page, 'panel-target');
	await page.emulateMedia({ colorScheme: 'dark' });
	await sleep(300);
	await shot(page, 'panel-target-dark');
	await page.emulateMedia({ colorScheme: 'light' });
	await page.setViewportSize({ width: 1280, height: 620 });
	await page.goto(`${URL}/ui/#/faults`);
	await page.fill('#search', fleet);
	await sleep(2500);
	await shot(page, 'panel-faults');
	await page.setViewportSize({ width: 360, height: 740 });
	await sleep(1200);
	await shot(page, 'panel-phone');
	await page.setViewportSize({ width: 1280, height: 1900 });
	await page.goto(`${URL}/ui/#/kernel`);
	await page.click('[data-key=sq_rules]');
	await sleep(2500);
	await shot(page, 'panel-kernel');
	for (const p of pings)
		p.kill();
	await page.setViewportSize({ width: 1280, height: 900 });
});

await step('timeline', async () => {
	await api('DELETE', 'rules');
	await page.goto(`${URL}/ui/#/timeline/${encodeURIComponent(name('pump-08'))}`);
	await page.waitForSelector('.tl-bar');
	await page.getByText('Slow decay').click();
	await page.fill('#tl-text', '1s - 4s up loss 5% delay 40ms\n4s - 50s up loss 100%\n52s - 55s both blackhole\nlength 60s');
	await page.click('#tl-use');
	await page.click('#tl-run');
	await page.waitForFunction(() => /Running/.test(document.getElementById('tl-status').textContent));
	ok('a timeline runs', true);
	await until('its first bar', 20000, async () => /loss 5%/.test((await ruleOf('pump-08'))?.text));
	await until('its second bar', 20000, async () => /loss 100%/.test((await ruleOf('pump-08'))?.text));
	ok('its second bar is in force in its time', await lossOf('pump-08', 5) === 1);
	await shot(page, 'panel-timeline');
	await axe(page, 'a running timeline');
	await page.click('#tl-stop');
	await until('the rule to go', 20000, async () => await ruleOf('pump-08') === undefined);
	await page.waitForSelector('#tl-stop[disabled]');
	ok('Stop ends it and its rule', true);
	await page.fill('#tl-text', '0s - 2s up loss 1000%\nlength 5s');
	await page.click('#tl-use');
	await page.click('#tl-run');
	await page.waitForFunction(() => document.getElementById('tl-error').textContent);
	ok('Not saved never stands beside Running', !/Running/.test(await page.textContent('#tl-status')));
	ok('a bar the daemon refuses is said and marked', /1000%/.test(await page.textContent('#tl-error')) && await page.locator('.tl-bar.bad').count() === 1, await page.textContent('#tl-error'));
});

await step('a timeline is kept without running', async () => {
	await page.fill('#tl-text', '1s - 4s up loss 5%\nlength 5s');
	await page.click('#tl-use');
	await page.fill('#tl-length', '2');
	await page.press('#tl-length', 'Tab');
	ok('a length without a unit is refused beside the field', /unit/.test(await page.textContent('label:has(#tl-length) .field-error')) && await page.getAttribute('#tl-length', 'aria-invalid') === 'true');
	await page.fill('#tl-length', '9s');
	await page.press('#tl-length', 'Tab');
	await page.click('#tl-save');
	const kept = async () => (await api('GET', 'schedules')).schedules.find((s) => s.target === name('pump-08'));
	await until('the schedule', 20000, async () => (await kept())?.length_ns === 9e9);
	ok('Save keeps it and runs nothing', (await kept()).running === false && await ruleOf('pump-08') === undefined);
	await page.click('#tl-there');
	await page.waitForSelector('#to-timeline');
	ok('a target and its timeline link to each other', /timeline/.test(await page.getAttribute('#to-timeline', 'href')));
});

await step('kernel', async () => {
	await api('PUT', `rules/${encodeURIComponent(name('gateway'))}`, { text: 'up loss 12.5%' });
	await page.goto(`${URL}/ui/#/kernel`);
	await page.waitForSelector('.stats b');
	await page.waitForSelector('[aria-label=Programs] tbody td');
	ok('the kernel page lists the programs', /squall_ingress/.test(await page.textContent('[aria-label=Programs]')));
	const opened = async (map, want) => {
		await page.click(`[data-key=${map}]`);
		await page.waitForFunction((m) => document.querySelector('.map-dump h3')?.textContent === m, map);
		const said = await page.textContent('.map-dump');
		ok(`${map} is decoded`, want.test(said), said.slice(0, 200));
	};
	ok('and how late a packet left its lane', /late[\d.]+ (ns|µs|ms|s)/.test(await page.textContent('[aria-label="Lane"]')), await page.textContent('[aria-label="Lane"]'));
	await opened('sq_rules', /up loss 12\.5%/);
	await opened('sq_cfg', /lane(tap|fq)/);
	await opened('sq_att', /ingress|edge|host/);
	await opened('sq_counters', /seen pkts/);
	await api('DELETE', `rules/${encodeURIComponent(name('gateway'))}`);
	await page.waitForFunction(() => /sq_counters is empty/.test(document.querySelector('.map-dump').textContent));
	ok('and follows the kernel while it is open', true);
	const text = await page.textContent('#main');
	ok('the kernel page shows lane, attach point, faults and features', /va/.test(await page.textContent('[aria-label="Attach points"]')) && /(tap|fq)/.test(await page.textContent('[aria-label="Lane"]')) && /blackhole/.test(text) && /fq/.test(await page.textContent('[aria-label="Kernel features"]')));
	await axe(page, 'kernel, real');
});

await step('clear everything', async () => {
	for (const leaf of ['pump-07', 'boiler-east', 'gateway'])
		await api('PUT', `rules/${encodeURIComponent(name(leaf))}`, { text: 'up loss 100%' });
	await page.goto(`${URL}/ui/#/faults`);
	await page.waitForFunction(() => /3 faulted/.test(document.getElementById('count').textContent));
	ok('the device is faulted', await lossOf('pump-07', 5) === 1);
	await page.click('#clear-all');
	await page.waitForFunction(() => /0 faulted/.test(document.getElementById('count').textContent));
	ok('Clear everything clears everything', (await api('GET', 'rules')).rules.length === 0 && await lossOf('pump-07', 20) === 0);
	await page.getByRole('button', { name: 'Undo' }).click();
	await page.waitForFunction(() => /3 faulted/.test(document.getElementById('count').textContent));
	ok('and Undo puts the rules back', (await api('GET', 'rules')).rules.length === 3);
});

await step('now, below a rule, and several at once', async () => {
	await api('DELETE', 'rules');
	const shown = (id) => page.waitForFunction((x) => document.getElementById(x)?.textContent, id).then(() => page.textContent(`#${id}`));
	await api('PUT', `rules/${encodeURIComponent(`cgroup:/${fleet}`)}`, { text: 'up loss 100% for 10m' });
	await page.goto(`${URL}/ui/#/faults`);
	await page.fill('#search', fleet);
	ok('Now names the rule, and who is below it', /1 rule/.test(await shown('now-rules')) && /6 targets below a rule/.test(await shown('now-inherited')), await page.textContent('#now'));
	ok('a child of a faulted parent is not called healthy', await page.locator('.c-rule.inherited').count() === 6);
	await page.goto(page_of('gateway'));
	await page.waitForSelector('#inherited');
	ok('its page links to the parent’s rule', /loss 100%/.test(await page.textContent('#in-force')) && await page.textContent('#inherited') === `cgroup:/${fleet}`);
	ok('which is what the kernel does', await lossOf('gateway', 5) === 1);
	await api('DELETE', `rules/${encodeURIComponent(`cgroup:/${fleet}`)}`);
	await page.waitForFunction(() => document.getElementById('now').hidden);
	ok('and Now is gone with it', true);

	await api('PUT', `rules/${encodeURIComponent(name('pump-07'))}`, { text: 'up delay 50ms' });
	await page.goto(`${URL}/ui/#/faults`);
	await page.fill('#search', `${fleet}/pump`);
	await page.waitForFunction(() => /^2 of/.test(document.getElementById('count').textContent));
	await page.locator('#choose-all').check();
	await page.fill('#chosen-rule', 'up loss 1000%');
	await page.click('#chosen-apply');
	await page.waitForFunction(() => document.getElementById('chosen-error').textContent);
	ok('a rule that is refused changes none of them', /Nothing was changed.*1000%/.test(await page.textContent('#chosen-error')) && /delay 50ms/.test((await ruleOf('pump-07')).text) && await ruleOf('pump-08') === undefined, await page.textContent('#chosen-error'));
	await page.fill('#chosen-rule', 'both loss 30% for 5m');
	await page.press('#chosen-rule', 'Enter');
	await page.waitForSelector('.toast.ok .link');
	ok('one rule for all', /loss 30%/.test((await ruleOf('pump-07')).text) && /loss 30%/.test((await ruleOf('pump-08')).text));
	await axe(page, 'with targets chosen');
	await page.locator('.toast .link').last().click();
	await until('the undo', 20000, async () => await ruleOf('pump-08') === undefined && /up delay 50ms/.test((await ruleOf('pump-07')).text));
	ok('and one undo, to what each had', true);
});

await step('the form: what would change, kept, copied, own profiles', async () => {
	await page.goto(page_of('pump-07'));
	await page.waitForFunction(() => document.getElementById('form-state').textContent === 'As in force');
	await page.fill('[data-field="up.delay"] input[type=text]', '80 ms');
	await page.fill('[data-field="down.loss"] input[type=text]', '2 %');
	ok('what Apply would change is said', /up delay 50 ms → 80 ms.*down loss 2 %/.test(await page.textContent('#diff')), await page.textContent('#diff'));
	await page.goto(`${URL}/ui/#/kernel`);
	await page.waitForSelector('.stats b');
	await page.goto(page_of('pump-07'));
	await page.waitForFunction(() => /kept from before/.test(document.getElementById('form-state').textContent));
	ok('edits survive leaving the page', await page.inputValue('[data-field="up.delay"] input[type=text]') === '80 ms' && await page.inputValue('[data-field="down.loss"] input[type=text]') === '2 %');
	await page.click('text=Revert');
	await page.waitForFunction(() => document.querySelector('[data-field="up.delay"] input[type=text]').value === '50 ms');
	await page.click('#copy summary');
	ok('copy as squall, curl, JSON', await page.inputValue('[aria-label="As squall"]') === `squall fault set ${name('pump-07')} up delay 50ms` && /curl -X PUT .*up delay 50ms/.test(await page.inputValue('[aria-label="As curl"]')), await page.inputValue('[aria-label="As squall"]'));
	await page.fill('[aria-label="Name of the new profile"]', 'my link');
	await page.press('[aria-label="Name of the new profile"]', 'Enter');
	await page.waitForSelector('.profile.is-set:has-text("my link")');
	ok('a profile of one’s own is kept, and marked as in force', /up delay 50ms/.test(await page.textContent('.profile.is-set')));
	const groups = await page.locator('#profiles h3, #profiles summary').allTextContents();
	ok('in groups, each with its figures', ['Own', 'Mobile', 'IoT', 'Other links'].every((g) => groups.includes(g)) && (await page.locator('#profiles .profile button > small').allTextContents()).every((t) => t.length > 5), groups.join());
	await page.fill('[data-field="up.delay"] input[type=text]', '55 ms');
	await page.locator('.profile', { hasText: 'my link' }).getByText('Replace by the form').click();
	await page.waitForSelector('.profile:has-text("my link"):has-text("delay 55ms")');
	ok('edited', /delay 55ms/.test((await api('GET', 'profiles')).profiles.find((x) => x.name === 'my link').rule.text));
	await page.click('text=Revert');
	await page.locator('.profile', { hasText: 'my link' }).getByText('Rename').click();
	await page.fill('[aria-label="New name of my link"]', 'our link');
	await page.press('[aria-label="New name of my link"]', 'Enter');
	await page.waitForSelector('.profile:has-text("our link")');
	ok('renamed', (await api('GET', 'profiles')).profiles.filter((p) => !p.shipped).map((p) => p.name).join() === 'our link');
	await page.locator('.profile', { hasText: 'our link' }).getByText('Delete').click();
	await page.waitForFunction(() => !/our link/.test(document.getElementById('profiles').textContent));
	ok('and deleted', !(await api('GET', 'profiles')).profiles.some((p) => !p.shipped));
	const p = ping('pump-07', '-q', '-n', '-i', '0.05');
	await page.click('#chart-unit');
	await page.waitForFunction(() => /bit\/s/.test(document.querySelector('.legend').textContent));
	ok('the charts show bit/s too', await page.textContent('#chart-unit') === 'Show delay');
	await api('PUT', `rules/${encodeURIComponent(name('pump-07'))}`, { text: 'up delay 60ms' });
	await page.waitForFunction(() => /delay 60ms/.test(document.querySelector('.legend .mark-key').textContent));
	ok('a change of the rule is a line in them', true);
	p.kill();
	await api('DELETE', 'rules');
});

await step('connections', async () => {
	await page.goto(page_of('gateway'));
	await page.waitForFunction(() => document.getElementById('form-state').textContent === 'No fault set');
	await page.click('.connections summary');
	await page.selectOption('[data-field="each"] select', 'flow');
	await page.selectOption('[data-field="action"] select', 'hang');
	await page.selectOption('[data-field="hang.when"] select', 'idle_ns');
	await page.fill('[data-field="hang"] input', 'soon');
	await page.click('#apply');
	ok('a time that cannot be read is said', /not a time|cannot be read/.test(await page.textContent('[data-field="hang"]') + await page.textContent('#form-error')));
	await page.fill('[data-field="hang"] input', '90 s');
	await page.fill('[data-field="up.jitter"] input[type=text]', '5 ms');
	await page.fill('[data-field="up.delay"] input[type=text]', '5 ms');
	await page.click('#apply');
	await page.waitForFunction(() => /hang idle/.test(document.getElementById('in-force').textContent));
	ok('hang and each flow are set by the form', /each flow hang idle 90s|hang idle 90s/.test((await ruleOf('gateway')).text) && /each flow/.test((await ruleOf('gateway')).text), (await ruleOf('gateway')).text);
	const p = ping('gateway', '-q', '-n', '-c', '100', '-i', '0.05');
	await page.waitForFunction(() => /10\.77\.0\.2/.test(document.querySelector('#flows tbody').textContent));
	ok('the table shows the connection', /icmp 10\.77\.0\.2/.test(await page.textContent('#flows')) && /1 seen/.test(await page.textContent('#flow-counts')), await page.textContent('#flows'));
	p.kill();
	await axe(page, 'a target with connections');
	await api('DELETE', 'rules');
	await page.waitForSelector('#flows', { state: 'hidden' });
	ok('and goes with the rule', true);
});

await step('daemon killed and restarted', async () => {
	await api('PUT', `rules/${encodeURIComponent(name('gateway'))}`, { text: 'up loss 100%' });
	await page.goto(page_of('gateway'));
	await page.waitForFunction(() => /loss 100%/.test(document.getElementById('in-force').textContent));
	await kill('SIGKILL');
	await page.waitForSelector('#stale:not([hidden])', { timeout: 30000 });
	await page.waitForFunction(() => / s old/.test(document.getElementById('stale').textContent));
	ok('an open page says that it is stale', await page.textContent('#conn') === 'Stale');
	await page.click('#apply');
	await page.waitForFunction(() => document.getElementById('form-error').textContent);
	ok('and an Apply meanwhile says that nothing was changed', /Nothing was changed/.test(await page.textContent('#form-error')));
	await squalld();
	await page.waitForSelector('#stale[hidden]', { state: 'attached', timeout: 30000 });
	await page.waitForFunction(() => document.getElementById('conn').textContent === 'Live');
	ok('it reconnects by itself', true);
	await page.waitForFunction(() => /loss 100%/.test(document.getElementById('in-force').textContent));
	ok('and shows the rule that the daemon kept', true);
	await page.click('#clear');
	await page.waitForFunction(() => /Nothing/.test(document.getElementById('in-force').textContent));
});

await step('targets come and go', async () => {
	await page.goto(`${URL}/ui/#/faults`);
	await page.fill('#search', `${fleet}/newcomer`);
	await page.waitForFunction(() => /^0 of/.test(document.getElementById('count').textContent));
	const dir = path.join(CG2, fleet, 'newcomer');
	let [came, went] = [Infinity, Infinity];
	for (let i = 0; i < 4 && (came > 1500 || went > 1500); i++) {
		let from = Date.now();
		fs.mkdirSync(dir);
		await page.waitForFunction(() => /^1 of/.test(document.getElementById('count').textContent), null, { polling: 20 });
		came = Math.min(came, Date.now() - from);
		from = Date.now();
		fs.rmdirSync(dir);
		await page.waitForFunction(() => /^0 of/.test(document.getElementById('count').textContent), null, { polling: 20 });
		went = Math.min(went, Date.now() - from);
	}
	ok('a new cgroup is listed within 1.5 s', came <= 1500, `${came} ms`);
	ok('and one that goes is not, as soon', went <= 1500, `${went} ms`);
	note(`a cgroup is listed after ${came} ms and gone after ${went} ms`);
	await page.fill('#search', '');
});

await step('five hundred targets', async () => {
	for (let i = 0; i < 500; i++)
		fs.mkdirSync(path.join(CG2, fleet, `sensor-${String(i).padStart(3, '0')}`));
	const p = await b.context.newPage();
	await p.addInitScript(() => {
		window.tasks = [];
		new PerformanceObserver((l) => l.getEntries().forEach((e) => window.tasks.push(Math.round(e.duration)))).observe({ entryTypes: ['longtask'] });
	});
	await p.goto(`${URL}/ui/`);
	await p.waitForFunction(() => Number(document.getElementById('count')?.textContent.replace(/,/g, '').replace(/\D.*/, '')) >= 500);
	// Others may share these two cores: the best of six runs, less the share of the time in which they
	// had the CPU, is the page's own cost.
	let longest = Infinity;
	let factor = 1;
	for (let n = 0; n < 6 && longest > 100; n++) {
		const crowd = crowding();
		await p.evaluate(() => { window.tasks = []; });
		await p.fill('#search', '');
		await p.locator('#search').pressSequentially('sensor-4', { delay: 30 });
		ok('500 targets are filtered while typing', /^100 of/.test(await p.textContent('#count')), await p.textContent('#count'));
		await p.fill('#search', 'sensor');
		for (let y = 0; y < 24000; y += 1500) {
			await p.evaluate((to) => window.scrollTo(0, to), y);
			await sleep(20);
		}
		await sleep(1100);
		factor = crowd();
		longest = Math.min(longest, Math.max(0, ...await p.evaluate(() => window.tasks)) / factor);
	}
	note(`longest task over 50 ms while filtering and scrolling 500 targets: ${Math.round(longest) || 'none'}, by a machine's own time (crowded ${factor.toFixed(2)}-fold)`);
	ok('without a jank over 100 ms', longest <= 100, `${longest} ms`);
	await p.close();
	for (let i = 0; i < 500; i++)
		fs.rmdirSync(path.join(CG2, fleet, `sensor-${String(i).padStart(3, '0')}`));
});

await step('budget', async () => {
	let best = Infinity;
	let rows = Infinity;
	let bytes = 0;
	const p = await b.context.newPage();
	const cdp = await p.context().newCDPSession(p);
	await cdp.send('Network.enable');
	await cdp.send('Network.setCacheDisabled', { cacheDisabled: true });
	let total = 0;
	let urls = new Map();
	let sizes = [];
	cdp.on('Network.requestWillBeSent', (e) => urls.set(e.requestId, e.request.url));
	cdp.on('Network.loadingFinished', (e) => {
		total += e.encodedDataLength;
		sizes.push([e.encodedDataLength, urls.get(e.requestId)]);
	});
	await p.addInitScript(() => {
		new MutationObserver((_, o) => {
			if (document.querySelector('.rows .row')) {
				window.useful = performance.now();
				o.disconnect();
			}
		}).observe(document, { childList: true, subtree: true });
	});
	// Whatever else this machine does, the best of ten loads is the page's own cost.
	let factor = 1;
	await p.goto(`${URL}/ui/`);
	for (let i = 0; i < 10 && (rows > 300 || i < 3); i++) {
		total = 0;
		sizes = [];
		const crowd = crowding();
		await p.reload();
		await p.waitForFunction(() => window.useful);
		factor = crowd();
		await sleep(300);
		best = Math.min(best, await p.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime) / factor);
		rows = Math.min(rows, await p.evaluate(() => window.useful) / factor);
	}
	await p.evaluate((x) => { location.hash = x; }, page_of('pump-07').split('#')[1]);
	await p.waitForSelector('.u-wrap canvas');
	for (const hash of ['timeline', 'load', 'kernel']) {
		await p.evaluate((x) => { location.hash = `#/${x}`; }, hash);
		await sleep(300);
	}
	bytes = total;
	for (const [n, url] of sizes.sort(([a], [c]) => c - a).slice(0, 12))
		note(`${(n / 1024).toFixed(1)} KiB ${url}`);
	await p.close();
	note(`best load: first paint ${Math.round(best)} ms, rows ${Math.round(rows)} ms; all pages transfer ${(bytes / 1024).toFixed(1)} KiB (crowded ${factor.toFixed(2)}-fold)`);
	ok('at most 150 KiB are transferred, charts and all pages included', bytes > 20000 && bytes <= 150 * 1024, bytes);
	ok('first useful paint within 0.5 s', rows <= 500 && best <= 500, `${best} / ${rows} ms`);
	const r = await fetch(`${URL}/ui/`);
	const csp = r.headers.get('content-security-policy') || '';
	ok('the daemon sends a strict Content-Security-Policy', /default-src 'none'/.test(csp) && !/unsafe|\*/.test(csp), csp);
});

await step('token', async () => {
	await page.close();
	await kill('SIGTERM');
	const token = 'correct-horse-battery-staple';
	fs.writeFileSync(path.join(TMP, 'token'), `${token}\n`, { mode: 0o600 });
	await squalld('--token-file', path.join(TMP, 'token'));
	ok('without a token the API refuses', (await api('GET', 'targets')).status === 401);
	const p = await b.context.newPage();
	await p.goto(`${URL}/ui/`);
	await p.waitForSelector('#login');
	await axe(p, 'log-in');
	await shot(p, 'panel-login');
	await p.fill('#token', 'correct-horse-battery-stapler');
	await p.keyboard.press('Enter');
	await p.waitForFunction(() => /not accepted/.test(document.getElementById('token-error').textContent));
	ok('a wrong token is refused', await p.locator('.rows').count() === 0);
	await p.fill('#token', token);
	await p.keyboard.press('Enter');
	await p.waitForSelector('.rows .row');
	await p.waitForFunction(() => document.getElementById('conn').textContent === 'Live');
	ok('the right one opens the panel, events included', true);
	await p.reload();
	await p.waitForSelector('.rows .row');
	ok('a reload keeps it', true);
	await p.close();
});

await end(b, daemon);
