// SPDX-License-Identifier: GPL-2.0-only
/* Rules: text -> struct -> text -> struct, text -> struct -> JSON -> struct, and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <squall/rule.h>
#include <squall/units.h>

#define LABEL_61       "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz012345678"
#define LABEL_63       LABEL_61 "90"
#define EACH(table, i) for (size_t i = 0; i < sizeof(table) / sizeof((table)[0]); i++)

/* text, canonical text (NULL = the same) */
static const struct {
	const char *text, *canonical;
} good[] = {
	{"up loss 10%", NULL},
	{"loss 10%", "up loss 10%"},
	{"loss random 10% 25%", "up loss 10% 25%"},
	{"down loss 0.1%", NULL},
	{"both loss 1.5%", NULL},
	{"up loss 5% down loss 5%", "both loss 5%"},
	{"up loss 100%", NULL},
	{"up loss 12.5", "up loss 12.5%"},
	{"up loss 1e1%", "up loss 10%"},
	{"up loss gemodel 1%", "up loss gemodel 1% 99% 100% 0%"},
	{"up loss gemodel 1% 10%", "up loss gemodel 1% 10% 100% 0%"},
	{"up loss gemodel 1% 10% 70% 0.1%", NULL},
	{"up loss state 1%", "up loss state 1% 99% 0% 100% 0%"},
	{"up loss state 1% 10% 5% 50% 0.5%", NULL},
	{"up delay 100ms", NULL},
	{"delay 100000", "up delay 100ms"},
	{"up delay 100ms 20ms", NULL},
	{"up delay 100ms 20ms 25%", NULL},
	{"up delay 100ms 20ms distribution normal", NULL},
	{"up delay 100ms 20ms 25% distribution pareto", NULL},
	{"up delay 100ms 20ms distribution paretonormal", NULL},
	{"up delay 100ms 20ms distribution uniform", "up delay 100ms 20ms"},
	{"up delay 0ms 20ms", "up delay 0s 20ms"},
	{"up delay 1.5s", NULL},
	{"up delay 250us", NULL},
	{"up delay 1h", "up delay 3600s"},
	{"up duplicate 2%", NULL},
	{"up duplicate 2% 10%", NULL},
	{"up corrupt 1%", NULL},
	{"up corrupt 1% 50%", NULL},
	{"up delay 10ms reorder 25%", NULL},
	{"up delay 10ms reorder 25% 50%", NULL},
	{"up delay 10ms reorder 25% 50% gap 5", NULL},
	{"reorder 25% gap 5 delay 10ms", "up delay 10ms reorder 25% gap 5"},
	{"up rate 1mbit", NULL},
	{"up rate 1mbps", "up rate 8mbit"},
	{"up rate 1mbit burst 5kb", NULL},
	{"up rate 1mbit burst 5kb limit 64kb", NULL},
	{"up rate 1mbit latency 50ms", NULL},
	{"up rate 8bit", NULL},
	{"up rate 1000tbit", NULL},
	{"up rate 1.048576mbit", NULL},
	{"up blackhole", NULL},
	{"up mtu 1280", NULL},
	{"up rate 62kbit delay 800ms 200ms each flow",
	 "up delay 800ms 200ms rate 62kbit each flow"},
	{"up each address loss gemodel 1% 20%", "up loss gemodel 1% 20% 100% 0% each address"},
	{"both blackhole flows 30%", NULL},
	{"both blackhole flows 100%", "both blackhole"},
	{"hang old", "both hang old"},
	{"hang idle 60s", "both hang idle 60s"},
	{"reset idle 5m flows 10%", "both reset idle 300s flows 10%"},
	{"hang after 1kb down", "both hang after 1kb down"},
	{"hang after 1kb", "both hang after 1kb"},
	{"reset after 30s", "both reset after 30s"},
	{"reset at puback match dport 1883", "both reset at puback match dport 1883"},
	{"max-flows 8", "both max-flows 8"},
	{"dns nxdomain", "both dns nxdomain"},
	{"loss 1% match host a--b.c-d", "up loss 1% match host a--b.c-d"},
	{"loss 1% match host " LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_61 ".",
	 "up loss 1% match host " LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_61},
	{"loss 1% match host Broker.Example.com.", "up loss 1% match host broker.example.com"},
	{"loss 1% match dport 443 host a.b also dns nxdomain match host _x.b except host a.b",
	 "up loss 1% match dport 443 host a.b also both dns nxdomain match host _x.b except host "
	 "a.b"},
	{"dns slow 2s match to 10.0.0.1", "both dns slow 2s match to 10.0.0.1"},
	{"down loss 1% dns timeout flows 50% also up dns servfail match proto udp",
	 "both dns servfail match proto udp also down loss 1% dns timeout flows 50%"},
	{"up loss 1% max-flows 100 flows 50% match proto udp links 100",
	 "up loss 1% max-flows 100 flows 50% match proto udp links 100"},
	{"hang idle 5m max-flows 2000000 links 2000000",
	 "both hang idle 300s max-flows 2000000 links 2000000"},
	{"hang at connack flows 5%", "both hang at connack flows 5%"},
	{"both hang at suback also both hang at pingresp match dport 1",
	 "both hang at pingresp match dport 1 also both hang at suback"},
	{"reset after 2m", "both reset after 120s"},
	{"hang after 2mb up down loss 1%", "down loss 1% hang after 2mb up"},
	{"up loss 1% hang old down delay 5ms", "up loss 1% down delay 5ms hang old"},
	{"up loss 1% each flow links 1000000", NULL},
	{"both hang old also up loss 5% each flow flows 12.5% match dport 8883 for 9s seed 4 links "
	 "64",
	 "up loss 5% each flow flows 12.5% match dport 8883 also both hang old for 9s seed 4 links "
	 "64"},
	{"both mtu 1400 icmp blackhole", NULL},
	{"up blackhole match syn", "up blackhole match proto tcp syn"},
	{"up loss 1% match dport 8883 rst fin syn",
	 "up loss 1% match proto tcp dport 8883 syn fin rst"},
	{"up loss 1% also up blackhole match proto tcp also delay 1ms match syn",
	 "up delay 1ms match proto tcp syn also up blackhole match proto tcp also up loss 1%"},
	{"both blackhole", NULL},
	{"up loss 10% 25% delay 100ms 20ms distribution normal rate 1mbit match proto tcp dport "
	 "8883 to "
	 "10.0.0.0/8 except port 5557 for 60s seed 7 on-crash keep",
	 "up loss 10% 25% delay 100ms 20ms distribution normal rate 1mbit match proto tcp to "
	 "10.0.0.0/8 "
	 "dport 8883 except port 5557 for 60s seed 7 on-crash keep"},
	{"up loss 1% match proto udp", NULL},
	{"up loss 1% match proto icmp", NULL},
	{"up loss 1% match proto any", "up loss 1%"},
	{"up loss 1% match proto sctp dport 80", NULL},
	{"up loss 1% match proto 6", "up loss 1% match proto tcp"},
	{"up loss 1% match proto 58", "up loss 1% match proto icmpv6"},
	{"up loss 1% match proto 4", "up loss 1% match proto ipip"},
	{"up loss 1% match proto ipip", "up loss 1% match proto ipip"},
	{"up loss 1% match proto 254", NULL},
	{"up loss 1% match to 10.1.2.3", NULL},
	{"up loss 1% match to 10.1.2.3/32", "up loss 1% match to 10.1.2.3"},
	{"up loss 1% match to 0.0.0.0/0", NULL},
	{"up loss 1% match to 2001:db8::/32", NULL},
	{"up loss 1% match to 2001:DB8:0::1", "up loss 1% match to 2001:db8::1"},
	{"up loss 1% match to ::/0", NULL},
	{"up loss 1% match to ::ffff:10.0.0.1", "up loss 1% match to 10.0.0.1"},
	{"up loss 1% match to ::ffff:10.0.0.0/120", "up loss 1% match to 10.0.0.0/24"},
	{"up loss 1% match to ::ffff:0:0/96", "up loss 1% match to 0.0.0.0/0"},
	{"up loss 1% match proto icmp to fd00::/8", NULL},
	{"up loss 1% match dport 1-65535", NULL},
	{"up loss 1% match sport 8000-9000", NULL},
	{"up loss 1% match port 53-53", "up loss 1% match port 53"},
	{"up loss 1% match proto tcp to 10.0.0.0/8 dport 80 sport 1024-65535 port 80", NULL},
	{"up loss 1% for 60s", NULL},
	{"up loss 1% for 1.5s", NULL},
	{"up loss 1% for 1ns", NULL},
	{"up loss 1% seed 0", NULL},
	{"up loss 1% seed 9223372036854775807", NULL},
	{"up loss 1% on-crash clear", "up loss 1%"},
	{"up loss 1% on-crash keep for 5m seed 1", "up loss 1% for 5m seed 1 on-crash keep"},
	{"up loss 1% except port 5557 except to 10.0.0.0/8 proto tcp except proto icmp",
	 "up loss 1% except port 5557 except proto tcp to 10.0.0.0/8 except proto icmp"},
	{"up loss 1% also up loss 50% match dport 80",
	 "up loss 50% match dport 80 also up loss 1%"},
	{"up loss 1% match to 10.0.0.0/8 also down delay 5ms match to 10.0.0.0/24 also both "
	 "blackhole match "
	 "dport 9",
	 "down delay 5ms match to 10.0.0.0/24 also up loss 1% match to 10.0.0.0/8 also both "
	 "blackhole match "
	 "dport 9"},
	{"up loss 1% match dport 80 also down delay 5ms match dport 80",
	 "up loss 1% down delay 5ms match dport 80"},
	{"up loss 1% match dport 1-100 also up loss 2% match dport 1-10",
	 "up loss 2% match dport 1-10 also up loss 1% match dport 1-100"},
	{"up loss 1% also up loss 2% match proto tcp",
	 "up loss 2% match proto tcp also up loss 1%"},
	{"  up\tloss\n10%\r\n  ", "up loss 10%"},
	{"up loss 0% delay 5ms", "up delay 5ms"},
	{"up loss 0% down delay 5ms", "down delay 5ms"},
	{"up loss 5% delay 80ms 10ms duplicate 2% rate 2mbit", NULL},
	{"up loss 33.333333% corrupt 0.00000002%", NULL},
	{"up blackhole loss 1%", "up loss 1% blackhole"},
};

