import { render } from 'preact'
import './style/tokens.css'
import './style/base.css'
import './style/frame.css'
import './style/parts.css'
import './style/table.css'
import './style/charts.css'
import { enter, watchToken } from './api/access.ts'
import { takeTokenFromAddress } from './api/credentials.ts'
import { watchAddress } from './api/place.ts'
import { applyTheme } from './api/theme.ts'
import { App } from './app.tsx'

applyTheme()
takeTokenFromAddress()
watchAddress()
watchToken()
void enter()
render(<App />, document.getElementById('app')!)
