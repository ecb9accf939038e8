// SPDX-License-Identifier: GPL-2.0-only
// Which image a container runs: one that is named, or one built from this
// checkout by `cdk deploy`. Synthesis itself never starts Docker.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Stack } from 'aws-cdk-lib';
import * as ecr from 'aws-cdk-lib/aws-ecr';
import { Platform } from 'aws-cdk-lib/aws-ecr-assets';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import { Construct } from 'constructs';

// This file runs as deploy/cdk/build/lib/images.js; the tests run a copy.
const CHECKOUT = process.env.SQUALL_CHECKOUT ?? path.resolve(__dirname, '../../../..');
const CONTEXT = path.resolve(__dirname, '../image-context');

const ECR = /^(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?\/([^:@]+)(?::([^@]+))?(?:@(sha256:.+))?$/;

// Only what images are built from, so that a change to a guide or a test does
// not roll the services. A list of what to take and not of what to leave out:
// CDK would walk node_modules to find that it may skip it.
const SOURCES = ['Makefile', 'bpf', 'include', 'user', 'vmlinux', 'web'];
const DEPLOY = /^([^/]*\.mk|docker|man|systemd|completion)$/;

let staged = false;

function stageContext(): string {
  if (staged) return CONTEXT;
  fs.rmSync(CONTEXT, { recursive: true, force: true });
  const take = (from: string) => path.basename(from) !== 'node_modules';
  for (const name of SOURCES) {
    const from = path.join(CHECKOUT, name);
    if (fs.existsSync(from)) {
      fs.cpSync(from, path.join(CONTEXT, name), { recursive: true, filter: take });
    }
  }
  for (const name of fs.readdirSync(path.join(CHECKOUT, 'deploy'))) {
    if (DEPLOY.test(name)) {
      fs.cpSync(path.join(CHECKOUT, 'deploy', name), path.join(CONTEXT, 'deploy', name),
        { recursive: true });
    }
  }
  staged = true;
  return CONTEXT;
}

/** IMAGE, or deploy/docker/NAME.Dockerfile of this checkout. */
export function containerImage(scope: Construct, name: string, image: string | undefined,
  arm: boolean, base: string): ecs.ContainerImage {
  if (image === undefined) {
    return ecs.ContainerImage.fromAsset(stageContext(), {
      file: `deploy/docker/${name}.Dockerfile`,
      buildArgs: { BASE: base },
      platform: arm ? Platform.LINUX_ARM64 : Platform.LINUX_AMD64,
    });
  }
  const m = ECR.exec(image);
  if (!m) return ecs.ContainerImage.fromRegistry(image);
  // Of a repository CDK knows, the task's execution role gets leave to pull.
  const repository = ecr.Repository.fromRepositoryAttributes(scope, `${name}-repository`, {
    repositoryName: m[3],
    repositoryArn: Stack.of(scope).formatArn({
      service: 'ecr', account: m[1], region: m[2], resource: 'repository', resourceName: m[3],
    }),
  });
  return ecs.ContainerImage.fromEcrRepository(repository, m[5] ?? m[4] ?? 'latest');
}
