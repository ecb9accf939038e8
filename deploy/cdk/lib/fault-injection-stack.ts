// SPDX-License-Identifier: GPL-2.0-only
// Devices on EC2 whose network squalld breaks on demand. Workers are ordinary
// ECS tasks, any number per instance, in the default bridge or in awsvpc.
import { Annotations, CfnOutput } from 'aws-cdk-lib';
import * as cw from 'aws-cdk-lib/aws-cloudwatch';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as iam from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { SimulatorStack } from './base-stack';
import { Capacity } from './capacity';
import { checkFaultInjection, FaultInjectionConfig, uncheckedInstance } from './config';
import { Dashboard } from './dashboard';
import { FaultInjectionService } from './fault-injection-service';
import { containerImage } from './images';
import { WORKER_PORT } from './locust-master';
import { NAMESPACE } from './network';
import { CONTROL_NAME, CONTROL_PORT, SqualldDaemon, TOKEN_FILE } from './squalld-daemon';
import { workerContainer } from './worker';

export class IoTFaultInjectionSimulatorStack extends SimulatorStack {
  constructor(scope: Construct, id: string, config: FaultInjectionConfig) {
    checkFaultInjection(config);
    super(scope, id, 'Squall: simulated IoT devices on EC2 with network fault injection', config);

    const unchecked = uncheckedInstance(config);
    if (unchecked) Annotations.of(this).addWarningV2('squall:instanceType', unchecked);
    const capacity = new Capacity(this, 'Capacity', {
      cluster: this.cluster, config, notifications: this.alarms,
    });
    capacity.group.node.addDependency(...this.routesOut);
    this.letAutoScalingPublish();
    const faultLog = this.logGroup('SqualldLog');
    const daemon = new SqualldDaemon(this, 'Squalld', {
      cluster: this.cluster,
      config,
      image: containerImage(this, 'squalld', config.squalldImage, this.arm,
        config.baseImage),
      instances: capacity.securityGroup,
      key: this.key,
      logBucket: this.logBucket,
      logGroup: faultLog,
    });

    const awsvpc = config.workerNetworkMode === 'awsvpc';
    const workerLog = this.logGroup('WorkerLog');
    const task = new ecs.Ec2TaskDefinition(this, 'WorkerTaskDefinition', {
      networkMode: awsvpc ? ecs.NetworkMode.AWS_VPC : ecs.NetworkMode.BRIDGE,
      volumes: config.faults ? [{ name: 'run', host: { sourcePath: '/run/squall' } }] : undefined,
    });
    const worker = workerContainer(task, {
      image: this.simImage, fleet: this.fleet, logGroup: workerLog,
      cpu: 512, memoryReservationMiB: 512, memoryLimitMiB: 2048,
      faults: config.faults
        ? { targets: 'ecs:locust-worker', longest: '10m', by: 'unix:/run/squall/squalld.sock' }
        : undefined,
    });
    if (config.faults) {
      worker.addMountPoints({ sourceVolume: 'run', containerPath: '/run/squall', readOnly: true });
    }
    const workers = new ecs.Ec2Service(this, 'WorkerService', {
      cluster: this.cluster,
      taskDefinition: task,
      // Paused: tasks that no instance can take would keep the deployment waiting.
      desiredCount: config.ec2InstanceCount === 0 ? 0 : config.workerDesiredCount,
      minHealthyPercent: 0,
      circuitBreaker: { enable: true, rollback: true },
      placementStrategies: [ecs.PlacementStrategy.spreadAcrossInstances()],
    });
    // In bridge mode the master sees the instance's address, else the task's own.
    this.master.allowWorkersFrom(awsvpc ? workers : capacity.securityGroup);
    // Tasks cannot start before there is a certificate and an instance.
    workers.node.addDependency(capacity.group, this.fleet.certificate, this.master.running);
    this.acceptTask(task, this.master.task, daemon.task);

    const dashboard = new Dashboard(this, 'Dashboard', {
      stackName: this.stackName, cluster: this.cluster, workers, master: this.master,
      masterLog: this.masterLog,
    });
    const faults = dashboard.addFaults(faultLog, daemon);
    this.alarmTasksMissing('Workers', workers);
    this.alarmTasksMissing('Master', this.master.service);
    const failures = this.alarm('FailureRate', dashboard.failureRate, {
      threshold: 50,
      comparison: cw.ComparisonOperator.GREATER_THAN_THRESHOLD,
      periods: 15,
      remedy: 'Half of what devices try fails for 15 minutes: is a fault still on? `squall fault show`',
    });
    this.alarm('SqualldUnhealthy', daemon.targets.metrics.unhealthyHostCount(), {
      threshold: 0,
      comparison: cw.ComparisonOperator.GREATER_THAN_THRESHOLD,
      periods: 3,
      remedy: `squalld fails its own /healthz: its log group ${faultLog.logGroupName} says why.`,
    });
    this.alarm('FaultForgotten', faults.active, {
      threshold: 0,
      comparison: cw.ComparisonOperator.GREATER_THAN_THRESHOLD,
      periods: 24,
      remedy: 'A fault has been on for two hours: `squall fault del all`, or give it a `for`.',
    });
    this.outputs(workers, daemon, capacity);
    if (config.faultInjectionService) {
      new FaultInjectionService(this, 'FaultInjectionService', {
        group: capacity.group, instanceRole: capacity.role, alarm: failures, key: this.key,
        logGroup: this.logGroup('FaultInjectionServiceLog'),
      });
    }
  }

