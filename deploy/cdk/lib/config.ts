// SPDX-License-Identifier: GPL-2.0-only
// The parameters and what each may be. Everything is checked before the first
// construct exists, so that a mistake costs a second and not a roll-back.
import * as fs from 'node:fs';
import * as ec2 from 'aws-cdk-lib/aws-ec2';

import { checkInstances, instanceLimits } from './limits';

export interface CommonConfig {
  readonly region: string;
  readonly mqttWaitTime: number;
  readonly mqttQos: number;
  readonly mqttMessage: string;
  readonly iotCoreEndpoint: string;
  readonly iotCoreMqttTopic: string;
  readonly iotThingName: string;
  readonly allowedCidrs: string[];
  readonly certificateArn?: string;
  readonly webUsername?: string;
  readonly webPassword?: string;
  readonly cpuArchitecture: 'x86_64' | 'arm64';
  readonly simImage?: string;
  readonly baseImage: string;
  readonly fleetFile?: string;
  readonly locustImage: string;
  readonly logRetentionDays: number;
  readonly removeLogBucket: boolean;
  readonly faults: boolean;
  readonly endToEnd: boolean;
  readonly alarmEmail?: string;
}

export interface FaultInjectionConfig extends CommonConfig {
  readonly workerDesiredCount: number;
  readonly ec2InstanceType: string;
  readonly ec2InstanceCount: number;
  readonly workerNetworkMode: 'bridge' | 'awsvpc';
  readonly squalldImage?: string;
  readonly controlTokenSecretArn?: string;
  readonly publicControl: boolean;
  readonly controlHostName?: string;
  readonly faultInjectionService: boolean;
}

export interface LoadTestingConfig extends CommonConfig {
  readonly workerDesiredCount: number;
}

/** Thrown with one line: parameter, value, what is accepted. */
export class ConfigError extends Error {
  constructor(readonly parameter: string, value: unknown, accepted: string) {
    super(`cdkconfig.ts: ${parameter}: ${JSON.stringify(value) ?? 'missing'}: ${accepted}`);
    this.name = 'ConfigError';
  }
}

// CloudWatch Logs takes these and no others.
const RETENTION_DAYS = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827,
  2192, 2557, 2922, 3288, 3653];

// A task definition may be 64 KiB in all; the message is part of it.
const MESSAGE_MAX = 16 * 1024;

const COMMON_KEYS = ['region', 'mqttWaitTime', 'mqttQos', 'mqttMessage', 'iotCoreEndpoint',
  'iotCoreMqttTopic', 'iotThingName', 'allowedCidrs', 'certificateArn', 'webUsername',
  'webPassword', 'cpuArchitecture', 'simImage', 'baseImage', 'fleetFile', 'locustImage', 'logRetentionDays', 'alarmEmail',
  'removeLogBucket', 'faults', 'endToEnd', 'workerDesiredCount'];
const FAULT_KEYS = ['ec2InstanceType', 'ec2InstanceCount', 'workerNetworkMode', 'squalldImage',
  'controlTokenSecretArn', 'publicControl', 'controlHostName', 'faultInjectionService'];

type Raw = Record<string, unknown>;

function need(ok: boolean, parameter: string, value: unknown, accepted: string): void {
  if (!ok) throw new ConfigError(parameter, value, accepted);
}

function needText(c: Raw, name: string, pattern: RegExp, accepted: string): void {
  const v = c[name];
  need(typeof v === 'string' && pattern.test(v), name, v, accepted);
}

function needOptional(c: Raw, name: string, pattern: RegExp, accepted: string): void {
  if (c[name] !== undefined) needText(c, name, pattern, accepted);
}

function needInteger(c: Raw, name: string, low: number, high: number): void {
  const v = c[name];
  need(typeof v === 'number' && Number.isInteger(v) && v >= low && v <= high, name, v,
    `must be a whole number from ${low} to ${high}`);
}

function isCidr(v: unknown): boolean {
  if (typeof v !== 'string') return false;
  const m = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(v);
  // Another spelling of 0.0.0.0/0 is not the one that is looked for, and EC2 takes none.
  if (!m || m.slice(1).some((n) => /^0./.test(n))) return false;
  if (m.slice(1, 5).some((o) => Number(o) > 255) || Number(m[5]) > 32) return false;
  const address = m.slice(1, 5).reduce((a, o) => a * 256 + Number(o), 0);
  return address % 2 ** (32 - Number(m[5])) === 0;
}

