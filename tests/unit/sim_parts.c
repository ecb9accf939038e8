// SPDX-License-Identifier: GPL-2.0-only
/* The engine's parts: timer wheel, histogram, ramps, templates, options, thresholds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "sim/fleet/bind.h"
#include "sim/run/run.h"
#include "sim/engine/shard.h"

/* --- timer wheel --------------------------------------------------------------- */

static uint64_t fired[4000];
static unsigned nfired;
static struct wheel *the_wheel;

static void note(void *ctx, struct timer *t)
{
	(void)ctx;
	fired[nfired++] = t->tick;
	assert_int_equal(t->tick, the_wheel->now);
}

/*
 * 2,000 timers over nine orders of magnitude, the clock in steps of many sizes:
 * each fires once, at its own tick, in order, and wheel_next() never promises
 * a later time than a timer has.
 */
static void wheel_order(void **state)
{
	static struct timer t[2000];
	struct wheel *w = malloc(sizeof(*w));
	uint64_t rng = 7, now = 12345678901ull, end = now;

	(void)state;
	the_wheel = w;
	wheel_init(w, now);
	memset(t, 0, sizeof(t));
	nfired = 0;
	for (unsigned i = 0; i < 2000; i++) {
		uint64_t at = now + (uint64_t)exp(sim_rand1(&rng) * 31);

		wheel_arm(w, &t[i], at);
		if (at > end)
			end = at;
	}
	/* Every tenth is moved, every tenth cancelled. */
	for (unsigned i = 0; i < 2000; i += 10) {
		wheel_arm(w, &t[i], now + 5000000000ull);
		wheel_cancel(w, &t[i + 1]);
		wheel_cancel(w, &t[i + 1]);
	}
	while (nfired < 1800) {
		uint64_t next = wheel_next(w), before = nfired;

		assert_true(next != UINT64_MAX);
		/* Just before: nothing. */
		if (next - 1 > now) {
			wheel_run(w, next - 1, note, NULL);
			assert_int_equal(nfired, before);
			now = next - 1;
		}
		now = next + (sim_rand(&rng) % 3 ? 0 : sim_rand(&rng) % 3000000000u);
		wheel_run(w, now, note, NULL);
	}
	for (unsigned i = 1; i < nfired; i++)
		assert_true(fired[i] >= fired[i - 1]);
	assert_true(now + (1 << WHEEL_SHIFT) >= end - 5000000000ull);
	wheel_run(w, now + 100000000000000ull, note, NULL);
	assert_int_equal(nfired, 1800);
	/* Due in the tick that has just been, or long ago: the very next one, not a turn later. */
	for (int past = 0; past < 2; past++) {
		wheel_arm(w, &t[0], past ? 1 : w->now << WHEEL_SHIFT);
		wheel_run(w, (w->now + 1) << WHEEL_SHIFT, note, NULL);
		assert_int_equal(nfired, 1801 + past);
	}
	free(w);
}

/* --- histogram -------------------------------------------------------------------- */

static void hist_precision(void **state)
{
	struct sim_hist *h = calloc(1, sizeof(*h)), *g = calloc(1, sizeof(*g));
	unsigned last = 0;

	(void)state;
	for (double v = 1; v < 4e9; v *= 1.0007) {
		unsigned c = sim_hist_cell((uint64_t)v);

		assert_true(c >= last && c < SIM_HIST_CELLS);
		last = c;
		/* Three significant digits. */
		assert_true(fabs(sim_hist_ms(c) * 1000 - (double)(uint64_t)v) <= v * 0.0006);
	}
	assert_int_equal(sim_hist_cell(UINT64_MAX), SIM_HIST_CELLS - 1);
	for (uint64_t us = 1; us <= 100000; us++)
		sim_hist_add(us & 1 ? h : g, us, 1);
	sim_hist_merge(h, g);
	assert_int_equal(sim_hist_count(h), 100000);
	assert_true(fabs(sim_hist_quantile(h, 0.5) - 50) < 0.06);
	assert_true(fabs(sim_hist_quantile(h, 0.99) - 99) < 0.11);
	assert_true(fabs(sim_hist_quantile(h, 1.0) - 100) < 0.11);
	free(h);
	free(g);
}

