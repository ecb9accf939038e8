// SPDX-License-Identifier: GPL-2.0-only
// cdk-nag findings that we stand by, each with its reason, each on the one
// construct it is about and for the one finding it names.
import { Validations } from 'aws-cdk-lib';
import { IConstruct } from 'constructs';

/** Accepts RULE (for example AwsSolutions-IAM5[Resource::*]) on SCOPE because REASON. */
export function accept(scope: IConstruct, rule: string, reason: string): void {
  Validations.of(scope).acknowledge({ id: rule, reason });
}