const IMAGE = /^[a-z0-9][\w.\-/:@]*$/i;

function checkCommon(c: Raw): void {
  needText(c, 'region', /^[a-z]{2}(-[a-z]+)+-\d$/, 'must be a region such as ap-northeast-2');
  const wait = c.mqttWaitTime;
  need(typeof wait === 'number' && wait > 0 && wait <= 86400, 'mqttWaitTime', wait,
    'must be a number of seconds above 0, at most 86400');
  need(c.mqttQos === 0 || c.mqttQos === 1, 'mqttQos', c.mqttQos,
    'must be 0 or 1 (AWS IoT Core has no QoS 2)');
  const message = c.mqttMessage;
  need(typeof message === 'string' && Buffer.byteLength(message) <= MESSAGE_MAX, 'mqttMessage',
    typeof message === 'string' ? `${message.slice(0, 40)}...` : message,
    `must be a text of at most ${MESSAGE_MAX} bytes`);
  checkEndpoint(c);
  needText(c, 'iotThingName', /^[a-zA-Z0-9:_-]{1,64}$/,
    'must be 1 to 64 letters, digits, colons, underscores or hyphens: a client id is this, the ' +
    'host\'s name and a number, and IoT Core takes 128 bytes');
  for (const name of ['faults', 'removeLogBucket', 'endToEnd']) {
    need(typeof c[name] === 'boolean', name, c[name], 'must be true or false');
  }
  checkTopic(c);
  needInteger(c, 'workerDesiredCount', 0, 5000);
  const cidrs = c.allowedCidrs;
  need(Array.isArray(cidrs) && cidrs.length > 0, 'allowedCidrs', cidrs,
    'must list at least one IPv4 network, such as 203.0.113.7/32');
  for (const cidr of cidrs as unknown[]) {
    need(isCidr(cidr), 'allowedCidrs', cidr,
      'must be an IPv4 network with no bits set after its prefix, such as 203.0.113.0/24');
  }
  need((cidrs as string[]).some((v) => !v.startsWith('127.')), 'allowedCidrs', cidrs,
    'must hold the network you will open Locust\'s page from, not only loopback: write your own ' +
    'address (`curl https://checkip.amazonaws.com` prints it), for one run as ' +
    '-c allowedCidrs=\'["203.0.113.7/32"]\'');
  needOptional(c, 'certificateArn', /^arn:aws[\w-]*:acm:[\w-]+:\d{12}:certificate\/[\w-]+$/,
    'must be the ARN of an ACM certificate');
  if (c.certificateArn !== undefined) {
    need((c.certificateArn as string).split(':')[3] === c.region, 'certificateArn',
      c.certificateArn, `must be a certificate of region ${c.region}`);
  }
  needOptional(c, 'webUsername', /^[^:\s]{1,64}$/, 'must be 1 to 64 characters, no colon or space');
  // Its value is never printed.
  need(c.webPassword === undefined
    || (typeof c.webPassword === 'string' && /^[\x20-\x7e]{12,128}$/.test(c.webPassword)),
  'webPassword', '(not shown)',
  'must be 12 to 128 printable characters; leave it out to have one made');
  need(c.webPassword === undefined || c.webUsername !== undefined, 'webUsername', undefined,
    'must be given when webPassword is');
  need(c.cpuArchitecture === 'x86_64' || c.cpuArchitecture === 'arm64', 'cpuArchitecture',
    c.cpuArchitecture, 'must be x86_64 or arm64');
  needOptional(c, 'simImage', IMAGE, 'must be an image such as registry/name:tag');
  needText(c, 'baseImage', IMAGE, 'must be an image such as public.ecr.aws/docker/library/debian:12-slim');
  checkFleet(c);
  needText(c, 'locustImage', IMAGE, 'must be an image such as locustio/locust:2.46.2');
  need(RETENTION_DAYS.includes(c.logRetentionDays as number), 'logRetentionDays',
    c.logRetentionDays, `must be one of ${RETENTION_DAYS.join(' ')}`);
  needOptional(c, 'alarmEmail', /^[^@\s]+@[^@\s]+\.[^@\s]+$/, 'must be an e-mail address');
}

