// SPDX-License-Identifier: GPL-2.0-only
// AWS's Fault Injection Service (FIS) drives squalld: a document of Systems Manager sets a rule with
// `for` on an instance, which goes when the command is cancelled, an experiment template runs it
// on all instances and stops by the stack's failure alarm. Parameters are named as in AWS's own
// documents (AWSFIS-Run-Network-Latency-Sources and the others) where those have them.
import { CfnOutput, Stack } from 'aws-cdk-lib';
import * as autoscaling from 'aws-cdk-lib/aws-autoscaling';
import * as cw from 'aws-cdk-lib/aws-cloudwatch';
import * as fis from 'aws-cdk-lib/aws-fis';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as ssm from 'aws-cdk-lib/aws-ssm';
import { Construct } from 'constructs';
import { accept } from './nag';

export interface FaultInjectionServiceProps {
  readonly group: autoscaling.AutoScalingGroup;
  readonly instanceRole: iam.Role;
  readonly alarm: cw.IAlarm;
  readonly key: kms.IKey;
  readonly logGroup: logs.LogGroup;
}

/**
 * What runs on the instance. A command that is cancelled or takes too long is ended by SIGKILL, all
 * of its process group (amazon-ssm-agent, agent/executers/executers_unix.go): no trap of a shell
 * sees that. The engine closes the standard input of what a killed `docker exec` has started: `cat`
 * ends, and `squall run` deletes its rule. After the whole time `timeout` ends it, with 124. The
 * rule's own `for` ends it if nothing else does.
 */
export const SCRIPT = [
  'set -euf',
  "c=$(docker ps -q --filter label=com.amazonaws.ecs.container-name=squalld | head -n 1)",
  '[ -n "$c" ] || { echo "no squalld runs on this instance" >&2; exit 1; }',
  // A pipe that nobody writes to, and that ends when this shell does.
  'p=$(mktemp -u) && mkfifo -m 600 "$p" && exec 3<>"$p" && rm "$p"',
  'docker exec -i "$c" squall run --container {{ Target }} {{ Rule }} for {{ DurationSeconds }}s ' +
    '-- timeout {{ DurationSeconds }} cat <&3 || [ $? -eq 124 ]',
];

// No word of it is an option of squall's.
const RULE = '^[a-z0-9][a-z0-9.%/:-]*( [a-z0-9.%/:][a-z0-9.%/:-]*)*$';
// 1 to 43200, which is also how long the step may take.
const TWELVE_HOURS = '^([1-9][0-9]{0,3}|[1-3][0-9]{4}|4[0-2][0-9]{3}|43[01][0-9]{2}|43200)$';

const CONTENT = {
  schemaVersion: '2.2',
  description: 'Squall: a network fault on targets of this instance, by its squalld',
  parameters: {
    Target: {
      type: 'String', default: 'ecs:locust-worker', allowedPattern: '^[A-Za-z0-9][A-Za-z0-9:/_.*-]{0,511}$',
      description: 'As `squall target list` names it, or a selector',
    },
    Rule: {
      type: 'String', default: 'up loss 7%', allowedPattern: RULE,
      description: 'docs/rules.md; without "for", which DurationSeconds is',
    },
    DurationSeconds: {
      type: 'String', allowedPattern: TWELVE_HOURS, description: 'How long, up to 12 hours',
    },
  },
  mainSteps: [{
    action: 'aws:runShellScript',
    name: 'squall',
    precondition: { StringEquals: ['platformType', 'Linux'] },
    inputs: { timeoutSeconds: '43200', runCommand: SCRIPT },
  }],
};

