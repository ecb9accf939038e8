// SPDX-License-Identifier: GPL-2.0-only
// A wrong parameter stops the synthesis with one line that names it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { describe, it } from 'node:test';
import { checkFaultInjection, checkLoadTesting, ConfigError, uncheckedInstance,
  withContext } from '../lib/config';
import { CERTIFICATE, FAULT, fault, LOAD, load, synth } from './helpers';

const BIN = path.resolve(__dirname, '../bin/squall.js');

// changes, the parameter that must be named, a word of what is accepted
const BAD: [string, object, string, RegExp][] = [
  ['no endpoint', { iotCoreEndpoint: undefined }, 'iotCoreEndpoint', /describe-endpoint/],
  ['empty endpoint', { iotCoreEndpoint: '' }, 'iotCoreEndpoint', /describe-endpoint/],
  ['endpoint with a scheme', { iotCoreEndpoint: 'mqtts://a.b.com' }, 'iotCoreEndpoint', /host name/],
  ['endpoint with a port', { iotCoreEndpoint: 'a.b.com:8883' }, 'iotCoreEndpoint', /host name/],
  ['endpoint of another region', { iotCoreEndpoint: 'x-ats.iot.eu-west-1.amazonaws.com' },
    'iotCoreEndpoint', /ap-northeast-2/],
  ['QoS 2', { mqttQos: 2 }, 'mqttQos', /0 or 1/],
  ['QoS as text', { mqttQos: '1' }, 'mqttQos', /0 or 1/],
  ['wait 0', { mqttWaitTime: 0 }, 'mqttWaitTime', /above 0/],
  ['wait negative', { mqttWaitTime: -1 }, 'mqttWaitTime', /above 0/],
  ['wait NaN', { mqttWaitTime: NaN }, 'mqttWaitTime', /above 0/],
  ['message too long', { mqttMessage: 'x'.repeat(20000) }, 'mqttMessage', /16384 bytes/],
  ['topic with a wildcard', { iotCoreMqttTopic: 'a/+/b' }, 'iotCoreMqttTopic', /must not hold/],
  ['topic that widens the policy', { iotCoreMqttTopic: 'a/*' }, 'iotCoreMqttTopic', /must not hold/],
  ['reserved topic', { iotCoreMqttTopic: '$aws/x' }, 'iotCoreMqttTopic', /belong to AWS/],
  ['topic too deep', { endToEnd: false, iotCoreMqttTopic: 'a/b/c/d/e/f/g/h/i' }, 'iotCoreMqttTopic', /7 slashes/],
  ['topic too long', { endToEnd: false, iotCoreMqttTopic: 'a'.repeat(257) }, 'iotCoreMqttTopic', /256 bytes/],
  ['topic too deep for a name behind it', { iotCoreMqttTopic: 'a/b/c/d/e/f/g/h' }, 'iotCoreMqttTopic', /6 slashes: endToEnd/],
  ['topic too long for a name behind it', { iotThingName: 'x'.repeat(64), iotCoreMqttTopic: 'a'.repeat(128) },
    'iotCoreMqttTopic', /127 bytes: endToEnd/],
  ['topic of names', { iotCoreMqttTopic: 'dt/{thing}' }, 'iotCoreMqttTopic', /fleetFile/],
  ['end to end as text', { endToEnd: 'yes' }, 'endToEnd', /true or false/],
  ['thing with a space', { iotThingName: 'my thing' }, 'iotThingName', /letters/],
  ['thing that makes client ids too long', { iotThingName: 'x'.repeat(65) }, 'iotThingName', /1 to 64.*128 bytes/],
  ['faults as text', { faults: 'yes' }, 'faults', /true or false/],
  ['the bucket as a name', { removeLogBucket: 'logs' }, 'removeLogBucket', /true or false/],
  ['thing with a star', { iotThingName: '*' }, 'iotThingName', /letters/],
  ['no region', { region: '' }, 'region', /region/],
  ['no CIDR', { allowedCidrs: [] }, 'allowedCidrs', /at least one/],
  ['CIDR as it comes', { allowedCidrs: ['127.0.0.1/32'] }, 'allowedCidrs', /checkip.*-c allowedCidrs=/],
  ['fleet file that is not there', { fleetFile: 'no-such.yaml' }, 'fleetFile', /path of a fleet file/],
  ['fleet file that is none', { fleetFile: path.join(__dirname, 'helpers.js') }, 'fleetFile', /types:/],
  ['base with a space', { baseImage: 'a b' }, 'baseImage', /image/],
  ['CIDR without prefix', { allowedCidrs: ['10.0.0.1'] }, 'allowedCidrs', /IPv4 network/],
  ['CIDR with host bits', { allowedCidrs: ['10.0.0.1/8'] }, 'allowedCidrs', /no bits set/],
  ['CIDR in another spelling', { allowedCidrs: ['0.0.0.0/00'] }, 'allowedCidrs', /IPv4 network/],
  ['CIDR with zeros in front', { allowedCidrs: ['010.0.0.0/8'] }, 'allowedCidrs', /IPv4 network/],
  ['fleet file that is a folder', { fleetFile: __dirname }, 'fleetFile', /path of a fleet file/],
  ['CIDR out of range', { allowedCidrs: ['10.0.0.256/32'] }, 'allowedCidrs', /IPv4 network/],
  ['workers fractional', { workerDesiredCount: 1.5 }, 'workerDesiredCount', /whole number/],
  ['workers negative', { workerDesiredCount: -1 }, 'workerDesiredCount', /whole number/],
  ['certificate that is none', { certificateArn: 'abc' }, 'certificateArn', /ACM/],
  ['certificate of another region', { certificateArn: CERTIFICATE.replace('ap-northeast-2', 'eu-west-1') },
    'certificateArn', /ap-northeast-2/],
  ['short password', { webPassword: 'hunter2' }, 'webPassword', /12 to 128/],
  ['password without user', { webUsername: undefined, webPassword: 'correct horse battery' },
    'webUsername', /webPassword/],
  ['user with a colon', { webUsername: 'a:b' }, 'webUsername', /no colon/],
  ['unknown architecture', { cpuArchitecture: 'mips' }, 'cpuArchitecture', /x86_64 or arm64/],
  ['retention CloudWatch lacks', { logRetentionDays: 8 }, 'logRetentionDays', /one of/],
  ['no mail address', { alarmEmail: 'me' }, 'alarmEmail', /e-mail/],
  ['image with a space', { simImage: 'a b' }, 'simImage', /image/],
  ['a parameter that is none', { mqttQoS: 1 }, 'mqttQoS', /not a parameter/],
];

