# SPDX-License-Identifier: GPL-2.0-only
# squalld, its panel and the command line. Build it from the top of the tree:
#   docker build -f deploy/docker/squalld.Dockerfile -t squalld .
# README.md beside this file says how it is run.
ARG BASE=debian:12-slim

FROM ${BASE} AS compile
RUN apt-get update && apt-get install -y --no-install-recommends make
COPY . /src
RUN make -C /src deps && make -C /src -j"$(nproc)" all \
 && make -C /src install-daemon DESTDIR=/out PREFIX=/usr STRIP=strip

FROM ${BASE}
# curl asks /healthz over the socket. Nothing is fetched if the base has it all.
RUN want="libbpf1 libelf1 libmnl0 libmicrohttpd12 libcurl4 libcap2 libseccomp2 libssl3 libjansson4 \
      libncursesw6 curl" \
 && { dpkg-query -W $want >/dev/null 2>&1 \
      || { apt-get update && apt-get install -y --no-install-recommends $want; }; } \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
COPY --from=compile /out/ /
VOLUME ["/var/lib/squall", "/run/squall"]
EXPOSE 4080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 \
  CMD ["/usr/lib/squall/squalld-health"]
ENTRYPOINT ["/usr/lib/squall/squalld-entry"]
