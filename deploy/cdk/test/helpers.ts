// SPDX-License-Identifier: GPL-2.0-only
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after } from 'node:test';
import { CloudFormationStackArtifact } from 'aws-cdk-lib/cx-api';
import { IConstruct } from 'constructs';
import { AwsSolutionsChecks } from 'cdk-nag';
import { faultInjection, loadTesting } from '../cdkconfig';
import { makeApp } from '../lib/app';
import { FaultInjectionConfig, LoadTestingConfig } from '../lib/config';

export const FAULT = 'IoTFaultInjectionSimulatorStack';
export const LOAD = 'IoTLoadTestingSimulatorStack';

export const CERTIFICATE =
  'arn:aws:acm:ap-northeast-2:111122223333:certificate/11111111-2222-3333-4444-555555555555';
const given = {
  iotCoreEndpoint: 'abc123-ats.iot.ap-northeast-2.amazonaws.com',
  allowedCidrs: ['198.51.100.7/32'],
  // Images that are named: hashing the checkout again and again tests nothing.
  simImage: 'registry.test/squall-sim:1',
};
export const fault = (changes: Partial<FaultInjectionConfig> = {}): FaultInjectionConfig =>
  ({ ...faultInjection, ...given, squalldImage: 'registry.test/squalld:1', ...changes });
export const load = (changes: Partial<LoadTestingConfig> = {}): LoadTestingConfig =>
  ({ ...loadTesting, ...given, ...changes });

export interface Resource {
  Type: string;
  // eslint-style looseness on purpose: these are templates, checked field by field.
  Properties: any;
}

export class Synthesised {
  constructor(readonly name: string, readonly template: any, readonly findings: string[],
    readonly warnings: string[], readonly errors: string[]) {}

  of(type: string): [string, Resource][] {
    return Object.entries(this.template.Resources as Record<string, Resource>)
      .filter(([, r]) => r.Type === type);
  }

  containers(): any[] {
    return this.of('AWS::ECS::TaskDefinition').flatMap(([, r]) => r.Properties.ContainerDefinitions);
  }

  container(name: string): any {
    return this.containers().find((c) => c.Name === name);
  }
}

const outdirs: string[] = [];
after(() => outdirs.forEach((d) => fs.rmSync(d, { recursive: true, force: true })));

/** Both stacks, as `cdk synth` makes them, with what cdk-nag says of each. */
export function synth(f: FaultInjectionConfig, l: LoadTestingConfig,
  validate = false): Record<string, Synthesised> {
  const outdir = fs.mkdtempSync(path.join(os.tmpdir(), 'squall-cdk-'));
  outdirs.push(outdir);
  // CloudFormation's schemas take seconds to load; one synthesis in a few does.
  const app = makeApp(f, l, { outdir, postCliContext: {
    '@aws-cdk/core:validateAgainstDefaultRules': validate } });
  const assembly = app.synth();
  const all: Record<string, Synthesised> = {};
  for (const stack of assembly.stacks) {
    const scope = app.node.findChild(stack.stackName);
    all[stack.stackName] = new Synthesised(stack.stackName, stack.template, nag(app, scope),
      said(stack, 'warning'), said(stack, 'error'));
  }
  return all;
}

function said(stack: CloudFormationStackArtifact, level: string): string[] {
  return stack.messages.filter((m) => m.level === level).map((m) => String(m.entry.data));
}

function nag(app: IConstruct, scope: IConstruct): string[] {
  return new AwsSolutionsChecks(app).validateScope(scope).violations.flatMap((v) =>
    v.violatingResources.map((r) => `${v.ruleName} ${r.constructPath}`));
}
