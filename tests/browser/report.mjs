// SPDX-License-Identifier: GPL-2.0-only
// See report.test. Arguments: pages of experiments.

import { ok, step, browse, axe, leave, watchdog } from './lib.mjs';

const b = await browse();
watchdog(120, b.close);
for (const file of process.argv.slice(2))
	await step(file, async () => {
		const name = file.replace(/.*\//, '');
		const page = await b.context.newPage();
		await page.goto(`file://${file}`);
		await page.waitForSelector('main h1');
		await axe(page, name);
		for (const width of [360, 1280]) {
			await page.setViewportSize({ width, height: 800 });
			const room = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
			ok(`${name} fits ${width} px`, room <= 0, `${room} px too wide`);
		}
		await page.emulateMedia({ media: 'print' });
		ok(`${name} is readable printed: nothing scrolls away`, await page.evaluate(() =>
			[...document.querySelectorAll('.wide')].every((e) => getComputedStyle(e).overflowX === 'visible')));
		ok(`${name} has no script`, await page.evaluate(() => document.scripts.length === 0 && !document.querySelector('[onload], [onclick], link, iframe, img')));
		await page.close();
	});
const asked = b.foreign.filter((u) => !process.argv.slice(2).includes(u.replace('file://', '')));
ok('no page asked anybody', asked.length === 0, asked.join(' '));
await leave(b);