static uint64_t bucket_sum;
static uint32_t bucket_last;

static void bucket(void *ctx, uint32_t ms, uint64_t n)
{
	(void)ctx;
	assert_true(!bucket_sum || ms > bucket_last);
	assert_true(ms < 100 || (ms < 1000    ? ms % 10 == 0
				 : ms < 10000 ? ms % 100 == 0
					      : ms % 1000 == 0));
	bucket_last = ms;
	bucket_sum += n;
}

static void hist_locust(void **state)
{
	struct sim_hist *h = calloc(1, sizeof(*h));
	uint64_t n = 0;

	(void)state;
	for (double v = 10; v < 3e8; v *= 1.001, n++)
		sim_hist_add(h, (uint64_t)v, 1);
	bucket_sum = 0;
	sim_hist_locust(h, bucket, NULL);
	assert_int_equal(bucket_sum, n);
	free(h);
}

/* --- ramps -------------------------------------------------------------------------- */

static void ramps(void **state)
{
	const struct {
		uint32_t from, to;
	} t[] = {{0, 100}, {100, 0}, {30, 37}, {5, 5}, {7, 2}, {0, 1}};

	(void)state;
	for (size_t k = 0; k < sizeof(t) / sizeof(*t); k++) {
		struct sim_ramp r = {t[k].from, t[k].to, 1000000, 2000000};
		uint32_t last = r.from;

		for (uint64_t now = 999000; now < 2001000; now += 100) {
			uint32_t n = sim_ramp_at(&r, now);

			assert_true(r.to >= r.from ? n >= last && n <= r.to
						   : n <= last && n >= r.to);
			last = n;
		}
		assert_int_equal(last, r.to);
		/* The inverse: at its time a device is in (or out), a little before not yet. */
		for (uint32_t i = r.from; i < r.to; i++) {
			assert_true(sim_ramp_at(&r, sim_ramp_when(&r, i) + 1) > i);
			if (i > r.from)
				assert_true(sim_ramp_at(&r, sim_ramp_when(&r, i) - 1) <= i);
		}
		for (uint32_t i = r.from; i-- > r.to;)
			assert_true(sim_ramp_at(&r, sim_ramp_when(&r, i) + 1) <= i);
	}
}

/* --- templates ------------------------------------------------------------------------- */

static const char *render(const char *text, bool name, uint32_t seq)
{
	static char buf[512];
	static double walk[4] = {NAN, NAN, NAN, NAN};
	static uint64_t rng = 1;
	struct sim_tmpl_ctx c = {.thing = "t-7",
				 .client_id = "c-7",
				 .type = "meter",
				 .index = 7,
				 .seq = seq,
				 .rng = &rng,
				 .walk = walk};
	struct sim_tmpl *t;
	struct sq_error err;
	long n;

	assert_int_equal(name ? sim_tmpl_name(text, "x", NULL, &t, &err)
			      : sim_tmpl_payload(text, "x", NULL, &t, &err),
			 0);
	n = sim_tmpl_render(t, &c, buf, sizeof(buf) - 1);
	assert_true(n >= 0);
	buf[n] = 0;
	sim_tmpl_free(t);
	return buf;
}

static void templates(void **state)
{
	double low = 100, high = -100;

	(void)state;
	assert_string_equal(render("dt/{thing}/{type}/{index}", true, 1), "dt/t-7/meter/7");
	assert_string_equal(render("plain", true, 1), "plain");
	assert_string_equal(render("{\"n\":{{seq}},\"t\":\"{{thing}}\"}", false, 42),
			    "{\"n\":42,\"t\":\"t-7\"}");
	assert_int_equal(strlen(render("128", false, 1)), 128);
	assert_int_equal(strlen(render("0", false, 1)), 0);
	for (int i = 0; i < 2000; i++) {
		const char *s = render("{{rand -1.5 2.5}}", false, 1);
		double v = atof(s);

		assert_true(strchr(s, '.') && strlen(strchr(s, '.')) == 2);
		low = v < low ? v : low;
		high = v > high ? v : high;
	}
	/* 41 values: that one of the two ends is not seen in 2,000 has a chance of 7e-22. */
	assert_true(low == -1.5 && high == 2.5);
	for (int i = 0; i < 50; i++) {
		const char *s = render("{{pick a bb ccc}}", false, 1);

		assert_true(!strcmp(s, "a") || !strcmp(s, "bb") || !strcmp(s, "ccc"));
	}
	for (int i = 0; i < 200; i++) {
		double v = atof(render("{{walk 10 20 1}}", false, 1));

		assert_true(v >= 10 && v <= 20);
	}
}

