// SPDX-License-Identifier: GPL-2.0-only
// The IoT thing, its certificate and the policy that lets it do no more than
// the fleet does. CloudFormation can make a certificate only from a request
// whose key somebody holds already; here the key is made by IoT Core and goes
// straight into Secrets Manager, so nobody ever has it in hand.
import { CustomResource, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as iot from 'aws-cdk-lib/aws-iot';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as secrets from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { accept } from './nag';

export interface DeviceCertificateProps {
  readonly thingName: string;
  readonly topic: string;
  readonly key: kms.IKey;
  readonly logRetention: logs.RetentionDays;
}

// Inline code, at most 4 KiB, with what Lambda's Node.js brings: no asset, no
// bundling. The physical id is the certificate's, so that CloudFormation
// deletes the old one after a replacement and on a roll-back.
export const CERTIFICATE_HANDLER = `
const { IoTClient, CreateKeysAndCertificateCommand, UpdateCertificateCommand,
  DeleteCertificateCommand } = require('@aws-sdk/client-iot');
const { SecretsManagerClient, PutSecretValueCommand } = require('@aws-sdk/client-secrets-manager');

async function create(event, iot) {
  const made = await iot.send(new CreateKeysAndCertificateCommand({ setAsActive: true }));
  try {
    await new SecretsManagerClient({}).send(new PutSecretValueCommand({
      SecretId: event.ResourceProperties.SecretArn,
      SecretString: JSON.stringify({ certificatePem: made.certificatePem,
        privateKey: made.keyPair.PrivateKey }),
    }));
  } catch (e) {
    await remove(made.certificateId, iot);
    throw e;
  }
  return { PhysicalResourceId: made.certificateId, Data: { CertificateArn: made.certificateArn } };
}

async function remove(certificateId, iot) {
  try {
    await iot.send(new UpdateCertificateCommand({ certificateId, newStatus: 'INACTIVE' }));
    // Detaching is asynchronous: for some seconds IoT Core still sees what was attached.
    for (let n = 0; ; n++) {
      try {
        await iot.send(new DeleteCertificateCommand({ certificateId, forceDelete: true }));
        break;
      } catch (e) {
        if (e.name !== 'DeleteConflictException' || n === 20) throw e;
        await new Promise((r) => setTimeout(r, 3000));
      }
    }
  } catch (e) {
    if (e.name !== 'ResourceNotFoundException') throw e;
  }
}

exports.handler = async (event, context) => {
  const id = event.PhysicalResourceId || context.logStreamName;
  let answer = { Status: 'SUCCESS', PhysicalResourceId: id };
  try {
    const iot = new IoTClient({});
    if (event.RequestType !== 'Delete') Object.assign(answer, await create(event, iot));
    // A create that failed left no certificate, only the id given above.
    else if (/^[0-9a-f]{64}$/.test(id)) await remove(id, iot);
  } catch (e) {
    console.error(e.name + ': ' + e.message);
    answer = { Status: 'FAILED', PhysicalResourceId: id, Reason: e.name + ': ' + e.message };
  }
  const body = JSON.stringify({ ...answer, StackId: event.StackId, RequestId: event.RequestId,
    LogicalResourceId: event.LogicalResourceId });
  await fetch(event.ResponseURL, { method: 'PUT', body, headers: { 'content-type': '' } });
};
`;

export class DeviceCertificate extends Construct {
  /** JSON: certificatePem, privateKey. Filled once this construct is made. */
  readonly secret: secrets.ISecret;

  constructor(scope: Construct, id: string, props: DeviceCertificateProps) {
    super(scope, id);
    const stack = Stack.of(this);

    const secret = new secrets.Secret(this, 'Secret', {
      description: 'Certificate and private key of the simulated devices',
      encryptionKey: props.key,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    accept(secret, 'AwsSolutions-SMG4',
      'Secrets Manager cannot make IoT Core certificates; a new one comes with a new iotThingName.');
    this.secret = secret;

    const handlerLog = new logs.LogGroup(this, 'HandlerLog', {
      retention: props.logRetention,
      encryptionKey: props.key,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = new iam.Role(this, 'HandlerRole', {
      assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
    });
    const handler = new lambda.Function(this, 'Handler', {
      runtime: lambda.Runtime.NODEJS_24_X,
      handler: 'index.handler',
      code: lambda.Code.fromInline(CERTIFICATE_HANDLER),
      timeout: Duration.minutes(2),
      role,
      logGroup: handlerLog,
    });
    const policy = new iam.Policy(this, 'HandlerPolicy', {
      roles: [role],
      statements: [
        new iam.PolicyStatement({
          actions: ['logs:CreateLogStream', 'logs:PutLogEvents'],
          resources: [handlerLog.logGroupArn],
        }),
        // This one action knows no resource: there is no certificate to name yet.
        new iam.PolicyStatement({ actions: ['iot:CreateKeysAndCertificate'], resources: ['*'] }),
        new iam.PolicyStatement({
          actions: ['iot:UpdateCertificate', 'iot:DeleteCertificate'],
          resources: [stack.formatArn({ service: 'iot', resource: 'cert', resourceName: '*' })],
        }),
        new iam.PolicyStatement({
          actions: ['secretsmanager:PutSecretValue'],
          resources: [secret.secretArn],
        }),
        new iam.PolicyStatement({
          actions: ['kms:GenerateDataKey', 'kms:Decrypt'],
          resources: [props.key.keyArn],
        }),
      ],
    });
    accept(policy, 'AwsSolutions-IAM5[Resource::*]',
      'iot:CreateKeysAndCertificate supports no resource: the certificate does not exist yet.');
    accept(policy,
      `AwsSolutions-IAM5[Resource::arn:aws:iot:${stack.region}:<AWS::AccountId>:cert/*]`,
      'The id of a certificate is only known once it is made; the handler deletes what it made.');

    const certificate = new CustomResource(this, 'Certificate', {
      serviceToken: handler.functionArn,
      resourceType: 'Custom::IoTCertificate',
      properties: { SecretArn: secret.secretArn, ThingName: props.thingName },
    });
    certificate.node.addDependency(policy);
    const certificateArn = certificate.getAttString('CertificateArn');

    const thing = new iot.CfnThing(this, 'Thing', { thingName: props.thingName });
    const devicePolicy = new iot.CfnPolicy(this, 'Policy', {
      policyDocument: devicePolicyDocument(stack, props.thingName, props.topic),
    });
    new iot.CfnPolicyPrincipalAttachment(this, 'PolicyAttachment', {
      policyName: devicePolicy.ref,
      principal: certificateArn,
    });
    new iot.CfnThingPrincipalAttachment(this, 'ThingAttachment', {
      thingName: thing.ref,
      principal: certificateArn,
    }).addResourceDependency(thing);
  }
}

/**
 * Client ids are the thing's name, alone or followed by a hyphen and the
 * device's number; topics are the one asked for and what lies below it.
 */
function devicePolicyDocument(stack: Stack, thingName: string, topic: string): object {
  const arn = (resource: string, name: string) =>
    stack.formatArn({ service: 'iot', resource, resourceName: name });
  return {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Action: ['iot:Connect'],
        Resource: [arn('client', thingName), arn('client', `${thingName}-*`)],
      },
      {
        Effect: 'Allow',
        Action: ['iot:Publish', 'iot:Receive'],
        Resource: [arn('topic', topic), arn('topic', `${topic}/*`)],
      },
      {
        Effect: 'Allow',
        Action: ['iot:Subscribe'],
        Resource: [arn('topicfilter', topic), arn('topicfilter', `${topic}/*`)],
      },
    ],
  };
}
