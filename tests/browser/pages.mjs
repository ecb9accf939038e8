// SPDX-License-Identifier: GPL-2.0-only
// See pages.test.

import { start, target, fleet, STATUS } from './fixture.mjs';
import { ok, note, step, browse, axe, sleep, until, end } from './lib.mjs';

const b = await browse();
const PAGES = ['faults', 'faults/worker-1', 'timeline/worker-1', 'load', 'kernel'];
const open = async (url, hash = 'faults') => {
	const page = await b.context.newPage();
	await page.goto(`${url}/ui/#/${hash}`);
	await page.waitForSelector('#main h1, #main .empty h2, #login');
	return page;
};
const bare = { ...STATUS, lane: { name: 'none', why: 'this kernel has neither sch_fq nor tun' }, docker: { connected: false, why: '/var/run/docker.sock: no such file' },
	faults: STATUS.faults.map((f) => ['delay', 'jitter', 'rate'].includes(f.name) ? { ...f, available: false, why: 'no lane: neither sch_fq nor tun' } : f), attachments: [] };

await step('five thousand targets', async () => {
	const fx = await start({ targets: Array.from({ length: 5000 }, (_, i) => target(i)), ruled: 100 });
	const page = await open(fx.url);
	await page.waitForFunction(() => /5,000 targets/.test(document.getElementById('count').textContent));
	ok('5,000 targets are listed', true);
	ok('only the rows in view exist', await page.locator('.rows .row').count() < 60);
	await page.evaluate(() => {
		window.longest = 0;
		new PerformanceObserver((l) => l.getEntries().forEach((e) => { window.longest = Math.max(window.longest, e.duration); })).observe({ entryTypes: ['longtask'] });
	});
	await page.fill('#search', 'worker-4321');
	ok('search finds one of 5,000', await page.locator('.rows .row').count() === 1);
	await page.fill('#search', 'gateway rack=r3');
	ok('words of a search may be in image and label', /of 5,000/.test(await page.textContent('#count')));
	await page.fill('#search', '');
	for (let y = 0; y <= 240000; y += 24000) {
		await page.evaluate((to) => window.scrollTo(0, to), y);
		await sleep(30);
	}
	ok('scrolled to the end, the last rows are there', await page.getByText('worker-4999', { exact: true }).count() === 1);
	note(`longest task with 5,000 targets: ${Math.round(await page.evaluate(() => window.longest))} ms`);
	await page.close();
	fx.stop();
});

await step('hostile names', async () => {
	const evil = ['<img src=x onerror="window.pwned=1">', '<script>window.pwned=1</script>', '"><svg/onload=window.pwned=1>', 'javascript:window.pwned=1', '\u202Egnp.exe', '{{7*7}}'];
	const fx = await start({ targets: evil.map((name, i) => target(i, { name, image: evil[(i + 1) % evil.length], labels: { '<b>': evil[i] } })), ruled: 3 });
	fx.state.targets.get(evil[0]).rule.rule.text = '<img src=x onerror="window.pwned=1">';
	const page = await open(fx.url);
	await page.waitForSelector('.rows .row');
	await page.locator('.c-target a').getByText(evil[1], { exact: true }).click();
	await page.waitForSelector('#apply');
	ok('a script in a name is the title as text', await page.textContent('h1') === evil[1]);
	await page.goto(`${fx.url}/ui/#/timeline/${encodeURIComponent(evil[0])}`);
	await page.fill('#tl-text', `0s - 5s ${evil[0]}\nlength 10s`);
	await page.click('#tl-use');
	await sleep(300);
	ok('no markup was made of names, labels, images or rules', await page.evaluate(() => !window.pwned && !document.querySelector('#main img, #main script, #main b b')));
	await page.close();
	fx.stop();
});

