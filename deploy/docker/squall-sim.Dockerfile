# SPDX-License-Identifier: GPL-2.0-only
# The device simulator, standalone or as a Locust worker. Build it from the top
# of the tree:
#   docker build -f deploy/docker/squall-sim.Dockerfile -t squall-sim .
# It runs as an ordinary user on a read-only root file system.
ARG BASE=debian:12-slim

FROM ${BASE} AS compile
RUN apt-get update && apt-get install -y --no-install-recommends make
COPY . /src
RUN make -C /src deps && make -C /src -j"$(nproc)" all \
 && make -C /src install-sim DESTDIR=/out PREFIX=/usr STRIP=strip

FROM ${BASE}
# ca-certificates holds Amazon's roots. Nothing is fetched if the base has it all.
RUN want="libssl3 libyaml-0-2 libzmq5 libmsgpackc2 libcurl4 libmicrohttpd12 libpaho-mqtt1.3 \
      libjansson4 libjemalloc2 ca-certificates curl" \
 && { dpkg-query -W $want >/dev/null 2>&1 \
      || { apt-get update && apt-get install -y --no-install-recommends $want; }; } \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin \
 && groupadd -r -g 10001 squall-sim \
 && useradd -r -u 10001 -g 10001 -d /var/lib/squall-sim -s /usr/sbin/nologin squall-sim \
 && install -d -o 10001 -g 10001 -m 0755 /var/lib/squall-sim
COPY --from=compile /out/ /
# Reports and Locust's locustfile go here; ECS and Docker keep the owner.
VOLUME ["/var/lib/squall-sim"]
WORKDIR /var/lib/squall-sim
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["/usr/lib/squall/squall-sim-health"]
ENTRYPOINT ["/usr/lib/squall/squall-sim-entry"]
CMD ["--help"]
