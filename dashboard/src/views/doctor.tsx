import type { DoctorAnswer, DoctorFinding } from '../../../src/admin/answers/doctor.ts'
import { useResource } from '../api/resource.ts'
import { Badge, type Tone } from '../parts/badge.tsx'
import { plural } from '../parts/format.ts'
import { Shown } from '../parts/state.tsx'
import { Table } from '../parts/table.tsx'
import { Card } from '../parts/view.tsx'

const ORDER: readonly DoctorFinding['status'][] = ['fail', 'warn', 'pass', 'skip']
const TONES: Readonly<Record<DoctorFinding['status'], Tone>> = {
  fail: 'bad',
  warn: 'warn',
  pass: 'good',
  skip: 'plain',
}

/** What is wrong with the set-up, and what would mend it; what is right is folded away. */
export function Doctor() {
  const found = useResource<DoctorAnswer>('doctor')
  return (
    <Card
      title="Doctor"
      note="Checks of the server's set-up. Each finding says what would mend it."
      actions={
        <button type="button" class="button" data-size="small" disabled={found.asking} onClick={found.reload}>
          Check again
        </button>
      }
    >
      <Shown of={found} what="the doctor's findings" lines={6}>
        {(answer) => <Findings answer={answer} />}
      </Shown>
    </Card>
  )
}

function Findings({ answer: { score, findings } }: { readonly answer: DoctorAnswer }) {
  const sorted = [...findings].sort((a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status))
  const open = sorted.filter(({ status }) => status === 'fail' || status === 'warn')
  const rest = sorted.filter(({ status }) => status === 'pass' || status === 'skip')
  return (
    <>
      <p>
        <strong class="score">{score} %</strong>{' '}
        {open.length === 0 ? 'Nothing to mend.' : `${plural(open.length, 'finding')} to look at.`}
      </p>
      {open.length > 0 && <Rows label="Findings" rows={open} />}
      {rest.length > 0 && (
        <details>
          <summary>{plural(rest.length, 'check')} passed or not applicable</summary>
          <Rows label="Passed or not applicable" rows={rest} />
        </details>
      )}
    </>
  )
}

function Rows({ label, rows }: { readonly label: string; readonly rows: readonly DoctorFinding[] }) {
  return (
    <Table
      label={label}
      rows={rows}
      keyOf={({ id }) => id}
      columns={[
        { head: 'Check', cell: ({ id }) => id },
        { head: 'Result', cell: ({ status }) => <Badge tone={TONES[status]}>{status}</Badge> },
        {
          head: 'Finding',
          cell: ({ title, detail, cause }) => (
            <>
              <strong>{title}</strong>
              <p>{detail}</p>
              {cause && <p class="muted">Cause: {cause}</p>}
            </>
          ),
        },
        { head: 'What mends it', cell: ({ mend }) => mend ?? '' },
      ]}
    />
  )
}
