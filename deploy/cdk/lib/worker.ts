// SPDX-License-Identifier: GPL-2.0-only
// The container that carries the devices. It is an ordinary task: what faults
// its packets lives on the instance, outside of it.
import { Duration } from 'aws-cdk-lib';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Fleet } from './fleet';
import { MASTER_NAME, WORKER_PORT } from './locust-master';
import { NAMESPACE } from './network';

/** The group of squall-sim's image (deploy/docker/squall-sim.Dockerfile). */
export const WORKER_GID = 10001;

export interface WorkerContainerProps {
  readonly image: ecs.ContainerImage;
  readonly fleet: Fleet;
  readonly logGroup: logs.ILogGroup;
  readonly environment?: Record<string, string>;
  readonly cpu?: number;
  readonly memoryReservationMiB?: number;
  readonly memoryLimitMiB?: number;
  /** What Locust's page may break, for how long at most, and whom the worker asks for it. */
  readonly faults?: { readonly targets: string; readonly longest: string; readonly by: string };
}

export function workerContainer(task: ecs.TaskDefinition,
  props: WorkerContainerProps): ecs.ContainerDefinition {
  const linux = new ecs.LinuxParameters(task, 'WorkerLinuxParameters', {
    // Restarted devices are children; somebody has to reap them.
    initProcessEnabled: true,
  });
  linux.dropCapabilities(ecs.Capability.ALL);
  const container = task.addContainer('locust-worker', {
    image: props.image,
    command: ['worker', '--master-host', `${MASTER_NAME}.${NAMESPACE}`,
      '--master-port', String(WORKER_PORT),
      ...(props.faults === undefined ? [] : ['--faults', props.faults.targets,
        '--faults-longest', props.faults.longest, '--squalld', props.faults.by])],
    environment: { ...props.fleet.environment, ...props.environment },
    secrets: props.fleet.secrets,
    cpu: props.cpu,
    memoryReservationMiB: props.memoryReservationMiB,
    memoryLimitMiB: props.memoryLimitMiB,
    readonlyRootFilesystem: true,
    linuxParameters: linux,
    healthCheck: {
      command: ['CMD', '/usr/lib/squall/squall-sim-health'],
      interval: Duration.seconds(10),
      timeout: Duration.seconds(5),
      retries: 3,
      // ECS's longest: on a first start the master's image is still being fetched, and each
      // unhealthy task counts towards the circuit breaker.
      startPeriod: Duration.seconds(300),
    },
    stopTimeout: Duration.seconds(10),
    logging: ecs.LogDriver.awsLogs({ streamPrefix: 'locust-worker', logGroup: props.logGroup }),
  });
  // One descriptor per device.
  container.addUlimits({ name: ecs.UlimitName.NOFILE, softLimit: 65536, hardLimit: 65536 });
  return container;
}