/* In a password braces are text, but around a word: then one of them or two. */
static void passwords(void **state)
{
	static const char *const all[][2] = {
		{"a{thing}b", "at-7b"},
		{"a{{thing}}b{c}{thing}", "at-7b{c}t-7"},
		{"{{thing}", "{t-7"},
		{"{thing}}", "t-7}"},
		{"{{other}}", "{{other}}"},
		{"{", "{"},
		{"{{", "{{"},
		{"{{}}", "{{}}"},
	};
	struct sim_tmpl_ctx c = {.thing = "t-7", .type = "x"};
	struct sim_tmpl *t;
	struct sq_error err;
	char buf[64];

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		long n;

		assert_int_equal(sim_tmpl_password(all[i][0], "password", NULL, &t, &err), 0);
		n = sim_tmpl_render(t, &c, buf, sizeof(buf) - 1);
		assert_true(n >= 0);
		buf[n] = 0;
		assert_string_equal(buf, all[i][1]);
		sim_tmpl_free(t);
	}
}

/* The widest that each part can become, rendered, is what sim_tmpl_max() says, and fits in that. */
static void template_max(void **state)
{
	static char thing[SIM_NAME_MAX + 1], type[SIM_TYPE_NAME], mark[SIM_MARK_LEN + 1];
	static double walk[4] = {NAN, NAN, NAN, NAN};
	/* Of "now", "now_ms" and numbers in between the widest is not made at will. */
	static const struct {
		const char *text;
		bool name, exact;
	} all[] = {{"plain", true, true},
		   {"", true, true},
		   {"a/{thing}/{index}/{type}", true, true},
		   {"{client_id}", true, true},
		   {"77", false, true},
		   {"{{thing}}{{index}}", false, true},
		   {"{{type}} {{client_id}}", false, true},
		   {"{\"n\":{{seq}},{{mark}}}", false, true},
		   {"{{pick a bb ccc}}", false, false},
		   {"{{now}}", false, true},
		   {"{{now_ms}}{{sched_ms}}", false, false},
		   {"{{rand -1000000000000000 -1000000000000000.000000000}}", false, true},
		   {"{{rand -1000000000000000.000000000 1000000000000000}}", false, false},
		   {"{{rand 999999999999999.999999998 999999999999999.999999999}}", false, false},
		   {"{{rand -0.5 0}}", false, false},
		   {"{{walk 999999999999999 1000000000000000 0.000000001}}", false, false},
		   {"{{walk -1000000000000000.0 5 900000000000000}}", false, false}};
	uint64_t rng = 1;
	struct sim_tmpl_ctx c = {.thing = thing,
				 .client_id = thing,
				 .type = type,
				 .index = UINT32_MAX,
				 .seq = UINT32_MAX,
				 .mark = mark,
				 .sched_ms = 253402300799999, /* 31 December 9999 */
				 .rng = &rng,
				 .walk = walk};
	static char buf[4096], long_text[SIM_RENDER_MAX + 1];
	struct sim_tmpl *t;
	struct sq_error err;

	(void)state;
	memset(thing, 't', SIM_NAME_MAX);
	memset(type, 'y', SIM_TYPE_NAME - 1);
	memset(mark, 'm', SIM_MARK_LEN);
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		size_t max;
		long n, most = 0;

		assert_int_equal(all[i].name ? sim_tmpl_name(all[i].text, "x", NULL, &t, &err)
					     : sim_tmpl_payload(all[i].text, "x", NULL, &t, &err),
				 0);
		max = sim_tmpl_max(t);
		walk[0] = NAN;
		/* In room of just so much, which no number asks more of than it is long. */
		for (int k = 0; k < 3000; k++) {
			n = sim_tmpl_render(t, &c, buf, max);
			if (n < 0)
				fail_msg("%s: does not fit in %zu", all[i].text, max);
			most = n > most ? n : most;
		}
		if (all[i].exact && (size_t)most != max)
			fail_msg("%s: %ld bytes, said %zu", all[i].text, most, max);
		assert_true(most > 0 || !max);
		if (most > 0 && all[i].exact)
			assert_int_equal(sim_tmpl_render(t, &c, buf, max - 1), -EMSGSIZE);
		sim_tmpl_free(t);
	}
	/* What is accepted can be sent, up to the last byte: 10 digits at the very end. */
	memset(long_text, 'x', SIM_RENDER_MAX - 10);
	strcpy(long_text + SIM_RENDER_MAX - 10, "{{seq}}");
	assert_int_equal(sim_tmpl_payload(long_text, "x", NULL, &t, &err), 0);
	assert_int_equal(sim_tmpl_max(t), SIM_RENDER_MAX);
	{
		char *room = malloc(SIM_RENDER_MAX);

		assert_int_equal(sim_tmpl_render(t, &c, room, SIM_RENDER_MAX), SIM_RENDER_MAX);
		free(room);
	}
	sim_tmpl_free(t);
	memset(long_text, 'x', SIM_RENDER_MAX - 9);
	strcpy(long_text + SIM_RENDER_MAX - 9, "{{seq}}");
	assert_int_not_equal(sim_tmpl_payload(long_text, "x", NULL, &t, &err), 0);
}

