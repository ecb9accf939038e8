// SPDX-License-Identifier: GPL-2.0-only
/* What of the words of tc, Toxiproxy, Pumba, Chaos Mesh and plain English is which of ours. */
#include <stdio.h>
#include <string.h>
#include "squall/help/suggest.h"

static const char *const verbs[][2] = {
	{"add", "set"},	       {"create", "set"},   {"put", "set"},	{"inject", "set"},
	{"change", "set"},     {"apply", "set"},    {"replace", "set"}, {"start", "set"},
	{"remove", "del"},     {"rm", "del"},	    {"delete", "del"},	{"clear", "del"},
	{"stop", "del"},       {"ls", "list"},	    {"ps", "list"},	{"get", "show"},
	{"inspect", "show"},   {"status", "show"},  {"info", "show"},	{"test", "check"},
	{"validate", "check"}, {"verify", "check"}, {"use", "apply"},	{"cat", "dump"},
	{"begin", "start"},    {"run", "start"},    {"end", "stop"},	{"list", "show"},
	{NULL, NULL},
};

static const char *const objects[][2] = {
	{"rule", "fault"},	  {"rules", "fault"},	      {"netem", "fault"},
	{"tc", "fault"},	  {"inject", "fault set"},    {"set", "fault set"},
	{"add", "fault set"},	  {"del", "fault del"},	      {"delete", "fault del"},
	{"clear", "fault del"},	  {"reset", "fault del all"}, {"stop", "fault del all"},
	{"list", "target list"},  {"ls", "target list"},      {"ps", "target list"},
	{"container", "target"},  {"containers", "target"},   {"show", "fault show"},
	{"check", "fault check"}, {"counters", "stats"},      {"top", "control"},
	{"ui", "control"},	  {"panel", "control"},	      {"log", "history"},
	{"logs", "history"},	  {"events", "history"},      {"watch", "stats -w"},
	{"monitor", "control"},	  {"apply", "profile apply"}, {"off", "fault del all"},
	{"why", "explain"},	  {"connections", "flows"},   {"sniff", "trace"},
	{"tcpdump", "trace"},	  {"info", "status"},	      {"health", "status"},
	{"exec", "run"},	  {"diagnose", "doctor"},     {"debug", "doctor"},
	{"verify", "doctor"},	  {"preflight", "doctor"},    {"timeline", "schedule"},
	{"man", "help"},	  {"version", "--version"},   {NULL, NULL},
};

const char *suggest_verb(const char *verb)
{
	return opt_synonym(verbs, verb);
}

const char *suggest_object(const char *object)
{
	return opt_synonym(objects, object);
}
