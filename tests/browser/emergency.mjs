// SPDX-License-Identifier: GPL-2.0-only
// See emergency.test.

import fs from 'node:fs';
import path from 'node:path';
import { ok, note, shaded, step as plain, browse, axe, sleep, until, end, run, watchdog, squalld, api, SQUALLD as URL } from './lib.mjs';

const { dev, fleet, CG2, TMP } = process.env;
const name = (leaf) => `cgroup:/${fleet}/${leaf}`;
const seg = encodeURIComponent;
const rulePath = (who) => `rules/${seg(who)}`;
const ruleOf = (who) => api('GET', rulePath(who));
const textOf = async (who) => (await ruleOf(who)).rule?.text;
const set = (who, text) => api('PUT', rulePath(who), { text });
const pageOf = (who) => `${URL}/ui/#/faults/${seg(who)}`;
async function lossOf(leaf, count) {
	const p = run('nsenter', [`--net=/run/netns/${dev}`, 'sh', '-c', 'echo $$ > "$0/cgroup.procs"; exec ping "$@"', path.join(CG2, fleet, leaf), '-q', '-n', '-i', '0.02', '-W', '1', '-c', String(count), '10.77.0.1']);
	await p.ended;
	const m = /(\d+) packets transmitted, (\d+) received/.exec(p.text);
	return m ? 1 - m[2] / m[1] : NaN;
}

let b;
watchdog(280, () => b?.close());
let daemon = await squalld('va');
b = await browse();
const page = await b.context.newPage();
const says = (id, re) => page.waitForFunction(([i, s]) => new RegExp(s).test(document.getElementById(i)?.textContent), [id, re.source]);
const up = (what) => page.locator(`[data-field="up.${what}"] input[type=text]`);
const undo = async () => {
	await page.locator('.toast .link').last().click();
	await page.waitForFunction(() => [...document.querySelectorAll('.toast')].some((t) => /Put back/.test(t.textContent)));
	await page.evaluate(() => document.getElementById('toasts').replaceChildren());
};
const open = async (who, form = /No fault set|As in force/) => {
	await page.goto(pageOf(who));
	await says('form-state', form);
};

// What the page said when it went wrong.
const step = (what, fn) => plain(what, () => fn().catch(async (e) => {
	note(`${what}: ${(await page.locator('.field-error:not(:empty), .notice:not([hidden]), .toast').allTextContents()).join(' | ')}; ${await page.textContent('#now')}; ${(await page.textContent('#main')).slice(0, 400)}`);
	throw e;
}));

