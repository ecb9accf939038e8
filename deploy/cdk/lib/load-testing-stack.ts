// SPDX-License-Identifier: GPL-2.0-only
// Devices on Fargate spot, as many as you like. Fargate gives a task neither CAP_BPF nor the host,
// so squalld cannot run there; faults, if asked for, are those of the ECS agent.
import { CfnOutput } from 'aws-cdk-lib';
import * as cw from 'aws-cdk-lib/aws-cloudwatch';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import { Construct } from 'constructs';
import { SimulatorStack } from './base-stack';
import { checkLoadTesting, LoadTestingConfig } from './config';
import { Dashboard } from './dashboard';
import { workerContainer } from './worker';

export class IoTLoadTestingSimulatorStack extends SimulatorStack {
  constructor(scope: Construct, id: string, config: LoadTestingConfig) {
    checkLoadTesting(config);
    super(scope, id, 'Squall: simulated IoT devices on Fargate spot', config);

    const workerLog = this.logGroup('WorkerLog');
    const task = new ecs.FargateTaskDefinition(this, 'WorkerTaskDefinition', {
      cpu: 1024,
      memoryLimitMiB: 2048,
      // By this the agent serves the task's own requests; FIS's actions want the process namespace.
      enableFaultInjection: config.faults ? true : undefined,
      pidMode: config.faults ? ecs.PidMode.TASK : undefined,
      runtimePlatform: {
        operatingSystemFamily: ecs.OperatingSystemFamily.LINUX,
        cpuArchitecture: this.arm ? ecs.CpuArchitecture.ARM64 : ecs.CpuArchitecture.X86_64,
      },
    });
    workerContainer(task, {
      image: this.simImage,
      fleet: this.fleet,
      logGroup: workerLog,
      environment: {
        IS_LOAD_TEST: 'true',
        // What the worker answers when somebody asks it for faults.
        ...(config.faults ? {} : { SQUALL_NO_FAULTS: 'this stack was deployed without them: ' +
          'faults: true in cdkconfig.ts has those of the ECS agent, ' +
          'IoTFaultInjectionSimulatorStack all of them' }),
      },
      faults: config.faults ? { targets: 'task', longest: '10m', by: 'ecs' } : undefined,
    });
    const workers = new ecs.FargateService(this, 'WorkerService', {
      cluster: this.cluster,
      taskDefinition: task,
      desiredCount: config.workerDesiredCount,
      capacityProviderStrategies: [
        { capacityProvider: 'FARGATE_SPOT', weight: 1 },
        { capacityProvider: 'FARGATE', weight: 0 },
      ],
      minHealthyPercent: 0,
      circuitBreaker: { enable: true, rollback: true },
    });
    workers.node.addDependency(this.fleet.certificate, this.master.running, ...this.routesOut);
    this.master.allowWorkersFrom(workers);
    this.acceptTask(task, this.master.task);

    const dashboard = new Dashboard(this, 'Dashboard', {
      stackName: this.stackName, cluster: this.cluster, workers, master: this.master,
      masterLog: this.masterLog,
    });
    this.alarmTasksMissing('Workers', workers);
    this.alarmTasksMissing('Master', this.master.service);
    this.alarm('FailureRate', dashboard.failureRate, {
      threshold: 5,
      comparison: cw.ComparisonOperator.GREATER_THAN_THRESHOLD,
      periods: 5,
      remedy: 'More than 5 % of what devices try fails: the Failures tab of Locust says what.',
    });

    new CfnOutput(this, 'WorkerServiceName', { value: workers.serviceName });
    new CfnOutput(this, 'WorkerScaleCommand', {
      value: `aws ecs update-service --region ${this.region} --cluster ${this.cluster.clusterName} ` +
        `--service ${workers.serviceName} --desired-count 200`,
    });
  }
}
