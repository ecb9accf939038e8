// SPDX-License-Identifier: GPL-2.0-only
// squalld as an ECS daemon: one per instance, in the host's network and
// process namespaces, with the capabilities it needs and not `privileged`.
import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import * as acm from 'aws-cdk-lib/aws-certificatemanager';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as elb from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as secrets from 'aws-cdk-lib/aws-secretsmanager';
import { DnsRecordType } from 'aws-cdk-lib/aws-servicediscovery';
import { Construct } from 'constructs';
import { FaultInjectionConfig } from './config';
import { NAMESPACE, VPC_CIDR } from './network';
import { accept } from './nag';

export const CONTROL_PORT = 4080;
/** In the cluster's namespace: each instance's squalld, where the load balancer is any one of them. */
export const CONTROL_NAME = 'squalld';
/** Where deploy/docker/squalld-entry puts the token. */
export const TOKEN_FILE = '/dev/shm/squall/token';

export interface SqualldDaemonProps {
  readonly cluster: ecs.Cluster;
  readonly config: FaultInjectionConfig;
  readonly image: ecs.ContainerImage;
  readonly instances: ec2.ISecurityGroup;
  readonly key: kms.IKey;
  readonly logBucket: s3.IBucket;
  readonly logGroup: logs.ILogGroup;
}

// ECS has no name for CAP_BPF and CAP_PERFMON; SYS_ADMIN includes both, and
// entering a task's network namespace needs it anyway. SYS_PTRACE reads
// /proc/PID/ns of other users' processes, DAC_READ_SEARCH finds a cgroup by its
// id, SYS_NICE is the pacer's priority.
const CAPABILITIES = [ecs.Capability.NET_ADMIN, ecs.Capability.SYS_ADMIN, ecs.Capability.SYS_PTRACE,
  ecs.Capability.DAC_READ_SEARCH, ecs.Capability.SYS_NICE];

const MOUNTS: { name: string; path: string; readOnly: boolean }[] = [
  { name: 'bpffs', path: '/sys/fs/bpf', readOnly: false },
  { name: 'cgroup', path: '/sys/fs/cgroup', readOnly: true },
  { name: 'docker-socket', path: '/var/run/docker.sock', readOnly: true },
  // Rules survive a new version of the task, and `squall` on the instance finds the socket.
  { name: 'state', path: '/var/lib/squall', readOnly: false },
  { name: 'run', path: '/run/squall', readOnly: false },
];

export class SqualldDaemon extends Construct {
  readonly service: ecs.Ec2Service;
  readonly task: ecs.Ec2TaskDefinition;
  readonly loadBalancer: elb.ApplicationLoadBalancer;
  readonly targets: elb.ApplicationTargetGroup;
  readonly tokenSecret: secrets.ISecret;
  readonly url: string;

  constructor(scope: Construct, id: string, private readonly props: SqualldDaemonProps) {
    super(scope, id);
    const { config } = props;
    this.tokenSecret = config.controlTokenSecretArn === undefined ? this.makeToken()
      : secrets.Secret.fromSecretCompleteArn(this, 'Token', config.controlTokenSecretArn);
    const secure = config.certificateArn !== undefined;
    this.loadBalancer = new elb.ApplicationLoadBalancer(this, 'LoadBalancer', {
      vpc: props.cluster.vpc,
      internetFacing: config.publicControl,
      dropInvalidHeaderFields: true,
      // The event stream sends something every second; long enough for any pause.
      idleTimeout: Duration.seconds(120),
    });
    this.task = this.makeTask();
    this.service = new ecs.Ec2Service(this, 'Service', {
      cluster: props.cluster,
      taskDefinition: this.task,
      daemon: true,
      minHealthyPercent: 0,
      maxHealthyPercent: 100,
      circuitBreaker: { enable: true, rollback: true },
      // Tasks in the host's network can have records of type SRV only; `squall --all-addresses` asks
      // for those, too.
      cloudMapOptions: { name: CONTROL_NAME, dnsRecordType: DnsRecordType.SRV,
        dnsTtl: Duration.seconds(10), container: this.task.defaultContainer, containerPort: CONTROL_PORT },
    });

    this.loadBalancer.logAccessLogs(props.logBucket, 'controlAlbAccessLog');
    this.targets = this.addListener(secure);
    const sources = config.publicControl ? config.allowedCidrs : [VPC_CIDR];
    for (const cidr of sources) {
      this.loadBalancer.connections.allowFrom(ec2.Peer.ipv4(cidr), ec2.Port.tcp(CONTROL_PORT));
    }
    props.instances.connections.allowFrom(this.loadBalancer, ec2.Port.tcp(CONTROL_PORT), 'squalld');
    // From one instance a command reaches the squalld of all.
    props.instances.connections.allowFrom(props.instances, ec2.Port.tcp(CONTROL_PORT), 'squall');
    const name = config.controlHostName ?? this.loadBalancer.loadBalancerDnsName;
    this.url = `${secure ? 'https' : 'http'}://${name}:${CONTROL_PORT}`;
  }