const pumps = `cgroup:/${fleet}/pump-*`;
await step('one rule for many', async () => {
	await page.goto(`${URL}/ui/`);
	await page.click('#by-selector summary');
	await page.selectOption('#by-kind', 'cgroup');
	await page.fill('#by-value', `/${fleet}/pump-*`);
	await says('by-said', /^2 targets now/);
	await page.selectOption('#by-kind', 'label');
	await page.fill('#by-value', 'app');
	await says('by-said', /KEY=VALUE is expected/);
	ok('what is no selector is refused beside the field', true);
	await page.selectOption('#by-kind', 'cgroup');
	await page.fill('#by-value', `/${fleet}/pump-*`);
	await page.click('#by-open');
	await says('meant', /2 targets now, and each that comes/);
	ok('the page names whom it means', /pump-07.*pump-08/s.test(await page.textContent('#members')), await page.textContent('#members'));
	await page.waitForFunction(() => document.getElementById('form-state').textContent === 'No fault set');
	await up('loss').fill('100 %');
	await page.click('#apply');
	await says('in-force', /up loss 100%/);
	ok('both have it, and packets of one are lost', (await ruleOf(name('pump-07'))).by === pumps && await lossOf('pump-08', 5) === 1);
	await says('now-rules', /^1 rule on 2 targets/);
	ok('Now counts it once, with whom it rules', /pump-\*.*on 2 targets/.test(await page.textContent('#now-rules')) && await page.locator('#now-rules li').count() === 1, await page.textContent('#now'));
	await page.waitForFunction(() => /follows it/.test(document.getElementById('members').textContent));
	await says('why', /In force on 2 of 2 that it means.*No packet was seen of 1 of 2: cgroup:.*pump-07/);
	ok('it is explained: who has met nothing, and why', /no process.*\(cgroup:.*pump-07/.test(await page.textContent('#why')), await page.textContent('#why'));
	fs.mkdirSync(path.join(CG2, fleet, 'pump-09'));
	await says('members', /pump-09/);
	await says('now-rules', /^1 rule on 3 targets/);
	ok('one that comes has it too', (await ruleOf(name('pump-09'))).by === pumps);
	for (const scheme of ['light', 'dark'])
		for (const width of [360, 1024, 1600]) {
			await page.emulateMedia({ colorScheme: scheme });
			await page.setViewportSize({ width, height: 900 });
			ok(`a selector’s page does not scroll sideways at ${width}`, await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
			await axe(page, `selector, ${scheme}, ${width}`);
		}
	await page.emulateMedia({ colorScheme: 'light' });
	await page.setViewportSize({ width: 1280, height: 900 });
});

await step('a target that follows a selector', async () => {
	await open(name('pump-07'), /As in force; Apply gives it a rule of its own/);
	ok('its page says whose rule it is, and links there', await page.textContent('#by-selector') === pumps && /loss 100%/.test(await page.textContent('#in-force')));
	ok('and Clear says that it is not its own', await page.isDisabled('#clear') && /clear that rule/.test(await page.getAttribute('#clear', 'title')));
	await up('loss').fill('');
	await up('delay').fill('30 ms');
	await page.click('#apply');
	await says('in-force', /^up delay 30ms/);
	await says('now-rules', /^2 rules on 3 targets/);
	ok('a rule of its own goes before', await textOf(name('pump-07')) === 'up delay 30ms for 5m' || await textOf(name('pump-07')) === 'up delay 30ms', await textOf(name('pump-07')));
	await page.click('#clear');
	await says('in-force', /by the rule of/);
	ok('cleared, the selector’s is in force again', (await ruleOf(name('pump-07'))).by === pumps);
	await undo();
	await says('in-force', /^up delay 30ms/);
	ok('and Undo gives back its own', !(await ruleOf(name('pump-07'))).by);
	await page.goto(`${URL}/ui/#/faults`);
	await page.fill('#search', `${fleet}/pump`);
	await page.waitForFunction(() => /^3 of/.test(document.getElementById('count').textContent));
	ok('the list says by which', (await page.locator('.c-rule .rule', { hasText: `by ${pumps}` }).count()) === 2);
	const before = await textOf(name('pump-07'));
	await page.locator('#choose-all').check();
	await page.fill('#chosen-rule', 'both loss 30%');
	await page.click('#chosen-apply');
	await page.waitForSelector('.toast.ok .link');
	ok('many at once: all have one of their own', !(await ruleOf(name('pump-08'))).by && /loss 30%/.test(await textOf(name('pump-07'))));
	await undo();
	ok('one undo: its own, and the selector’s', (await ruleOf(name('pump-08'))).by === pumps && await textOf(name('pump-07')) === before, await textOf(name('pump-07')));
	await page.click('#chosen-clear');
	await page.waitForSelector('.toast.ok .link');
	ok('Clear all says who goes on, and by what', /Cleared 1 rule; 2 targets go on by cgroup/.test(await page.textContent('.toast.ok')), await page.textContent('.toast.ok'));
	await page.evaluate(() => document.getElementById('toasts').replaceChildren());
	await page.click('#clear-all');
	await page.waitForSelector('.toast.ok .link');
	await page.waitForFunction(() => document.getElementById('now').hidden);
	ok('Clear everything ends the selector', (await api('GET', 'rules')).rules.length === 0);
	await undo();
	await says('now-rules', /^1 rule on 3 targets/);
	ok('and its undo brings it back, with its members', (await ruleOf(name('pump-09'))).by === pumps);
	await api('DELETE', 'rules');
	fs.rmdirSync(path.join(CG2, fleet, 'pump-09'));
	await set('label:app=late', 'up loss 9%');
	await says('now-waiting', /^1 waiting rule.*label:app=late.*as soon as there is a target/);
	ok('one that means nobody waits, and Now says so', true);
	await page.goto(pageOf('label:app=late'));
	await says('why', /It means nobody\.No target here has one of the kind “label”/);
	ok('and its page explains it', true);
	await api('DELETE', 'rules');
	await page.goto(`${URL}/ui/#/faults`);
	await page.getByText('Choose none').click();
});

await step('a rule that waits', async () => {
	const who = name('pump-09');
	fs.mkdirSync(path.join(CG2, fleet, 'pump-09'));
	await set(who, 'up loss 12%');
	await open(who);
	fs.rmdirSync(path.join(CG2, fleet, 'pump-09'));
	await says('now-waiting', /^1 waiting rule.*pump-09.*loss 12%, as soon as the target runs/);
	await says('in-force', /loss 12%/);
	await page.waitForFunction(() => /waits until the target runs/.test(document.querySelector('.force').textContent));
	ok('Now and its page say that it waits', true);
	await page.reload();
	await page.waitForFunction(() => /No such target.*Its rule waits until it runs: up loss 12%/s.test(document.getElementById('main').textContent));
	ok('the link in Now leads to a page that says it, too', true);
	// Nobody's counters can be asked for; the page goes on all the same, and with them when they come.
	await sleep(1500);
	ok('and is live, though nobody is there', await page.textContent('#conn') === 'Live' && await page.locator('#stale').isHidden(), await page.textContent('#conn'));
	fs.mkdirSync(path.join(CG2, fleet, 'pump-09'));
	await says('in-force', /loss 12%/);
	await page.waitForFunction(() => document.getElementById('now-waiting') === null);
	ok('back again, its rule is in force on the page', true);
	fs.rmdirSync(path.join(CG2, fleet, 'pump-09'));
	await says('now-waiting', /pump-09/);
	await page.click('#clear-all');
	await page.waitForSelector('.toast.ok .link');
	ok('ended with the others', /^Cleared 1 rule\./.test(await page.textContent('.toast.ok')) && (await api('GET', 'rules')).rules.length === 0, await page.textContent('.toast.ok'));
	await undo();
	await says('now-waiting', /pump-09/);
	ok('and put back, it waits on', (await api('GET', 'rules')).rules[0].in_force === false);
	await api('DELETE', 'rules');
});

await step('nothing to list, explained', async () => {
	await set(name('gateway'), 'up loss 41%');
	await api('DELETE', 'rules');
	await page.goto(`${URL}/ui/#/faults`);
	await page.fill('#search', '');
	await page.click('[data-only=faulted]');
	await says('empty-why', /pass untouched.*The last that ended was “up loss 41%” on cgroup:.*gateway: deleted at/);
	ok('no target is faulted: what ended last, when, by whom', /by .*127\.0\.0\.1/.test(await page.textContent('#empty-why')), await page.textContent('#empty-why'));
	await set('label:app=late', 'up loss 9%');
	await page.click('[data-only=all]');
	await page.click('[data-only=faulted]');
	await says('empty-why', /1 rule waits for a target/);
	ok('and what waits', true);
	await page.click('[data-only=all]');
	await page.fill('#search', 'label:app=late');
	await says('empty-why', /It means nobody now\. No target here/);
	await page.fill('#search', 'label:app');
	await says('empty-why', /KEY=VALUE is expected/);
	ok('a selector: whom it means, or why none', true);
	await page.fill('#search', 'colour:red');
	await says('empty-why', /colour/);
	await page.fill('#search', 'cgroup:/not/there');
	await says('empty-why', /\/not\/there/);
	ok('a cgroup that is not there: why', /no such|not there|does not exist|No such/i.test(await page.textContent('#empty-why')), await page.textContent('#empty-why'));
	await page.fill('#search', 'pmup-07');
	await says('empty-why', /pmup-07/);
	ok('a name that is none: what squalld says of it', true);
	await axe(page, 'an empty list, explained');
	await page.setViewportSize({ width: 360, height: 740 });
	ok('at 360 px, too', await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
	await page.setViewportSize({ width: 1280, height: 900 });
	await page.fill('#search', fleet);
	await page.waitForFunction(() => document.querySelectorAll('.rows .row').length > 5 && !document.getElementById('empty-why'));
	ok('with something to list it is gone', true);
	await page.fill('#search', '');
	await api('DELETE', 'rules');
});

await step('a timeline in the way', async () => {
	const who = name('gateway');
	await api('PUT', `schedules/${seg(who)}`, { steps: [{ at_ns: 0, rule: { text: 'up loss 1%' } }, { at_ns: 1e9, rule: { text: 'up loss 2%' } }], length_ns: 100e9, repeat: 0 });
	await api('POST', `schedules/${seg(who)}/start`);
	await open(who);
	await says('in-force', /loss 2%/);
	await up('loss').fill('50 %');
	await page.click('#apply');
	await page.waitForSelector('.notice:not([hidden])');
	ok('Apply asks first', /Its timeline runs/.test(await page.textContent('.notice')) && /loss 2%/.test(await textOf(who)));
	await page.getByText('Stop it and apply').click();
	await says('in-force', /loss 50%/);
	const running = async () => (await api('GET', `schedules/${seg(who)}`)).running;
	ok('the timeline is stopped, the rule is in force', await running() === false && /loss 50%/.test(await textOf(who)));
	await sleep(1200);
	ok('and stays', /loss 50%/.test(await textOf(who)));
	await undo();
	const s = await api('GET', `schedules/${seg(who)}`);
	ok('Undo: the timeline goes on where it was', s.running && s.position_ns > 1e9 && (await ruleOf(who)).source === 'schedule', JSON.stringify(s));
	await page.waitForFunction(() => !document.getElementById('clear').disabled);
	await page.click('#clear');
	await says('in-force', /Nothing/);
	await sleep(1200);
	ok('a target’s Clear stops its timeline: nothing comes back', await textOf(who) === undefined && await running() === false);
	await undo();
	ok('its Undo starts it again', await running() === true);
	await says('now-schedules', /^1 schedule running.*gateway/);
	ok('Now names the schedule that runs', true);
	await set(name('pump-07'), 'up loss 3% for 10m');
	await sleep(1200);
	await page.evaluate(() => document.getElementById('toasts').replaceChildren());
	await page.click('#clear-all');
	await page.waitForSelector('.toast.ok .link');
	ok('one stop ends rules and schedules, and says how many of each', /^Cleared 2 rules, 1 schedule stopped\./.test(await page.textContent('.toast.ok')), await page.textContent('.toast.ok'));
	await sleep(1500);
	ok('nothing comes back', (await api('GET', 'rules')).rules.length === 0 && await running() === false);
	await undo();
	const back = (await ruleOf(name('pump-07'))).rule;
	ok('Undo: the schedule as a schedule, the rule with the time it had left', await running() === true && back.expires_in_ns > 500e9 && back.expires_in_ns < 599e9, String(back.expires_in_ns));
	await api('DELETE', rulePath(name('pump-07')));
	await page.goto(`${URL}/ui/#/faults`);
	await page.fill('#search', fleet);
	await page.locator(`.row:has(a[title="${who}"]) .c-choose input`).check();
	await page.fill('#chosen-rule', 'up loss 60%');
	await page.press('#chosen-rule', 'Enter');
	await page.click('#chosen-stop');
	await page.waitForSelector('.toast.ok .link');
	ok('many at once ask too', /1 timeline stopped/.test(await page.textContent('.toast.ok')) && /loss 60%/.test(await textOf(who)));
	await api('DELETE', 'rules');
	await api('DELETE', `schedules/${seg(who)}`);
	await page.evaluate(() => document.getElementById('toasts').replaceChildren());
	await page.getByText('Choose none').click();
});

await step('under the form: another’s rule, the list read again, a restart', async () => {
	const who = name('boiler-east');
	await open(who, /No fault set/);
	await page.locator('[data-field="match.dport"] input').focus();
	fs.mkdirSync(path.join(CG2, fleet, 'passing'));
	await sleep(800);
	fs.rmdirSync(path.join(CG2, fleet, 'passing'));
	await sleep(800);
	ok('a list that was read again does not take the focus from an empty form', await page.evaluate(() => document.activeElement.closest('[data-field]')?.dataset.field) === 'match.dport');
	await up('loss').fill('7 %');
	await set(who, 'up delay 70ms');
	await page.waitForSelector('.notice:not([hidden])');
	ok('what Apply would change is of what is in force now', /up delay 70 ms removed/.test(await page.textContent('#diff')) && /loss 7 %/.test(await page.textContent('#diff')), await page.textContent('#diff'));
	daemon.kill('SIGKILL');
	await daemon.ended;
	await page.waitForSelector('#stale:not([hidden])', { timeout: 30000 });
	await page.waitForFunction(() => / s old/.test(document.getElementById('stale').textContent));
	ok('a stale page says what became of the faults', /If it has died, its faults end within 2 s \(on-crash clear\)/.test(await page.textContent('#stale')), await page.textContent('#stale'));
	fs.writeFileSync(path.join(TMP, 'state', 'profiles.json'), '{"squall":');
	daemon = await squalld('va');
	await page.waitForFunction(() => document.getElementById('conn').textContent === 'Live');
	ok('the form outlives the daemon', await up('loss').inputValue() === '7 %');
	await page.click('#apply');
	await page.waitForFunction(() => /loss 7%/.test(document.getElementById('in-force').textContent) || document.querySelector('.notice:not([hidden])'));
	if (await page.locator('.notice:not([hidden])').count())
		await page.getByText('Apply mine').click();
	await says('in-force', /loss 7%/);
	await says('now-health', /squalld is degraded.*profiles\.json is torn/);
	ok('health is in the header, with its reason', await page.evaluate(() => document.getElementById('conn').classList.contains('ill')) && /profiles\.json is torn/.test(await page.getAttribute('#conn', 'title')), await page.getAttribute('#conn', 'title'));
	ok('and applies to the next one', /loss 7%/.test(await textOf(who)));
	await api('DELETE', 'rules');
});

await step('the list, and figures of which version', async () => {
	fs.mkdirSync(path.join(CG2, fleet, 'press-line', 'a-name-so-long-that-its-middle-has-to-give-way-to-its-end'));
	await page.goto(`${URL}/ui/#/faults`);
	await page.fill('#search', fleet);
	await page.waitForFunction(() => /^8 (of|targets)/.test(document.getElementById('count').textContent));
	const rows = () => page.$$eval('.rows .row', (all) => all.sort((x, y) => x.getAttribute('aria-rowindex') - y.getAttribute('aria-rowindex')).map((r) => [getComputedStyle(r).getPropertyValue('--depth').trim(), r.querySelector('a').textContent, r.querySelectorAll('a span').length]));
	const tree = await rows();
	ok('cgroups are listed as a tree', tree[0][1] === `cgroup:/${fleet}` && tree[0][0] === '0' && tree.at(-5)[1] === 'gateway' && tree.at(-2)[1].startsWith('a-name-so') === false && tree.some(([d, n]) => d === '2' && n.startsWith('a-name-so')), JSON.stringify(tree));
	ok('a long name is cut in its middle', tree.find(([d]) => d === '2')[2] === 2);
	ok('columns that say nothing are gone', await page.evaluate(() => ['no-image', 'no-mode'].some((c) => document.querySelector('.table').classList.contains(c))));
	fs.rmdirSync(path.join(CG2, fleet, 'press-line', 'a-name-so-long-that-its-middle-has-to-give-way-to-its-end'));
	const gap = await page.evaluate(async () => (await import('/ui/store.js')).grainOf({ grain_s: 1, time_ms: [1000, 2000, 9000], seconds: [1, 1, 1], up: { seen_pkts: [5, 6, 7] }, down: {} }));
	ok('a chart has a gap where nothing was counted', JSON.stringify([gap.time, gap.up.seen]) === '[[1,2,8,9],[5,6,null,7]]', JSON.stringify([gap.time, gap.up.seen]));
	const who = name('pump-08');
	await set(who, 'up loss 100%');
	await open(who);
	await lossOf('pump-08', 20);
	const seen = async () => Number((await page.textContent('[data-total="up.seen"]')).replace(/\D/g, ''));
	await until('the totals', 20000, async () => await seen() >= 20);
	await set(who, 'up loss 50%');
	await says('in-force', /loss 50%/);
	await page.locator('#since-set').check();
	await until('those of this version', 20000, async () => await seen() === 0);
	await page.locator('#since-set').uncheck();
	await until('all of them', 20000, async () => await seen() >= 20);
	ok('totals of this version and since the rule was first set are apart', true);
	await api('DELETE', 'rules');
});

await step('words of the rule', async () => {
	const who = name('press-line');
	await open(who, /No fault set/);
	await up('loss').fill('1 %');
	await page.locator('[data-direction=up] details.more summary').click();
	await page.fill('[data-field="up.mtu"] input', '1280');
	await page.selectOption('[data-field="up.mtu_icmp"] select', 'icmp');
	await page.selectOption('[data-field="match.proto"] select', 'tcp');
	await page.click('.connections summary');
	await page.selectOption('[data-field="each"] select', 'address');
	await page.fill('[data-field="max-flows"] input', '8');
	await page.selectOption('[data-field="action"] select', 'reset');
	await page.selectOption('[data-field="reset.when"] select', 'after_bytes');
	await page.selectOption('[data-field="reset.of"] select', 'down');
	await page.fill('[data-field="links"] input', '5000');
	await page.fill('[data-field="except"] input', 'tcp port 5557, tcp rst');
	await page.click('[aria-label="Add a filter"]');
	await page.selectOption('[data-field="match.syn"] select', 'syn');
	await up('loss').fill('2 %');
	await page.click('#apply');
	await says('in-force', /mtu/);
	const text = await textOf(who);
	ok('each of them is in the form', ['loss 1%', 'mtu 1280 icmp', 'each address', 'max-flows 8', 'reset after 1kb down', 'match proto tcp syn', 'links 5000', 'except proto tcp port 5557', 'except proto tcp rst', 'for 5m'].every((w) => text.includes(w)), text);
	await page.waitForFunction(() => document.getElementById('form-state').textContent.startsWith('Applied'));
	await page.reload();
	await says('form-state', /As in force/);
	await page.locator('.filters .segment', { hasText: /^tcp syn$/ }).click();
	ok('and read back into it', await page.inputValue('[data-field="match.syn"] select') === 'syn');
	await page.locator('.filters .segment', { hasText: /^tcp$/ }).click();
	ok('whole', await page.inputValue('[data-field="reset.of"] select') === 'down' && await page.inputValue('[data-field="up.mtu_icmp"] select') === 'icmp' && await page.inputValue('[data-field="except"] input') === 'tcp port 5557, tcp rst');
	await api('DELETE', 'rules');
});

await step('while a rule was set the charts are shaded', async () => {
	const who = name('boiler-west');
	await open(who, /No fault set/);
	await page.waitForSelector('.live canvas');
	ok('not without one', await shaded(page, 'Live packets') === 0 && await page.locator('.live .band-key:visible').count() === 0);
	await set(who, 'up loss 5% delay 10ms');
	await until('the shade', 30000, async () => await shaded(page, 'Live packets') > 0.05);
	ok('while it is in force, and told in the legend', await page.locator('.live .band-key:visible').count() >= 1);
	const up0 = await page.locator('.live .band-key:visible').count();
	ok('both directions', up0 === 2, String(up0));
	await page.click('#chart-unit');
	ok('bit/s too', await shaded(page, 'Live packets') > 0.05);
	await page.click('#chart-span');
	await until('the last hour', 20000, async () => await page.getAttribute('#chart-span', 'aria-pressed') === 'true' && await shaded(page, 'Live packets') > 0.02);
	ok('the last hour too', true);
	await page.click('#chart-span');
	await api('DELETE', rulePath(who));
	await says('in-force', /Nothing/);
	await sleep(2500);
	const once = await shaded(page, 'Live packets');
	await sleep(3500);
	const later = await shaded(page, 'Live packets');
	ok('when it has ended the shade stays, and grows no more', once > 0.05 && Math.abs(later - once) < 0.03, `${once} then ${later}`);
	await page.reload();
	await page.waitForSelector('.live canvas');
	await until('the shade again', 20000, async () => await shaded(page, 'Live packets') > 0.05);
	ok('a reload loses none of it', true);
});

await step('added delay', async () => {
	const who = name('gateway');
	await set(who, 'up delay 40ms');
	await open(who);
	const p = run('nsenter', [`--net=/run/netns/${dev}`, 'sh', '-c', 'echo $$ > "$0/cgroup.procs"; exec ping -q -n -i 0.05 10.77.0.1', path.join(CG2, fleet, 'gateway')]);
	await page.click('#chart-unit');
	await page.click('#chart-unit');
	await page.waitForFunction(() => /mean40 ms/.test(document.querySelector('#delay-up .legend')?.textContent));
	await page.waitForSelector('#delay-up .band-key:visible');
	ok('shaded too', true);
	ok('the charts show the delay that was added', /longest40 ms/.test(await page.textContent('#delay-up .legend')), await page.textContent('#delay-up .legend'));
	await page.click('#chart-unit');
	ok('and packets again', await page.isHidden('#delay-up') && await page.textContent('#chart-unit') === 'Show bit/s');
	const canvas = page.locator('.chart:not([hidden]) .u-over').first();
	await canvas.scrollIntoViewIfNeeded();
	const box = await canvas.boundingBox();
	await page.mouse.move(box.x + box.width * 0.6, box.y + box.height / 2);
	await page.waitForFunction(() => /^\d\d:\d\d:\d\d$/.test(document.querySelector('.legend .at').textContent));
	ok('the time of what is pointed at is told', true);
	await page.mouse.down();
	await page.mouse.move(box.x + box.width * 0.9, box.y + box.height / 2, { steps: 5 });
	await page.mouse.up();
	await page.mouse.move(2, 2);
	await page.waitForFunction(() => /zoomed/.test(document.querySelector('.legend .at').textContent));
	ok('a drag zooms', true);
	await canvas.dblclick();
	await page.mouse.move(2, 2);
	await page.waitForFunction(() => !/zoomed/.test(document.querySelector('.legend .at').textContent));
	ok('a double click shows all', true);
	p.kill();
	await api('DELETE', 'rules');
});

await step('on a phone', async () => {
	await page.setViewportSize({ width: 360, height: 740 });
	await set(name('gateway'), 'up loss 5%');
	await open(name('gateway'));
	await page.waitForSelector('.live canvas');
	const seen = (what) => page.evaluate((s) => {
		const e = document.querySelector(s);
		const r = e.getBoundingClientRect();
		const at = document.elementFromPoint(r.left + r.width / 2, r.top + Math.min(r.height, 40) / 2);
		return r.top >= 0 && r.left >= 0 && r.right <= innerWidth && r.top < innerHeight && Boolean(at && (e.contains(at) || at.contains(e)));
	}, what);
	await page.locator('[data-field="seed"]').scrollIntoViewIfNeeded();
	ok('far down the form the charts are still seen', await seen('.live h3') && await page.evaluate(() => scrollY > 800), String(await page.evaluate(() => scrollY)));
	for (const what of ['#apply', '#clear-all', '#theme', '#nav a[data-page=kernel]'])
		ok(`${what} is within reach`, await seen(what));
	for (const hash of ['faults', `faults/${seg(name('gateway'))}`, `timeline/${seg(name('gateway'))}`, 'history', 'load', 'kernel']) {
		await page.goto(`${URL}/ui/#/${hash}`);
		await page.waitForSelector('h1');
		await sleep(300);
		// A button that cannot be scrolled to is none.
		const lost = await page.evaluate(() => [...document.querySelectorAll('main button, header button, nav a')].filter((e) => e.offsetParent && !e.closest('.scroll-x, .feed, .conns')).filter((e) => {
			const r = e.getBoundingClientRect();
			return r.width < 8 || r.left < 0 || r.right > innerWidth + 1;
		}).map((e) => e.textContent || e.id));
		ok(`${hash.split('/')[0]}: all buttons are reached at 360 px`, !lost.length && await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), lost.join());
	}
	await page.click('#clear-all');
	await until('the end', 20000, async () => (await api('GET', 'rules')).rules.length === 0);
	ok('one tap ends all', true);
	await page.setViewportSize({ width: 1280, height: 900 });
});

await end(b, daemon);
