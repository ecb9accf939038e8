// SPDX-License-Identifier: GPL-2.0-only
// The function that makes the device certificate, run as Lambda runs it, with
// IoT Core and Secrets Manager played by the test and a real HTTP listener for
// CloudFormation's answer.
import assert from 'node:assert/strict';
import * as http from 'node:http';
import { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { CERTIFICATE_HANDLER } from '../lib/device-certificate';

const ID = 'ab'.repeat(32);

class Call { constructor(readonly input: any) {} }
const COMMANDS = ['CreateKeysAndCertificateCommand', 'UpdateCertificateCommand',
  'DeleteCertificateCommand', 'PutSecretValueCommand'];

async function run(event: object, fail: Record<string, Error> = {}, until = Infinity) {
  const calls: [string, any][] = [];
  const kinds = Object.fromEntries(COMMANDS.map((n) => [n, class extends Call {}]));
  const nameOf = (c: Call) => COMMANDS.find((n) => c instanceof kinds[n])!;
  class Client {
    async send(command: Call) {
      const name = nameOf(command);
      calls.push([name, command.input]);
      const times = calls.filter(([n]) => n === name).length;
      if (fail[name] && !(times > until)) throw fail[name];
      return { certificateId: ID, certificateArn: `arn:aws:iot:x:1:cert/${ID}`,
        certificatePem: 'PEM', keyPair: { PrivateKey: 'KEY' } };
    }
  }
  const sdk = { IoTClient: Client, SecretsManagerClient: Client, ...kinds };
  let answer: any;
  const server = http.createServer((request, response) => {
    let body = '';
    request.on('data', (d) => { body += d; });
    request.on('end', () => { answer = JSON.parse(body); response.end(); });
  }).listen(0, '127.0.0.1');
  await new Promise((r) => { server.on('listening', r); });
  const exports: any = {};
  const silent = { error() {} };
  const soon = (f: () => void) => setImmediate(f);
  new Function('exports', 'require', 'console', 'setTimeout', CERTIFICATE_HANDLER)(
    exports, () => sdk, silent, soon);
  await exports.handler({ ResponseURL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    StackId: 's', RequestId: 'r', LogicalResourceId: 'l',
    ResourceProperties: { SecretArn: 'secret' }, ...event }, { logStreamName: 'stream' });
  server.closeAllConnections();
  server.close();
  return { calls, answer, names: calls.map(([n]) => n) };
}

describe('certificate handler', () => {
  it('fits where inline code must', () => assert.ok(CERTIFICATE_HANDLER.length <= 4096));
  it('create: key into the secret and nowhere else', async () => {
    const { calls, answer, names } = await run({ RequestType: 'Create' });
    assert.deepEqual(names, ['CreateKeysAndCertificateCommand', 'PutSecretValueCommand']);
    assert.deepEqual(JSON.parse(calls[1][1].SecretString), { certificatePem: 'PEM', privateKey: 'KEY' });
    assert.equal(answer.Status, 'SUCCESS');
    assert.equal(answer.PhysicalResourceId, ID);
    assert.deepEqual(answer.Data, { CertificateArn: `arn:aws:iot:x:1:cert/${ID}` });
    assert.ok(!JSON.stringify(answer).includes('KEY'));
  });
  it('create: a secret that cannot be written leaves no certificate', async () => {
    const { answer, names } = await run({ RequestType: 'Create' },
      { PutSecretValueCommand: new Error('no leave') });
    assert.deepEqual(names.slice(2), ['UpdateCertificateCommand', 'DeleteCertificateCommand']);
    assert.equal(answer.Status, 'FAILED');
    assert.match(answer.Reason, /no leave/);
  });
  it('update: a new one; CloudFormation then deletes the old', async () => {
    const { answer, names } = await run({ RequestType: 'Update', PhysicalResourceId: 'cd'.repeat(32) });
    assert.equal(names[0], 'CreateKeysAndCertificateCommand');
    assert.equal(answer.PhysicalResourceId, ID);
  });
  it('delete: inactive, then gone', async () => {
    const { calls, answer } = await run({ RequestType: 'Delete', PhysicalResourceId: ID });
    assert.deepEqual(calls, [['UpdateCertificateCommand', { certificateId: ID, newStatus: 'INACTIVE' }],
      ['DeleteCertificateCommand', { certificateId: ID, forceDelete: true }]]);
    assert.equal(answer.Status, 'SUCCESS');
  });
  it('delete: gone already is fine, anything else is not', async () => {
    const gone = Object.assign(new Error('gone'), { name: 'ResourceNotFoundException' });
    const event = { RequestType: 'Delete', PhysicalResourceId: ID };
    assert.equal((await run(event, { UpdateCertificateCommand: gone })).answer.Status, 'SUCCESS');
    assert.equal((await run(event, { DeleteCertificateCommand: new Error('x') })).answer.Status, 'FAILED');
  });
  it('delete: what is still attached is waited for, though not for ever', async () => {
    const still = Object.assign(new Error('attached'), { name: 'DeleteConflictException' });
    const event = { RequestType: 'Delete', PhysicalResourceId: ID };
    const waited = await run(event, { DeleteCertificateCommand: still }, 5);
    assert.equal(waited.answer.Status, 'SUCCESS');
    assert.equal(waited.names.filter((n) => n === 'DeleteCertificateCommand').length, 6);
    assert.equal((await run(event, { DeleteCertificateCommand: still })).answer.Status, 'FAILED');
  });
  it('delete after a create that failed touches nothing', async () => {
    const { names, answer } = await run({ RequestType: 'Delete', PhysicalResourceId: 'stream' });
    assert.deepEqual(names, []);
    assert.equal(answer.Status, 'SUCCESS');
  });
});