  private makeToken(): secrets.Secret {
    const secret = new secrets.Secret(this, 'Token', {
      description: 'Bearer token of the fault control',
      encryptionKey: this.props.key,
      generateSecretString: { passwordLength: 48, excludePunctuation: true },
      removalPolicy: RemovalPolicy.DESTROY,
    });
    accept(secret, 'AwsSolutions-SMG4',
      'squalld reads its token when it starts; put a new value and force a deployment to rotate it.');
    return secret;
  }

  private makeTask(): ecs.Ec2TaskDefinition {
    const { config } = this.props;
    const task = new ecs.Ec2TaskDefinition(this, 'TaskDefinition', {
      networkMode: ecs.NetworkMode.HOST,
      pidMode: ecs.PidMode.HOST,
      volumes: MOUNTS.map((m) => ({ name: m.name, host: { sourcePath: m.path } })),
    });
    const linux = new ecs.LinuxParameters(this, 'LinuxParameters');
    linux.dropCapabilities(ecs.Capability.ALL);
    linux.addCapabilities(...CAPABILITIES);
    linux.addDevices({
      hostPath: '/dev/net/tun',
      containerPath: '/dev/net/tun',
      permissions: [ecs.DevicePermission.READ, ecs.DevicePermission.WRITE],
    });
    const container = task.addContainer('squalld', {
      image: this.props.image,
      // Names the Host header may have: a page of another origin, rebound to our
      // address, would come with its own.
      command: ['--listen', `0.0.0.0:${CONTROL_PORT}`, '--log-format', 'json',
        '--allow-host', this.loadBalancer.loadBalancerDnsName,
        '--allow-host', `${CONTROL_NAME}.${NAMESPACE}`,
        ...(config.controlHostName === undefined ? [] : ['--allow-host', config.controlHostName])],
      secrets: { SQUALLD_TOKEN: ecs.Secret.fromSecretsManager(this.tokenSecret) },
      cpu: 128,
      memoryReservationMiB: 128,
      memoryLimitMiB: 512,
      readonlyRootFilesystem: true,
      linuxParameters: linux,
      portMappings: [{ containerPort: CONTROL_PORT, hostPort: CONTROL_PORT }],
      healthCheck: {
        command: ['CMD', '/usr/lib/squall/squalld-health'],
        interval: Duration.seconds(10),
        timeout: Duration.seconds(5),
        retries: 3,
        startPeriod: Duration.seconds(60),
      },
      // ECS sends SIGTERM; pins and rules stay for the next one to adopt.
      stopTimeout: Duration.seconds(15),
      logging: ecs.LogDriver.awsLogs({ streamPrefix: 'squalld', logGroup: this.props.logGroup }),
    });
    container.addUlimits({ name: ecs.UlimitName.NOFILE, softLimit: 65536, hardLimit: 65536 });
    container.addMountPoints(...MOUNTS.map((m) => ({
      sourceVolume: m.name, containerPath: m.path, readOnly: m.readOnly,
    })));
    return task;
  }

  private addListener(secure: boolean): elb.ApplicationTargetGroup {
    const targets = new elb.ApplicationTargetGroup(this, 'Targets', {
      vpc: this.props.cluster.vpc,
      protocol: elb.ApplicationProtocol.HTTP,
      port: CONTROL_PORT,
      targets: [this.service.loadBalancerTarget({
        containerName: 'squalld', containerPort: CONTROL_PORT,
      })],
      deregistrationDelay: Duration.seconds(10),
      // Each squalld rules its own instance: a browser stays with the one it met.
      stickinessCookieDuration: Duration.hours(8),
      healthCheck: { path: '/healthz', healthyHttpCodes: '200', interval: Duration.seconds(10) },
    });
    this.loadBalancer.addListener('Control', {
      protocol: secure ? elb.ApplicationProtocol.HTTPS : elb.ApplicationProtocol.HTTP,
      port: CONTROL_PORT,
      open: false,
      sslPolicy: secure ? elb.SslPolicy.RECOMMENDED_TLS : undefined,
      certificates: secure ? [acm.Certificate.fromCertificateArn(this, 'Certificate',
        this.props.config.certificateArn!)] : undefined,
      defaultTargetGroups: [targets],
    });
    return targets;
  }
}
