import type { AppStart, Framework } from './app.ts'

export async function startOf(framework: Framework): Promise<AppStart> {
  switch (framework) {
    case 'express':
      return (await import('./express-app.ts')).startExpress
    case 'fastify':
      return (await import('./fastify-app.ts')).startFastify
    case 'hono':
      return (await import('./hono-app.ts')).startHono
    case 'nest':
      return (await import('./nest-app.ts')).startNest
  }
}