function checkFleet(c: Raw): void {
  if (c.fleetFile === undefined) return;
  const file = c.fleetFile;
  need(typeof file === 'string' && fs.statSync(file, { throwIfNoEntry: false })?.isFile() === true, 'fleetFile', file,
    'must be the path of a fleet file (docs/sim.md), from the folder of cdkconfig.ts');
  const text = fs.readFileSync(file as string, 'utf8');
  need(Buffer.byteLength(text) <= MESSAGE_MAX, 'fleetFile', file,
    `must be at most ${MESSAGE_MAX} bytes: it is part of the task definition`);
  need(/^types:/m.test(text), 'fleetFile', file, 'must have a list "types:", as fleet files have');
}

function checkEndpoint(c: Raw): void {
  needText(c, 'iotCoreEndpoint', /^(?=.{1,253}$)([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$/i,
    'must be the host name that `aws iot describe-endpoint --endpoint-type iot:Data-ATS` prints');
  // The certificate that the stack makes is known to its own region only.
  const m = /\.iot\.([a-z0-9-]+)\.amazonaws\.com/.exec(c.iotCoreEndpoint as string);
  need(!m || m[1] === c.region, 'iotCoreEndpoint', c.iotCoreEndpoint,
    `must be of region ${c.region}, in which the device certificate is made`);
}

// Of a device's name, what stands behind iotThingName: the host's name and a number.
const THING_TAIL = 64;

function checkTopic(c: Raw): void {
  const topic = c.iotCoreMqttTopic;
  // With endToEnd the device's name is one more level of it.
  const below = c.endToEnd === true && c.fleetFile === undefined;
  const bytes = below ? 256 - 1 - (c.iotThingName as string).length - THING_TAIL : 256;
  const slashes = below ? 6 : 7;
  const why = below ? ': endToEnd puts each device\'s name behind it' : '';
  const fail = (why: string) => { throw new ConfigError('iotCoreMqttTopic', topic, why); };
  if (typeof topic !== 'string' || topic === '') return fail('must be a topic such as iot/simulator');
  if (/[+#\0]/.test(topic)) return fail('must not hold + or #: devices publish to it');
  if (topic.startsWith('$')) return fail('must not begin with $: such topics belong to AWS');
  // It goes into a policy's resource, where these would widen what it allows.
  if (/[*?]/.test(topic) || topic.includes('${')) return fail('must not hold *, ? or ${');
  if (/[{}]/.test(topic)) return fail('must not hold { or }: topics made of names come by a fleetFile');
  if (Buffer.byteLength(topic) > bytes) return fail(`must be at most ${bytes} bytes${why}`);
  if (topic.split('/').length > slashes + 1) return fail(`must have at most ${slashes} slashes${why}`);
}

function checkFault(c: Raw): void {
  needInteger(c, 'ec2InstanceCount', 0, 1000);
  needText(c, 'ec2InstanceType', /^[a-z][a-z0-9-]*\.(nano|micro|small|medium|large|\d*xlarge|metal(-\d+xl)?)$/,
    'must be an instance type such as m5.xlarge or m7g.xlarge');
  const name = c.ec2InstanceType as string;
  const isArm = new ec2.InstanceType(name).architecture === ec2.InstanceArchitecture.ARM_64;
  need(isArm === (c.cpuArchitecture === 'arm64'), 'ec2InstanceType', name,
    `is ${isArm ? 'arm64' : 'x86_64'}, but cpuArchitecture is ${c.cpuArchitecture}`);
  const limit = checkInstances(c as never);
  need(limit === undefined, limit?.parameter ?? '', limit?.value, limit?.accepted ?? '');
  need(c.workerNetworkMode === 'bridge' || c.workerNetworkMode === 'awsvpc', 'workerNetworkMode',
    c.workerNetworkMode, 'must be bridge or awsvpc');
  need(typeof c.faultInjectionService === 'boolean', 'faultInjectionService',
    c.faultInjectionService, 'must be true or false');
  needOptional(c, 'squalldImage', IMAGE, 'must be an image such as registry/name:tag');
  needOptional(c, 'controlTokenSecretArn',
    /^arn:aws[\w-]*:secretsmanager:[\w-]+:\d{12}:secret:[\w/+=.@-]+-[A-Za-z0-9]{6}$/,
    'must be the full ARN of a secret; the control never runs without a token, ' +
    'leave it out to have one made');
  needOptional(c, 'controlHostName', /^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$/,
    'must be a host name in small letters, a name of the certificate');
  need(typeof c.publicControl === 'boolean', 'publicControl', c.publicControl,
    'must be true or false');
  if (c.publicControl) {
    need(c.certificateArn !== undefined, 'certificateArn', undefined,
      'must be given when publicControl is true: the token must not cross the Internet in clear');
    // Two halves of the Internet are the Internet.
    const wide = (c.allowedCidrs as string[]).find((v) => Number(v.split('/')[1]) < 8);
    need(wide === undefined, 'allowedCidrs', wide,
      'must not be the whole Internet when publicControl is true, nor wider than a /8');
  }
}

function checkKeys(c: Raw, known: string[]): void {
  for (const key of Object.keys(c)) {
    need(known.includes(key), key, c[key], `is not a parameter; known are ${known.join(' ')}`);
  }
}

/** What nobody checks because nobody knows it, for a warning. */
export function uncheckedInstance(config: FaultInjectionConfig): string | undefined {
  return instanceLimits(config.ec2InstanceType) ? undefined
    : `ec2InstanceType ${config.ec2InstanceType} is not one whose limits are known here: whether ` +
      `${config.workerDesiredCount} workers fit on ${config.ec2InstanceCount} was not checked; ` +
      'aws ec2 describe-instance-types says whether it exists, its vCPUs, memory and interfaces';
}

export function checkFaultInjection(config: FaultInjectionConfig): void {
  checkKeys(config as unknown as Raw, [...COMMON_KEYS, ...FAULT_KEYS]);
  checkCommon(config as unknown as Raw);
  checkFault(config as unknown as Raw);
}

export function checkLoadTesting(config: LoadTestingConfig): void {
  checkKeys(config as unknown as Raw, COMMON_KEYS);
  checkCommon(config as unknown as Raw);
}

/** The one of NAMES that WORD is a slip of, if there is one. */
export function nearest(word: string, names: string[]): string | undefined {
  const distance = (a: string, b: string): number => {
    let row = Array.from({ length: b.length + 1 }, (_, i) => i);
    for (let i = 1; i <= a.length; i++) {
      const next = [i];
      for (let j = 1; j <= b.length; j++) {
        next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + Number(a[i - 1] !== b[j - 1]));
      }
      row = next;
    }
    return row[b.length];
  };
  const best = names.map((n) => ({ n, d: distance(word.toLowerCase(), n.toLowerCase()) }))
    .sort((a, b) => a.d - b.d)[0];
  return best && best.d <= Math.max(2, word.length / 3) ? best.n : undefined;
}

/** A `-c NAME=VALUE` that no parameter has would change nothing, silently. */
export function checkContext(names: string[]): void {
  const known = [...COMMON_KEYS, ...FAULT_KEYS];
  // CDK's own names have colons, slashes or hyphens (acknowledged-issue-numbers, cli-telemetry);
  // of those with hyphens allowed-cidrs is none.
  const plain = (n: string) => n.replace(/[-_.]/g, '').toLowerCase();
  const ours = (n: string) => /^[A-Za-z]\w*$/.test(n) || known.some((k) => plain(k) === plain(n));
  for (const name of names.filter((n) => ours(n) && !known.includes(n))) {
    const near = nearest(plain(name), known);
    throw new ConfigError(name, undefined, 'is not a parameter' +
      (near ? `; did you mean ${near}?` : `; known are ${known.join(' ')}`));
  }
}

// The command line knows only text; these are the parameters that are something else.
const NOT_TEXT = ['mqttWaitTime', 'mqttQos', 'allowedCidrs', 'logRetentionDays', 'workerDesiredCount',
  'ec2InstanceCount', 'publicControl', 'faults', 'removeLogBucket', 'endToEnd', 'faultInjectionService'];

/**
 * Lays `-c NAME=VALUE` over a configuration. A password of digits stays a text.
 */
export function withContext<T extends object>(config: T, get: (name: string) => unknown): T {
  const merged: Raw = { ...(config as Raw) };
  for (const name of [...COMMON_KEYS, ...(('ec2InstanceType' in config) ? FAULT_KEYS : [])]) {
    const v = get(name);
    if (v === undefined) continue;
    merged[name] = v;
    if (NOT_TEXT.includes(name) && typeof v === 'string' && /^(\[.*\]|true|false|-?\d+(\.\d+)?)$/.test(v)) {
      try { merged[name] = JSON.parse(v); } catch { /* a text after all */ }
    }
  }
  return merged as T;
}
