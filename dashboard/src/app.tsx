import { useEffect } from 'preact/hooks'
import { access, may } from './api/access.ts'
import { goLive, stopLive } from './api/live.ts'
import { place } from './api/place.ts'
import { Frame } from './frame.tsx'
import { ConfirmDialog } from './parts/confirm.tsx'
import { Notices } from './parts/notices.tsx'
import { Permitted } from './parts/permitted.tsx'
import { SafetyNet } from './parts/safety-net.tsx'
import { Empty } from './parts/state.tsx'
import { View } from './parts/view.tsx'
import { Closed, SignIn } from './views/sign-in.tsx'
import { VIEWS, type ViewEntry } from './views.ts'

export function App() {
  const now = access.value
  if (now.state === 'asking') return <p class="gate muted">Connecting…</p>
  if (now.state === 'needs-token') return <SignIn refused={now.refused} />
  if (now.state === 'closed') return <Closed refusal={now.refusal} />
  return <Inside />
}

function Inside() {
  useEffect(() => {
    if (may('stats')) goLive()
    return stopLive
  }, [])
  const view = VIEWS.find(({ name }) => name === place.value.view)
  return (
    <>
      <Frame>
        <SafetyNet key={place.value.view}>{view ? <Chosen view={view} /> : <Unknown />}</SafetyNet>
      </Frame>
      <Notices />
      <ConfirmDialog />
    </>
  )
}

function Chosen({ view }: { readonly view: ViewEntry }) {
  if (may(view.needs)) return <view.Body />
  return (
    <View title={view.title} about="Your role does not include this view.">
      <Permitted to={view.needs}>{null}</Permitted>
    </View>
  )
}

function Unknown() {
  return (
    <View title="Not found" about="This address names no view of the dashboard.">
      <Empty title="Nothing is here">Choose a view from the navigation.</Empty>
    </View>
  )
}