  /**
   * Auto Scaling tells the encrypted topic of instances that come and go, as its
   * service-linked role. In a new account that role does not exist yet, and a key policy that
   * names a missing principal is refused; a condition may name it before it is there.
   */
  private letAutoScalingPublish(): void {
    this.key.addToResourcePolicy(new iam.PolicyStatement({
      principals: [new iam.AnyPrincipal()],
      actions: ['kms:GenerateDataKey*', 'kms:Decrypt'],
      resources: ['*'],
      conditions: { ArnEquals: { 'aws:PrincipalArn': this.formatArn({
        service: 'iam', region: '', resource: 'role',
        resourceName: 'aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling',
      }) } },
    }));
  }

  private outputs(workers: ecs.Ec2Service, daemon: SqualldDaemon, capacity: Capacity): void {
    new CfnOutput(this, 'WorkerServiceName', { value: workers.serviceName });
    new CfnOutput(this, 'WorkerScaleCommand', {
      value: `aws ecs update-service --region ${this.region} --cluster ${this.cluster.clusterName} ` +
        `--service ${workers.serviceName} --desired-count 4`,
    });
    new CfnOutput(this, 'TrafficControlURL', { value: daemon.url });
    new CfnOutput(this, 'TrafficControlTokenSecretArn', {
      description: 'aws secretsmanager get-secret-value --secret-id THIS --query SecretString',
      value: daemon.tokenSecret.secretArn,
    });
    new CfnOutput(this, 'TrafficControlPortForward', {
      description: 'Then: squall --url http://127.0.0.1:4080 --token-file FILE control',
      value: `aws ssm start-session --region ${this.region} --target INSTANCE ` +
        '--document-name AWS-StartPortForwardingSession ' +
        `--parameters portNumber=${CONTROL_PORT},localPortNumber=${CONTROL_PORT}`,
    });
    new CfnOutput(this, 'TrafficControlAllInstances', {
      description: 'On one instance, for the squalld of all: then fault set, fault show, fault del...',
      value: 'docker exec $(docker ps -q --filter label=com.amazonaws.ecs.container-name=squalld) squall ' +
        `--url http://${CONTROL_NAME}.${NAMESPACE}:${CONTROL_PORT} --all-addresses --token-file ${TOKEN_FILE}`,
    });
    new CfnOutput(this, 'InstancesCommand', {
      description: 'Lists the INSTANCEs to forward to',
      value: `aws autoscaling describe-auto-scaling-groups --region ${this.region} ` +
        `--auto-scaling-group-names ${capacity.group.autoScalingGroupName} ` +
        '--query AutoScalingGroups[].Instances[].InstanceId --output text',
    });
    new CfnOutput(this, 'LocustWorkerPort', { value: String(WORKER_PORT) });
  }
}


