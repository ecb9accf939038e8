# SPDX-License-Identifier: GPL-2.0-only
"""A Locust user as load tests of IoT back ends write it, after the pattern of the
sample that Squall's worker takes the place of: one paho-python client per user,
subscribed to its topic; the task publishes a small JSON message, Locust waits WAIT
seconds; what comes back is reported with its time through the broker. A topic per
user, where the sample has one for all (which would be N * N deliveries). With
MODE=ack the task itself waits for the PUBACK, nothing is subscribed, and WAIT may
be 0: one message under way per user, as fast as that goes.
Environment: SINK_PORT, QOS, WAIT, MODE (receive or ack)."""
import json
import os
import time

import paho.mqtt.client as mqtt
from gevent.event import Event
from locust import User, constant, task

PORT, QOS = int(os.environ["SINK_PORT"]), int(os.environ["QOS"])
ACK = os.environ["MODE"] == "ack"


class Device(User):
    wait_time = constant(float(os.environ["WAIT"]))
    serial = 0

    def on_start(self):
        Device.serial += 1
        self.topic = "dt/thing-%06d/telemetry" % Device.serial
        self.up, self.acked = Event(), Event()
        self.client = mqtt.Client("thing-%06d" % Device.serial)
        self.client.on_connect = lambda *a: self.up.set()
        self.client.connect("127.0.0.1", PORT, 120)
        self.client.loop_start()
        self.up.wait()
        if ACK:
            self.client.on_publish = lambda *a: self.acked.set()
        else:
            self.client.on_message = self.on_message
            self.client.subscribe(self.topic, QOS)

    def report(self, sent, length):
        self.environment.events.request.fire(
            request_type="MQTT", name="task", response_length=length,
            response_time=(time.time() - sent) * 1000, exception=None, context={})

    def on_message(self, client, userdata, message):
        self.report(json.loads(message.payload)["timestamp"], len(message.payload))

    @task
    def publish(self):
        now = time.time()
        payload = json.dumps({"message": "Hello World " * 8, "timestamp": now})
        if ACK:
            self.acked.clear()
        self.client.publish(self.topic, payload, QOS)
        if ACK:
            self.acked.wait(10)
            self.report(now, len(payload))

    def on_stop(self):
        self.client.loop_stop()
