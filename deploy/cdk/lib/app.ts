// SPDX-License-Identifier: GPL-2.0-only
import { App, AppProps, Tags } from 'aws-cdk-lib';
import { checkContext, FaultInjectionConfig, LoadTestingConfig, withContext } from './config';
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

export function makeApp(faultInjection: FaultInjectionConfig, loadTesting: LoadTestingConfig,
  props: AppProps = {}): App {
  const app = new App({ analyticsReporting: false, ...props,
    postCliContext: { ...FLAGS, ...props.postCliContext } });
  checkContext(Object.keys(app.node.getAllContext()));
  const get = (name: string) => app.node.tryGetContext(name);
  new IoTFaultInjectionSimulatorStack(app, 'IoTFaultInjectionSimulatorStack',
    withContext(faultInjection, get));
  new IoTLoadTestingSimulatorStack(app, 'IoTLoadTestingSimulatorStack',
    withContext(loadTesting, get));
  Tags.of(app).add('application', 'squall');
  return app;
}
