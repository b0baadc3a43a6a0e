/** `npm run proof:queue`: the full proof, with its figures. Exit code 1 when something is violated. */
import { FULL, SHORT } from './plan.ts'
import { prove } from './proof.ts'

const plan = process.argv.includes('--short') ? SHORT : FULL
const { violations, figures } = await prove(plan, (line) => console.log(line))
console.log()
for (const [name, value] of Object.entries(figures)) {
  console.log(`${name.padEnd(48)} ${typeof value === 'number' ? value.toLocaleString('en') : value}`)
}
for (const violation of violations) console.error(`VIOLATED: ${violation}`)
process.exitCode = violations.length === 0 ? 0 : 1
