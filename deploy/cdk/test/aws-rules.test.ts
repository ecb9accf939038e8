// SPDX-License-Identifier: GPL-2.0-only
// AWS cannot be reached from where this is developed. Each rule that AWS states
// and that a deployment would break on is an assertion on the templates, with
// the place where AWS (or who met it) says so.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { faultInjection, loadTesting } from '../cdkconfig';
import { FAULT, fault, LOAD, load, synth, Synthesised } from './helpers';

const made = synth(fault({ locustImage: '111122223333.dkr.ecr.ap-northeast-2.amazonaws.com/locust:1' }),
  load());
const both = [made[FAULT], made[LOAD]];
const f = made[FAULT];
const text = (x: unknown) => JSON.stringify(x);
const keyPolicy = (s: Synthesised): any[] => s.of('AWS::KMS::Key')[0][1].Properties.KeyPolicy.Statement;
const dependsOn = (s: Synthesised, id: RegExp): string[] => {
  const found = Object.entries(s.template.Resources as Record<string, any>)
    .filter(([k, r]) => id.test(k) && r.Type === 'AWS::ECS::Service');
  assert.equal(found.length, 1, String(id));
  return [found[0][1].DependsOn ?? []].flat();
};

// [rule, source, check]
const RULES: [string, string, () => void][] = [
  ['a log group with a customer key needs logs.REGION in the key policy, bound to log groups',
    'CloudWatch Logs guide, "Encrypt log data using KMS"; aws/aws-cdk#28304', () => {
      for (const s of both) {
        const p = keyPolicy(s).find((x) => text(x.Principal).includes('logs.ap-northeast-2.amazonaws.com'));
        assert.ok(p);
        assert.ok(p.Action.includes('kms:GenerateDataKey*'));
        assert.match(text(p.Condition.ArnLike['kms:EncryptionContext:aws:logs:arn']), /:log-group:\*/);
      }
    }],
  ['CloudWatch must be let use the key of an encrypted topic',
    'SNS guide, "Enable compatibility between event sources and encrypted topics"', () => {
      for (const s of both) {
        const p = keyPolicy(s).find((x) => x.Principal?.Service === 'cloudwatch.amazonaws.com');
        assert.deepEqual([...p.Action].sort(), ['kms:Decrypt', 'kms:GenerateDataKey']);
      }
    }],
  ['a topic policy replaces the default one: CloudWatch must be let publish by name',
    're:Post knowledge centre "cloudwatch-receive-sns-for-alarm-trigger"', () => {
      for (const s of both) {
        const allow = s.of('AWS::SNS::TopicPolicy').flatMap(([, r]) => r.Properties.PolicyDocument.Statement)
          .filter((x: any) => x.Effect === 'Allow' && x.Action === 'sns:Publish'
            && x.Principal.Service === 'cloudwatch.amazonaws.com');
        assert.equal(allow.length, 1);
      }
    }],
  ['a key policy that names a principal which does not exist is refused',
    'KMS guide, "Key policies"; Auto Scaling guide, "Key policy for an encrypted Amazon SNS topic"', () => {
      for (const s of both) {
        for (const p of keyPolicy(s)) assert.ok(!text(p.Principal).includes('aws-service-role'), text(p));
      }
    }],
  ['Auto Scaling publishes to an encrypted topic as its service-linked role, without SourceAccount',
    'Auto Scaling guide, "Key policy for an encrypted Amazon SNS topic"', () => {
      const p = keyPolicy(f).find((x) => text(x.Condition ?? {}).includes('AWSServiceRoleForAutoScaling'));
      assert.ok(p);
      assert.deepEqual(Object.keys(p.Condition), ['ArnEquals']);
      assert.ok(!keyPolicy(made[LOAD]).some((x) => text(x).includes('AutoScaling')), 'only where it is used');
    }],
  ['a strategy may only name capacity providers of the cluster',
    'ECS API CreateService; dask/dask-cloudprovider#328', () => {
      for (const s of both) {
        const providers = text(s.of('AWS::ECS::ClusterCapacityProviderAssociations'));
        for (const p of ['FARGATE', 'FARGATE_SPOT']) assert.ok(providers.includes(`"${p}"`), p);
      }
    }],
  ['tasks start only once the certificate, the master and the route to the Internet exist',
    'ECS events "ResourceInitializationError: unable to pull secrets or registry auth"', () => {
      for (const s of both) {
        const w = dependsOn(s, /^WorkerService/).join(' ');
        for (const need of [/IoTCoreCertificate/, /LocustMasterService/]) assert.match(w, need);
        const m = dependsOn(s, /^LocustMasterService/).join(' ');
        assert.match(m, /NetworkVpcPrivateSubnet1DefaultRoute/);
      }
    }],
  ['failed health checks count towards the circuit breaker: start periods as long as a first start',
    'ECS API DeploymentCircuitBreaker, HealthCheck (startPeriod at most 300 s)', () => {
      for (const s of both) {
        assert.equal(s.container('locust-worker').HealthCheck.StartPeriod, 300);
        assert.ok(s.container('locust-master').HealthCheck.StartPeriod >= 120);
        for (const c of s.containers()) assert.ok((c.HealthCheck?.StartPeriod ?? 0) <= 300);
      }
    }],
  ['a task definition is at most 64 KiB', 'ECS quotas', () => {
    for (const s of both) {
      for (const [id, r] of s.of('AWS::ECS::TaskDefinition')) {
        assert.ok(Buffer.byteLength(text(r.Properties)) < 64 * 1024, id);
      }
    }
  }],
  ['capabilities that ECS knows; BPF and PERFMON are not among them', 'ECS API KernelCapabilities', () => {
    for (const c of f.containers()) {
      const add = c.LinuxParameters?.Capabilities?.Add ?? [];
      for (const cap of add) {
        assert.ok(['NET_ADMIN', 'SYS_ADMIN', 'SYS_PTRACE', 'DAC_READ_SEARCH', 'SYS_NICE'].includes(cap), cap);
      }
    }
    for (const c of made[LOAD].containers()) {
      assert.deepEqual(c.LinuxParameters?.Capabilities?.Add ?? [], [], 'Fargate may add only SYS_PTRACE');
    }
  }],
  ['Fargate\'s hard limit of descriptors is 65535 unless the task definition says more', 'ECS API Ulimit', () => {
    const nofile = made[LOAD].container('locust-worker').Ulimits.find((u: any) => u.Name === 'nofile');
    assert.ok(nofile.HardLimit >= 65535);
  }],
  ['who pulls from a private ECR repository needs leave for that repository',
    'ECR guide, "Amazon ECR images with Amazon ECS"', () => {
      const pull = f.of('AWS::IAM::Policy').flatMap(([, r]) => r.Properties.PolicyDocument.Statement)
        .filter((x: any) => [x.Action].flat().includes('ecr:BatchGetImage'));
      assert.ok(pull.some((x: any) => text(x.Resource).includes('repository/locust')), text(pull));
    }],
  ['instances are replaced when their launch template changes', 'CloudFormation, UpdatePolicy attribute', () => {
    const [, group] = f.of('AWS::AutoScaling::AutoScalingGroup')[0] as [string, any];
    assert.ok(group.UpdatePolicy.AutoScalingRollingUpdate);
    assert.match(text(group.Properties.LaunchTemplate.Version), /LatestVersionNumber/);
  }],
  ['no instance, no task that waits for one: a deployment of a paused stack ends',
    'ECS guide, "Service deployment" (steady state)', () => {
      const paused = synth(fault({ ec2InstanceCount: 0 }), load())[FAULT];
      const group = paused.of('AWS::AutoScaling::AutoScalingGroup')[0][1].Properties;
      assert.equal(group.MaxSize, '0');
      const worker = paused.of('AWS::ECS::Service').find(([id]) => id.startsWith('WorkerService'))!;
      assert.equal(worker[1].Properties.DesiredCount, 0);
    }],
  ['enableFaultInjection is for awsvpc and host; a Fargate task with pidMode names its operating system',
    'ECS guide, "Use fault injection with your Amazon ECS and Fargate workloads"; CDK, FargateTaskDefinition', () => {
      const t = synth(fault(), load({ faults: true }))[LOAD].of('AWS::ECS::TaskDefinition')
        .find(([id]) => id.startsWith('Worker'))![1].Properties;
      assert.equal(t.EnableFaultInjection, true);
      assert.equal(t.NetworkMode, 'awsvpc');
      assert.ok(t.RuntimePlatform.OperatingSystemFamily);
    }],
  ['FIS: an experiment template has tags, stop conditions, and the parameters of a document as a JSON text',
    'CloudFormation, AWS::FIS::ExperimentTemplate; FIS guide, "Use the aws:ssm:send-command action"', () => {
      const t = synth(fault({ faultInjectionService: true }), load())[FAULT]
        .of('AWS::FIS::ExperimentTemplate')[0][1].Properties;
      assert.ok(Object.keys(t.Tags).length && t.StopConditions.length);
      const p = t.Actions.squall.Parameters;
      assert.equal(typeof p.documentParameters, 'string');
      assert.match(p.duration, /^PT\d+[MH]$/);
      assert.match(text(p.documentArn), /:document\//);
    }],
  ['a cancelled or overdue command is ended by SIGKILL of its process group: no trap can tidy up',
    'amazon-ssm-agent, agent/executers/executers_unix.go, killProcess', () => {
      const script = synth(fault({ faultInjectionService: true }), load())[FAULT]
        .of('AWS::SSM::Document')[0][1].Properties.Content.mainSteps[0].inputs.runCommand.join('\n');
      assert.ok(!/\btrap\b/.test(script) && /docker exec -i .*squall run /.test(script), script);
    }],
  ['a service in the host\'s network has records of type SRV in Cloud Map, with a container\'s name and port',
    'ECS guide, "Use service discovery": bridge or host mode, "an SRV record is the only supported DNS record type"', () => {
      const [, service] = f.of('AWS::ECS::Service').find(([id]) => id.startsWith('Squalld'))!;
      const [registry] = service.Properties.ServiceRegistries;
      assert.equal(registry.ContainerName, 'squalld');
      assert.equal(registry.ContainerPort, 4080);
      const discovery = f.template.Resources[registry.RegistryArn['Fn::GetAtt'][0]].Properties;
      assert.equal(discovery.Name, 'squalld');
      assert.deepEqual(discovery.DnsConfig.DnsRecords.map((r: any) => r.Type), ['SRV']);
    }],
  ['a rolling update keeps fewer instances in service than the group may have',
    'CloudFormation, UpdatePolicy attribute, MinInstancesInService', () => {
      for (const n of [1, 5]) {
        const [, g] = synth(fault({ ec2InstanceCount: n }), load())[FAULT]
          .of('AWS::AutoScaling::AutoScalingGroup')[0] as [string, any];
        const u = g.UpdatePolicy.AutoScalingRollingUpdate;
        assert.ok(u.MinInstancesInService < Number(g.Properties.MaxSize), String(n));
        assert.ok(u.MaxBatchSize >= 1);
      }
    }],
  ['a function that waits for IoT Core to detach must be let wait: 20 times 3 s',
    'IoT API DeleteCertificate (DeleteConflictException); Lambda quotas (timeout at most 900 s)', () => {
      for (const s of both) {
        const made = s.of('AWS::Lambda::Function').find(([id]) => id.startsWith('IoTCoreHandler'))!;
        assert.ok(made[1].Properties.Timeout > 60 && made[1].Properties.Timeout <= 900);
      }
    }],
  ['images are built upon what AWS itself serves, unless another is asked for',
    'ECR Public Gallery, docker/library (Docker Hub counts pulls of who is not known)', () => {
      assert.match(faultInjection.baseImage, /^public\.ecr\.aws\//);
      assert.match(loadTesting.baseImage, /^public\.ecr\.aws\//);
    }],
  ['a client id of IoT Core is at most 128 bytes: iotThingName, the host\'s name, a number',
    'IoT Core quotas, "Client ID size"; VPC guide, "DNS attributes" (ip-10-0-255-255.REGION.compute.internal)', () => {
      const longest = `${'x'.repeat(64)}-ip-10-255-255-255.ap-southeast-2.compute.internal-10000000`;
      assert.ok(longest.length <= 128, String(longest.length));
    }],
];

describe('rules that AWS states', () => {
  for (const [rule, source, check] of RULES) it(`${rule} [${source}]`, check);
});
