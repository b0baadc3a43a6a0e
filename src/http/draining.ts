/** Instances whose server stops taking requests, so that health endpoints say so. */
const instances = new WeakSet<object>()

export const isDraining = (instance: object): boolean => instances.has(instance)

export function beginDraining(instance: object): void {
  instances.add(instance)
}
