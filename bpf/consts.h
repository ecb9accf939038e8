/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Numbers of the protocols: headers, ports and addresses, each with where it is laid down.
 * What the system's headers for if_ether.h, in.h and pkt_cls.h say comes with vmlinux.h.
 */
#ifndef SQUALL_BPF_CONSTS_H
#define SQUALL_BPF_CONSTS_H

/* linux/if_vlan.h is not for user programs. */
#define VLAN_HLEN 4

/* sys/socket.h */
#define AF_INET	 2
#define AF_INET6 10

/* IPv4 (RFC 791): the fragment field. */
#define IP_MORE_FRAGMENTS 0x2000
#define IP_OFFSET_MASK	  0x1fff
#define IP_DONT_FRAGMENT  0x4000
#define IP_CHECK	  10

/* IPv6 extension headers (RFC 8200), and the ICMPv6 of neighbours and routers (RFC 4861). */
#define IP6_EXT_HOP_BY_HOP   0
#define IP6_EXT_ROUTING	     43
#define IP6_EXT_FRAGMENT     44
#define IP6_EXT_DESTINATION  60
#define IP6_FRAGMENT_HLEN    8
#define ICMP6_ROUTER_SOLICIT 133
#define ICMP6_REDIRECT	     137

#define UDP_HLEN 8

/* TCP (RFC 9293), and the option of MPTCP (RFC 8684). */
#define TCP_HLEN	 20
#define TCP_SEQ		 4 /* offsets in the header */
#define TCP_CHECK	 16
#define TCP_FIN		 1
#define TCP_SYN		 2
#define TCP_RST		 4
#define TCP_ACK		 16
#define TCP_OPTIONS_MAX	 20 /* as many as are seen outside of attacks */
#define TCP_OPTION_MPTCP 30
#define TCP_MPTCP_JOIN	 1

/* DNS (RFC 1035, 4.1.1): flags of a header, and what an answer keeps of those of its query. */
#define PORT_DNS      53
#define DNS_FLAGS     2 /* offset in the header */
#define DNS_HLEN      12
#define DNS_RESPONSE  0x8000
#define DNS_OPCODE    0x7800
#define DNS_RA	      0x0080
#define DNS_KEPT      0x0110 /* RD, CD */
#define DNS_TYPE_A    1
#define DNS_TYPE_AAAA 28 /* RFC 3596 */
#define DNS_CLASS_IN  1
#define DNS_SERVFAIL  2
#define DNS_NXDOMAIN  3
#define UDP_CHECK     6
#define IP_SADDR      12
#define IP6_SADDR     8

/* Control packets of MQTT. */
#define MQTT_CONNACK	2
#define MQTT_PUBLISH	3
#define MQTT_PUBACK	4
#define MQTT_PUBREL	6
#define MQTT_PUBCOMP	7
#define MQTT_SUBACK	9
#define MQTT_UNSUBACK	11
#define MQTT_PINGRESP	13
#define MQTT_DISCONNECT 14
#define MQTT_AUTH	15

/* TLS (RFC 8446, 5.1 and B.4; RFC 5246): kinds of records, and what is in them. */
#define TLS_MAJOR	 3
#define TLS_FIRST_KIND	 20
#define TLS_ALERT	 21
#define TLS_HANDSHAKE	 22
#define TLS_DATA	 23
#define TLS_CLIENT_HELLO 1
#define TLS_SERVER_HELLO 2
#define TLS_HELLO_AT	 9 /* behind the headers of record and handshake */
#define TLS_13_SUITES	 0x13
#define TLS_13_SHA384	 0x1302
#define TLS_13_CCM_8	 0x1305

/* QUIC (RFC 9000, 17) by the ports of HTTP/3 and of MQTT over QUIC (EMQX), and DTLS (RFC 6347). */
#define PORT_QUIC	      443
#define PORT_MQTT_QUIC	      14567
#define QUIC_FORM_MASK	      0xc0
#define QUIC_SHORT_HEADER     0x40
#define DTLS_APPLICATION_DATA 23
#define DTLS_VERSION_MAJOR    0xfe

/* ICMP (RFC 792, 1191) and ICMPv6 (RFC 4443). */
#define ICMP_TYPE_UNREACHABLE 3
#define ICMP_CODE_FRAG_NEEDED 4
#define ICMP_TYPE_ECHO_REPLY  0
#define ICMP_TYPE_ECHO	      8
#define ICMP6_TYPE_TOO_BIG    2
#define ICMP6_TYPE_ECHO	      128 /* errors are below */

/* How an address is configured: DHCP (RFC 2131) and DHCPv6 (RFC 8415). */
#define PORT_DHCP_SERVER  67
#define PORT_DHCP_CLIENT  68
#define PORT_DHCP6_CLIENT 546
#define PORT_DHCP6_SERVER 547
/* A Locust worker hears its master here. */
#define PORT_LOCUST 5557

/* Metadata: of the instance, of an ECS task, and the instance's by IPv6 (fd00:ec2::254). */
#define ADDR_METADATA 0xa9fea9fe
#define ADDR_TASK     0xa9feaa02
/* Docker's resolver inside a container: what it asks for goes out, and is judged, there. */
#define ADDR_DOCKER_DNS	 0x7f00000b
#define ADDR6_METADATA_0 0xfd000ec2
#define ADDR6_METADATA_3 0x254

#endif
