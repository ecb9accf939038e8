// SPDX-License-Identifier: GPL-2.0-only
// What one wants to see at a glance: messages, latency, failures, faults. The
// programs log one JSON line per report; CloudWatch makes metrics of those, so
// no agent runs and nothing needs leave to write metrics.
import { Duration } from 'aws-cdk-lib';
import * as cw from 'aws-cdk-lib/aws-cloudwatch';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as elb from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { LocustMaster } from './locust-master';
import { SqualldDaemon } from './squalld-daemon';

export interface DashboardProps {
  readonly stackName: string;
  readonly cluster: ecs.Cluster;
  readonly workers: ecs.BaseService;
  readonly master: LocustMaster;
  readonly masterLog: logs.LogGroup;
}

// The fields of the lines that become metrics: deploy/docker/locust_master.py
// prints those of the master (over all workers), squalld-report the others.
export const MASTER_FIELDS = {
  messages: 'published',
  failures: 'failures',
  p95: 'p95_ms',
  devices: 'devices',
  workers: 'workers',
};
export const SQUALLD_FIELDS = {
  active: 'rules',
  faulted: 'faulted_packets',
};

export class Dashboard extends Construct {
  readonly failureRate: cw.IMetric;
  private readonly dashboard: cw.Dashboard;
  private readonly namespace: string;

  constructor(scope: Construct, id: string, props: DashboardProps) {
    super(scope, id);
    this.namespace = `Squall/${props.stackName}`;
    this.dashboard = new cw.Dashboard(this, 'Dashboard', {
      dashboardName: props.stackName,
      defaultInterval: Duration.hours(1),
    });
    const messages = this.field(props.masterLog, MASTER_FIELDS.messages, 'Messages', 'Sum');
    const failures = this.field(props.masterLog, MASTER_FIELDS.failures, 'Failures', 'Sum');
    const p95 = this.field(props.masterLog, MASTER_FIELDS.p95, 'LatencyP95', 'Average');
    const devices = this.field(props.masterLog, MASTER_FIELDS.devices, 'Devices', 'Average');
    const workers = this.field(props.masterLog, MASTER_FIELDS.workers, 'Workers', 'Average');
    this.failureRate = new cw.MathExpression({
      expression: 'IF(m + f > 0, 100 * f / (m + f), 0)',
      usingMetrics: { m: messages, f: failures },
      label: 'failed %',
      period: Duration.minutes(1),
    });
    this.dashboard.addWidgets(
      this.graph('Messages per minute', [messages]),
      this.graph('Latency p95, ms', [p95]),
      this.graph('Failures per minute and %', [failures], [this.failureRate]),
      this.graph('Devices; workers', [devices], [workers]),
    );
    this.dashboard.addWidgets(
      this.graph('Workers: CPU and memory %', [props.workers.metricCpuUtilization(),
        props.workers.metricMemoryUtilization()]),
      this.graph('Master: CPU and memory %', [props.master.service.metricCpuUtilization(),
        props.master.service.metricMemoryUtilization()]),
      this.graph('Locust page: requests, 5xx', [props.master.loadBalancer.metrics.requestCount(),
        props.master.targets.metrics.httpCodeTarget(elb.HttpCodeTarget.TARGET_5XX_COUNT)]),
    );
  }

  /** The fault side: rules in force and packets they hit. */
  addFaults(log: logs.LogGroup, daemon: SqualldDaemon): { active: cw.IMetric } {
    const active = this.field(log, SQUALLD_FIELDS.active, 'FaultRules', 'Maximum', Duration.minutes(5));
    const faulted = this.field(log, SQUALLD_FIELDS.faulted, 'FaultedPackets', 'Sum');
    this.dashboard.addWidgets(
      this.graph('Fault rules in force', [active]),
      this.graph('Packets faulted per minute', [faulted]),
      this.graph('squalld: healthy, unhealthy', [daemon.targets.metrics.healthyHostCount(),
        daemon.targets.metrics.unhealthyHostCount()]),
    );
    return { active };
  }

  private field(log: logs.LogGroup, field: string, name: string, statistic: string,
    period = Duration.minutes(1)): cw.Metric {
    return log.addMetricFilter(name, {
      filterPattern: logs.FilterPattern.exists(`$.${field}`),
      metricNamespace: this.namespace,
      metricName: name,
      metricValue: `$.${field}`,
    }).metric({ statistic, period });
  }

  private graph(title: string, left: cw.IMetric[], right?: cw.IMetric[]): cw.GraphWidget {
    return new cw.GraphWidget({ title, left, right, width: 6, height: 6 });
  }
}
