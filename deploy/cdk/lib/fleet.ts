// SPDX-License-Identifier: GPL-2.0-only
// What the devices do, in the seed's own environment variables, and the
// secrets they log in with. The same for every worker and, for the names of
// the classes, for the master.
import * as fs from 'node:fs';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import { CommonConfig } from './config';
import { DeviceCertificate } from './device-certificate';

export class Fleet {
  readonly environment: Record<string, string>;
  readonly secrets: Record<string, ecs.Secret>;

  constructor(config: CommonConfig, readonly certificate: DeviceCertificate) {
    this.environment = {
      AWS_DEFAULT_REGION: config.region,
      IOT_CORE_ENDPOINT: config.iotCoreEndpoint,
      IOT_CORE_MQTT_TOPIC: config.iotCoreMqttTopic,
      IOT_THING_NAME: config.iotThingName,
      MQTT_WAIT_TIME: String(config.mqttWaitTime),
      MQTT_QOS: String(config.mqttQos),
      MQTT_MESSAGE: config.mqttMessage,
      MQTT_END_TO_END: String(config.endToEnd),
      ...(config.fleetFile === undefined ? {}
        : { SQUALL_FLEET: fs.readFileSync(config.fleetFile, 'utf8') }),
    };
    this.secrets = {
      DEVICE_CERT_PEM: ecs.Secret.fromSecretsManager(certificate.secret, 'certificatePem'),
      DEVICE_KEY_PEM: ecs.Secret.fromSecretsManager(certificate.secret, 'privateKey'),
    };
  }
}