await step('empty machines', async () => {
	const fx = await start({ status: bare });
	const page = await open(fx.url);
	await page.waitForSelector('.empty h2');
	const said = await page.textContent('.empty');
	ok('no target, no Docker: says so and what to do', /No targets yet/.test(said) && /No Docker engine/.test(said) && /squall fault set/.test(said), said);
	await page.fill('#search', 'cgroup:/demo');
	ok('a cgroup path can be faulted from the search', /Fault cgroup:\/demo/.test(await page.textContent('.empty')));
	await page.fill('#search', '');
	await axe(page, 'faults, empty');
	await page.goto(`${fx.url}/ui/#/kernel`);
	await page.waitForSelector('.stats b');
	const kernel = await page.textContent('#main');
	ok('no lane: the kernel page says what is missing and why', /neither sch_fq nor tun/.test(kernel) && /missing/.test(kernel));
	ok('no interface: the kernel page says so', /Attached to no interface/.test(kernel));
	await page.click('text=sq_targets');
	await page.waitForFunction(() => document.querySelectorAll('.map-dump tbody tr').length === 100);
	ok('the first 100 entries of a map, as text', !await page.evaluate(() => document.querySelector('.map-dump b')));
	await page.getByRole('button', { name: 'More' }).click();
	await page.waitForFunction(() => document.querySelectorAll('.map-dump tbody tr').length === 250);
	ok('More shows the rest', true);
	await page.click('text=sq_events');
	await page.waitForFunction(() => /ring buffer/.test(document.querySelector('.map-dump').textContent));
	await page.focus('[data-key=sq_rules]');
	await page.keyboard.press('Enter');
	await page.waitForFunction(() => document.querySelector('.map-dump h3')?.textContent === 'sq_rules');
	ok('maps open by keyboard, and the focus stays', await page.evaluate(() => document.activeElement.dataset.key === 'sq_rules'));
	await axe(page, 'kernel with a map open');
	await page.goto(`${fx.url}/ui/#/load`);
	ok('no fleet: the load page says how to start one', /squall-sim run/.test(await page.textContent('#main')));
	await page.goto(`${fx.url}/ui/#/faults/cgroup%3A%2Fnone`);
	await page.waitForSelector('.empty h2');
	ok('an unknown target: says so', /No such target/.test(await page.textContent('#main')));
	await page.close();
	fx.stop();
});

await step('accessibility and widths', async () => {
	const fx = await start({ targets: Array.from({ length: 40 }, (_, i) => target(i)), ruled: 5 });
	for (const scheme of ['light', 'dark']) {
		const page = await open(fx.url);
		await page.emulateMedia({ colorScheme: scheme });
		for (const hash of PAGES) {
			await page.goto(`${fx.url}/ui/#/${hash}`);
			await page.waitForSelector('#main h1');
			await sleep(250);
			await axe(page, `${hash}, ${scheme}`);
			if (scheme === 'dark')
				for (const width of [360, 760, 1600]) {
					await page.setViewportSize({ width, height: 800 });
					await sleep(120);
					const over = await page.evaluate(() => {
						const room = document.documentElement.clientWidth;
						return document.documentElement.scrollWidth <= room ? '' : [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > room &&
							!e.parentElement.closest('.scroll-x')).map((e) => `${e.tagName}.${e.className} ${e.textContent.slice(0, 20)}`).slice(0, 6).join('; ') || 'too wide';
					});
					ok(`${hash} fits ${width} px`, !over, over);
				}
			await page.setViewportSize({ width: 1280, height: 900 });
		}
		await page.close();
	}
	const sim = await start({ sim: fleet(60) });
	const page = await open(sim.url, 'load');
	await page.waitForSelector('.u-wrap canvas');
	await axe(page, 'load with a fleet');
	ok('squall-sim’s panel has no tab that leads nowhere', await page.locator('#nav a:visible').allTextContents().then((t) => t.join()) === 'Load');
	await page.setViewportSize({ width: 360, height: 800 });
	await sleep(200);
	ok('load with a fleet fits 360 px', await page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth));
	await page.fill('#devices', '5000000');
	await page.click('#change');
	await page.waitForFunction(() => /not accepted/.test(document.getElementById('load-error').textContent));
	ok('a fleet setting that is refused says why, at its field', await page.getAttribute('#devices', 'aria-invalid') === 'true');
	await page.close();
	sim.stop();
	fx.stop();
});

