// SPDX-License-Identifier: GPL-2.0-only
// What an instance type can hold, as EC2 documents it: a worker too many is
// said at synthesis and not by a service that never becomes stable.

// What fault-injection-stack.ts and squalld-daemon.ts reserve.
export const WORKER = { cpu: 512, memoryMiB: 512 };
export const DAEMON = { cpu: 128, memoryMiB: 128 };
// What the ECS agent and the system leave of an instance's memory, about.
const SYSTEM_MIB = 256;

interface Size { readonly vcpu: number; readonly enis: number }

// Of the current general families (m, c, r); an older or special one may have more.
const SIZES: Record<string, Size> = {
  large: { vcpu: 2, enis: 3 },
  xlarge: { vcpu: 4, enis: 4 },
  '2xlarge': { vcpu: 8, enis: 4 },
  '4xlarge': { vcpu: 16, enis: 8 },
  '8xlarge': { vcpu: 32, enis: 8 },
  '12xlarge': { vcpu: 48, enis: 8 },
  '16xlarge': { vcpu: 64, enis: 15 },
  '24xlarge': { vcpu: 96, enis: 15 },
};
// Burstable ones: small in everything.
const BURSTABLE: Record<string, Size & { readonly memoryMiB: number }> = {
  nano: { vcpu: 2, enis: 2, memoryMiB: 512 },
  micro: { vcpu: 2, enis: 2, memoryMiB: 1024 },
  small: { vcpu: 2, enis: 3, memoryMiB: 2048 },
  medium: { vcpu: 2, enis: 3, memoryMiB: 4096 },
  large: { vcpu: 2, enis: 3, memoryMiB: 8192 },
  xlarge: { vcpu: 4, enis: 4, memoryMiB: 16384 },
  '2xlarge': { vcpu: 8, enis: 4, memoryMiB: 32768 },
};
const GIB_PER_VCPU: Record<string, number> = { c: 2, m: 4, r: 8 };

/** What TYPE has, or undefined where this table does not know it. */
export function instanceLimits(type: string): (Size & { memoryMiB: number }) | undefined {
  const [family, size] = type.split('.');
  if (/^t(3|3a|4g)$/.test(family)) return BURSTABLE[size];
  const kind = /^([cmr])[5-8]/.exec(family);
  if (!kind || !SIZES[size]) return undefined;
  return { ...SIZES[size], memoryMiB: SIZES[size].vcpu * GIB_PER_VCPU[kind[1]] * 1024 };
}

/** The parameter that asks for more than the instances have, with what would do. */
export function checkInstances(c: { ec2InstanceType: string; ec2InstanceCount: number;
  workerNetworkMode: string; workerDesiredCount: number; }):
  { parameter: string; value: unknown; accepted: string } | undefined {
  const has = instanceLimits(c.ec2InstanceType);
  if (!has || c.ec2InstanceCount === 0) return undefined;
  const limits: [number, string][] = [
    [Math.floor((has.vcpu * 1024 - DAEMON.cpu) / WORKER.cpu),
      `of ${has.vcpu * 1024} CPU units squalld takes ${DAEMON.cpu}, a worker ${WORKER.cpu}`],
    [Math.max(0, Math.floor((has.memoryMiB - SYSTEM_MIB - DAEMON.memoryMiB) / WORKER.memoryMiB)),
      `of ${has.memoryMiB} MiB a worker takes ${WORKER.memoryMiB}`],
  ];
  if (c.workerNetworkMode === 'awsvpc') {
    limits.push([has.enis - 1, `it has ${has.enis} network interfaces, and one is its own`]);
  }
  const [each, why] = limits.sort((a, b) => a[0] - b[0])[0];
  if (c.workerDesiredCount <= each * c.ec2InstanceCount) return undefined;
  return { parameter: 'workerDesiredCount', value: c.workerDesiredCount,
    accepted: `must be at most ${each * c.ec2InstanceCount} on ${c.ec2InstanceCount} x ` +
      `${c.ec2InstanceType}: ${why}; ask for more instances (ec2InstanceCount) or a larger type` };
}
