// SPDX-License-Identifier: GPL-2.0-only
import { Annotations, App, AppProps, CfnResource, CfnRule, Fn, Stack, Tags } from 'aws-cdk-lib';
import { checkContext, ConfigError, FaultInjectionConfig, LoadTestingConfig,
  withContext } from './config';
import { IoTFaultInjectionSimulatorStack } from './fault-injection-stack';
import { IoTLoadTestingSimulatorStack } from './load-testing-stack';

// The defaults of an app made today; without them CDK keeps those of its first day.
const FLAGS = {
  '@aws-cdk/aws-iam:minimizePolicies': true,
  '@aws-cdk/aws-ecs:arnFormatIncludesClusterName': true,
  '@aws-cdk/aws-ecs:removeDefaultDeploymentAlarm': true,
  '@aws-cdk/aws-ec2:launchTemplateDefaultUserData': true,
  '@aws-cdk/aws-autoscaling:generateLaunchTemplateInsteadOfLaunchConfig': true,
  '@aws-cdk/aws-s3:createDefaultLoggingPolicy': true,
  '@aws-cdk/core:checkSecretUsage': true,
  '@aws-cdk/core:enablePartitionLiterals': true,
  // Templates are checked against CloudFormation's own schemas, and errors count.
  '@aws-cdk/core:validateAgainstDefaultRules': true,
  '@aws-cdk/aws-secretsmanager:useAttachedSecretResourcePolicyForSecretTargetAttachments': true,
};

/**
 * In place of a stack whose parameters are refused. Its error stops who asks for it; to whoever
 * ignores errors CloudFormation itself says no, as an empty stack would be one to delete.
 */
class RefusedStack extends Stack {
  constructor(scope: App, id: string, refusal: ConfigError) {
    super(scope, id);
    Annotations.of(this).addError(refusal.message);
    new CfnResource(this, 'Refused', { type: 'AWS::CloudFormation::WaitConditionHandle' });
    new CfnRule(this, 'Parameters', { assertions: [
      { assert: Fn.conditionEquals('refused', 'accepted'), assertDescription: refusal.message }] });
  }
}

/**
 * `-c NAME=VALUE` reaches both stacks. What only one of them cannot take (200 workers, by the fault
 * stack's one instance) must not stop the other; what neither can is told at once.
 */
function makeStacks(app: App, stacks: [string, (id: string) => void][]): void {
  const refused: [string, ConfigError][] = [];
  for (const [id, make] of stacks) {
    try {
      make(id);
    } catch (e) {
      if (!(e instanceof ConfigError)) throw e;
      refused.push([id, e]);
    }
  }
  if (refused.length === stacks.length) throw refused[0][1];
  for (const [id, e] of refused) new RefusedStack(app, id, e);
}

export function makeApp(faultInjection: FaultInjectionConfig, loadTesting: LoadTestingConfig,
  props: AppProps = {}): App {
  const app = new App({ analyticsReporting: false, ...props,
    postCliContext: { ...FLAGS, ...props.postCliContext } });
  checkContext(Object.keys(app.node.getAllContext()));
  const get = (name: string) => app.node.tryGetContext(name);
  makeStacks(app, [
    ['IoTFaultInjectionSimulatorStack', (id) =>
      new IoTFaultInjectionSimulatorStack(app, id, withContext(faultInjection, get))],
    ['IoTLoadTestingSimulatorStack', (id) =>
      new IoTLoadTestingSimulatorStack(app, id, withContext(loadTesting, get))],
  ]);
  Tags.of(app).add('application', 'squall');
  return app;
}