/* text, the field named, something that the line must hold (NULL = the text's last word) */
static const struct {
	const char *text, *field, *says;
} bad[] = {
	{"", "rule", "empty"},
	{"   ", "rule", "empty"},
	{"loss", "up.loss", "missing"},
	{"loss 101%", "up.loss", "\"101%\" is not accepted: 0% to 100%"},
	{"loss -1%", "up.loss", "\"-1%\""},
	{"loss nan", "up.loss", "\"nan\""},
	{"loss inf%", "up.loss", "\"inf%\""},
	{"loss 5 %%", "rule", "\"%%\""},
	{"loss 5%%", "up.loss", "\"5%%\""},
	{"loss 1e400%", "up.loss", "\"1e400%\""},
	{"loss 10% 101%", "up.loss.correlation", "\"101%\""},
	{"loss 10% -5%", "up.loss.correlation", "\"-5%\""},
	{"loss 10% 100%", "up.loss", "100%"},
	{"loss 10% 20% 30%", "rule", "\"30%\""},
	{"loss random", "up.loss", "missing"},
	{"loss gemodel", "up.loss.p", "missing"},
	{"loss gemodel x", "up.loss.p", "\"x\""},
	{"loss gemodel 1% 2% 3% 4% 5%", "rule", "\"5%\""},
	{"loss gemodel 1% 200%", "up.loss.r", "\"200%\""},
	{"loss state 60% 1% 1% 1% 60%", "up.loss", "p13 + p14"},
	{"loss state 10% 90% 20%", "up.loss", "p31 + p32"},
	{"loss state 1% 2% 3% 4% 5% 6%", "rule", "\"6%\""},
	{"loss 10% loss 5%", "up.loss", "twice"},
	{"delay", "up.delay", "missing"},
	{"delay -1ms", "up.delay", "\"-1ms\""},
	{"delay 1e400s", "up.delay", "\"1e400s\""},
	{"delay 100mss", "up.delay", "\"100mss\""},
	{"delay 100 ms", "rule", "\"ms\""},
	{"delay 100ms 20xs", "up.delay.jitter", "\"20xs\""},
	{"delay 100ms 20ms 25%%", "up.delay.correlation", "\"25%%\""},
	{"delay 100ms distribution normal", "up.distribution", "jitter"},
	{"delay 100ms 20ms distribution gauss", "up.distribution", "\"gauss\""},
	{"delay 100ms 20ms distribution", "up.distribution", "missing"},
	{"delay 100ms distribution uniform", "up.distribution", "jitter"},
	{"delay 100ms 0ms 25%", "up.delay", "jitter"},
	{"jitter 20ms", "up", "second value of delay"},
	{"delay 99999999999h", "up.delay", "\"99999999999h\""},
	{"delay nan", "up.delay", "\"nan\""},
	{"duplicate 1000%", "up.duplicate", "\"1000%\""},
	{"duplicate 2% 100%", "up.duplicate", "100%"},
	{"corrupt x", "up.corrupt", "\"x\""},
	{"corrupt 1% 100%", "up.corrupt", "100%"},
	{"reorder 25%", "up.reorder", "without a delay"},
	{"reorder 25% delay 0ms 5ms", "up.reorder", "without a delay"},
	{"delay 10ms gap 5", "up.gap", "without reorder"},
	{"delay 10ms reorder 25% gap 0", "up.gap", "\"0\""},
	{"delay 10ms reorder 25% gap -1", "up.gap", "\"-1\""},
	{"delay 10ms reorder 25% gap 65536", "up.gap", "\"65536\""},
	{"delay 10ms reorder 25% gap 1.5", "up.gap", "\"1.5\""},
	{"delay 10ms reorder 25% gap", "up.gap", "missing"},
	{"rate 0", "up.rate", "\"0\""},
	{"rate 7bit", "up.rate", "\"7bit\""},
	{"rate -1mbit", "up.rate", "\"-1mbit\""},
	{"rate 1mb", "up.rate", "\"1mb\""},
	{"rate 50%", "up.rate", "percentage"},
	{"rate 1001tbit", "up.rate", "1001000000000000"},
	{"rate 99999999999999999999999tbit", "up.rate", "99999999999999999999999tbit"},
	{"rate", "up.rate", "missing"},
	{"burst 5kb", "up.burst", "without rate"},
	{"limit 5kb", "up.limit", "without rate"},
	{"latency 50ms", "up.latency", "without rate"},
	{"rate 1mbit burst 0", "up.burst", "\"0\""},
	{"rate 1mbit burst 5gb", "up.burst", "5368709120"},
	{"rate 1mbit limit 0", "up.limit", "\"0\""},
	{"rate 1mbit latency 0ms", "up.latency", "\"0ms\""},
	{"rate 1mbit limit 5kb latency 50ms", "up.limit", "together with latency"},
	{"rate 1mbit limit 100packets", "up.limit", "\"100packets\""},
	/* of tc-netem(8), and not here: each says why */
	{"delay 10ms limit 1000", "up.limit", "--lane-memory"},
	{"latency 50ms loss 1%", "up.latency", "delay here"},
	{"delay 10ms 5ms distribution experimental", "up.distribution", "every machine"},
	{"delay 10ms 5ms distribution ./mine.dist", "up.distribution", "table from a file"},
	{"loss 1% ecn", "rule", "marked is not lost"},
	{"delay 10ms slot 5ms 10ms", "rule", "gathers packets"},
	{"slot 5ms", "up", "gathers packets"},
	{"rate 1mbit 20", "up.rate", "overhead and cells"},
	{"rate 1mbit -4 48 5", "up.rate", "overhead and cells"},
	{"up drop 1%", "up", "the word is loss"},
	{"blackhole 5%", "rule", "\"5%\""},
	{"blackhole blackhole", "up.blackhole", "twice"},
	{"loss 0%", "rule", "no fault"},
	{"up", "up", "no fault"},
	{"up down loss 1%", "up", "\"down\""},
	{"up loss 1% up delay 5ms", "up", "twice"},
	{"loss 1% up delay 5ms", "up", "twice"},
	{"both loss 1% down delay 5ms", "down", "twice"},
	{"down loss 1% both delay 5ms", "both", "twice"},
	{"sideways loss 1%", "up", "\"sideways\""},
	{"up los 1%", "up", "\"los\""},
	{"LOSS 1%", "up", "\"LOSS\""},
	{"loss 1% match", "match", "empty"},
	{"loss 1% match for 5s", "match", "\"for\""},
	{"loss 1% match proto", "match.proto", "missing"},
	{"loss 1% match proto no-such", "match.proto", "\"no-such\""},
	{"loss 1% match proto 0", "match.proto", "\"0\""},
	{"loss 1% match proto 256", "match.proto", "\"256\""},
	{"loss 1% match proto 47 dport 80", "match", "no ports"},
	{"loss 1% match proto tcp proto udp", "match.proto", "twice"},
	{"loss 1% match to", "match.to", "missing"},
	{"loss 1% match to example.com", "match.to", "\"example.com\""},
	{"loss 1% match to 10.0.0.0/33", "match.to", "0 to 32"},
	{"loss 1% match to 10.0.0.0/", "match.to", "0 to 32"},
	{"loss 1% match to 10.0.0.0/-1", "match.to", "0 to 32"},
	{"loss 1% match to 10.0.0.0/8/8", "match.to", "0 to 32"},
	{"loss 1% match to ::/129", "match.to", "0 to 128"},
	{"loss 1% match to 10.0.0", "match.to", "\"10.0.0\""},
	{"loss 1% match to 256.0.0.1", "match.to", "\"256.0.0.1\""},
	{"loss 1% match to 10.0.0.1/8", "match.to", "10.0.0.0/8"},
	{"loss 1% match to 2001:db8::1/32", "match.to", "2001:db8::/32"},
	{"loss 1% match to 2001::db8::1", "match.to", "\"2001::db8::1\""},
	{"loss 1% match to fe80::1%eth0", "match.to", "\"fe80::1%eth0\""},
	{"loss 1% match dport 0", "match.dport", "\"0\""},
	{"loss 1% match dport 65536", "match.dport", "\"65536\""},
	{"loss 1% match dport 9000-8000", "match.dport", "lower port"},
	{"loss 1% match dport 80-", "match.dport", "\"80-\""},
	{"loss 1% match dport -80", "match.dport", "\"-80\""},
	{"loss 1% match dport 0-80", "match.dport", "\"0-80\""},
	{"loss 1% match dport 1-2-3", "match.dport", "\"1-2-3\""},
	{"loss 1% match dport http", "match.dport", "\"http\""},
	{"loss 1% match dport 80,443", "match.dport", "\"80,443\""},
	{"loss 1% match sport 1e3", "match.sport", "\"1e3\""},
	{"loss 1% match port", "match.port", "missing"},
	{"loss 1% match syn syn", "match.syn", "twice"},
	{"loss 1% match proto udp syn", "match", "only TCP"},
	{"up mtu", "up.mtu", "missing"},
	{"up loss 1% each", "each", "missing"},
	{"up loss 1% each packet", "each", "flow or address"},
	{"up delay 10ms each flow", "each", "the same for all"},
	{"up blackhole each flow", "each", "blackhole"},
	{"up loss 1% each flow each flow", "each", "twice"},
	{"each flow", "each", "without rate"},
	{"flows 30%", "rule", "no fault at all"},
	{"up loss 1% flows 0%", "flows", "above 0%"},
	{"up loss 1% flows 101%", "flows", "0% to 100%"},
	{"hang", "hang", "missing"},
	{"hang new", "hang", "\"new\" is not accepted: old, idle TIME"},
	{"hang idle", "hang", "missing"},
	{"hang idle 60", "hang", "idle TIME"},
	{"hang after 60", "hang", "after SIZE"},
	{"hang after 0s", "hang", "after SIZE"},
	{"hang at", "hang", "missing"},
	{"hang at publish", "hang", "\"publish\" is not accepted"},
	{"hang at connack match proto udp", "hang", "MQTT's"},
	{"hang old reset old", "reset", "second hang or reset"},
	{"reset old match proto udp", "reset", "TCP's"},
	{"hang old match syn", "hang", "whole connections"},
	{"max-flows", "max-flows", "missing"},
	{"loss 1% match host", "match.host", "missing"},
	{"loss 1% match host *.example.com", "match.host", "a name with *"},
	{"loss 1% match host 10.0.0.1", "match.host", "an address is given by to"},
	{"loss 1% match host a..b", "match.host", "the name of a host"},
	{"loss 1% match host -a.example", "match.host", "begin nor end with \"-\""},
	{"loss 1% match host a-.example", "match.host", "begin nor end with \"-\""},
	{"loss 1% match host a.-b", "match.host", "begin nor end with \"-\""},
	{"loss 1% match host a.example-.", "match.host", "begin nor end with \"-\""},
	{"loss 1% match host .a", "match.host", "the name of a host"},
	{"loss 1% match host a..", "match.host", "the name of a host"},
	{"loss 1% match host .", "match.host", "the name of a host"},
	{"loss 1% match host " LABEL_63 "x.example", "match.host", "labels of 1 to 63"},
	{"loss 1% match host " LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_61 "x", "match.host",
	 "253 bytes in all"},
	{"loss 1% match host a host b", "match.host", "twice"},
	{"loss 1% match host a also loss 2% match host b also loss 3% match host c also loss 4% "
	 "match "
	 "host d also loss 5% match host e",
	 "clause[4].match.host", "at most 4 hosts"},
	{"dns", "dns", "missing"},
	{"dns nxdomain match dport 80", "dns", "port 53"},
	{"dns timeout match dport 54-99", "dns", "port 53"},
	{"dns refused", "dns", "\"refused\" is not accepted: nxdomain"},
	{"dns slow", "dns", "missing"},
	{"dns slow 2", "dns", "slow with a time"},
	{"dns slow 61s", "dns", "up to 60s"},
	{"dns nxdomain dns servfail", "dns", "twice"},
	{"dns nxdomain match proto tcp", "dns", "over UDP"},
	{"dns nxdomain match syn", "dns", "over UDP"},
	{"max-flows 0", "max-flows", "1 to 2000000"},
	{"max-flows -1", "max-flows", "1 to 2000000"},
	{"max-flows 8kb", "max-flows", "\"8kb\" is not accepted"},
	{"max-flows 2000001", "max-flows", "1 to 2000000"},
	{"max-flows 8 max-flows 9", "max-flows", "twice"},
	{"max-flows 8 match syn", "max-flows", "where connections end"},
	{"max-flows 65537", "max-flows", "max-flows 65537 links 65537"},
	{"max-flows 8 links 7", "max-flows", "more than the table holds"},
	{"loss 1% also hang after 1kb sideways match dport 1", "rule", "sideways"},
	{"up loss 1% links 10", "links", "without each"},
	{"hang old links 0", "links", "1 to 2000000"},
	{"hang old links 2000001", "links", "1 to 2000000"},
	{"up mtu 67", "up.mtu", "68 to 65535"},
	{"up mtu 65536", "up.mtu", "68 to 65535"},
	{"up mtu 1280 imcp", "rule", "mtu"},
	{"up mtu icmp", "up.mtu", "\"icmp\" is not accepted"},
	{"loss 1% match proto icmp dport 80", "match", "no ports"},
	{"loss 1% match dport 80 loss 5%", "rule", "\"loss\""},
	{"loss 1% dport 80", "rule", "match"},
	{"loss 1% match dport 80 match sport 5", "rule", "\"match\""},
	{"loss 1% also", "clause[1].up", "no fault"},
	{"loss 1% also loss 2%", "clause[1].up", "second set"},
	{"loss 1% match dport 80 also up loss 2% match dport 80", "clause[1].up", "second set"},
	{"loss 1% also up delay 5ms 1xs", "clause[1].up.delay.jitter", "\"1xs\""},
	{"loss 1% also up loss 0% match dport 80", "clause[1].faults", "no fault"},
	{"loss 1% match dport 1 also loss 1% match dport 2 also loss 1% match dport 3 also loss 1% "
	 "match dport "
	 "4 also loss 1% match dport 5 also loss 1% match dport 6 also loss 1% match dport 7 also "
	 "loss 1% "
	 "match dport 8 also loss 1% match dport 9",
	 "also", "at most 8"},
	{"loss 1% except", "except[0]", "empty"},
	{"loss 1% except proto any", "except[0]", "every packet"},
	{"loss 1% except port 5557 except port 0", "except[1].port", "\"0\""},
	{"loss 1% except port 1 except port 2 except port 3 except port 4 except port 5 except "
	 "port 6 except "
	 "port 7 except port 8 except port 9 except port 10 except port 11 except port 12 except "
	 "port 13 "
	 "except port 14 except port 15 except port 16 except port 17",
	 "except", "at most 16"},
	{"loss 1% for", "for", "missing"},
	{"loss 1% for 0s", "for", "\"0s\""},
	{"loss 1% for 60", "for", "\"60\""},
	{"loss 1% for -5s", "for", "\"-5s\""},
	{"loss 1% for ever", "for", "\"ever\""},
	{"loss 1% for 1s for 2s", "for", "twice"},
	{"loss 1% seed", "seed", "missing"},
	{"loss 1% seed -1", "seed", "\"-1\""},
	{"loss 1% seed 1.5", "seed", "\"1.5\""},
	{"loss 1% seed 9223372036854775808", "seed", "\"9223372036854775808\""},
	{"loss 1% seed 0x7", "seed", "\"0x7\""},
	{"loss 1% seed 1 seed 2", "seed", "twice"},
	{"loss 1% on-crash", "on-crash", "missing"},
	{"loss 1% on-crash maybe", "on-crash", "\"maybe\""},
	{"loss 1% on-crash keep on-crash keep", "on-crash", "twice"},
	{"for 60s loss 1%", "up", "\"for\""},
	{"loss 1% for 60s delay 5ms", "rule", "\"delay\""},
	{"loss 1% for 60s also loss 2%", "rule", "\"also\""},
	{"loss 1% garbage", "rule", "\"garbage\""},
	{"loss\x01 1%", "up", "\"loss\\x01\""},
	{"loss 1\x1b[31m%", "up.loss", "\\x1b"},
	{"loss \xff\xfe", "up.loss", "\\xff\\xfe"},
	{"loss \xc3\xa9%", "up.loss", "\\xc3\\xa9"},
	{"loss 1% match to \"10.0.0.0/8\"", "match.to", "\\\"10.0.0.0/8\\\""},
};