const BAD_FAULT: [string, object, string, RegExp][] = [
  ['x86 type for arm64', { cpuArchitecture: 'arm64', ec2InstanceType: 'm5.xlarge' },
    'ec2InstanceType', /is x86_64, but cpuArchitecture is arm64/],
  ['Graviton type for x86', { ec2InstanceType: 'm7g.xlarge' }, 'ec2InstanceType',
    /is arm64, but cpuArchitecture is x86_64/],
  ['type that is none', { ec2InstanceType: 'big' }, 'ec2InstanceType', /instance type/],
  ['fewer than no instance', { ec2InstanceCount: -1 }, 'ec2InstanceCount', /whole number/],
  ['more awsvpc tasks than interfaces', { workerNetworkMode: 'awsvpc', workerDesiredCount: 4 },
    'workerDesiredCount', /at most 3 .*m5\.xlarge.*4 network interfaces/],
  ['more tasks than CPU', { workerDesiredCount: 8 }, 'workerDesiredCount', /at most 7 .*4096 CPU units/],
  ['more tasks than memory', { ec2InstanceType: 't3.micro', workerDesiredCount: 2 },
    'workerDesiredCount', /at most 1 .*MiB/],
  ['network mode', { workerNetworkMode: 'host' }, 'workerNetworkMode', /bridge or awsvpc/],
  ['public control without a certificate', { publicControl: true }, 'certificateArn',
    /publicControl/],
  ['public control without a token',
    { publicControl: true, certificateArn: CERTIFICATE, controlTokenSecretArn: '' },
    'controlTokenSecretArn', /never runs without a token/],
  ['public control for everybody',
    { publicControl: true, certificateArn: CERTIFICATE, allowedCidrs: ['0.0.0.0/0'] },
    'allowedCidrs', /whole Internet/],
  ['public control for everybody, in halves',
    { publicControl: true, certificateArn: CERTIFICATE, allowedCidrs: ['0.0.0.0/1', '128.0.0.0/1'] },
    'allowedCidrs', /whole Internet/],
  ['control host in capitals', { controlHostName: 'Faults.Example.org' }, 'controlHostName', /small letters/],
  ['FIS as text', { faultInjectionService: 1 }, 'faultInjectionService', /true or false/],
  ['publicControl as text', { publicControl: 'yes' }, 'publicControl', /true or false/],
];

