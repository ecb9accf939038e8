// SPDX-License-Identifier: GPL-2.0-only
// What both stacks have: a network with one address towards the Internet, a
// cluster, logs, alarms, the device certificate and the Locust master.
import { Annotations, ArnFormat, CfnOutput, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import * as cw from 'aws-cdk-lib/aws-cloudwatch';
import * as cwActions from 'aws-cdk-lib/aws-cloudwatch-actions';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as sns from 'aws-cdk-lib/aws-sns';
import * as subscriptions from 'aws-cdk-lib/aws-sns-subscriptions';
import { Construct, IDependable } from 'constructs';
import { CommonConfig } from './config';
import { DeviceCertificate } from './device-certificate';
import { Fleet } from './fleet';
import { containerImage } from './images';
import { LocustMaster } from './locust-master';
import { accept } from './nag';
import { Network, NAMESPACE } from './network';

export abstract class SimulatorStack extends Stack {
  protected readonly cluster: ecs.Cluster;
  protected readonly key: kms.Key;
  protected readonly logBucket: s3.Bucket;
  protected readonly alarms: sns.Topic;
  protected readonly fleet: Fleet;
  protected readonly simImage: ecs.ContainerImage;
  protected readonly master: LocustMaster;
  protected readonly masterLog: logs.LogGroup;
  protected readonly arm: boolean;
  /** Tasks and instances that start before these exist cannot fetch anything, and give up. */
  protected readonly routesOut: IDependable[];

  constructor(scope: Construct, id: string, description: string,
    protected readonly config: CommonConfig) {
    // The region must be known here: the account of the load balancers that
    // write access logs depends on it.
    super(scope, id, { env: { region: config.region }, description });
    this.arm = config.cpuArchitecture === 'arm64';
    this.key = this.makeKey();
    this.logBucket = this.makeLogBucket();
    const network = new Network(this, 'Network', this.logBucket);
    this.alarms = this.makeAlarmTopic();
    this.cluster = new ecs.Cluster(this, 'Cluster', {
      vpc: network.vpc,
      defaultCloudMapNamespace: { name: NAMESPACE },
      // A strategy may name FARGATE and FARGATE_SPOT only where the cluster has them.
      enableFargateCapacityProviders: true,
      containerInsightsV2: ecs.ContainerInsights.ENABLED,
    });
    this.routesOut = network.vpc.privateSubnets.map((s) => s.internetConnectivityEstablished);
    const certificate = new DeviceCertificate(this, 'IoTCore', {
      thingName: config.iotThingName,
      topic: config.iotCoreMqttTopic,
      key: this.key,
      logRetention: config.logRetentionDays,
    });
    this.fleet = new Fleet(config, certificate);
    this.simImage = containerImage(this, 'squall-sim', config.simImage, this.arm,
      config.baseImage);
    this.masterLog = this.logGroup('MasterLog');
    this.master = new LocustMaster(this, 'LocustMaster', {
      cluster: this.cluster,
      config,
      fleet: this.fleet,
      simImage: this.simImage,
      key: this.key,
      logBucket: this.logBucket,
      logGroup: this.masterLog,
    });
    this.master.service.node.addDependency(...this.routesOut);
    if (config.certificateArn === undefined) {
      Annotations.of(this).addWarningV2('squall:plainHttp',
        'The login of Locust\'s page and the control\'s token go over plain HTTP: ' +
        'give certificateArn, or reach the page by a tunnel only');
    }

    new CfnOutput(this, 'EcsClusterArn', { value: this.cluster.clusterArn });
    new CfnOutput(this, 'LocustMasterServiceURL', { value: this.master.url });
    new CfnOutput(this, 'LocustMasterLoginSecretArn', {
      description: 'aws secretsmanager get-secret-value --secret-id THIS --query SecretString',
      value: this.master.loginSecret?.secretArn ?? 'webPassword of cdkconfig.ts',
    });
    new CfnOutput(this, 'LogBucketName', {
      description: config.removeLogBucket ? 'Goes with the stack'
        : 'Stays when the stack is destroyed: aws s3 rb --force s3://THIS',
      value: this.logBucket.bucketName,
    });
    new CfnOutput(this, 'EgressAddress', {
      description: 'All devices appear to IoT Core from this address',
      value: network.egressAddress,
    });
  }

  /** A log group that forgets, encrypted with the stack's key. */
  protected logGroup(id: string): logs.LogGroup {
    return new logs.LogGroup(this, id, {
      retention: this.config.logRetentionDays,
      encryptionKey: this.key,
      removalPolicy: RemovalPolicy.DESTROY,
    });
  }

  /** An alarm that tells the topic, with what to do about it as its text. */
  protected alarm(id: string, metric: cw.IMetric, props: {
    threshold: number; comparison: cw.ComparisonOperator; periods: number; remedy: string;
    missing?: cw.TreatMissingData;
  }): cw.Alarm {
    const alarm = new cw.Alarm(this, id, {
      metric,
      threshold: props.threshold,
      comparisonOperator: props.comparison,
      evaluationPeriods: props.periods,
      treatMissingData: props.missing ?? cw.TreatMissingData.NOT_BREACHING,
      alarmDescription: props.remedy,
    });
    alarm.addAlarmAction(new cwActions.SnsAction(this.alarms));
    return alarm;
  }

  /** Fewer tasks of SERVICE than asked for, for ten minutes. */
  protected alarmTasksMissing(id: string, service: ecs.BaseService): cw.Alarm {
    const insight = (metricName: string) => new cw.Metric({
      namespace: 'ECS/ContainerInsights',
      metricName,
      dimensionsMap: { ClusterName: this.cluster.clusterName, ServiceName: service.serviceName },
      statistic: 'Average',
      period: Duration.minutes(1),
    });
    const missing = new cw.MathExpression({
      expression: 'desired - running',
      usingMetrics: { desired: insight('DesiredTaskCount'), running: insight('RunningTaskCount') },
      label: 'tasks missing',
      period: Duration.minutes(1),
    });
    return this.alarm(id, missing, {
      threshold: 0,
      comparison: cw.ComparisonOperator.GREATER_THAN_THRESHOLD,
      periods: 10,
      remedy: `Tasks of ${id} do not run: aws ecs describe-services shows the reason in events.`,
    });
  }

  private makeKey(): kms.Key {
    const key = new kms.Key(this, 'Key', {
      description: `${this.stackName}: secrets, logs and alarms`,
      enableKeyRotation: true,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    // Alarms publish to the encrypted topic.
    key.addToResourcePolicy(new iam.PolicyStatement({
      principals: [new iam.ServicePrincipal('cloudwatch.amazonaws.com')],
      actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
      resources: ['*'],
      conditions: { StringEquals: { 'aws:SourceAccount': this.account } },
    }));
    // A log group with a customer key is made only if the key's own policy lets the logs
    // service of this region use it ("The specified KMS key does not exist or is not allowed").
    key.addToResourcePolicy(new iam.PolicyStatement({
      principals: [new iam.ServicePrincipal(`logs.${this.region}.amazonaws.com`)],
      actions: ['kms:Encrypt*', 'kms:Decrypt*', 'kms:ReEncrypt*', 'kms:GenerateDataKey*',
        'kms:Describe*'],
      resources: ['*'],
      conditions: { ArnLike: { 'kms:EncryptionContext:aws:logs:arn': this.formatArn({
        service: 'logs', resource: 'log-group', resourceName: '*',
        arnFormat: ArnFormat.COLON_RESOURCE_NAME }) } },
    }));
    return key;
  }

  private makeLogBucket(): s3.Bucket {
    // Load balancers can only write to buckets with S3's own encryption.
    const bucket = new s3.Bucket(this, 'LogBucket', {
      encryption: s3.BucketEncryption.S3_MANAGED,
      blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
      enforceSSL: true,
      serverAccessLogsPrefix: 'bucketAccessLog',
      lifecycleRules: [{ expiration: Duration.days(Math.max(this.config.logRetentionDays, 1)) }],
      // Kept when the stack goes, unless asked for: deleting what is in it takes a function
      // with leave to delete. Its content expires by itself.
      removalPolicy: this.config.removeLogBucket ? RemovalPolicy.DESTROY : RemovalPolicy.RETAIN,
      autoDeleteObjects: this.config.removeLogBucket,
    });
    return bucket;
  }

  private makeAlarmTopic(): sns.Topic {
    const topic = new sns.Topic(this, 'Alarms', { masterKey: this.key, enforceSSL: true });
    // A policy of one's own replaces the default one: without this line, which that one had,
    // the Deny of enforceSSL alone would silence every alarm.
    topic.addToResourcePolicy(new iam.PolicyStatement({
      principals: [new iam.ServicePrincipal('cloudwatch.amazonaws.com')],
      actions: ['sns:Publish'],
      resources: [topic.topicArn],
      conditions: { StringEquals: { 'aws:SourceAccount': this.account } },
    }));
    if (this.config.alarmEmail !== undefined) {
      topic.addSubscription(new subscriptions.EmailSubscription(this.config.alarmEmail));
    }
    return topic;
  }

  /** The two findings that every task definition of ours has. */
  protected acceptTask(...tasks: ecs.TaskDefinition[]): void {
    for (const task of tasks) {
      accept(task, 'AwsSolutions-ECS2',
        'Plain settings only (endpoint, topic, QoS...); what is secret comes from Secrets Manager.');
      accept(task, 'AwsSolutions-IAM5[Resource::*]',
        'ecr:GetAuthorizationToken of the execution role supports no resource.');
    }
  }
}
