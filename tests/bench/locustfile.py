# SPDX-License-Identifier: GPL-2.0-only
"""The peer squall-sim replaces: Locust users with a paho-python client each,
publishing as fast as they can. Environment: SINK_PORT, QOS, SIZE."""
import os
import time

import paho.mqtt.client as mqtt
from gevent.event import Event
from locust import User, constant, task

PORT = int(os.environ["SINK_PORT"])
QOS = int(os.environ["QOS"])
PAYLOAD = b"x" * int(os.environ["SIZE"])


class Device(User):
    wait_time = constant(0)
    serial = 0

    def on_start(self):
        Device.serial += 1
        self.topic = "dt/thing-%06d/telemetry" % Device.serial
        self.up = Event()
        self.acked = Event()
        self.client = mqtt.Client("thing-%06d" % Device.serial)
        self.client.on_connect = lambda *a: self.up.set()
        self.client.on_publish = lambda *a: self.acked.set()
        self.client.connect("127.0.0.1", PORT)
        self.client.loop_start()
        self.up.wait()

    @task
    def publish(self):
        t0 = time.perf_counter()
        self.acked.clear()
        self.client.publish(self.topic, PAYLOAD, QOS)
        self.acked.wait(30)
        self.environment.events.request.fire(
            request_type="PUBLISH", name="telemetry", response_length=len(PAYLOAD),
            response_time=(time.perf_counter() - t0) * 1000, exception=None, context={})

    def on_stop(self):
        self.client.loop_stop()
