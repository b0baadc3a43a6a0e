import type { Cache } from 'holdfast'
import type { Task, TaskChange, TaskStore } from './db.ts'

/** Whether a call went to the table: for Cache-Status. */
export interface Trace {
  loaded: boolean
}

/**
 * The tasks of one tenant, cached by declaration: each read says its key and tags, each change what it
 * drops once it is committed, in every process. The keys are `task:{id}` and `tasks:{status}`, in a cache
 * namespace of the tenant's own: else an id would answer whoever guesses it.
 */
export function cachedTasks(cache: Cache, tasks: TaskStore, tenant: string) {
  return {
    find: cache.cached(
      (id: string, trace: Trace) => {
        trace.loaded = true
        return tasks.find(tenant, id)
      },
      // For CACHE_TTL, by default 5 minutes. Ids that do not exist would only fill the cache.
      { key: (id) => `task:${id}`, tags: (id) => [`task:${id}`], negativeTtl: 0 },
    ),
    list: cache.cached(
      (status: Task['status'] | undefined, trace: Trace) => {
        trace.loaded = true
        return tasks.list(tenant, status)
      },
      { key: (status) => `tasks:${status ?? 'all'}`, tags: ['tasks'], ttl: '1m' },
    ),
    add: cache.invalidates((task: TaskChange) => tasks.add(tenant, task), { tags: ['tasks'] }),
    update: cache.invalidates((id: string, change: TaskChange) => tasks.update(tenant, id, change), {
      tags: (id) => [`task:${id}`, 'tasks'],
    }),
    remove: cache.invalidates((id: string) => tasks.remove(tenant, id), {
      tags: (id) => [`task:${id}`, 'tasks'],
    }),
  }
}

export type CachedTasks = ReturnType<typeof cachedTasks>