await step('keyboard', async () => {
	const fx = await start({ targets: Array.from({ length: 8 }, (_, i) => target(i)) });
	const page = await open(fx.url);
	await page.waitForSelector('.rows .row');
	await page.keyboard.press('/');
	await page.keyboard.type('worker');
	await page.keyboard.press('ArrowDown');
	await page.keyboard.press('ArrowDown');
	await page.keyboard.press('Enter');
	await page.waitForSelector('#apply');
	ok('/ searches, arrows walk the rows, Enter opens', await page.textContent('h1') === 'worker-1');
	const slider = page.locator('[data-field="up.loss"] input[type=range]');
	await slider.focus();
	// 0.01 0.02 0.05 ... 3 4 5: a loss is spread over four powers of ten.
	for (let i = 0; i < 14; i++)
		await page.keyboard.press('ArrowRight');
	ok('arrows move a slider', await page.inputValue('[data-field="up.loss"] input[type=text]') === '5 %');
	await page.focus('#apply');
	await page.keyboard.press('Enter');
	await page.waitForFunction(() => /loss 5%/.test(document.getElementById('in-force').textContent));
	ok('Enter on Apply applies', fx.find('worker-1').rule.rule.clauses[0].up.loss.pct === 5);
	await page.fill('[data-field="up.delay"] input[type=text]', 'soon');
	await page.focus('#apply');
	await page.keyboard.press('Enter');
	ok('a value that cannot be read is said beside its field', /“soon” is not a time/.test(await page.textContent('[data-field="up.delay"] .field-error')));
	ok('and nothing was sent', !fx.find('worker-1').rule.rule.clauses[0].up.delay_ns);

	await page.goto(`${fx.url}/ui/#/timeline/worker-1`);
	await page.waitForSelector('.tl-bar');
	await page.focus('.tl-bar');
	await page.keyboard.press('ArrowRight');
	await page.keyboard.press('Shift+ArrowRight');
	ok('arrows move and resize a bar', /^20.5s - 29s/.test(await page.inputValue('#tl-text')), await page.inputValue('#tl-text'));
	await page.close();
	fx.stop();
});

await step('timeline', async () => {
	const fx = await start({ targets: [target(0)] });
	const page = await open(fx.url, 'timeline/worker-0');
	await page.waitForSelector('.tl-bar');
	const bar = await page.locator('.tl-bar').boundingBox();
	const track = await page.locator('.tl-track').boundingBox();
	await page.mouse.move(bar.x + bar.width / 2, bar.y + 20);
	await page.mouse.down();
	await page.mouse.move(bar.x + bar.width / 2 + track.width / 6, bar.y + 20, { steps: 6 });
	await page.mouse.up();
	ok('dragging a bar by a sixth of 60 s moves it by 10 s', /^30s - 38s/.test(await page.inputValue('#tl-text')), await page.inputValue('#tl-text'));
	const moved = await page.locator('.tl-bar').boundingBox();
	await page.mouse.move(moved.x + moved.width - 3, moved.y + 20);
	await page.mouse.down();
	await page.mouse.move(moved.x + moved.width - 3 + track.width / 12, moved.y + 20, { steps: 6 });
	await page.mouse.up();
	ok('dragging its end resizes it', /^30s - 43s/.test(await page.inputValue('#tl-text')), await page.inputValue('#tl-text'));
	await page.mouse.dblclick(track.x + track.width * 0.1, track.y + 40);
	ok('a double click adds a bar', await page.locator('.tl-bar').count() === 2);
	const refused = async (source) => {
		await page.fill('#tl-text', source);
		await page.click('#tl-use');
		return page.locator('[aria-label="As text"] .field-error').textContent();
	};
	ok('overlapping bars are refused by name', /overlap/.test(await refused('0s - 9s up loss 1%\n5s - 6s up loss 2%')));
	ok('a bad line is refused by its number', /line 2/.test(await refused('0s - 9s up loss 1%\nten - 20s up loss 2%')));
	ok('a bar past the length is refused', /ends before/.test(await refused('0s - 9s up loss 1%\nlength 5s')));
	await page.fill('#tl-text', '1s - 2s up loss 1%\n2s - 4s both blackhole\nlength 6s\nrepeat 2');
	await page.click('#tl-use');
	await page.click('#tl-run');
	await page.waitForFunction(() => !document.getElementById('tl-stop').disabled);
	const sent = fx.state.schedules.get('worker-0');
	ok('the steps sent are what was drawn, pauses included', JSON.stringify(sent.steps.map((s) => [s.at_ns / 1e9, s.rule && s.rule.text])) ===
		'[[0,null],[1,"up loss 1%"],[2,"both blackhole"],[4,null]]' && sent.length_ns === 6e9 && sent.repeat === 2, JSON.stringify(sent));
	await page.click('#tl-stop');
	await page.waitForFunction(() => document.getElementById('tl-stop').disabled);
	ok('and it is stopped', fx.state.schedules.get('worker-0').running === false);
	await page.close();
	fx.stop();
});

