// SPDX-License-Identifier: GPL-2.0-only
// The CDK app: both stacks, from cdkconfig.ts and what `-c NAME=VALUE` says.
import { faultInjection, loadTesting } from '../cdkconfig';
import { makeApp } from '../lib/app';
import { ConfigError } from '../lib/config';

try {
  makeApp(faultInjection, loadTesting).synth();
} catch (e) {
  if (!(e instanceof ConfigError)) throw e;
  // The person at the terminal needs the line, not where it was thrown.
  process.stderr.write(`${e.message}\n`);
  process.exit(2);
}
