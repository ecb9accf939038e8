// SPDX-License-Identifier: GPL-2.0-only
// What you edit before `npx cdk deploy`. The names of the first block are
// those of the AWS sample, so that a file filled in for it can be copied over.
// lib/config.ts says what each value may be; a wrong one stops the synthesis
// with a line that names it. Any value can also be given for one run:
//   npx cdk synth -c iotCoreEndpoint=abc-ats.iot.ap-northeast-2.amazonaws.com
import { CommonConfig, FaultInjectionConfig, LoadTestingConfig } from './lib/config';

const common: CommonConfig = {
  // Where everything goes. IoT Core must be in the same region.
  region: 'ap-northeast-2',
  // Seconds between two messages of one device.
  mqttWaitTime: 1,
  // 0 or 1. AWS IoT Core never answers QoS 2. With 1 Locust's page shows how long
  // each message took to be acknowledged; with 0 only that it was sent.
  mqttQos: 1,
  // The "message" field of what each device publishes.
  mqttMessage: 'Test Message',
  // Your own: aws iot describe-endpoint --endpoint-type iot:Data-ATS
  iotCoreEndpoint: '',
  // Devices publish below it, each under its own name (iot/simulator/NAME), and are
  // subscribed to what they publish; a rule of IoT Core reads iot/simulator/#.
  iotCoreMqttTopic: 'iot/simulator',
  // The stack makes this thing, its certificate and its policy. Each stack
  // that is deployed to one region needs another name.
  iotThingName: '',
  // Who may open Locust's page (and the control, if publicControl is set).
  // Loopback stands for "not yet given" and is refused: nobody could open the page.
  // 0.0.0.0/0 works, but you have to write it yourself.
  allowedCidrs: ['127.0.0.1/32'],
  // An ACM certificate of the same region turns HTTPS on.
  certificateArn: undefined,
  // Locust's page always asks for a login. Without a password here one is made
  // and kept in Secrets Manager; with one, only its hash leaves this machine.
  webUsername: 'locust',
  webPassword: undefined,

  // --- not in the AWS sample ---
  // true: Locust's page shows how long each message took from device to device, by a topic and
  // a subscription for each. Every message is delivered once more, and billed as that.
  // false: all devices publish to iotCoreMqttTopic itself, and nobody receives.
  endToEnd: true,
  // x86_64 or arm64 (Graviton); ec2InstanceType must be of this kind.
  cpuArchitecture: 'x86_64',
  // Images to run. Undefined: built from this checkout by `cdk deploy`.
  simImage: undefined,
  // What images are built upon, when they are built.
  baseImage: 'public.ecr.aws/docker/library/debian:12-slim',
  // A fleet file (docs/sim.md) in place of the one type of device that the mqtt...
  // parameters describe; its path from here. Its certificate and key are
  // /dev/shm/squall-sim/cert.pem and key.pem.
  fleetFile: undefined,
  locustImage: 'locustio/locust:2.46.2',
  logRetentionDays: 7,
  // true: the bucket of access and flow logs goes with the stack, and what is in it. Else it
  // stays when the stack is destroyed, and empties itself after logRetentionDays.
  removeLogBucket: false,
  // true: Locust's page has a button Faults, for all workers at once (docs/locust.md). In the fault
  // stack each worker asks its instance's squalld by its socket, in the load stack the ECS agent
  // of its own task: egress delay and loss, blackholes of ports.
  faults: false,
  // Who is told when an alarm goes off.
  alarmEmail: undefined,
};

export const faultInjection: FaultInjectionConfig = {
  ...common,
  iotThingName: 'squall-fault-injection',
  workerDesiredCount: 1,
  ec2InstanceType: 'm5.xlarge',

  // --- not in the AWS sample ---
  // 0 pauses: no instance is paid for, and everything else stays.
  ec2InstanceCount: 1,
  // bridge: all workers share the instance's address.
  // awsvpc: each worker has a network interface and security group of its own.
  workerNetworkMode: 'bridge',
  squalldImage: undefined,
  // The secret that holds the control's token. Undefined: the stack makes one.
  controlTokenSecretArn: undefined,
  // true puts the control on the Internet for allowedCidrs. Needs certificateArn.
  publicControl: false,
  // The name that the certificate has and that you point at the control's load balancer.
  controlHostName: undefined,
  // true: an SSM document and an experiment template of AWS's Fault Injection Service (FIS).
  faultInjectionService: false,
};

export const loadTesting: LoadTestingConfig = {
  ...common,
  iotThingName: 'squall-load-testing',
  workerDesiredCount: 100,
};
