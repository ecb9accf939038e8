// SPDX-License-Identifier: GPL-2.0-only
// Talks to the daemon that served the page, and to nobody else.

const BASE = new URL('../api/v1/', location.href);
const KEY = 'squall-token';

export class ApiError extends Error {
	constructor(status, problem) {
		// squalld sends RFC 9457's object, squall-sim {"error": "field: why"}.
		super((problem && (problem.detail || problem.error || problem.title)) || `the daemon answered ${status}`);
		this.status = status;
		this.field = (problem && (problem.field || /^([a-z_]+)\b/.exec(problem.error || '')?.[1])) || '';
	}
}

let token = sessionStorage.getItem(KEY) || localStorage.getItem(KEY) || '';
let authFailed = () => {};

export const onAuthFailed = (fn) => { authFailed = fn; };
export function setToken(value, keep) {
	token = value;
	sessionStorage.removeItem(KEY);
	localStorage.removeItem(KEY);
	if (value)
		(keep ? localStorage : sessionStorage).setItem(KEY, value);
}
export const hasToken = () => token !== '';

function headers(extra) {
	const all = { Accept: 'application/json', ...extra };
	if (token)
		all.Authorization = `Bearer ${token}`;
	return all;
}

// Returns {status, data, etag}; throws ApiError for an answer that is not 2xx
// and status 0 when there was none.
export async function call(method, path, body, extra) {
	const init = { method, headers: headers(extra), cache: 'no-store' };
	let answer;

	if (body !== undefined) {
		init.body = JSON.stringify(body);
		init.headers['Content-Type'] = 'application/json';
	}
	try {
		answer = await fetch(new URL(path, BASE), init);
	} catch {
		throw new ApiError(0, { detail: 'the daemon does not answer; nothing was changed' });
	}
	let data = null;
	if (/json/.test(answer.headers.get('Content-Type') || ''))
		data = await answer.json().catch(() => null);
	else
		await answer.text().catch(() => '');
	if (answer.status === 401)
		authFailed();
	if (!answer.ok)
		throw new ApiError(answer.status, data);
	return { status: answer.status, data, etag: answer.headers.get('ETag') };
}

// Health is told by the status too: 503 is an answer.
export async function getHealth() {
	const answer = await fetch(new URL('../../healthz', BASE), { headers: headers(), cache: 'no-store' });
	return answer.status === 200 || answer.status === 503 ? answer.json() : null;
}

export const get = async (path) => (await call('GET', path)).data;
export const seg = (s) => encodeURIComponent(s);

// A file that needs the token cannot be a plain link: fetch it, then save it.
export async function download(path, name) {
	const answer = await fetch(new URL(path, BASE), { headers: headers({ Accept: '*/*' }) });
	if (!answer.ok)
		throw new ApiError(answer.status, await answer.json().catch(() => null));
	save(await answer.blob(), name);
}

export function save(blob, name) {
	const url = URL.createObjectURL(blob);
	const a = document.createElement('a');
	a.href = url;
	a.download = name;
	a.click();
	setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// Server-sent events read through fetch(), because EventSource cannot send a
// token and one in the URL would end up in logs. One stream at a time; where one follows
// another, the old one ends a moment after the new one is open, so that nothing is missed between:
// what it was sent before may still be on its way then.
const OVERLAP_MS = 300;

export class Events {
	constructor(handler, opened, closed) {
		Object.assign(this, { handler, opened, closed, query: '', abort: null, ending: new Set(), seen: 0 });
	}

	// kept: what was known before holds, as no event was missed.
	start(query = '', kept = false) {
		const old = this.abort;
		this.query = query;
		this.abort = new AbortController();
		this.run(this.abort.signal, old, kept);
	}

	stop() {
		for (const one of [this.abort, ...this.ending])
			one?.abort();
		this.ending.clear();
		this.abort = null;
	}

	end(old) {
		if (!old)
			return;
		this.ending.add(old);
		setTimeout(() => {
			this.ending.delete(old);
			old.abort();
		}, OVERLAP_MS);
	}

	async run(signal, old, kept) {
		let why = 'closed';
		try {
			const answer = await fetch(new URL(`events${this.query}`, BASE), {
				headers: headers({ Accept: 'text/event-stream' }), signal, cache: 'no-store' });
			if (answer.status === 401)
				authFailed();
			if (!answer.ok)
				throw new ApiError(answer.status, null);
			this.end(old);
			this.opened(kept);
			await this.read(answer.body.getReader(), signal);
		} catch (e) {
			why = e.status || 'closed';
			old?.abort();
		}
		if (this.abort?.signal === signal && !signal.aborted)
			this.closed(why);
	}

	async read(reader, signal) {
		const decoder = new TextDecoder();
		let rest = '';
		for (;;) {
			const { value, done } = await reader.read();
			if (done)
				return;
			this.seen = performance.now();
			rest += decoder.decode(value, { stream: true });
			let end;
			let from = 0;
			while ((end = rest.indexOf('\n\n', from)) >= 0) {
				this.message(rest.slice(from, end), signal);
				from = end + 2;
			}
			rest = rest.slice(from);
		}
	}

	message(block, signal) {
		let name = 'message';
		let data = '';
		for (const line of block.split('\n')) {
			if (line.startsWith('event:'))
				name = line.slice(6).trim();
			else if (line.startsWith('data:'))
				data += line.slice(5).trimStart();
		}
		if (!data)
			return;
		try {
			data = JSON.parse(data);
		} catch {
			return;
		}
		this.handler(name, data, this.abort?.signal === signal);
	}
}