function names(check: () => void, parameter: string, accepted: RegExp): void {
  assert.throws(check, (e: Error) => {
    assert.ok(e instanceof ConfigError, `${e.name}: ${e.message}`);
    assert.equal(e.parameter, parameter);
    assert.ok(e.message.startsWith(`cdkconfig.ts: ${parameter}: `), e.message);
    assert.match(e.message, accepted);
    assert.ok(!e.message.includes('\n'), 'one line');
    return true;
  });
}

describe('a wrong parameter is named', () => {
  for (const [what, changes, parameter, accepted] of BAD) {
    it(what, () => {
      names(() => checkFaultInjection(fault(changes)), parameter, accepted);
      names(() => checkLoadTesting(load(changes)), parameter, accepted);
    });
  }
  for (const [what, changes, parameter, accepted] of BAD_FAULT) {
    it(what, () => names(() => checkFaultInjection(fault(changes)), parameter, accepted));
  }
  it('a fault parameter in the load stack', () => {
    names(() => checkLoadTesting(load({ publicControl: false } as object)), 'publicControl', /known are/);
  });
  it('never prints the password', () => {
    assert.throws(() => checkLoadTesting(load({ webPassword: 'short-secret\t' })),
      (e: Error) => !e.message.includes('short-secret'));
  });
});

describe('good values pass', () => {
  for (const changes of [{}, { ec2InstanceCount: 0 }, { ec2InstanceCount: 3, workerDesiredCount: 21 },
    { ec2InstanceType: 'x9.huge8xlarge'.replace('huge', ''), workerDesiredCount: 500 }, { allowedCidrs: ['0.0.0.0/0'] }, { mqttQos: 1 },
    { iotThingName: 'x'.repeat(64), iotCoreMqttTopic: 'a'.repeat(127) }, { endToEnd: false, iotCoreMqttTopic: 'a/b/c/d/e/f/g/h' }, { mqttWaitTime: 0.1 },
    { workerDesiredCount: 0 }, { iotCoreEndpoint: 'broker.example.org' },
    { ec2InstanceType: 'c7i.metal-24xl' }, { ec2InstanceType: 'm7g.xlarge', cpuArchitecture: 'arm64' }]) {
    it(JSON.stringify(changes), () => checkFaultInjection(fault(changes as object)));
  }
});

describe('an instance type that nobody knows', () => {
  it('is warned of, with the way to look it up', () => {
    assert.equal(uncheckedInstance(fault()), undefined);
    assert.match(uncheckedInstance(fault({ ec2InstanceType: 'x9.8xlarge' })) ?? '',
      /x9\.8xlarge.*not checked.*describe-instance-types/);
  });
});

describe('values from the command line', () => {
  it('become numbers, booleans and lists', () => {
    const given: Record<string, string> = { mqttQos: '1', publicControl: 'true',
      allowedCidrs: '["10.0.0.0/8"]', mqttMessage: '12 apples' };
    const c = withContext(fault(), (n) => ({ ...given, webPassword: '123456789012' })[n]);
    assert.equal(c.webPassword, '123456789012');
    assert.equal(c.mqttQos, 1);
    assert.equal(c.publicControl, true);
    assert.deepEqual(c.allowedCidrs, ['10.0.0.0/8']);
    assert.equal(c.mqttMessage, '12 apples');
  });
});

describe('the program', () => {
  const run = (context: object) => {
    const outdir = fs.mkdtempSync(path.join(os.tmpdir(), 'squall-cdk-'));
    try {
      return spawnSync(process.execPath, [BIN], { encoding: 'utf8',
        env: { ...process.env, CDK_OUTDIR: outdir, CDK_CONTEXT_JSON: JSON.stringify(context) } });
    } finally {
      fs.rmSync(outdir, { recursive: true, force: true });
    }
  };
  it('as it comes asks for the endpoint: one line, exit 2', () => {
    const r = run({});
    assert.equal(r.status, 2);
    assert.match(r.stderr, /^cdkconfig\.ts: iotCoreEndpoint: "": must be [^\n]*\n$/);
  });
  it('a name that is no parameter: the line says which was meant', () => {
    const r = run({ iotCoreEndpont: 'broker.example.org' });
    assert.equal(r.status, 2);
    assert.match(r.stderr, /^cdkconfig\.ts: iotCoreEndpont: [^\n]*did you mean iotCoreEndpoint\?\n$/);
    assert.match(run({ 'allowed-cidrs': '[]' }).stderr, /allowed-cidrs: [^\n]*did you mean allowedCidrs\?/);
    assert.match(run({ mqtt_qos: '1' }).stderr, /mqtt_qos: [^\n]*did you mean mqttQos\?/);
    const cdks = { 'cli-telemetry': false, 'acknowledged-issue-numbers': [1], '@aws-cdk/x': true,
      'availability-zones:account=1:region=x': [], iotCoreEndpoint: 'broker.example.org',
      allowedCidrs: '["198.51.100.7/32"]' };
    assert.equal(run(cdks).status, 0, 'names of CDK\'s own');
    assert.match(run({ colour: 'red' }).stderr, /colour: [^\n]*known are region/);
  });
  it('given one, makes both stacks with images of this checkout', () => {
    const r = run({ iotCoreEndpoint: 'broker.example.org', allowedCidrs: '["198.51.100.7/32"]' });
    assert.equal(r.status, 0, r.stderr);
    assert.equal(r.stderr, '');
  });
});

