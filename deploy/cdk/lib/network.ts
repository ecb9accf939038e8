// SPDX-License-Identifier: GPL-2.0-only
// One network per stack; both may be deployed side by side, and are not joined.
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as s3 from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';

export const VPC_CIDR = '10.0.0.0/16';
/** Of the names in Cloud Map. */
export const NAMESPACE = 'iot-simulator';

export class Network extends Construct {
  readonly vpc: ec2.Vpc;
  /** From which all devices appear to the broker. */
  readonly egressAddress: string;

  constructor(scope: Construct, id: string, logBucket: s3.Bucket) {
    super(scope, id);
    this.vpc = new ec2.Vpc(this, 'Vpc', {
      ipAddresses: ec2.IpAddresses.cidr(VPC_CIDR),
      maxAzs: 2,
      natGateways: 1,
      subnetConfiguration: [
        { name: 'Public', subnetType: ec2.SubnetType.PUBLIC, cidrMask: 24, mapPublicIpOnLaunch: false },
        // Room for one address per Fargate or awsvpc task, thousands of them.
        { name: 'Private', subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 18 },
      ],
      // Image layers come from S3: without this they are paid for at the NAT gateway.
      gatewayEndpoints: { S3: { service: ec2.GatewayVpcEndpointAwsService.S3 } },
    });
    const flowLog = this.vpc.addFlowLog('FlowLogS3', {
      destination: ec2.FlowLogDestination.toS3(logBucket, 'vpcFlowLog'),
    });
    flowLog.node.addDependency(logBucket);
    this.egressAddress = (this.vpc.publicSubnets[0].node.findChild('EIP') as ec2.CfnEIP).ref;
  }
}
