// SPDX-License-Identifier: GPL-2.0-only
// Both stacks over the parameter matrix: what must hold whatever is asked for,
// and what each parameter changes.
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after, describe, it } from 'node:test';
import { FaultInjectionConfig, LoadTestingConfig } from '../lib/config';
import { passwordHash } from '../lib/locust-master';
import { CERTIFICATE, FAULT, fault, LOAD, load, synth, Synthesised } from './helpers';

const PASSWORD = 'correct horse battery staple';
const TOKEN_SECRET = 'arn:aws:secretsmanager:ap-northeast-2:111122223333:secret:token-AbCdEf';
const ECR = '111122223333.dkr.ecr.ap-northeast-2.amazonaws.com';
const FLEET = path.join(os.tmpdir(), `squall-fleet-${process.pid}.yaml`);
fs.writeFileSync(FLEET, 'types:\n  - name: meter\n');
after(() => fs.rmSync(FLEET, { force: true }));
const MINE = '203.0.113.0/24';

const MATRIX: [string, Partial<FaultInjectionConfig>, Partial<LoadTestingConfig>?][] = [
  ['as it comes', {}],
  ['Graviton, awsvpc', { cpuArchitecture: 'arm64', ec2InstanceType: 'm7g.xlarge',
    workerNetworkMode: 'awsvpc' }, { cpuArchitecture: 'arm64' }],
  ['HTTPS, own password, own token, alarms by mail', { certificateArn: CERTIFICATE,
    webUsername: 'ann', webPassword: PASSWORD, controlTokenSecretArn: TOKEN_SECRET,
    alarmEmail: 'ops@example.org', allowedCidrs: [MINE] },
  { certificateArn: CERTIFICATE, webUsername: 'ann', webPassword: PASSWORD }],
  ['public control, images in ECR, many', { certificateArn: CERTIFICATE, publicControl: true,
    allowedCidrs: [MINE], squalldImage: `${ECR}/squalld:1`, simImage: `${ECR}/squall-sim:1`,
    ec2InstanceCount: 3, workerDesiredCount: 12,
    locustImage: `${ECR}/locust:1` }, { simImage: `${ECR}/squall-sim:1` }],
  ['open to everybody, asked for', { allowedCidrs: ['0.0.0.0/0'] }, { allowedCidrs: ['0.0.0.0/0'] }],
];

const made = new Map<string, Record<string, Synthesised>>();
for (const [name, f, l] of MATRIX) made.set(name, synth(fault(f), load(l)));
const plain = made.get('as it comes')!;

function ingress(s: Synthesised): { where: string; cidr?: string; port: number }[] {
  const inline = s.of('AWS::EC2::SecurityGroup').flatMap(([id, r]) =>
    (r.Properties.SecurityGroupIngress ?? []).map((i: any) => [id, i]));
  const own = s.of('AWS::EC2::SecurityGroupIngress').map(([id, r]) => [id, r.Properties]);
  return [...inline, ...own].map(([where, i]) => ({ where, cidr: i.CidrIp ?? i.CidrIpv6, port: i.FromPort }));
}

function statements(s: Synthesised): any[] {
  const list = (d: any): any[] => [d?.Statement ?? []].flat();
  return [
    ...s.of('AWS::IAM::Policy').flatMap(([, r]) => list(r.Properties.PolicyDocument)),
    ...s.of('AWS::IAM::Role').flatMap(([, r]) => (r.Properties.Policies ?? [])
      .flatMap((p: any) => list(p.PolicyDocument))),
    ...s.of('AWS::IoT::Policy').flatMap(([, r]) => list(r.Properties.PolicyDocument)),
  ];
}

