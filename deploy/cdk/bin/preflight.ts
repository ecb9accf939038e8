// SPDX-License-Identifier: GPL-2.0-only
// npm run preflight: what `cdk deploy` would find out after twenty minutes, in
// one: versions, Docker, credentials, the parameters, the endpoint.
import { spawnSync } from 'node:child_process';
import * as net from 'node:net';
import { faultInjection, loadTesting } from '../cdkconfig';
import { checkFaultInjection, checkLoadTesting } from '../lib/config';

let bad = 0;
function say(ok: boolean, what: string, remedy: string): void {
  process.stdout.write(`${ok ? 'ok     ' : 'NOT OK '} ${what}${ok ? '' : `: ${remedy}`}\n`);
  if (!ok) bad++;
}

function runs(command: string, ...args: string[]): { ok: boolean; text: string } {
  const r = spawnSync(command, args, { encoding: 'utf8', timeout: 20000 });
  return { ok: r.status === 0, text: (r.stdout ?? '').trim() };
}

function check(name: string, f: () => void): void {
  try {
    f();
    say(true, `parameters of ${name}`, '');
  } catch (e) {
    say(false, `parameters of ${name}`, (e as Error).message);
  }
}

async function reach(host: string, port: number): Promise<boolean> {
  return new Promise((done) => {
    const s = net.connect({ host, port, timeout: 5000 }, () => { s.destroy(); done(true); });
    s.on('error', () => done(false));
    s.on('timeout', () => { s.destroy(); done(false); });
  });
}

async function main(): Promise<void> {
  say(Number(process.versions.node.split('.')[0]) >= 20, `Node.js ${process.versions.node}`,
    'version 20 or newer is needed');
  const needsDocker = !faultInjection.simImage || !faultInjection.squalldImage || !loadTesting.simImage;
  if (needsDocker) {
    say(runs('docker', 'info').ok, 'Docker, which builds the images',
      'start it, or give simImage and squalldImage');
  }
  const who = runs('aws', 'sts', 'get-caller-identity', '--query', 'Account', '--output', 'text');
  say(who.ok, `AWS credentials ${who.ok ? `of account ${who.text}` : ''}`,
    'install the AWS CLI and set credentials (aws configure)');
  if (who.ok) {
    const region = faultInjection.region;
    say(runs('aws', 'cloudformation', 'describe-stacks', '--region', region, '--stack-name',
      'CDKToolkit').ok, `bootstrapped in ${region}`, 'npx cdk bootstrap');
    const free = runs('aws', 'service-quotas', 'get-service-quota', '--region', region,
      '--service-code', 'ec2', '--quota-code', 'L-1216C47A', '--query', 'Quota.Value', '--output', 'text');
    if (free.ok) {
      say(Number(free.text) > 0, `vCPUs of standard instances: at most ${free.text}`,
        'ask for more in Service Quotas (EC2, L-1216C47A)');
    }
  }
  check('IoTFaultInjectionSimulatorStack', () => checkFaultInjection(faultInjection));
  check('IoTLoadTestingSimulatorStack', () => checkLoadTesting(loadTesting));
  const host = faultInjection.iotCoreEndpoint;
  if (host) {
    say(await reach(host, 8883), `${host}:8883 answers`,
      'aws iot describe-endpoint --endpoint-type iot:Data-ATS prints yours');
  }
  process.exit(bad ? 1 : 0);
}

void main();
