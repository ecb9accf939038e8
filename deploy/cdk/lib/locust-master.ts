// SPDX-License-Identifier: GPL-2.0-only
// The stock Locust image as master, on Fargate, behind a load balancer with a
// login. An init container of squall-sim writes the locustfile, so that the
// classes the master offers are those of the fleet the workers run.
import * as crypto from 'node:crypto';
import { Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import * as acm from 'aws-cdk-lib/aws-certificatemanager';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as elb from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as secrets from 'aws-cdk-lib/aws-secretsmanager';
import { Construct, IDependable } from 'constructs';
import { CommonConfig } from './config';
import { Fleet } from './fleet';
import { containerImage } from './images';
import { accept } from './nag';

export const WEB_PORT = 8089;
export const WORKER_PORT = 5557;
export const MASTER_NAME = 'master';

export interface LocustMasterProps {
  readonly cluster: ecs.Cluster;
  readonly config: CommonConfig;
  readonly fleet: Fleet;
  readonly simImage: ecs.ContainerImage;
  readonly key: kms.IKey;
  readonly logBucket: s3.IBucket;
  readonly logGroup: logs.ILogGroup;
}

// Where the init container leaves the locustfile; a VOLUME of squall-sim's
// image, owned by its user.
const SHARED = '/var/lib/squall-sim';

/**
 * What the login checks a password against. The salt is fixed per stack and
 * user, so that the same configuration gives the same template.
 */
export function passwordHash(salt: string, password: string): string {
  const hash = crypto.pbkdf2Sync(password, salt, 600000, 32, 'sha256').toString('hex');
  return `pbkdf2_sha256:600000:${Buffer.from(salt).toString('hex')}:${hash}`;
}

export class LocustMaster extends Construct {
  readonly service: ecs.FargateService;
  readonly task: ecs.FargateTaskDefinition;
  readonly loadBalancer: elb.ApplicationLoadBalancer;
  readonly targets: elb.ApplicationTargetGroup;
  readonly loginSecret?: secrets.Secret;
  readonly url: string;
  /** What waits for the master waits for this: the service without its security group, whose
   *  rule for workers would make a circle of it. */
  readonly running: IDependable;

  constructor(scope: Construct, id: string, private readonly props: LocustMasterProps) {
    super(scope, id);
    const { config } = props;
    if (config.webPassword === undefined) this.loginSecret = this.makeLoginSecret();
    this.task = this.makeTask();
    this.service = new ecs.FargateService(this, 'Service', {
      cluster: props.cluster,
      taskDefinition: this.task,
      desiredCount: 1,
      // Two masters would each have half of the workers: stop, then start.
      minHealthyPercent: 0,
      maxHealthyPercent: 100,
      circuitBreaker: { enable: true, rollback: true },
      cloudMapOptions: { name: MASTER_NAME },
      healthCheckGracePeriod: Duration.minutes(5),
    });
    this.running = this.service.node.findChild('Service');

    this.loadBalancer = new elb.ApplicationLoadBalancer(this, 'LoadBalancer', {
      vpc: props.cluster.vpc,
      internetFacing: true,
      dropInvalidHeaderFields: true,
      // A paused page keeps its connection; charts poll every few seconds.
      idleTimeout: Duration.seconds(120),
    });
    this.loadBalancer.logAccessLogs(props.logBucket, 'locustAlbAccessLog');
    this.targets = this.addListener();

    for (const cidr of config.allowedCidrs) {
      const port = config.certificateArn === undefined ? 80 : 443;
      this.loadBalancer.connections.allowFrom(ec2.Peer.ipv4(cidr), ec2.Port.tcp(port));
      if (cidr === '0.0.0.0/0') {
        accept(this.loadBalancer, 'AwsSolutions-EC23',
          'allowedCidrs of cdkconfig.ts asks for the whole Internet by name.');
      }
    }
    const scheme = config.certificateArn === undefined ? 'http' : 'https';
    this.url = `${scheme}://${this.loadBalancer.loadBalancerDnsName}`;
  }

  allowWorkersFrom(workers: ec2.IConnectable): void {
    this.service.connections.allowFrom(workers, ec2.Port.tcp(WORKER_PORT), 'Locust workers');
  }

  private makeLoginSecret(): secrets.Secret {
    const secret = new secrets.Secret(this, 'Login', {
      description: 'Login of the Locust page',
      encryptionKey: this.props.key,
      generateSecretString: {
        secretStringTemplate: JSON.stringify({ username: this.props.config.webUsername ?? 'locust' }),
        generateStringKey: 'password',
        passwordLength: 24,
        excludePunctuation: true,
      },
      removalPolicy: RemovalPolicy.DESTROY,
    });
    accept(secret, 'AwsSolutions-SMG4',
      'The master reads its login when it starts; a rotation would lock people out until a restart.');
    return secret;
  }

  private makeTask(): ecs.FargateTaskDefinition {
    const { config, fleet, logGroup } = this.props;
    const task = new ecs.FargateTaskDefinition(this, 'TaskDefinition', {
      cpu: 1024,
      memoryLimitMiB: 2048,
      runtimePlatform: {
        operatingSystemFamily: ecs.OperatingSystemFamily.LINUX,
        cpuArchitecture: config.cpuArchitecture === 'arm64'
          ? ecs.CpuArchitecture.ARM64 : ecs.CpuArchitecture.X86_64,
      },
      volumes: [{ name: 'locustfile' }],
    });
    const init = task.addContainer('locustfile', {
      image: this.props.simImage,
      command: ['locustfile-to', SHARED],
      environment: { ...fleet.environment, ...(config.faults ? { SQUALL_FAULTS: 'true' } : {}) },
      essential: false,
      readonlyRootFilesystem: true,
      logging: ecs.LogDriver.awsLogs({ streamPrefix: 'locustfile', logGroup }),
    });
    init.addMountPoints({ sourceVolume: 'locustfile', containerPath: SHARED, readOnly: false });

    const login: Record<string, string> = {};
    const loginSecrets: Record<string, ecs.Secret> = {};
    if (this.loginSecret) {
      loginSecrets.LOCUST_LOGIN_USERNAME = ecs.Secret.fromSecretsManager(this.loginSecret, 'username');
      loginSecrets.LOCUST_LOGIN_PASSWORD = ecs.Secret.fromSecretsManager(this.loginSecret, 'password');
    } else {
      login.LOCUST_LOGIN_USERNAME = config.webUsername!;
      login.LOCUST_LOGIN_PASSWORD_HASH = passwordHash(
        `${Stack.of(this).stackName}/${config.webUsername}`, config.webPassword!);
    }
    const master = task.addContainer('locust-master', {
      // By this a private ECR repository is given leave to be pulled from.
      image: containerImage(this, 'locust', config.locustImage, config.cpuArchitecture === 'arm64',
        config.baseImage),
      command: ['-f', `${SHARED}/locustfile.py`, '--master',
        '--master-bind-port', String(WORKER_PORT), '--web-port', String(WEB_PORT)],
      environment: login,
      secrets: loginSecrets,
      portMappings: [{ containerPort: WEB_PORT }, { containerPort: WORKER_PORT }],
      // 401 is health: the page is there and asks who it is.
      healthCheck: {
        command: ['CMD', 'python3', '-c', `import http.client as h
c = h.HTTPConnection("127.0.0.1", ${WEB_PORT}, timeout=3)
c.request("GET", "/")
raise SystemExit(c.getresponse().status not in (200, 401))`],
        interval: Duration.seconds(15),
        timeout: Duration.seconds(5),
        retries: 3,
        startPeriod: Duration.minutes(2),
      },
      logging: ecs.LogDriver.awsLogs({ streamPrefix: 'locust-master', logGroup }),
    });
    master.addMountPoints({ sourceVolume: 'locustfile', containerPath: SHARED, readOnly: true });
    master.addContainerDependencies({
      container: init,
      condition: ecs.ContainerDependencyCondition.SUCCESS,
    });
    return task;
  }

  private addListener(): elb.ApplicationTargetGroup {
    const { certificateArn } = this.props.config;
    const targets = new elb.ApplicationTargetGroup(this, 'Targets', {
      vpc: this.props.cluster.vpc,
      protocol: elb.ApplicationProtocol.HTTP,
      port: WEB_PORT,
      targets: [this.service.loadBalancerTarget({
        containerName: 'locust-master', containerPort: WEB_PORT,
      })],
      deregistrationDelay: Duration.seconds(10),
      healthCheck: {
        path: '/',
        healthyHttpCodes: '200,401',
        interval: Duration.seconds(15),
        healthyThresholdCount: 2,
      },
    });
    if (certificateArn === undefined) {
      this.loadBalancer.addListener('Http', {
        protocol: elb.ApplicationProtocol.HTTP,
        port: 80,
        open: false,
        defaultTargetGroups: [targets],
      });
    } else {
      this.loadBalancer.addListener('Https', {
        protocol: elb.ApplicationProtocol.HTTPS,
        port: 443,
        open: false,
        sslPolicy: elb.SslPolicy.RECOMMENDED_TLS,
        certificates: [acm.Certificate.fromCertificateArn(this, 'Certificate', certificateArn)],
        defaultTargetGroups: [targets],
      });
    }
    return targets;
  }
}
