// SPDX-License-Identifier: GPL-2.0-only
#include "squall/hosts/service.h"

#include <arpa/nameser.h>
#include <netinet/in.h>
#include <resolv.h>

/* Of an SRV record before its host: priority, weight and port, 16 bits each. */
#define SRV_HEAD 6

int service_hosts(const char *name, int (*each)(const char *host, void *arg), void *arg)
{
	static unsigned char answer[65536]; /* all that a reply over TCP can be */
	char host[NS_MAXDNAME];
	ns_msg reply;
	ns_rr rr;
	int n = res_query(name, ns_c_in, ns_t_srv, answer, sizeof(answer)), i, r = 0;

	if (n < 0 || n > (int)sizeof(answer) || ns_initparse(answer, n, &reply))
		return 0;
	for (i = 0; i < ns_msg_count(reply, ns_s_an) && r >= 0; i++) {
		if (ns_parserr(&reply, ns_s_an, i, &rr) || ns_rr_type(rr) != ns_t_srv ||
		    ns_rr_rdlen(rr) <= SRV_HEAD)
			continue;
		if (dn_expand(ns_msg_base(reply), ns_msg_end(reply), ns_rr_rdata(rr) + SRV_HEAD,
			      host, sizeof(host)) > 0 &&
		    *host)
			r = each(host, arg);
	}
	return r;
}