await step('units', async () => {
	const fx = await start({});
	const page = await open(fx.url);
	const wrong = await page.evaluate(async () => {
		const u = await import('/ui/units.js');
		const table = [['parseTime', '100', 100e3], ['parseDuration', '100', NaN], ['parseDuration', '0', 0], ['parseDuration', '5s', 5e9], ['parseTime', '1.5s', 1.5e9], ['parseTime', '250 us', 250e3], ['parseTime', '2 min', 120e9], ['parseTime', '5 parsec', NaN], ['parseTime', '', NaN], ['parseTime', '-1ms', -1e6],
			['parseRate', '1mbit', 1e6], ['parseRate', '1mbps', 8e6], ['parseRate', '1 Mbit/s', 1e6], ['parseRate', '64', 64], ['parseRate', '1 furlong', NaN], ['parseSize', '5kb', 5120], ['parseSize', '1500', 1500],
			['parsePct', '2.5 %', 2.5], ['parsePct', '.5', 0.5], ['parsePct', '5 %%', NaN], ['fmtTime', 100e6, '100 ms'], ['fmtTime', 1500e6, '1.5 s'], ['fmtRate', 256e3, '256 kbit/s'], ['fmtSize', 5120, '5 KiB'], ['fmtLeft', 42000, '0:42'], ['fmtLeft', 3723000, '1:02:03']];
		return table.filter(([fn, x, want]) => !Object.is(u[fn](x), want)).map(([fn, x, want]) => `${fn}(${x}) = ${u[fn](x)}, not ${want}`);
	});
	ok('units are read and written as tc does', wrong.length === 0, wrong.join('; '));
	await page.close();
	fx.stop();
});

// One event each 8 ms, each a second of the page's time: an hour in 30 s,
// with the charts, the table of totals and the packet feed all running.
await step('an hour open', async () => {
	const fx = await start({ targets: Array.from({ length: 20 }, (_, i) => target(i)), ruled: 20, eventMs: 8, packets: 2 });
	const page = await open(fx.url, 'faults/worker-1');
	await page.waitForSelector('#feed');
	await page.locator('#feed').check();
	const cdp = await b.context.newCDPSession(page);
	const used = async () => {
		await cdp.send('HeapProfiler.collectGarbage');
		await cdp.send('HeapProfiler.collectGarbage');
		const { nodes, jsEventListeners } = await cdp.send('Memory.getDOMCounters');
		return { heap: (await cdp.send('Runtime.getHeapUsage')).usedSize / 1048576, nodes, jsEventListeners };
	};
	const hour = fx.state;
	await until('charts and feed to be full', 60000, async () => hour.sent >= 700 && await page.locator('.feed tbody tr').count() === 60);
	const first = await used();
	const from = hour.sent;
	await until('an hour of events', 120000, () => hour.sent >= from + 3600);
	const last = await used();
	const samples = await page.textContent('[data-total="up.seen"]');
	note(`heap ${first.heap.toFixed(2)} MiB, after an hour ${last.heap.toFixed(2)} MiB; nodes ${first.nodes}, ${last.nodes}; listeners ${first.jsEventListeners}, ${last.jsEventListeners}`);
	ok('an hour of events was drawn', Number(samples.replace(/,/g, '')) > 500000, samples);
	ok('the heap is flat over an hour', last.heap - first.heap < 1.5, `${first.heap.toFixed(2)} -> ${last.heap.toFixed(2)} MiB`);
	ok('so are nodes and listeners', last.nodes - first.nodes < 300 && last.jsEventListeners - first.jsEventListeners < 50, JSON.stringify([first, last]));
	await page.close();
	fx.stop();
});

await end(b);