/* --- options and the whole -------------------------------------------------------------- */

static int try_profile(const char *const *kv, struct sq_error *err)
{
	struct sim_profile *p = malloc(sizeof(*p));
	int rc = 0;

	sim_profile_init(p);
	for (; *kv && !rc; kv += 2)
		rc = sim_profile_set(p, kv[0], kv[1], err);
	if (!rc)
		rc = sim_profile_check(p, err);
	free(p);
	return rc;
}

#define B    "broker", "mqtt://127.0.0.1:1883"
#define W    "broker", "ws://127.0.0.1"
#define AWS  "preset", "aws-iot-core"
#define N50  "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
#define LONG "thing", N50 N50 "{index}", "client-id", "c-{index}"

static void bad_profiles(void **state)
{
	/* What is set, and a word that the message must contain. */
	static const struct {
		const char *word, *kv[12];
	} bad[] = {
		{"broker", {NULL}},
		{"broker", {"broker", "127.0.0.1"}},
		{"broker", {"broker", "http://x"}},
		{"port", {"broker", "mqtt://x:0"}},
		{"port", {"broker", "mqtt://x:70000"}},
		{"]", {"broker", "mqtt://[::1"}},
		{"--username", {"broker", "mqtt://u:secret@127.0.0.1"}},
		{"--username", {"broker", "wss://u@[::1]:1/mqtt"}},
		{"QUERY", {"broker", "ws://127.0.0.1?x=1"}},
		{"QUERY", {"broker", "mqtt://127.0.0.1#x"}},
		{"$aws/rules/RULE/TOPIC", {B, AWS, "topic", "$aws/rules//t"}},
		{"resolve", {"broker", "mqtt://no-such-host.invalid"}},
		{"unknown", {B, "colour", "red"}},
		{"0, 1, 2", {B, "qos", "3"}},
		{"0, 1, 2", {B, "qos", ""}},
		{"3.1.1", {B, "protocol", "3.1"}},
		{"unit", {B, "interval", "5"}},
		{"unit", {B, "interval", "5 s"}},
		{"unit", {B, "interval", "-1s"}},
		{"unit", {B, "interval", "0x5s"}},
		{"unit", {B, "interval", "infs"}},
		{"100%", {B, "jitter", "101%"}},
		{"100%", {B, "jitter", "0.1"}},
		{"wildcard", {B, "topic", "a/+"}},
		{"wildcard", {B, "topic", "a/#"}},
		{"topic", {B, "topic", "a/\xff"}},
		{"{nobody}", {B, "topic", "a/{nobody}"}},
		{"closed", {B, "topic", "a/{thing"}},
		{"filter", {B, "subscribe", "a#"}},
		{"closed", {B, "payload", "{{seq"}},
		{"unknown", {B, "payload", "{{sequence}}"}},
		{"MIN <= MAX", {B, "payload", "{{rand 5 1}}"}},
		{"number", {B, "payload", "{{rand a 1}}"}},
		{"MIN MAX STEP", {B, "payload", "{{walk 1 2}}"}},
		{"pick", {B, "payload", "{{pick}}"}},
		{"no arguments", {B, "payload", "{{seq 1}}"}},
		{"No such file", {B, "payload", "@/nowhere/x"}},
		{"268435455", {B, "payload", "256mib"}},
		{"properties take", {B, "payload", "268435455"}},
		{"262144", {B, "response-payload", "1mb"}},
		{"262144", {B, "shadow", "true", "payload", "1mb"}},
		{"mark", {B, "e2e", "true", "payload", "20"}},
		{"65535", {B, "keepalive", "65536"}},
		{"BASE..MAX", {B, "backoff", "1s"}},
		{"BASE <= ", {B, "backoff", "2s..1s"}},
		{"will-topic", {B, "will-qos", "1"}},
		{"response", {B, "command", "c/x"}},
		{"command", {B, "response", "c/x"}},
		{"address", {B, "bind", "300.1.1.1"}},
		{"comma", {B, "bind", "127.0.0.1,"}},
		{"family", {B, "bind", "::1"}},
		{"FIRST-LAST", {B, "bind", "10.0.0.9-10.0.0.1"}},
		{"FIRST-LAST", {B, "bind", "10.0.0.1-fd00::1"}},
		{"FIRST-LAST", {B, "bind", "10.0.0.1-"}},
		{"8 to 32", {B, "bind", "10.0.0.0/33"}},
		{"8 to 32", {B, "bind", "0.0.0.0/0"}},
		{"64 to 128", {B, "bind", "fd00::/48"}},
		{"behind the prefix", {B, "bind", "10.0.0.1/24"}},
		{"LOW-HIGH", {B, "ports", "5000"}},
		{"LOW-HIGH", {B, "ports", "5000-"}},
		{"LOW-HIGH", {B, "ports", "5000-4000"}},
		{"LOW-HIGH", {B, "ports", "80-4000"}},
		{"LOW-HIGH", {B, "ports", "5000-65536"}},
		{"mqtts", {B, "ca", "/x"}},
		{"key is missing", {B, "cert", "/x"}},
		{"No such file", {"broker", "mqtts://127.0.0.1", "ca", "/nowhere/ca.pem"}},
		{"QoS 2", {B, "preset", "aws-iot-core", "qos", "2"}},
		{"7 slashes", {B, "preset", "aws-iot-core", "topic", "a/b/c/d/e/f/g/h/i"}},
		{"100 publishes", {B, "preset", "aws-iot-core", "interval", "1ms"}},
		{"131072", {B, "preset", "aws-iot-core", "payload", "131073"}},
		{"30 to 1200", {B, "preset", "aws-iot-core", "keepalive", "5"}},
		{"reserved", {B, "preset", "aws-iot-core", "topic", "$x/y"}},
		/* Whichever of the two came first. */
		{"30 to 1200", {B, "keepalive", "5", AWS}},
		{"at most 100", {B, "inflight", "500", AWS}},
		{"at most 100", {B, AWS, "inflight", "500"}},
		{"at most 100", {B, "publish-cap", "200", AWS}},
		{"at most 100", {B, AWS, "publish-cap", "200"}},
		/* 257 bytes behind what does not count. */
		{"this has 257",
		 {B, AWS, LONG, "topic", "$aws/rules/r/{thing}{thing}" N50 "/3456"}},
		{"this has 257",
		 {B, AWS, LONG, "subscribe", "$share/g/{thing}{thing}" N50 "/3456"}},
		{"has its own Host", {W, "ws-header", "host: x"}},
		{"has its own Sec-", {W, "ws-header", "Sec-WebSocket-Protocol: mqttv3.1"}},
		{"Name: value", {W, "ws-header", "a/b: c"}},
		{"Name: value", {W, "ws-header", " a: c"}},
		{"tcp-keepalive", {B, "tcp-keepalive", "60s::3"}},
		{"tcp-keepalive", {B, "tcp-keepalive", "60s:"}},
		{"tcp-keepalive", {B, "tcp-keepalive", "60s:10s: 3"}},
		{"wmem_max", {B, "sndbuf", "1gib"}},
		{"paho", {B, "client", "paho", "e2e", "true"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct sq_error err = {0};
		int rc = try_profile(bad[i].kv, &err);

		if (!rc || !strstr(err.text, bad[i].word) || strchr(err.text, '\n'))
			print_message("case %zu (%s): %d, '%s'\n", i, bad[i].word, rc, err.text);
		assert_true(rc < 0 && strstr(err.text, bad[i].word) && !strchr(err.text, '\n'));
	}
}

static void good_profiles(void **state)
{
	static const char *const good[][14] = {
		{B},
		{"broker", "mqtt://[::1]:1"},
		{B, "qos", "2", "interval", "250ms", "jitter", "12.5%", "topic", "a/{index}"},
		{B, "mqttWaitTime", "2", "mqttQos", "1", "iotCoreMqttTopic", "t"},
		{B, "MQTT_WAIT_TIME", "0.5", "MQTT_MESSAGE", "hi"},
		{B, "preset", "aws-iot-core", "topic", "$aws/rules/r/a/b/c/d/e/f/g/h"},
		{B, "topic", "", "subscribe", "dt/+/x", "subscribe", "#"},
		{B, "command", "c/{thing}", "response", "r/{thing}", "will-topic", "w/{thing}"},
		{B, "e2e", "on", "payload", "{\"m\":\"{{mark}}\"}"},
		{B, AWS, LONG, "topic", "$aws/rules/r/{thing}{thing}" N50 "/345"},
		{B, AWS, LONG, "subscribe", "$share/g/{thing}{thing}" N50 "/345"},
		{B, AWS, "subscribe", "$share/g/a/b/c/d/e/f/g/h", "inflight", "100"},
		{W, "ws-header", "X-Host: x", "ws-header", "Authorization: {thing}"},
	};
	struct sim_profile *p = malloc(sizeof(*p));
	struct sq_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		int rc = try_profile(good[i], &err);

		if (rc)
			print_message("case %zu: %s\n", i, err.text);
		assert_int_equal(rc, 0);
	}
	sim_profile_init(p);
	assert_int_equal(sim_profile_set(p, "mqttWaitTime", "2", &err), 0);
	assert_int_equal(p->interval_ns, 2000000000ull);
	assert_int_equal(sim_profile_set(p, "iotCoreEndpoint", "x.example", &err), 0);
	assert_true(p->tls && p->port == 8883);
	assert_int_equal(sim_profile_set(p, "session_expiry", "9", &err), 0);
	assert_int_equal(p->session_expiry_s, 9);
	/* What the preset caps is capped whoever came first, and another's is not. */
	assert_int_equal(sim_profile_set(p, "preset", "aws-iot-core", &err), 0);
	assert_int_equal(sim_profile_set(p, "preset", "none", &err), 0);
	assert_int_equal(p->publish_cap, 0);
	/* No path is where all brokers have it; one that is given is the one. */
	assert_int_equal(sim_profile_set(p, "broker", "ws://h", &err), 0);
	assert_string_equal(p->path, "/mqtt");
	assert_int_equal(sim_profile_set(p, "broker", "ws://h:9/", &err), 0);
	assert_string_equal(p->path, "/");
	/* A value that is refused changes nothing. */
	assert_int_equal(sim_profile_set(p, "interval", "9 parsecs", &err), -EINVAL);
	assert_int_equal(p->interval_ns, 2000000000ull);
	assert_int_equal(sim_profile_set(p, "nonsense", "1", &err), -ENOENT);
	free(p);
}

static void fail_if(void **state)
{
	static const char *const good[] = {"p95>500ms",
					   "errors>1%",
					   "errors >= 3",
					   "connect.p99>2s",
					   "receive.max > 1s",
					   "lost>0",
					   "rate<100/s",
					   "p99.9<=20us",
					   "disconnects>0",
					   "unacked>0",
					   "bad.p95>500ms",
					   "bad.p99.9>1s",
					   "bad.connect.avg>1s",
					   "v1.2.errors>1%",
					   "never-connected>0",
					   "never-connected>=1%",
					   "v1.2.publish.p99.9>1ms",
					   "bad.rate<3/s",
					   "connect-errors>5%",
					   "duplicates>0"};
	static const char *const bad[] = {"",
					  "p95",
					  "p95>",
					  "p95>500",
					  "p96>5ms",
					  "p95=5ms",
					  "errors>x",
					  "lost>1%",
					  "nobody.p95>1s",
					  "connect.lost>1",
					  "rate>-1",
					  "p95><5ms",
					  "bad.lost>0",
					  "disconnect.p95>1s",
					  "p95>0",
					  ".p95>1s",
					  "connect.errors>1",
					  "bad.never-connected>0",
					  "errors>100%",
					  "never-connected>100%",
					  "rate<0",
					  "lost<0",
					  "p95<0ms"};
	static const char *const not_followed[] = {"lost>0", "duplicates>0", "receive.p95>1s"};
	struct sim_profile *p = calloc(3, sizeof(*p));
	struct sim_fleet f = {3, p};
	struct sq_error err;

	(void)state;
	assert_non_null(p);
	strcpy(p[0].name, "good");
	strcpy(p[1].name, "bad");
	strcpy(p[2].name, "v1.2");
	p[1].e2e = true;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_int_equal(sim_failif_check(good[i], &f, &err), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(sim_failif_check(bad[i], &f, &err), -EINVAL);
	p[1].e2e = false;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(sim_failif_check(not_followed[i], &f, &err), -EINVAL);
		assert_non_null(strstr(err.text, "--e2e"));
		assert_int_equal(sim_failif_check(not_followed[i], NULL, &err), 0);
	}
	free(p);
}

static void split(void **state)
{
	struct sim_fleet f = {3, calloc(3, sizeof(struct sim_profile))};
	uint32_t n[SIM_MAX_TYPES];

	(void)state;
	f.type[0].weight = 3;
	f.type[1].weight = 1;
	f.type[2].weight = 0;
	for (uint32_t all = 0; all < 50; all++) {
		sim_fleet_split(&f, all, n);
		assert_int_equal(n[0] + n[1], all);
		assert_int_equal(n[2], 0);
		assert_true(fabs(n[0] - all * 0.75) <= 0.5);
	}
	sim_fleet_free(&f);
}

/* The tables feed help, manual page and completion: all of them name every option once. */
static void one_table(void **state)
{
	char *text = NULL, word[80], *words[2], dashes[] = "--";
	size_t len;
	FILE *f;

	(void)state;
	for (const struct command *c = sim_table.commands; c->object; c++) {
		f = open_memstream(&text, &len);
		help_command(&sim_table, f, c);
		fputs("\ncompletion\n", f);
		words[0] = (char *)(uintptr_t)c->object;
		words[1] = dashes;
		opt_complete(&sim_table, f, 2, words);
		fclose(f);
		for (int set = 0; set < 3; set++) {
			for (const struct opt *o = c->sets[set]; o && o->name; o++) {
				snprintf(word, sizeof(word), "--%s", o->name);
				assert_non_null(strstr(text, word));
				snprintf(word, sizeof(word), "\n--%s\t", o->name);
				assert_non_null(strstr(strstr(text, "\ncompletion\n"), word));
				/* No two options of one name. */
				assert_true(opt_find(c->sets[0], o->name) == o ||
					    (!opt_find(c->sets[0], o->name) &&
					     opt_find(c->sets[set], o->name) == o));
			}
		}
		free(text);
	}
}

/* Devices fall due in groups of four to eight, or as near to that as the bounds allow. */
static void grid(void **state)
{
	static const uint64_t intervals[] = {1000000, 20000000, 1000000000, 3600000000000ull};

	(void)state;
	for (size_t i = 0; i < sizeof(intervals) / sizeof(*intervals); i++) {
		for (uint32_t n = 0; n < 1000000; n = n * 3 + 1) {
			uint64_t g = stype_grid(intervals[i], n);
			double due = (double)g * n / (double)intervals[i];

			assert_true(!(g & (g - 1)));
			assert_true(g >= 1u << WHEEL_SHIFT);
			if (g == 1u << WHEEL_SHIFT)
				continue; /* no finer one exists */
			assert_true(g <= 10000000 && g <= intervals[i] / 100);
			assert_true(due < 8);
			assert_true(due >= 4 || g * 2 > 10000000 || g * 2 > intervals[i] / 100);
		}
	}
}

/* The addresses and ports that --bind and --ports say. */
static void sources(void **state)
{
	static const struct {
		const char *text;
		uint64_t n4, n6, i;
		const char *is; /* the i-th, of IPv4 if there are any */
	} want[] = {
		{"127.0.0.1", 1, 0, 0, "127.0.0.1"},
		{"127.0.0.9,127.0.1.0/25", 127, 0, 1, "127.0.1.1"},
		{"127.0.1.0/25", 126, 0, 125, "127.0.1.126"},
		{"10.0.0.1-10.0.0.40", 40, 0, 39, "10.0.0.40"},
		{"10.0.0.250-10.0.1.5,::1", 12, 1, 6, "10.0.1.0"},
		{"10.0.0.0/31", 2, 0, 0, "10.0.0.0"},
		{"10.0.0.0/32", 1, 0, 0, "10.0.0.0"},
		{"10.0.0.0/8", 16777214, 0, 16777213, "10.255.255.254"},
		{"fd00::/64", 0, 1 << 24, 65535, "fd00::1:0"},
		{"fd00::10-fd00::1f", 0, 16, 15, "fd00::1f"},
		{"", 0, 0, 0, NULL},
	};
	char text[INET6_ADDRSTRLEN];
	struct sim_profile *p = calloc(1, sizeof(*p));
	union sim_addr a;
	struct sq_error err;

	(void)state;
	for (unsigned i = 0; i < sizeof(want) / sizeof(*want); i++) {
		int family = want[i].n4 ? AF_INET : AF_INET6;

		assert_int_equal(sim_bind_parse(p, want[i].text, &err), 0);
		assert_int_equal(sim_bind_count(p, AF_INET), want[i].n4);
		assert_int_equal(sim_bind_count(p, AF_INET6), want[i].n6);
		if (!want[i].is)
			continue;
		sim_bind_at(p, family, want[i].i, &a);
		inet_ntop(family,
			  family == AF_INET ? (void *)&a.in.sin_addr : (void *)&a.in6.sin6_addr,
			  text, sizeof(text));
		assert_string_equal(text, want[i].is);
	}
	assert_int_equal(sim_ports_parse(p, "5000-5009", &err), 0);
	assert_int_equal(p->port_low, 5000);
	assert_int_equal(p->port_high, 5009);
	assert_int_equal(sim_ports_parse(p, "0", &err), 0);
	assert_int_equal(p->port_low, 0);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sources),	  cmocka_unit_test(wheel_order),
		cmocka_unit_test(hist_precision), cmocka_unit_test(hist_locust),
		cmocka_unit_test(ramps),	  cmocka_unit_test(templates),
		cmocka_unit_test(template_max),	  cmocka_unit_test(bad_profiles),
		cmocka_unit_test(good_profiles),  cmocka_unit_test(fail_if),
		cmocka_unit_test(grid),		  cmocka_unit_test(split),
		cmocka_unit_test(one_table),	  cmocka_unit_test(passwords),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