static void parse(const char *text, struct sq_rule *rule)
{
	struct sq_error err = {0};
	int r = sq_rule_from_text(text, strlen(text), rule, &err);

	if (r)
		fail_msg("\"%s\": %d, %s", text, r, err.text);
}

static void good_text_round_trips(void **state)
{
	char text[SQ_RULE_CANONICAL_MAX];
	struct sq_rule a, b;

	(void)state;
	EACH(good, i)
	{
		memset(&a, 0x5a, sizeof(a));
		parse(good[i].text, &a);
		int len = sq_rule_to_text(&a, text, sizeof(text));

		assert_int_equal(len, strlen(text));
		if (strcmp(text, good[i].canonical ? good[i].canonical : good[i].text))
			fail_msg("\"%s\" became \"%s\"", good[i].text, text);
		parse(text, &b);
		if (!sq_rule_equal(&a, &b) || memcmp(&a, &b, sizeof(a)))
			fail_msg("\"%s\" is not equal to \"%s\"", good[i].text, text);
	}
}

static void good_json_round_trips(void **state)
{
	struct sq_error err;
	struct sq_rule a, b;

	(void)state;
	EACH(good, i)
	{
		json_t *json, *again;
		char *dump;

		parse(good[i].text, &a);
		json = sq_rule_to_json(&a, 0);
		dump = json_dumps(json, SQ_JSON_FLAGS);
		json_decref(json);
		again = json_loads(dump, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(again);
		if (sq_rule_from_json(again, &b, &err))
			fail_msg("%s: %s", dump, err.text);
		if (memcmp(&a, &b, sizeof(a)))
			fail_msg("%s is not \"%s\"", dump, good[i].text);
		/* and without the text beside it */
		json_object_del(again, "text");
		assert_int_equal(sq_rule_from_json(again, &b, &err), 0);
		assert_memory_equal(&a, &b, sizeof(a));
		json_decref(again);
		free(dump);
	}
}

static void words_are_text(void **state)
{
	static const char *const words[] = {"up", "loss",  "10%",   "delay 5ms",
					    "",	  "match", "dport", "80"};
	struct sq_rule a, b;

	(void)state;
	parse("up loss 10% delay 5ms match dport 80", &a);
	assert_int_equal(sq_rule_from_words(8, words, &b, NULL), 0);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(sq_rule_from_words(0, NULL, &b, NULL), -EINVAL);
}

/* One line, the field first, printable, and the rule as it was. */
static void check_error(const char *what, int r, const struct sq_error *err, const char *field,
			const char *says)
{
	const char *c;

	if (r != -EINVAL)
		fail_msg("\"%s\" gives %d", what, r);
	if (strcmp(err->field, field))
		fail_msg("\"%s\": the field is \"%s\", not \"%s\" (%s)", what, err->field, field,
			 err->text);
	if (strncmp(err->text, field, strlen(field)) || err->text[strlen(field)] != ':')
		fail_msg("\"%s\": \"%s\" does not start with the field", what, err->text);
	if (!strstr(err->text, says))
		fail_msg("\"%s\": \"%s\" does not say %s", what, err->text, says);
	for (c = err->text; *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			fail_msg("\"%s\": byte %02x in the line", what, (unsigned char)*c);
}

static void bad_text_is_refused(void **state)
{
	struct sq_rule rule, before;
	struct sq_error err;

	(void)state;
	memset(&before, 0x5a, sizeof(before));
	EACH(bad, i)
	{
		rule = before;
		memset(&err, 0, sizeof(err));
		check_error(bad[i].text,
			    sq_rule_from_text(bad[i].text, strlen(bad[i].text), &rule, &err), &err,
			    bad[i].field, bad[i].says);
		assert_memory_equal(&rule, &before, sizeof(rule));
		assert_int_equal(sq_rule_from_text(bad[i].text, strlen(bad[i].text), &rule, NULL),
				 -EINVAL);
	}
}

static void hostile_text(void **state)
{
	const size_t mib = 1 << 20;
	struct sq_error err;
	struct sq_rule rule;
	char *big = malloc(mib + 1);
	const char *words[1];

	(void)state;
	assert_non_null(big);
	memset(big, 'x', mib);
	big[mib] = 0;
	assert_int_equal(sq_rule_from_text(big, mib, &rule, &err), -E2BIG);
	assert_non_null(strstr(err.text, "1048576"));
	words[0] = big;
	assert_int_equal(sq_rule_from_words(1, words, &rule, &err), -E2BIG);
	/* The longest that is read at all, as one word and as many. */
	assert_int_equal(sq_rule_from_text(big, SQ_RULE_TEXT_MAX, &rule, &err), -EINVAL);
	assert_true(strlen(err.text) < 400);
	for (size_t i = 0; i < mib; i += 2)
		big[i] = ' ';
	assert_int_equal(sq_rule_from_text(big, SQ_RULE_TEXT_MAX, &rule, &err), -EINVAL);
	memset(big, ' ', mib);
	assert_int_equal(sq_rule_from_text(big, SQ_RULE_TEXT_MAX, &rule, &err), -EINVAL);
	assert_int_equal(sq_rule_from_text("loss 1%\0 for 5s", 15, &rule, &err), -EINVAL);
	assert_non_null(strstr(err.text, "NUL byte (at offset 7)"));
	free(big);
}

static const struct {
	const char *json, *field, *says;
} bad_json[] = {
	{"[]", "rule", "object"},
	{"null", "rule", "object"},
	{"{}", "rule", "needs clauses or text"},
	{"{\"text\":5}", "text", "5"},
	{"{\"text\":\"loss 101%\"}", "up.loss", "101%"},
	{"{\"text\":\"loss 1%\\u0000\"}", "rule", "NUL"},
	{"{\"text\":\"loss 1%\",\"except\":[]}", "except", "beside text"},
	{"{\"text\":\"loss 1% for 5s\",\"for_ns\":1}", "text", "otherwise"},
	{"{\"text\":\"loss 1% seed 5\",\"seed\":6}", "text", "otherwise"},
	{"{\"text\":\"loss 1% on-crash keep\",\"on_crash\":\"clear\"}", "text", "otherwise"},
	{"{\"text\":\"up loss 2%\",\"clauses\":[{\"up\":{\"loss\":{\"pct\":1}}}]}", "text",
	 "otherwise"},
	{"{\"clauses\":{}}", "clauses", "array"},
	{"{\"clauses\":[]}", "rule", "empty"},
	{"{\"clauses\":[1]}", "clause", "1"},
	{"{\"clauses\":[{}]}", "rule", "no fault"},
	{"{\"clauses\":[{\"up\":{}}]}", "rule", "no fault"},
	{"{\"clauses\":[{\"up\":5}]}", "up", "5"},
	{"{\"clauses\":[{\"up\":{\"mtu_bytes\":1}}]}", "up.mtu_bytes", "68 to 65535"},
	{"{\"clauses\":[{\"up\":{\"mtu_icmp\":true}}]}", "up.mtu_icmp", "mtu_bytes"},
	{"{\"clauses\":[{\"up\":{\"blackhole\":true},\"match\":{\"syn\":1}}]}", "match.syn",
	 "true or false"},
	{"{\"clauses\":[{\"each\":\"flow\"}]}", "each", "without rate"},
	{"{\"clauses\":[{\"each\":1,\"up\":{\"loss\":{\"pct\":1}}}]}", "each", "flow or address"},
	{"{\"clauses\":[{\"flows_pct\":0,\"up\":{\"blackhole\":true}}]}", "flows_pct", "above 0"},
	{"{\"clauses\":[{\"hang\":true}]}", "hang", "idle_ns"},
	{"{\"clauses\":[{\"hang\":{\"at\":\"ping\"}}]}", "hang.at", "connack"},
	{"{\"clauses\":[{\"hang\":{\"old\":false}}]}", "hang.old", "idle_ns"},
	{"{\"clauses\":[{\"hang\":{\"idle_ns\":1,\"after_ns\":1}}]}", "hang", "one of"},
	{"{\"clauses\":[{\"hang\":{\"after_ns\":1,\"of\":\"up\"}}]}", "hang", "beside it"},
	{"{\"clauses\":[{\"hang\":{\"old\":true},\"reset\":{\"old\":true}}]}", "reset",
	 "one for each"},
	{"{\"clauses\":[{\"hang\":{\"old\":true}}],\"links\":0}", "links", "1 to 2000000"},
	{"{\"clauses\":[{\"left\":{}}]}", "", "\"left\" is not accepted: up, down, match, each"},
	{"{\"clauses\":[{\"up\":{\"los\":1}}]}", "up", "\"los\""},
	{"{\"clauses\":[{\"up\":{\"loss\":10}}]}", "up.loss", "10"},
	{"{\"clauses\":[{\"up\":{\"loss\":{}}}]}", "up.loss.pct", "no value"},
	{"{\"clauses\":[{\"up\":{\"loss\":{\"pct\":\"10\"}}}]}", "up.loss.pct", "\"10\""},
	{"{\"clauses\":[{\"up\":{\"loss\":{\"pct\":100.1}}}]}", "up.loss.pct", "100.1"},
	{"{\"clauses\":[{\"up\":{\"loss\":{\"pct\":-1}}}]}", "up.loss.pct", "-1"},
	{"{\"clauses\":[{\"up\":{\"loss\":{\"corr_pct\":1}}}]}", "up.loss.pct", "no value"},
	{"{\"clauses\":[{\"up\":{\"loss\":{\"pct\":1,\"gemodel\":{\"p_pct\":1}}}}]}", "up.loss",
	 "one model"},
	{"{\"clauses\":[{\"up\":{\"loss\":{\"gemodel\":{}}}}]}", "up.loss.gemodel.p_pct",
	 "no value"},
	{"{\"clauses\":[{\"up\":{\"loss\":{\"gemodel\":{\"p_pct\":1,\"x\":1}}}}]}",
	 "up.loss.gemodel", "\"x\""},
	{"{\"clauses\":[{\"up\":{\"loss\":{\"state\":{\"p31_pct\":1}}}}]}", "up.loss.state.p13_pct",
	 "no value"},
	{"{\"clauses\":[{\"up\":{\"delay_ns\":\"100ms\"}}]}", "up.delay_ns", "\"100ms\""},
	{"{\"clauses\":[{\"up\":{\"delay_ns\":-1}}]}", "up.delay_ns", "-1"},
	{"{\"clauses\":[{\"up\":{\"delay_ns\":1.5}}]}", "up.delay_ns", "1.5"},
	{"{\"clauses\":[{\"up\":{\"delay_ns\":true}}]}", "up.delay_ns", "true"},
	{"{\"clauses\":[{\"up\":{\"delay_ns\":9223372036854775807}}]}", "up.delay", "146 years"},
	{"{\"clauses\":[{\"up\":{\"jitter_ns\":5}}]}", "up.jitter_ns", "delay_ns"},
	{"{\"clauses\":[{\"up\":{\"delay_ns\":5,\"distribution\":\"normal\"}}]}", "up.distribution",
	 "jitter_ns"},
	{"{\"clauses\":[{\"up\":{\"delay_ns\":5,\"jitter_ns\":5,\"distribution\":\"x\"}}]}",
	 "up.distribution", "\"x\""},
	{"{\"clauses\":[{\"up\":{\"duplicate_corr_pct\":5}}]}", "up.duplicate_corr_pct",
	 "duplicate_pct"},
	{"{\"clauses\":[{\"up\":{\"reorder_pct\":5}}]}", "up.reorder", "without a delay"},
	{"{\"clauses\":[{\"up\":{\"delay_ns\":5,\"reorder_pct\":5,\"gap\":0}}]}", "up.gap", "0"},
	{"{\"clauses\":[{\"up\":{\"rate_bps\":0}}]}", "up.rate_bps", "0"},
	{"{\"clauses\":[{\"up\":{\"rate_bps\":7}}]}", "up.rate_bps", "7"},
	{"{\"clauses\":[{\"up\":{\"rate_bps\":1e16}}]}", "up.rate_bps", "1e+16"},
	{"{\"clauses\":[{\"up\":{\"burst_bytes\":5000}}]}", "up.burst", "without rate"},
	{"{\"clauses\":[{\"up\":{\"rate_bps\":1000,\"limit_bytes\":5,\"latency_ns\":5}}]}",
	 "up.limit", "together"},
	{"{\"clauses\":[{\"up\":{\"blackhole\":1}}]}", "up.blackhole", "1"},
	{"{\"clauses\":[{\"up\":{\"blackhole\":false}}]}", "rule", "no fault"},
	{"{\"clauses\":[{\"up\":{\"blackhole\":true},\"match\":[]}]}", "match", "an array"},
	{"{\"clauses\":[{\"up\":{\"blackhole\":true},\"match\":{\"from\":1}}]}", "match",
	 "\"from\""},
	{"{\"clauses\":[{\"up\":{\"blackhole\":true},\"match\":{\"proto\":6}}]}", "match.proto",
	 "6"},
	{"{\"clauses\":[{\"up\":{\"blackhole\":true},\"match\":{\"to\":\"10.0.0.1/8\"}}]}",
	 "match.to", "10.0.0.0/8"},
	{"{\"clauses\":[{\"up\":{\"blackhole\":true},\"match\":{\"to\":\"10.0.0.1\\u0000/8\"}}]}",
	 "match.to", "\\x00"},
	{"{\"clauses\":[{\"up\":{\"blackhole\":true},\"match\":{\"dport\":0}}]}", "match.dport",
	 "0"},
	{"{\"clauses\":[{\"up\":{\"blackhole\":true},\"match\":{\"dport\":80.5}}]}", "match.dport",
	 "80.5"},
	{"{\"clauses\":[{\"up\":{\"blackhole\":true},\"match\":{\"proto\":\"icmp\",\"dport\":80}}]"
	 "}",
	 "match", "no ports"},
	{"{\"clauses\":[{\"up\":{\"blackhole\":true}},{\"down\":{\"rate_bps\":1}}]}",
	 "clause[1].down.rate_bps", "1"},
	{"{\"clauses\":[{\"up\":{\"blackhole\":true}}],\"except\":{}}", "except", "an object"},
	{"{\"clauses\":[{\"up\":{\"blackhole\":true}}],\"except\":[{}]}", "except[0]",
	 "every packet"},
	{"{\"clauses\":[{\"up\":{\"blackhole\":true}}],\"except\":[{\"port\":1},{\"port\":\"x\"}]}",
	 "except[1].port", "\"x\""},
	{"{\"clauses\":[{\"up\":{\"blackhole\":true}}],\"for_ns\":0}", "for_ns", "0"},
	{"{\"clauses\":[{\"up\":{\"blackhole\":true}}],\"for_ns\":\"60s\"}", "for_ns", "\"60s\""},
	{"{\"clauses\":[{\"up\":{\"blackhole\":true}}],\"seed\":-1}", "seed", "-1"},
	{"{\"clauses\":[{\"up\":{\"blackhole\":true}}],\"on_crash\":\"no\"}", "on_crash", "\"no\""},
	{"{\"clauses\":[{\"up\":{\"blackhole\":true}}],\"unknown\":1}", "", "\"unknown\""},
	{"{\"clauses\":[{},{},{},{},{},{},{},{},{}]}", "clauses", "9 are too many"},
};

static void bad_json_is_refused(void **state)
{
	struct sq_rule rule, before;

	(void)state;
	memset(&before, 0x5a, sizeof(before));
	EACH(bad_json, i)
	{
		json_t *json = json_loads(bad_json[i].json, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
		struct sq_error err = {0};
		int r;

		if (!json)
			fail_msg("the table's %s is no JSON", bad_json[i].json);
		rule = before;
		r = sq_rule_from_json(json, &rule, &err);
		if (*bad_json[i].field) {
			check_error(bad_json[i].json, r, &err, bad_json[i].field, bad_json[i].says);
		} else {
			assert_int_equal(r, -EINVAL);
			if (!strstr(err.text, bad_json[i].says))
				fail_msg("%s: %s", bad_json[i].json, err.text);
		}
		assert_memory_equal(&rule, &before, sizeof(rule));
		json_decref(json);
	}
}

static void json_spellings(void **state)
{
	static const struct {
		const char *json, *text;
	} same[] = {
		{"{\"text\":\"loss 1%\",\"for_ns\":60000000000,\"seed\":3,\"on_crash\":\"keep\"}",
		 "up loss 1% for 60s seed 3 on-crash keep"},
		{"{\"clauses\":[{\"up\":{\"loss\":{\"pct\":0.1}}}]}", "up loss 0.1%"},
		{"{\"clauses\":[{\"up\":{\"loss\":{\"pct\":33.333333}}}]}", "up loss 33.333333%"},
		{"{\"clauses\":[{\"up\":{\"delay_ns\":1e8}}]}", "up delay 100ms"},
		{"{\"clauses\":[{\"up\":{\"delay_ns\":0,\"jitter_ns\":5000000}}]}",
		 "up delay 0s 5ms"},
		{"{\"clauses\":[{\"down\":{\"loss\":{\"gemodel\":{\"p_pct\":1}}}}]}",
		 "down loss gemodel 1% 99% 100% 0%"},
		{"{\"clauses\":[{\"down\":{\"loss\":{\"state\":{\"p13_pct\":1,\"p14_pct\":2}}}}]}",
		 "down loss state 1% 99% 0% 100% 2%"},
		{"{\"clauses\":[{\"up\":{\"blackhole\":true},\"match\":{\"dport\":\"8883\","
		 "\"sport\":5}}]}",
		 "up blackhole match dport 8883 sport 5"},
		{"{\"clauses\":[{\"up\":{\"blackhole\":true},\"match\":{\"port\":\"1-9\"}}],\"id\":"
		 "7,"
		 "\"target_id\":\"9\",\"set_ms\":1,\"expires_in_ns\":5,\"drawn_seed\":\"8\"}",
		 "up blackhole match port 1-9"},
	};
	char text[SQ_RULE_CANONICAL_MAX];
	struct sq_error err;
	struct sq_rule rule;

	(void)state;
	EACH(same, i)
	{
		json_t *json = json_loads(same[i].json, 0, NULL);

		if (sq_rule_from_json(json, &rule, &err))
			fail_msg("%s: %s", same[i].json, err.text);
		sq_rule_to_text(&rule, text, sizeof(text));
		assert_string_equal(text, same[i].text);
		json_decref(json);
	}
}

static void json_of_a_rule_in_force(void **state)
{
	struct sq_rule rule;
	json_t *json;

	(void)state;
	parse("up loss 1% for 60s", &rule);
	rule.id = 5;
	rule.target = UINT64_MAX;
	rule.seed = UINT64_MAX; /* drawn */
	rule.set_ns = 1700000000000000000ull;
	rule.expires_ns = 1000;
	json = sq_rule_to_json(&rule, 400);
	assert_int_equal(json_integer_value(json_object_get(json, "id")), 5);
	assert_string_equal(json_string_value(json_object_get(json, "target_id")),
			    "18446744073709551615");
	assert_string_equal(json_string_value(json_object_get(json, "drawn_seed")),
			    "18446744073709551615");
	assert_null(json_object_get(json, "seed"));
	assert_int_equal(json_integer_value(json_object_get(json, "set_ms")), 1700000000000);
	assert_int_equal(json_integer_value(json_object_get(json, "expires_in_ns")), 600);
	assert_string_equal(json_string_value(json_object_get(json, "text")), "up loss 1% for 60s");
	assert_string_equal(json_string_value(json_object_get(json, "on_crash")), "clear");
	json_decref(json);
	json = sq_rule_to_json(&rule, 5000);
	assert_int_equal(json_integer_value(json_object_get(json, "expires_in_ns")), 0);
	json_decref(json);
}

static void derived_fields(void **state)
{
	struct sq_faults *f;
	struct sq_rule r;

	(void)state;
	parse("up rate 1mbit", &r);
	f = &r.clause[0].faults[SQ_UP];
	assert_int_equal(f->burst_ns, 40960000); /* 5 KiB at 1 Mbit/s: more than 4 ms */
	assert_int_equal(f->limit_ns, 50000000);
	assert_int_equal(f->flags, SQ_F_WIRE | SQ_F_LANE | SQ_F_ACTIVE);
	assert_int_equal(r.flags, SQ_R_LANE);
	assert_int_equal(r.clause[0].faults[SQ_DOWN].flags, 0);
	parse("up rate 10kbit", &r); /* a full-size packet takes 1.2 s */
	assert_int_equal(r.clause[0].faults[SQ_UP].limit_ns, 1211200000);
	parse("up rate 500mbit", &r); /* 4 ms are 250 kB: GSO packets may pass whole */
	f = &r.clause[0].faults[SQ_UP];
	assert_int_equal(f->burst_ns, 4000000);
	assert_int_equal(f->flags, SQ_F_LANE | SQ_F_ACTIVE);
	parse("up rate 8mbit burst 10kb limit 100kb", &r);
	f = &r.clause[0].faults[SQ_UP];
	assert_int_equal(f->burst_ns, 10240000);
	assert_int_equal(f->limit_ns, 102400000);
	parse("up rate 8mbit latency 70ms", &r);
	f = &r.clause[0].faults[SQ_UP];
	assert_int_equal(f->limit_ns, 70000000);
	assert_true(f->flags & SQ_F_LIMIT_TIME);
	parse("down corrupt 1%", &r);
	assert_int_equal(r.clause[0].faults[SQ_DOWN].flags,
			 SQ_F_WIRE | SQ_F_SUM | SQ_F_ACTIVE | SQ_F_AHEAD);
	assert_int_equal(r.flags, 0);
	parse("up delay 5ms", &r);
	assert_int_equal(r.clause[0].faults[SQ_UP].flags, SQ_F_LANE | SQ_F_ACTIVE);
	parse("up blackhole", &r);
	assert_int_equal(r.clause[0].faults[SQ_UP].flags, SQ_F_BLACKHOLE | SQ_F_ACTIVE);
	/* What names a port or an address lifts the exemptions; a wide net does not. */
	parse("up loss 1% match to 169.254.169.254 dport 5557", &r);
	assert_int_equal(r.clause[0].match.flags, SQ_M_PORT_NAMED | SQ_M_ADDR_NAMED);
	parse("up loss 1% match to 160.0.0.0/4 dport 5000-6000", &r);
	assert_int_equal(r.clause[0].match.flags, 0);
	assert_int_equal(r.clause[0].match.mask[0], 0xf0);
	assert_int_equal(r.clause[0].match.mask[1], 0);
	/* finishing again changes nothing */
	parse("both loss 1% delay 5ms 1ms rate 1mbit except port 5 for 5s", &r);
	struct sq_rule again = r;

	assert_int_equal(sq_rule_finish(&again, NULL), 0);
	assert_memory_equal(&again, &r, sizeof(r));
}

static void differences_are_seen(void **state)
{
	static const char *const texts[] = {
		"up loss 1%",
		"up loss 2%",
		"down loss 1%",
		"both loss 1%",
		"up loss 1% 5%",
		"up loss gemodel 1%",
		"up delay 1ms",
		"up delay 1ms 1us",
		"up delay 1ms 1us 1%",
		"up delay 1ms 1us distribution normal",
		"up duplicate 1%",
		"up corrupt 1%",
		"up delay 1ms reorder 1%",
		"up delay 1ms reorder 1% gap 2",
		"up rate 1mbit",
		"up rate 1mbit burst 9kb",
		"up rate 1mbit limit 9kb",
		"up rate 1mbit latency 9ms",
		"up blackhole",
		"up loss 1% match dport 1",
		"up loss 1% match sport 1",
		"up loss 1% match port 1",
		"up loss 1% match proto udp",
		"up loss 1% match to 10.0.0.1",
		"up loss 1% match to 0.0.0.0/0",
		"up loss 1% except port 1",
		"up loss 1% for 1s",
		"up loss 1% seed 1",
		"up loss 1% seed 0",
		"up loss 1% on-crash keep",
		"up loss 1% also up loss 1% match port 1",
	};
	struct sq_rule a, b;

	(void)state;
	EACH(texts, i)
	{
		parse(texts[i], &a);
		EACH(texts, j)
		{
			parse(texts[j], &b);
			if (sq_rule_equal(&a, &b) != (i == j))
				fail_msg("\"%s\" against \"%s\"", texts[i], texts[j]);
		}
	}
	/* A seed that was drawn, ids, counters and times do not count. */
	parse("up loss 1%", &a);
	b = a;
	b.seed = 5;
	b.id = 6;
	b.expires_ns = b.set_ns = 7;
	b.clause[0].faults[SQ_UP].counter = 8;
	assert_true(sq_rule_equal(&a, &b));
}

static void small_buffers(void **state)
{
	char text[64];
	struct sq_rule r;

	(void)state;
	parse("up loss 10% delay 100ms", &r);
	memset(text, 'x', sizeof(text));
	assert_int_equal(sq_rule_to_text(&r, text, 10), -ENOSPC);
	assert_int_equal(text[10], 'x');
	assert_int_equal(sq_rule_to_text(&r, text, 0), -ENOSPC);
	assert_int_equal(sq_rule_to_text(&r, text, 24), 23);
}

/* The longest rule there is fits the size that the header promises. */
static void longest_rule(void **state)
{
	static char in[SQ_RULE_TEXT_MAX], out[SQ_RULE_CANONICAL_MAX];
	static const char faults[] = "loss state 11.1111111% 22.2222222% 33.3333333% 44.4444444% "
				     "55.5555555% delay 1.234567891s "
				     "123.456789ms 12.3456789% distribution paretonormal duplicate "
				     "1.23456789% 1.23456789% corrupt "
				     "1.23456789% 1.23456789% reorder 1.23456789% 1.23456789% gap "
				     "65535 rate 1.23456789mbit burst "
				     "123456789b limit 123456789b blackhole";
	static const char match[] = "proto tcp to 2001:db8:1111:2222:3333:4444:5555:6666/127 dport "
				    "10000-65535 sport 10000-65535 port";
	struct sq_rule a, b;
	size_t n = 0;
	int i;

	(void)state;
	for (i = 0; i < SQ_MAX_CLAUSES; i++)
		n += (size_t)sprintf(in + n, "%sup %s down %s duplicate 2%% match %s %d",
				     i ? " also " : "", faults,
				     "delay 1.234567891s 2.345678912s 12.3456789% "
				     "distribution paretonormal rate 1.234567kbit latency "
				     "1.23456789s corrupt 5% "
				     "loss gemodel 1.1111111% 2.2222222% 3.3333333% 4.4444444%",
				     match, 10000 + i);
	for (i = 0; i < SQ_MAX_EXCEPTS; i++)
		n += (size_t)sprintf(in + n, " except %s %d", match, 20000 + i);
	sprintf(in + n, " for 123456789.123456789s seed 9223372036854775807 on-crash keep");
	parse(in, &a);
	assert_true(sq_rule_to_text(&a, out, sizeof(out)) > 5000);
	parse(out, &b);
	assert_true(sq_rule_equal(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_text_round_trips), cmocka_unit_test(good_json_round_trips),
		cmocka_unit_test(words_are_text),	 cmocka_unit_test(bad_text_is_refused),
		cmocka_unit_test(hostile_text),		 cmocka_unit_test(bad_json_is_refused),
		cmocka_unit_test(json_spellings),	 cmocka_unit_test(json_of_a_rule_in_force),
		cmocka_unit_test(derived_fields),	 cmocka_unit_test(differences_are_seen),
		cmocka_unit_test(small_buffers),	 cmocka_unit_test(longest_rule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