for (const [name, , ] of MATRIX) {
  for (const stack of [FAULT, LOAD]) {
    describe(`${stack}, ${name}`, () => {
      const s = made.get(name)![stack];
      it('has no cdk-nag finding', () => assert.deepEqual(s.findings, []));
      it('opens nothing to the world that nobody asked for', () => {
        const open = ingress(s).filter((i) => i.cidr === '0.0.0.0/0' || i.cidr === '::/0');
        if (name !== 'open to everybody, asked for') return assert.deepEqual(open, []);
        // Even then only the Locust page.
        assert.deepEqual(open.map((i) => i.port), [80]);
        return assert.match(open[0].where, /^LocustMasterLoadBalancer/);
      });
      it('allows no wildcard action and no managed policy', () => {
        const actions = statements(s).flatMap((x) => x.Action);
        assert.ok(actions.length > 10);
        assert.deepEqual(actions.filter((a) => a.includes('*')), []);
        for (const [, r] of s.of('AWS::IAM::Role')) {
          assert.equal(r.Properties.ManagedPolicyArns, undefined);
        }
      });
      it('gives the programs in tasks no AWS right at all', () => {
        const taskRoles = s.of('AWS::ECS::TaskDefinition')
          .map(([, r]) => r.Properties.TaskRoleArn['Fn::GetAtt'][0]);
        for (const [, r] of s.of('AWS::IAM::Policy')) {
          for (const role of r.Properties.Roles) assert.ok(!taskRoles.includes(role.Ref), role.Ref);
        }
      });
      it('encrypts logs, secrets, topics, buckets and disks', () => {
        for (const [id, r] of s.of('AWS::Logs::LogGroup')) assert.ok(r.Properties.KmsKeyId, id);
        for (const [id, r] of s.of('AWS::SecretsManager::Secret')) assert.ok(r.Properties.KmsKeyId, id);
        for (const [id, r] of s.of('AWS::SNS::Topic')) assert.ok(r.Properties.KmsMasterKeyId, id);
        for (const [id, r] of s.of('AWS::S3::Bucket')) {
          assert.ok(r.Properties.BucketEncryption, id);
          assert.equal(r.Properties.PublicAccessBlockConfiguration.RestrictPublicBuckets, true);
        }
        for (const [, r] of s.of('AWS::EC2::LaunchTemplate')) {
          for (const d of r.Properties.LaunchTemplateData.BlockDeviceMappings) {
            assert.equal(d.Ebs.Encrypted, true);
          }
        }
        assert.equal(s.of('AWS::KMS::Key')[0][1].Properties.EnableKeyRotation, true);
      });
      it('logs every container and forgets in time', () => {
        for (const [id, r] of s.of('AWS::Logs::LogGroup')) {
          assert.equal(r.Properties.RetentionInDays, 7, id);
        }
        for (const c of s.containers()) {
          assert.equal(c.LogConfiguration.LogDriver, 'awslogs', c.Name);
          assert.ok(c.LogConfiguration.Options['awslogs-group'].Ref, c.Name);
        }
      });
      it('logs flows and load balancer accesses', () => {
        assert.equal(s.of('AWS::EC2::FlowLog').length, 1);
        for (const [id, r] of s.of('AWS::ElasticLoadBalancingV2::LoadBalancer')) {
          const attributes = Object.fromEntries(r.Properties.LoadBalancerAttributes
            .map((a: any) => [a.Key, a.Value]));
          assert.equal(attributes['access_logs.s3.enabled'], 'true', id);
          assert.equal(attributes['routing.http.drop_invalid_header_fields.enabled'], 'true', id);
        }
      });
      it('runs no privileged container and puts no secret in plain sight', () => {
        for (const c of s.containers()) {
          assert.notEqual(c.Privileged, true, c.Name);
          if (c.Name !== 'locust-master') assert.equal(c.ReadonlyRootFilesystem, true, c.Name);
          if (c.Essential) assert.ok(c.HealthCheck, c.Name);
          for (const e of c.Environment ?? []) {
            assert.ok(!/TOKEN|KEY|PEM|PASSWORD$/.test(e.Name), `${c.Name} ${e.Name}`);
          }
        }
        assert.ok(!JSON.stringify(s.template).includes(PASSWORD));
      });
      it('the worker has no capability, the seed\'s environment and its own certificate', () => {
        const w = s.container('locust-worker');
        assert.deepEqual(w.LinuxParameters.Capabilities, { Drop: ['ALL'] });
        const names = w.Environment.map((e: any) => e.Name);
        for (const n of ['IOT_CORE_ENDPOINT', 'IOT_CORE_MQTT_TOPIC', 'MQTT_WAIT_TIME', 'MQTT_QOS',
          'MQTT_MESSAGE', 'AWS_DEFAULT_REGION']) assert.ok(names.includes(n), n);
        assert.deepEqual(w.Secrets.map((x: any) => x.Name).sort(), ['DEVICE_CERT_PEM', 'DEVICE_KEY_PEM']);
        assert.ok(w.Ulimits.some((u: any) => u.Name === 'nofile' && u.SoftLimit >= 10000));
        assert.deepEqual(w.Command.slice(0, 3), ['worker', '--master-host', 'master.iot-simulator']);
      });
      it('lets devices do no more than the fleet does', () => {
        const allowed = s.of('AWS::IoT::Policy')[0][1].Properties.PolicyDocument.Statement;
        const text = JSON.stringify(allowed);
        assert.ok(!text.includes('"*"'));
        assert.match(text, /topic\/iot\/simulator"/);
        assert.match(text, /client\/squall-(fault-injection|load-testing)-\*/);
      });
      it('has one address towards the Internet', () => {
        assert.equal(s.of('AWS::EC2::NatGateway').length, 1);
        assert.equal(s.of('AWS::EC2::EIP').length, 1);
      });
      it('watches: container insights, dashboard, alarms that tell somebody', () => {
        assert.deepEqual(s.of('AWS::ECS::Cluster')[0][1].Properties.ClusterSettings,
          [{ Name: 'containerInsights', Value: 'enabled' }]);
        const body = JSON.stringify(s.of('AWS::CloudWatch::Dashboard')[0][1].Properties.DashboardBody);
        for (const m of ['Messages', 'LatencyP95', 'Failures']) assert.ok(body.includes(m), m);
        if (stack === FAULT) assert.ok(body.includes('FaultedPackets'));
        const alarms = s.of('AWS::CloudWatch::Alarm');
        assert.ok(alarms.length >= 3);
        for (const [id, r] of alarms) assert.equal(r.Properties.AlarmActions.length, 1, id);
      });
      it('the master alone may be reached by workers, on 5557', () => {
        const from = ingress(s).filter((i) => i.port === 5557);
        assert.equal(from.length, 1);
        assert.match(from[0].where, /^LocustMasterServiceSecurityGroup/);
        assert.equal(from[0].cidr, undefined);
      });
      it('outputs under the seed\'s names', () => {
        const outputs = Object.keys(s.template.Outputs);
        const want = ['EcsClusterArn', 'WorkerServiceName', 'LocustMasterServiceURL', 'WorkerScaleCommand'];
        if (stack === FAULT) want.push('TrafficControlURL', 'TrafficControlPortForward');
        for (const o of want) assert.ok(outputs.includes(o), o);
      });
    });
  }
}

describe('fault injection', () => {
  const s = plain[FAULT];
  const daemon = s.container('squalld');
  const task = s.of('AWS::ECS::TaskDefinition').find(([, r]) =>
    r.Properties.ContainerDefinitions[0].Name === 'squalld')![1];

  it('squalld accepts the name it is reached by', () => {
    const at = daemon.Command.indexOf('--allow-host');
    assert.match(JSON.stringify(daemon.Command[at + 1]), /DNSName/);
  });
  it('squalld is a daemon on each instance', () => {
    const [, service] = s.of('AWS::ECS::Service').find(([id]) => id.startsWith('Squalld'))!;
    assert.equal(service.Properties.SchedulingStrategy, 'DAEMON');
    assert.equal(task.Properties.NetworkMode, 'host');
    assert.equal(task.Properties.PidMode, 'host');
  });
  it('has the capabilities it needs and no other', () => {
    assert.deepEqual(daemon.LinuxParameters.Capabilities,
      { Add: ['NET_ADMIN', 'SYS_ADMIN', 'SYS_PTRACE', 'DAC_READ_SEARCH', 'SYS_NICE'], Drop: ['ALL'] });
    assert.deepEqual(daemon.LinuxParameters.Devices.map((d: any) => d.HostPath), ['/dev/net/tun']);
  });
  it('mounts bpffs, cgroups and the engine\'s socket, the last two read-only', () => {
    const mounts = Object.fromEntries(daemon.MountPoints.map((m: any) => [m.ContainerPath, m.ReadOnly]));
    assert.deepEqual(mounts, { '/sys/fs/bpf': false, '/sys/fs/cgroup': true,
      '/var/run/docker.sock': true, '/var/lib/squall': false, '/run/squall': false });
  });
  it('has its token from Secrets Manager', () => {
    assert.deepEqual(daemon.Secrets.map((x: any) => x.Name), ['SQUALLD_TOKEN']);
  });
  it('workers do not mount the engine\'s socket', () => {
    assert.equal(s.container('locust-worker').MountPoints, undefined);
  });
  it('control is internal, and public only if asked for, with TLS', () => {
    const control = (x: Synthesised) => x.of('AWS::ElasticLoadBalancingV2::LoadBalancer')
      .find(([id]) => id.startsWith('Squalld'))![1].Properties.Scheme;
    assert.equal(control(s), 'internal');
    const open = made.get('public control, images in ECR, many')![FAULT];
    assert.equal(control(open), 'internet-facing');
    const [, listener] = open.of('AWS::ElasticLoadBalancingV2::Listener')
      .find(([id]) => id.startsWith('Squalld'))!;
    assert.equal(listener.Properties.Protocol, 'HTTPS');
    assert.deepEqual(ingress(open).filter((i) => i.port === 4080 && i.cidr).map((i) => i.cidr), [MINE]);
    assert.deepEqual(ingress(s).filter((i) => i.port === 4080 && i.cidr).map((i) => i.cidr),
      ['10.0.0.0/16']);
  });
  it('a command on one instance reaches the squalld of all, by one name', () => {
    const group = s.of('AWS::EC2::SecurityGroup').find(([id]) => id.startsWith('CapacitySecurityGroup'))![0];
    const own = s.of('AWS::EC2::SecurityGroupIngress').filter(([, r]) => r.Properties.FromPort === 4080 &&
      r.Properties.GroupId['Fn::GetAtt'][0] === group && r.Properties.SourceSecurityGroupId['Fn::GetAtt'][0] === group);
    assert.equal(own.length, 1);
    assert.ok(daemon.Command.includes('squalld.iot-simulator'), 'the name is one that squalld is called by');
    assert.match(s.template.Outputs.TrafficControlAllInstances.Value,
      /squall --url http:\/\/squalld\.iot-simulator:4080 --all-addresses --token-file \/dev\/shm\/squall\/token$/);
  });
  it('a login over plain HTTP is warned of, and one over HTTPS is not', () => {
    for (const stack of [FAULT, LOAD]) {
      assert.match(plain[stack].warnings.join('\n'), /plain HTTP: give certificateArn/);
      assert.deepEqual(made.get('HTTPS, own password, own token, alarms by mail')![stack].warnings, []);
    }
  });
  it('an instance type that nobody knows is warned of', () => {
    const odd = synth(fault({ ec2InstanceType: 'x9.8xlarge', certificateArn: CERTIFICATE }), load())[FAULT];
    assert.equal(odd.warnings.length, 1);
    assert.match(odd.warnings[0], /x9\.8xlarge.*not checked/);
  });
  it('health checks tell the truth: /healthz must say 200', () => {
    const [, group] = s.of('AWS::ElasticLoadBalancingV2::TargetGroup')
      .find(([id]) => id.startsWith('Squalld'))!;
    assert.equal(group.Properties.HealthCheckPath, '/healthz');
    assert.deepEqual(group.Properties.Matcher, { HttpCode: '200' });
  });
  it('instances: AL2023 of the right kind, IMDSv2, one hop, no way in', () => {
    const data = (x: Synthesised) => x.of('AWS::EC2::LaunchTemplate')[0][1].Properties.LaunchTemplateData;
    assert.equal(data(s).MetadataOptions.HttpTokens, 'required');
    assert.equal(data(s).MetadataOptions.HttpPutResponseHopLimit, 1);
    assert.equal(data(s).KeyName, undefined);
    const ami = (x: Synthesised) => JSON.stringify(x.template.Parameters);
    assert.match(ami(s), /amazon-linux-2023\/recommended/);
    assert.match(ami(made.get('Graviton, awsvpc')![FAULT]), /amazon-linux-2023\/arm64\/recommended/);
  });
  it('workers in bridge or awsvpc, any number', () => {
    const mode = (x: Synthesised) => x.of('AWS::ECS::TaskDefinition')
      .find(([id]) => id.startsWith('Worker'))![1].Properties.NetworkMode;
    assert.equal(mode(s), 'bridge');
    assert.equal(mode(made.get('Graviton, awsvpc')![FAULT]), 'awsvpc');
    const worker = s.container('locust-worker');
    assert.equal(worker.PortMappings, undefined, 'a fixed host port would allow only one per instance');
  });
});

describe('faults from Locust\'s page', () => {
  const s = synth(fault({ faults: true }), load())[FAULT];
  it('the worker asks its instance\'s squalld, by its socket', () => {
    const worker = s.container('locust-worker');
    assert.deepEqual(worker.MountPoints,
      [{ ContainerPath: '/run/squall', ReadOnly: true, SourceVolume: 'run' }]);
    assert.deepEqual(worker.Command.slice(5), ['--faults', 'ecs:locust-worker', '--faults-longest', '10m',
      '--squalld', 'unix:/run/squall/squalld.sock']);
    assert.deepEqual(worker.LinuxParameters.Capabilities, { Drop: ['ALL'] });
  });
  it('who may ask there is the workers\' group', () => {
    assert.match(JSON.stringify(s.of('AWS::EC2::LaunchTemplate')), /install -d -m 2750 -g 10001 \/run\/squall/);
    assert.deepEqual(s.container('squalld').LinuxParameters.Capabilities,
      plain[FAULT].container('squalld').LinuxParameters.Capabilities, 'no capability for that');
  });
  it('nothing of it unless asked for', () => {
    const worker = plain[FAULT].container('locust-worker');
    assert.equal(worker.MountPoints, undefined);
    assert.ok(!worker.Command.includes('--faults'));
    assert.match(JSON.stringify(plain[FAULT].of('AWS::EC2::LaunchTemplate')), /install -d -m 0750 \/run\/squall/);
  });
  it('has no cdk-nag finding', () => assert.deepEqual(s.findings, []));
});

describe('the Fault Injection Service', () => {
  const s = synth(fault({ faultInjectionService: true }), load())[FAULT];
  const document = s.of('AWS::SSM::Document')[0]?.[1].Properties;
  const template = s.of('AWS::FIS::ExperimentTemplate')[0]?.[1].Properties;
  it('is there only if asked for', () => {
    assert.equal(plain[FAULT].of('AWS::SSM::Document').length, 0);
    assert.equal(plain[FAULT].of('AWS::FIS::ExperimentTemplate').length, 0);
  });
  it('the document sets a rule that ends by itself, and deletes it when it is cancelled', () => {
    assert.equal(document.Content.schemaVersion, '2.2');
    assert.equal(document.DocumentType, 'Command');
    assert.deepEqual(Object.keys(document.Content.parameters), ['Target', 'Rule', 'DurationSeconds']);
    const script = document.Content.mainSteps[0].inputs.runCommand.join('\n');
    assert.match(script, /squall run --container \{\{ Target \}\} \{\{ Rule \}\} for \{\{ DurationSeconds \}\}s/);
    // tests/deploy/ecs-instances.test runs it, and kills it as the agent does.
    assert.ok(!script.includes('trap'), 'a cancelled command is ended by SIGKILL');
    assert.match(script, /docker exec -i .* -- timeout \{\{ DurationSeconds \}\} cat <&3/);
    assert.equal(document.Content.mainSteps[0].inputs.timeoutSeconds, '43200');
  });
  it('no parameter can be a command of the shell', () => {
    const p = document.Content.parameters;
    for (const [name, bad] of [['Target', ['a; reboot', '$(id)', '`id`', "a' b", 'a b', '', '-x', '--url', '*']],
      ['Rule', ['up loss 1%; id', '$(id)', 'up\nid', '"', '&', '|', '>', '', 'up loss 1% --url http://example.org', '-j', 'up  loss 1%']],
      ['DurationSeconds', ['5; id', '0', '', '-1', '1e9', '100000', '43201', '50000', '09']]] as [string, string[]][]) {
      for (const value of bad) assert.ok(!new RegExp(p[name].allowedPattern).test(value), `${name} ${value}`);
    }
    for (const [name, good] of [['Target', ['ecs:locust-worker', 'cgroup:/a/b_c.scope', 'name:web-*']],
      ['Rule', ['up loss 10% delay 100ms 20ms match to 10.0.0.0/8', 'down blackhole match proto tcp sport 80',
      'up delay 200ms flows 30% match to fd00::/8 except to ::1']],
      ['DurationSeconds', ['1', '300', '9999', '39999', '42999', '43199', '43200']]] as [string, string[]][]) {
      for (const value of good) assert.ok(new RegExp(p[name].allowedPattern).test(value), `${name} ${value}`);
    }
  });
  it('the template runs it on the stack\'s instances and stops by the failure alarm', () => {
    const action = template.Actions.squall;
    assert.equal(action.ActionId, 'aws:ssm:send-command');
    assert.deepEqual(Object.keys(action.Parameters).sort(), ['documentArn', 'documentParameters', 'duration']);
    const given = JSON.parse(action.Parameters.documentParameters);
    for (const [name, value] of Object.entries(given)) {
      assert.match(value as string, new RegExp(document.Content.parameters[name].allowedPattern), name);
    }
    assert.equal(action.Parameters.duration, 'PT6M');
    assert.ok(Number(given.DurationSeconds) < 360, 'the command outlives the rule');
    assert.deepEqual(action.Targets, { Instances: 'instances' });
    assert.equal(template.Targets.instances.ResourceType, 'aws:ec2:instance');
    assert.ok(template.Targets.instances.ResourceTags['aws:autoscaling:groupName'].Ref);
    const [stop] = template.StopConditions;
    assert.equal(stop.Source, 'aws:cloudwatch:alarm');
    const alarm = stop.Value['Fn::GetAtt'][0];
    assert.match(alarm, /^FailureRate/);
    assert.equal(s.template.Resources[alarm].Type, 'AWS::CloudWatch::Alarm');
  });
  it('FIS may command this stack\'s instances with this document and no other', () => {
    const send = statements(s).filter((x) => [x.Action].flat().includes('ssm:SendCommand'));
    assert.equal(send.length, 2);
    assert.match(JSON.stringify(send.find((x) => !x.Condition).Resource), /document\/.*Document/);
    assert.match(JSON.stringify(send.find((x) => x.Condition).Condition), /aws:autoscaling:groupName/);
    assert.deepEqual(statements(s).flatMap((x) => x.Action).filter((a) => a.includes('*')), []);
  });
  it('has no cdk-nag finding', () => assert.deepEqual(s.findings, []));
});

describe('the log bucket', () => {
  it('stays, unless it is to go with the stack', () => {
    const bucket = (x: Synthesised) => Object.values(x.template.Resources as Record<string, any>)
      .find((r) => r.Type === 'AWS::S3::Bucket');
    assert.equal(bucket(plain[LOAD]).DeletionPolicy, 'Retain');
    assert.equal(plain[LOAD].of('Custom::S3AutoDeleteObjects').length, 0);
    const gone = synth(fault(), load({ removeLogBucket: true }))[LOAD];
    assert.equal(bucket(gone).DeletionPolicy, 'Delete');
    assert.equal(gone.of('Custom::S3AutoDeleteObjects').length, 1);
  });
});

describe('what the page shows by default is what the sample showed', () => {
  const value = (c: any, name: string) => c.Environment.find((e: any) => e.Name === name)?.Value;
  for (const stack of [FAULT, LOAD]) {
    it(`${stack}: QoS 1 and times end to end, of workers and of the page's classes`, () => {
      for (const c of [plain[stack].container('locust-worker'), plain[stack].container('locustfile')]) {
        assert.equal(value(c, 'MQTT_QOS'), '1');
        assert.equal(value(c, 'MQTT_END_TO_END'), 'true');
        assert.equal(value(c, 'SQUALL_FLEET'), undefined);
      }
    });
    it(`${stack}: a device may publish to, subscribe to and receive its own topic`, () => {
      const allowed = (plain[stack].of('AWS::IoT::Policy')[0][1].Properties.PolicyDocument.Statement as any[])
        .flatMap((x) => x.Resource.flatMap((r: any) => [x.Action].flat().map((a: string) => `${a} ${JSON.stringify(r)}`)));
      for (const [action, of] of [['iot:Publish', 'topic'], ['iot:Receive', 'topic'], ['iot:Subscribe', 'topicfilter']]) {
        assert.ok(allowed.some((x) => x.startsWith(action) && x.includes(`:${of}/iot/simulator/*`)), `${action} ${allowed}`);
      }
    });
  }
});

describe('load testing', () => {
  const s = plain[LOAD];
  it('Fargate spot first', () => {
    const [, service] = s.of('AWS::ECS::Service').find(([id]) => id.startsWith('Worker'))!;
    assert.equal(service.Properties.DesiredCount, 100);
    const spot = service.Properties.CapacityProviderStrategy
      .find((p: any) => p.CapacityProvider === 'FARGATE_SPOT');
    assert.equal(spot.Weight, 1);
  });
  it('has no squalld, and the worker knows why', () => {
    assert.equal(s.container('squalld'), undefined);
    const no = s.container('locust-worker').Environment.find((e: any) => e.Name === 'SQUALL_NO_FAULTS');
    assert.match(no.Value, /faults: true.*IoTFaultInjectionSimulatorStack/);
  });
  it('has faults only if asked for: those of the ECS agent', () => {
    const task = (x: Synthesised) => x.of('AWS::ECS::TaskDefinition')
      .find(([id]) => id.startsWith('Worker'))![1].Properties;
    assert.equal(task(s).EnableFaultInjection, undefined);
    assert.equal(task(s).PidMode, undefined);
    const with_ = synth(fault(), load({ faults: true }))[LOAD];
    assert.equal(task(with_).EnableFaultInjection, true);
    assert.equal(task(with_).PidMode, 'task');
    assert.equal(task(with_).RuntimePlatform.OperatingSystemFamily, 'LINUX');
    const worker = with_.container('locust-worker');
    assert.deepEqual(worker.Command.slice(5),
      ['--faults', 'task', '--faults-longest', '10m', '--squalld', 'ecs']);
    assert.ok(!worker.Environment.some((e: any) => e.Name === 'SQUALL_NO_FAULTS'));
    assert.ok(with_.container('locustfile').Environment.some((e: any) => e.Name === 'SQUALL_FAULTS'));
    assert.deepEqual(with_.findings, []);
  });
});

describe('every parameter is used', () => {
  const text = (f: Partial<FaultInjectionConfig>) => JSON.stringify(synth(fault(f), load())[FAULT].template);
  const loadText = (l: Partial<LoadTestingConfig>) => JSON.stringify(synth(fault(), load(l))[LOAD].template);
  const common: Record<string, unknown> = {
    mqttWaitTime: 2.5, mqttQos: 0, mqttMessage: 'another', iotCoreEndpoint: 'broker.example.org',
    iotCoreMqttTopic: 'other/topic', iotThingName: 'another-thing', workerDesiredCount: 7,
    allowedCidrs: [MINE], certificateArn: CERTIFICATE, webUsername: 'bob', webPassword: PASSWORD,
    simImage: 'registry.test/other', locustImage: 'registry.test/locust', logRetentionDays: 30,
    alarmEmail: 'ops@example.org', fleetFile: FLEET, faults: true, removeLogBucket: true, endToEnd: false,
  };
  const faultOnly: Record<string, unknown> = {
    ec2InstanceType: 'c5.large', ec2InstanceCount: 2, workerNetworkMode: 'awsvpc',
    squalldImage: 'registry.test/other', controlTokenSecretArn: TOKEN_SECRET,
    controlHostName: 'faults.example.org', faultInjectionService: true,
  };
  const f0 = text({});
  const l0 = loadText({});
  for (const [name, value] of Object.entries({ ...common, ...faultOnly })) {
    it(`${name} (faults)`, () => assert.notEqual(text({ [name]: value }), f0));
  }
  for (const [name, value] of Object.entries(common)) {
    it(`${name} (load)`, () => assert.notEqual(loadText({ [name]: value }), l0));
  }
  it('baseImage, where an image is built', () => {
    const built = { squalldImage: undefined };
    assert.notEqual(text({ ...built, baseImage: 'registry.test/debian' }), text(built));
  });
  it('region', () => {
    const other = { region: 'eu-central-1', iotCoreEndpoint: 'a-ats.iot.eu-central-1.amazonaws.com' };
    assert.match(text(other), /"AWS_DEFAULT_REGION","Value":"eu-central-1"/);
  });
  it('cpuArchitecture (load)', () => assert.match(loadText({ cpuArchitecture: 'arm64' }), /"ARM64"/));
  it('the same configuration gives the same template', () => assert.equal(text({}), f0));
});

describe('CloudFormation\'s own schemas find nothing', () => {
  const validated = (f: Partial<FaultInjectionConfig>) => synth(fault(f), load(f as Partial<LoadTestingConfig>), true);
  it('as it comes', () => { validated({}); });
  it('with a certificate, by mail', () => {
    validated({ certificateArn: CERTIFICATE, alarmEmail: 'ops@example.org', allowedCidrs: [MINE] });
  });
});

it('the hash that the login checks is PBKDF2 of salt and password', () => {
  const [kind, rounds, salt, hash] = passwordHash('stack/ann', PASSWORD).split(':');
  assert.equal(kind, 'pbkdf2_sha256');
  assert.equal(Buffer.from(salt, 'hex').toString(), 'stack/ann');
  assert.equal(hash.length, 64);
  assert.ok(Number(rounds) >= 600000);
});


