# SPDX-License-Identifier: GPL-2.0-only
"""The peer squall-sim replaces: Locust users with a paho-python client each,
publishing as fast as they can, with up to DEPTH messages under way per user (as
many as paho sends at QoS 1 by default) so that no greenlet switch is paid per
message; every message is reported to Locust. Environment: SINK_PORT, QOS, SIZE."""
import os
import time

import paho.mqtt.client as mqtt
from gevent.event import Event
from locust import User, constant, task

PORT = int(os.environ["SINK_PORT"])
QOS = int(os.environ["QOS"])
PAYLOAD = b"x" * int(os.environ["SIZE"])
DEPTH = 20


class Device(User):
    wait_time = constant(0)
    serial = 0

    def on_start(self):
        Device.serial += 1
        self.topic = "dt/thing-%06d/telemetry" % Device.serial
        self.up = Event()
        self.room = Event()
        self.sent = {}
        self.client = mqtt.Client("thing-%06d" % Device.serial)
        self.client.on_connect = lambda *a: self.up.set()
        self.client.on_publish = self.on_publish
        self.client.connect("127.0.0.1", PORT)
        self.client.loop_start()
        self.up.wait()

    def on_publish(self, client, userdata, mid):
        t0 = self.sent.pop(mid, None) or time.perf_counter()
        self.environment.events.request.fire(
            request_type="PUBLISH", name="telemetry", response_length=len(PAYLOAD),
            response_time=(time.perf_counter() - t0) * 1000, exception=None, context={})
        if len(self.sent) < DEPTH // 2:
            self.room.set()

    @task
    def publish(self):
        for _ in range(DEPTH - len(self.sent)):
            t0 = time.perf_counter()
            info = self.client.publish(self.topic, PAYLOAD, QOS)
            self.sent[info.mid] = t0
        self.room.clear()
        if len(self.sent) >= DEPTH // 2:
            self.room.wait(5)

    def on_stop(self):
        self.client.loop_stop()