describe('what only one stack cannot take', () => {
  it('does not stop the other, and is that one\'s error', () => {
    for (const [f, l, bad, good] of [[{ workerDesiredCount: 200 }, {}, FAULT, LOAD],
      [{ cpuArchitecture: 'arm64' }, { cpuArchitecture: 'arm64' }, FAULT, LOAD],
      [{}, { workerDesiredCount: -1 }, LOAD, FAULT]] as [object, object, string, string][]) {
      const both = synth(fault(f), load(l));
      assert.deepEqual(both[good].errors, []);
      assert.ok(both[good].of('AWS::ECS::Service').length >= 2);
      assert.match(both[bad].errors.join(), /^cdkconfig\.ts: (workerDesiredCount|ec2InstanceType): /);
      // An empty template, deployed all the same, would delete the stack.
      assert.equal(Object.keys(both[bad].template.Resources).length, 1);
      assert.deepEqual(both[bad].template.Rules.Parameters.Assertions[0].Assert, { 'Fn::Equals': ['refused', 'accepted'] });
    }
  });
  it('what neither can is told at once', () => {
    assert.throws(() => synth(fault({ mqttQos: 2 }), load({ mqttQos: 2 })), ConfigError);
  });
});

describe('npm run preflight', () => {
  const PREFLIGHT = path.resolve(__dirname, '../bin/preflight.js');
  const said = (programs: Record<string, string>) => {
    const bin = fs.mkdtempSync(path.join(os.tmpdir(), 'squall-bin-'));
    for (const [name, body] of Object.entries(programs)) {
      fs.writeFileSync(path.join(bin, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
    }
    try {
      return spawnSync(process.execPath, [PREFLIGHT], { encoding: 'utf8', env: { PATH: bin } });
    } finally {
      fs.rmSync(bin, { recursive: true, force: true });
    }
  };
  it('nothing is there: each is named with what to do, exit 1', () => {
    const r = said({});
    assert.equal(r.status, 1);
    assert.match(r.stdout, /^NOT OK +Docker, which builds the images: start it, or give simImage/m);
    assert.match(r.stdout, /^NOT OK +AWS credentials : install the AWS CLI/m);
    for (const stack of [FAULT, LOAD]) {
      assert.match(r.stdout, new RegExp(`^NOT OK +parameters of ${stack}: cdkconfig\\.ts: iotCoreEndpoint: `, 'm'));
    }
    assert.match(r.stdout, /^ok +Node\.js /m);
  });
  it('what is there is ok; an account that is not bootstrapped and has no vCPUs is said', () => {
    const r = said({ docker: 'exit 0', aws: 'case "$1" in sts) echo 111122223333;; service-quotas) echo 0.0;; *) exit 1;; esac' });
    assert.match(r.stdout, /^ok +Docker/m);
    assert.match(r.stdout, /^ok +AWS credentials of account 111122223333$/m);
    assert.match(r.stdout, /^NOT OK +bootstrapped in ap-northeast-2: npx cdk bootstrap$/m);
    assert.match(r.stdout, /^NOT OK +vCPUs of standard instances: at most 0\.0: ask for more/m);
  });
});

it('the lock file names no host', () => {
  const lock = fs.readFileSync(path.resolve(__dirname, '../../package-lock.json'), 'utf8');
  assert.ok(!lock.includes('"resolved"'));
  assert.ok(!/https?:\/\/[^"]*registry/.test(lock));
});