export class FaultInjectionService extends Construct {
  constructor(scope: Construct, id: string, props: FaultInjectionServiceProps) {
    super(scope, id);
    const stack = Stack.of(this);
    const document = new ssm.CfnDocument(this, 'Document', {
      documentType: 'Command', documentFormat: 'JSON', content: CONTENT, updateMethod: 'NewVersion',
    });
    const documentArn = stack.formatArn({ service: 'ssm', resource: 'document',
      resourceName: document.ref });
    const tag = { key: 'aws:autoscaling:groupName', value: props.group.autoScalingGroupName };
    const role = this.makeRole(documentArn, tag, props.logGroup);
    // Run Command of agents before 3.3.40 asks here for its work; later ones by ssmmessages.
    props.instanceRole.addToPolicy(new iam.PolicyStatement({
      actions: ['ec2messages:AcknowledgeMessage', 'ec2messages:DeleteMessage',
        'ec2messages:FailMessage', 'ec2messages:GetEndpoint', 'ec2messages:GetMessages',
        'ec2messages:SendReply'],
      resources: ['*'],
    }));
    const template = new fis.CfnExperimentTemplate(this, 'Template', {
      description: `${stack.stackName}: loss of 7 % on all workers for five minutes`,
      roleArn: role.roleArn,
      targets: { instances: { resourceType: 'aws:ec2:instance', selectionMode: 'ALL',
        resourceTags: { [tag.key]: tag.value },
        filters: [{ path: 'State.Name', values: ['running'] }] } },
      actions: { squall: {
        actionId: 'aws:ssm:send-command',
        parameters: {
          documentArn,
          documentParameters: JSON.stringify({ Target: 'ecs:locust-worker', Rule: 'up loss 7%',
            DurationSeconds: '300' }),
          duration: 'PT6M',
        },
        targets: { Instances: 'instances' },
      } },
      stopConditions: [{ source: 'aws:cloudwatch:alarm', value: props.alarm.alarmArn }],
      experimentOptions: { accountTargeting: 'single-account', emptyTargetResolutionMode: 'fail' },
      logConfiguration: { logSchemaVersion: 2,
        cloudWatchLogsConfiguration: { LogGroupArn: props.logGroup.logGroupArn } },
      tags: { Name: `${stack.stackName} loss` },
    });
    template.node.addDependency(role);
    new CfnOutput(stack, 'FaultExperimentCommand', {
      value: `aws fis start-experiment --region ${stack.region} --experiment-template-id ${template.attrId}`,
    });
    new CfnOutput(stack, 'FaultDocumentName', {
      description: 'aws ssm send-command --document-name THIS --parameters Target=...,Rule=...,DurationSeconds=...',
      value: document.ref,
    });
  }

  /** What FIS does in our name, and for this stack's instances only. */
  private makeRole(documentArn: string, tag: { key: string; value: string },
    logGroup: logs.LogGroup): iam.Role {
    const stack = Stack.of(this);
    const role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('fis.amazonaws.com', { conditions: {
        StringEquals: { 'aws:SourceAccount': stack.account },
        ArnLike: { 'aws:SourceArn': stack.formatArn({ service: 'fis', resource: 'experiment',
          resourceName: '*' }) },
      } }),
    });
    const instances = stack.formatArn({ service: 'ec2', resource: 'instance', resourceName: '*' });
    role.addToPolicy(new iam.PolicyStatement({
      actions: ['ssm:SendCommand'], resources: [documentArn],
    }));
    role.addToPolicy(new iam.PolicyStatement({
      actions: ['ssm:SendCommand'], resources: [instances],
      conditions: { StringEquals: { [`ssm:resourceTag/${tag.key}`]: tag.value } },
    }));
    role.addToPolicy(new iam.PolicyStatement({
      actions: ['ssm:ListCommands', 'ssm:CancelCommand', 'ec2:DescribeInstances',
        'cloudwatch:DescribeAlarms', 'tag:GetResources'],
      resources: ['*'],
    }));
    role.addToPolicy(new iam.PolicyStatement({
      actions: ['logs:CreateLogDelivery', 'logs:PutResourcePolicy',
        'logs:DescribeResourcePolicies', 'logs:DescribeLogGroups'],
      resources: ['*'],
    }));
    logGroup.grantWrite(role);
    accept(role, 'AwsSolutions-IAM5[Resource::*]',
      'FIS finds instances, alarms and commands by actions that support no resource.');
    accept(role, `AwsSolutions-IAM5[Resource::arn:aws:ec2:${stack.region}:<AWS::AccountId>:instance/*]`,
      'An instance has its id only once it runs; a condition leaves those of this group.');
    return role;
  }
}
