// SPDX-License-Identifier: GPL-2.0-only
// The EC2 instances of the fault injection stack: ECS-optimised Amazon Linux
// 2023, reachable by Systems Manager only.
import { Duration, Stack } from 'aws-cdk-lib';
import * as autoscaling from 'aws-cdk-lib/aws-autoscaling';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as sns from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import { FaultInjectionConfig } from './config';
import { accept } from './nag';
import { WORKER_GID } from './worker';

export interface CapacityProps {
  readonly cluster: ecs.Cluster;
  readonly config: FaultInjectionConfig;
  readonly notifications: sns.ITopic;
}

export class Capacity extends Construct {
  readonly group: autoscaling.AutoScalingGroup;
  readonly securityGroup: ec2.SecurityGroup;
  readonly role: iam.Role;

  constructor(scope: Construct, id: string, props: CapacityProps) {
    super(scope, id);
    const { cluster, config } = props;
    const arm = config.cpuArchitecture === 'arm64';

    this.securityGroup = new ec2.SecurityGroup(this, 'SecurityGroup', {
      vpc: cluster.vpc,
      description: 'Instances of the fault injection stack',
    });
    const role = this.role = this.makeRole(cluster);
    const template = new ec2.LaunchTemplate(this, 'LaunchTemplate', {
      instanceType: new ec2.InstanceType(config.ec2InstanceType),
      machineImage: ecs.EcsOptimizedImage.amazonLinux2023(
        arm ? ecs.AmiHardwareType.ARM : ecs.AmiHardwareType.STANDARD),
      securityGroup: this.securityGroup,
      role: role.withoutPolicyUpdates(),
      userData: this.userData(config.faults),
      requireImdsv2: true,
      // One hop: the instance itself, but no container behind its bridge, may
      // have the instance's credentials.
      httpPutResponseHopLimit: 1,
      detailedMonitoring: true,
      blockDevices: [{
        deviceName: '/dev/xvda',
        volume: ec2.BlockDeviceVolume.ebs(30, {
          encrypted: true, volumeType: ec2.EbsDeviceVolumeType.GP3,
        }),
      }],
    });
    this.group = new autoscaling.AutoScalingGroup(this, 'Group', {
      vpc: cluster.vpc,
      launchTemplate: template,
      minCapacity: config.ec2InstanceCount,
      maxCapacity: config.ec2InstanceCount,
      // A new AMI, type or user data replaces the instances, a few at a time; else they would
      // stay what they were until somebody ends them by hand.
      updatePolicy: autoscaling.UpdatePolicy.rollingUpdate({
        maxBatchSize: Math.max(1, Math.ceil(config.ec2InstanceCount / 4)),
        minInstancesInService: Math.max(0, config.ec2InstanceCount - Math.max(1, Math.ceil(config.ec2InstanceCount / 4))),
        pauseTime: Duration.minutes(3),
      }),
      notifications: [{ topic: props.notifications, scalingEvents: autoscaling.ScalingEvents.ALL }],
    });
    const provider = new ecs.AsgCapacityProvider(this, 'Provider', {
      autoScalingGroup: this.group,
      // The number is the one asked for; tasks come and go, instances do not.
      enableManagedScaling: false,
      enableManagedTerminationProtection: false,
      // ECS itself empties an instance that goes away.
      enableManagedDraining: true,
    });
    cluster.addAsgCapacityProvider(provider);

    accept(role, 'AwsSolutions-IAM5[Resource::*]',
      'These actions of the ECS and Systems Manager agents support no resource.');
  }

  /**
   * What the agents on an instance call, by name: CDK's own list has a wildcard
   * action, AWS's managed policies may read every parameter of the account.
   */
  private makeRole(cluster: ecs.Cluster): iam.Role {
    const role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com'),
    });
    const instances = Stack.of(this).formatArn({
      service: 'ecs', resource: 'container-instance', resourceName: `${cluster.clusterName}/*`,
    });
    role.addToPolicy(new iam.PolicyStatement({
      actions: ['ecs:RegisterContainerInstance', 'ecs:DeregisterContainerInstance',
        'ecs:SubmitTaskStateChange', 'ecs:SubmitContainerStateChange',
        'ecs:SubmitAttachmentStateChanges'],
      resources: [cluster.clusterArn],
    }));
    role.addToPolicy(new iam.PolicyStatement({
      actions: ['ecs:Poll', 'ecs:StartTelemetrySession', 'ecs:UpdateContainerInstancesState',
        'ecs:PutSystemLogEvents'],
      resources: [instances],
      conditions: { ArnEquals: { 'ecs:cluster': cluster.clusterArn } },
    }));
    role.addToPolicy(new iam.PolicyStatement({
      actions: ['ecs:DiscoverPollEndpoint', 'ecr:GetAuthorizationToken'],
      resources: ['*'],
    }));
    // What `aws ssm start-session` needs at the instance's end.
    role.addToPolicy(new iam.PolicyStatement({
      actions: ['ssm:UpdateInstanceInformation', 'ssmmessages:CreateControlChannel',
        'ssmmessages:CreateDataChannel', 'ssmmessages:OpenControlChannel',
        'ssmmessages:OpenDataChannel'],
      resources: ['*'],
    }));
    accept(role, `AwsSolutions-IAM5[Resource::arn:aws:ecs:${Stack.of(this).region}:` +
      `<AWS::AccountId>:container-instance/<${Stack.of(this).getLogicalId(
        cluster.node.defaultChild as ecs.CfnCluster)}>/*]`,
    'An instance has its id only once it has registered; all are of this cluster.');
    return role;
  }

  private userData(faults: boolean): ec2.UserData {
    const data = ec2.UserData.forLinux();
    data.addCommands(
      // Both are there on Amazon Linux 2023; asking costs nothing and says so in the console log.
      'mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf',
      'modprobe -a sch_fq tun || true',
      'install -d -m 0700 /var/lib/squall',
      // Workers may use squalld's socket, if they are to: by the folder's set-group-id bit it gets
      // their group, without a capability of squalld's for that.
      faults ? `install -d -m 2750 -g ${WORKER_GID} /run/squall` : 'install -d -m 0750 /run/squall',
      // Tasks in awsvpc mode must not have the instance's credentials either.
      'echo ECS_AWSVPC_BLOCK_IMDS=true >> /etc/ecs/ecs.config',
    );
    return data;
  }
}
