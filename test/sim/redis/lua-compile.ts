import { LuaError, runtime } from './lua-runtime.ts'

/**
 * Lua 5.1 to JavaScript, for the scripts that Holdfast ships. Written because the simulator spends
 * most of its time in scripts: compiled text runs about as fast as the code around it, and numbers
 * are doubles printed with %.14g as in Redis (an interpreter of Lua 5.3 with 32-bit integers would
 * overflow on server milliseconds). The differential test holds it against a real server.
 *
 * Values: nil = undefined, strings = one character per byte, a call yields one value or a Multi.
 */
export type LuaChunk = (keys: unknown, argv: unknown, redis: unknown) => unknown

type Token = { kind: 'name' | 'number' | 'string' | 'op' | 'eof'; text: string; line: number }

const KEYWORDS = new Set(
  'and break do else elseif end false for function if in local nil not or repeat return then true until while'.split(
    ' ',
  ),
)
const OPERATORS = ['...', '..', '==', '~=', '<=', '>=', ...'+-*/%^#<>=(){}[];:,.']
const ESCAPES: Record<string, string> = { n: '\n', t: '\t', r: '\r', a: '\x07', b: '\b', f: '\f', v: '\v' }

function tokenize(source: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  let line = 1
  const long = (): string | undefined => {
    const open = /^\[(=*)\[\n?/.exec(source.slice(at, at + 40))
    if (!open) return undefined
    const close = source.indexOf(`]${open[1]}]`, at)
    if (close < 0) throw new LuaError(`unfinished long bracket near line ${line}`)
    const text = source.slice(at + open[0].length, close)
    line += source.slice(at, close).split('\n').length - 1
    at = close + 2 + open[1]!.length
    return text
  }
  while (at < source.length) {
    const c = source[at]!
    if (c === '\n') line++
    if (/\s/.test(c)) {
      at++
    } else if (source.startsWith('--', at)) {
      at += 2
      if (source[at] !== '[' || long() === undefined) while (at < source.length && source[at] !== '\n') at++
    } else if (/[A-Za-z_]/.test(c)) {
      const text = /^\w+/.exec(source.slice(at))![0]
      tokens.push({ kind: KEYWORDS.has(text) ? 'op' : 'name', text, line })
      at += text.length
    } else if (/\d/.test(c) || (c === '.' && /\d/.test(source[at + 1] ?? ''))) {
      const text = /^(0[xX][\da-fA-F]+|\d*\.?\d*(?:[eE][+-]?\d+)?)/.exec(source.slice(at))![0]
      tokens.push({ kind: 'number', text, line })
      at += text.length
    } else if (c === "'" || c === '"') {
      let text = ''
      at++
      while (source[at] !== c) {
        if (at >= source.length || source[at] === '\n')
          throw new LuaError(`unfinished string near line ${line}`)
        if (source[at] !== '\\') text += source[at++]
        else {
          const digits = /^\d{1,3}/.exec(source.slice(at + 1))
          const escaped = source[at + 1]!
          text += digits ? String.fromCharCode(Number(digits[0])) : (ESCAPES[escaped] ?? escaped)
          at += digits ? digits[0].length + 1 : 2
        }
      }
      at++
      tokens.push({ kind: 'string', text, line })
    } else {
      const text = c === '[' ? long() : undefined
      if (text !== undefined) {
        tokens.push({ kind: 'string', text, line })
        continue
      }
      const op = OPERATORS.find((candidate) => source.startsWith(candidate, at))
      if (!op) throw new LuaError(`unexpected symbol near '${c}', line ${line}`)
      tokens.push({ kind: 'op', text: op, line })
      at += op.length
    }
  }
  tokens.push({ kind: 'eof', text: '<eof>', line })
  return tokens
}

/** An expression as JavaScript: `multi` may yield several values, `bool` is true or false for sure. */
interface Code {
  js: string
  multi?: boolean
  bool?: boolean
  assign?: (value: string) => string
}

const BINARY: Record<string, readonly [left: number, right: number]> = {
  or: [1, 1],
  and: [2, 2],
  '<': [3, 3],
  '>': [3, 3],
  '<=': [3, 3],
  '>=': [3, 3],
  '~=': [3, 3],
  '==': [3, 3],
  '..': [5, 4],
  '+': [6, 6],
  '-': [6, 6],
  '*': [7, 7],
  '/': [7, 7],
  '%': [7, 7],
  '^': [10, 9],
}
const UNARY_PRIORITY = 8
const ARITHMETIC: Record<string, string> = {
  '+': 'add',
  '-': 'sub',
  '*': 'mul',
  '/': 'div',
  '%': 'mod',
  '^': 'pow',
}
const COMPARE: Record<string, string> = { '<': 'lt', '<=': 'le' }

class Compiler {
  readonly #tokens: Token[]
  #at = 0
  #scopes: Map<string, string>[] = [new Map()]
  #names = 0
  #temps: string[][] = []

  constructor(source: string) {
    this.#tokens = tokenize(source)
  }

  chunk(): string {
    this.#temps.push([])
    const body = this.#block()
    if (this.#peek().kind !== 'eof') this.#fail()
    return `${this.#declareTemps()}${body}`
  }

  #peek(): Token {
    return this.#tokens[this.#at]!
  }

  #is(text: string): boolean {
    const token = this.#peek()
    return token.kind === 'op' && token.text === text
  }

  #take(text: string): boolean {
    if (!this.#is(text)) return false
    this.#at++
    return true
  }

  #expect(text: string): void {
    if (!this.#take(text)) this.#fail(`'${text}' expected`)
  }

  #fail(what = 'unexpected symbol'): never {
    throw new LuaError(`${what} near '${this.#peek().text}', line ${this.#peek().line}`)
  }

  #name(): string {
    const token = this.#peek()
    if (token.kind !== 'name') this.#fail('name expected')
    this.#at++
    return token.text
  }

  #declare(name: string): string {
    const js = `${name === '...' ? 'rest' : name}$${++this.#names}`
    this.#scopes.at(-1)!.set(name, js)
    return js
  }

  #temp(): string {
    const js = `t$${++this.#names}`
    this.#temps.at(-1)!.push(js)
    return js
  }

  #declareTemps(): string {
    const temps = this.#temps.pop()!
    return temps.length ? `let ${temps.join(',')};\n` : ''
  }

  #scoped<T>(run: () => T): T {
    this.#scopes.push(new Map())
    const result = run()
    this.#scopes.pop()
    return result
  }

  #block(): string {
    return this.#scoped(() => this.#statements())
  }

  #statements(): string {
    let js = ''
    for (;;) {
      while (this.#take(';')) {}
      const token = this.#peek()
      if (token.kind === 'eof' || (token.kind === 'op' && /^(end|else|elseif|until)$/.test(token.text)))
        return js
      if (this.#take('return')) {
        js += this.#return()
        while (this.#take(';')) {}
        return js
      }
      if (this.#take('break')) return `${js}break;\n`
      js += this.#statement(token)
    }
  }

  #return(): string {
    const token = this.#peek()
    if (token.kind === 'eof' || (token.kind === 'op' && /^(end|else|elseif|until|;)$/.test(token.text))) {
      return 'return undefined;\n'
    }
    const list = this.#expressions()
    return list.length === 1 ? `return ${list[0]!.js};\n` : `return ${this.#multi(list)};\n`
  }

  #statement(token: Token): string {
    if (token.kind === 'op') {
      switch (token.text) {
        case 'local':
          this.#at++
          return this.#local()
        case 'if':
          this.#at++
          return this.#if()
        case 'while': {
          this.#at++
          const condition = this.#condition()
          this.#expect('do')
          const body = this.#block()
          this.#expect('end')
          return `while(${condition}){\n${body}}\n`
        }
        case 'do': {
          this.#at++
          const body = this.#block()
          this.#expect('end')
          return `{\n${body}}\n`
        }
        case 'repeat':
          this.#at++
          return this.#scoped(() => {
            const body = this.#statements()
            this.#expect('until')
            return `for(;;){\n${body}if(${this.#condition()})break;\n}\n`
          })
        case 'for':
          this.#at++
          return this.#for()
        case 'function': {
          this.#at++
          const target = this.#functionName()
          const value = this.#function()
          if (!target.assign) this.#fail('cannot assign')
          return `${target.assign(value)};\n`
        }
      }
    }
    const first = this.#suffixed()
    if (!this.#is('=') && !this.#is(',')) {
      if (!first.multi) this.#fail('syntax error')
      return `${first.js};\n`
    }
    const targets = [first]
    while (this.#take(',')) targets.push(this.#suffixed())
    this.#expect('=')
    const values = this.#expressions()
    if (targets.length === 1 && values.length === 1) return `${this.#assign(first, this.#one(values[0]!))};\n`
    const temps = targets.map(() => this.#temp())
    return `${this.#spread(temps, values)}${targets.map((t, i) => this.#assign(t, temps[i]!)).join(';')};\n`
  }

  #assign(target: Code, value: string): string {
    if (!target.assign) this.#fail('cannot assign')
    return target.assign(value)
  }

  /** Assigns a list of expressions to JavaScript variables. */
  #spread(names: readonly string[], values: readonly Code[]): string {
    const last = values.at(-1)
    if (!last?.multi || values.length > names.length) {
      const extra = values.slice(names.length).map((v) => `${v.js};`)
      return `${names.map((n, i) => `${n}=${values[i] ? this.#one(values[i]!) : 'undefined'};`).join('')}${extra.join('')}\n`
    }
    const head = values.slice(0, -1).map((v, i) => `${names[i]}=${this.#one(v)};`)
    const all = this.#temp()
    const rest = names.slice(values.length - 1).map((n, i) => `${n}=${all}[${i}];`)
    return `${head.join('')}${all}=R.list(${last.js});${rest.join('')}\n`
  }

  #local(): string {
    if (this.#take('function')) {
      const js = this.#declare(this.#name())
      return `let ${js};${js}=${this.#function()};\n`
    }
    const names = [this.#name()]
    while (this.#take(',')) names.push(this.#name())
    const values = this.#take('=') ? this.#expressions() : []
    if (names.length === 1 && values.length <= 1) {
      const value = values[0] ? this.#one(values[0]) : 'undefined'
      return `let ${this.#declare(names[0]!)}=${value};\n`
    }
    const declared = names.map((name) => this.#declare(name))
    return `let ${declared.join(',')};${this.#spread(declared, values)}`
  }

  /** `a`, `a.b`, `a.b.c`: methods with a colon are not part of this Lua. */
  #functionName(): Code {
    const name = this.#name()
    const local = this.#lookup(name)
    let code: Code = local
      ? { js: local, assign: (value) => `${local}=${value}` }
      : { js: `R.global(${JSON.stringify(name)})` }
    while (this.#take('.')) code = this.#index(code.js, JSON.stringify(this.#name()))
    return code
  }

  #if(): string {
    let js = `if(${this.#condition()}){\n`
    this.#expect('then')
    js += this.#block()
    for (;;) {
      if (this.#take('elseif')) {
        js += `}else if(${this.#condition()}){\n`
        this.#expect('then')
        js += this.#block()
      } else if (this.#take('else')) {
        js += `}else{\n${this.#block()}`
        this.#expect('end')
        return `${js}}\n`
      } else {
        this.#expect('end')
        return `${js}}\n`
      }
    }
  }

  #for(): string {
    const names = [this.#name()]
    if (this.#take('=')) {
      const from = this.#one(this.#expression())
      this.#expect(',')
      const to = this.#one(this.#expression())
      const step = this.#take(',') ? this.#one(this.#expression()) : '1'
      this.#expect('do')
      const [i, end, by] = [this.#temp(), `e$${++this.#names}`, `s$${++this.#names}`]
      return this.#scoped(() => {
        const variable = this.#declare(names[0]!)
        const body = this.#statements()
        this.#expect('end')
        return `{const ${end}=R.num(${to}),${by}=R.num(${step});for(${i}=R.num(${from});${by}>0?${i}<=${end}:${i}>=${end};${i}+=${by}){let ${variable}=${i};\n${body}}}\n`
      })
    }
    while (this.#take(',')) names.push(this.#name())
    this.#expect('in')
    const source = this.#expressions()
    this.#expect('do')
    return this.#scoped(() => {
      const declared = names.map((name) => this.#declare(name))
      const body = this.#statements()
      this.#expect('end')
      return `for(const [${declared.map((n) => `${n}_`).join(',')}] of R.iterate(${this.#multi(source)})){let ${declared.map((n) => `${n}=${n}_`).join(',')};\n${body}}\n`
    })
  }

  #function(): string {
    this.#expect('(')
    return this.#scoped(() => {
      this.#temps.push([])
      const parameters: string[] = []
      if (!this.#take(')')) {
        do {
          if (this.#take('...')) {
            parameters.push(`...${this.#declare('...')}`)
            break
          }
          parameters.push(this.#declare(this.#name()))
        } while (this.#take(','))
        this.#expect(')')
      }
      const body = this.#block()
      this.#expect('end')
      return `((${parameters.join(',')})=>{${this.#declareTemps()}${body}})`
    })
  }

  #expressions(): Code[] {
    const list = [this.#expression()]
    while (this.#take(',')) list.push(this.#expression())
    return list
  }

  #condition(): string {
    return this.#truth(this.#expression())
  }

  #truth(code: Code): string {
    return code.bool ? code.js : `R.truth(${this.#one(code)})`
  }

  #one(code: Code): string {
    return code.multi ? `R.first(${code.js})` : code.js
  }

  /** All values of a list as one Multi. */
  #multi(list: readonly Code[]): string {
    return `R.multi(${this.#args(list)})`
  }

  #args(list: readonly Code[]): string {
    return list
      .map((code, i) =>
        !code.multi ? code.js : i < list.length - 1 ? this.#one(code) : `...R.list(${code.js})`,
      )
      .join(',')
  }

  #expression(limit = 0): Code {
    let left = this.#unary()
    for (;;) {
      const token = this.#peek()
      const priority = token.kind === 'op' ? BINARY[token.text] : undefined
      if (!priority || priority[0] <= limit) return left
      this.#at++
      const right = this.#expression(priority[1])
      left = this.#binary(token.text, left, right)
    }
  }

  #binary(op: string, left: Code, right: Code): Code {
    if (op === 'and' || op === 'or') {
      if (left.bool && right.bool)
        return { js: `(${left.js}${op === 'and' ? '&&' : '||'}${right.js})`, bool: true }
      const temp = this.#temp()
      const [yes, no] = op === 'and' ? [this.#one(right), temp] : [temp, this.#one(right)]
      return { js: `(R.truth(${temp}=${this.#one(left)})?${yes}:${no})` }
    }
    const [a, b] = [this.#one(left), this.#one(right)]
    if (op === '==') return { js: `(${a}===${b})`, bool: true }
    if (op === '~=') return { js: `(${a}!==${b})`, bool: true }
    if (op === '..') return { js: `R.concat(${a},${b})` }
    if (op === '>') return { js: `R.gt(${a},${b})`, bool: true }
    if (op === '>=') return { js: `R.ge(${a},${b})`, bool: true }
    if (COMPARE[op]) return { js: `R.${COMPARE[op]}(${a},${b})`, bool: true }
    return { js: `R.${ARITHMETIC[op]}(${a},${b})` }
  }

  #unary(): Code {
    if (this.#take('not')) return { js: `!${this.#truth(this.#expression(UNARY_PRIORITY))}`, bool: true }
    if (this.#take('-')) return { js: `R.sub(0,${this.#one(this.#expression(UNARY_PRIORITY))})` }
    if (this.#take('#')) return { js: `R.len(${this.#one(this.#expression(UNARY_PRIORITY))})` }
    return this.#simple()
  }

  #simple(): Code {
    const token = this.#peek()
    if (token.kind === 'number' || token.kind === 'string') {
      this.#at++
      return { js: token.kind === 'number' ? String(Number(token.text)) : JSON.stringify(token.text) }
    }
    if (this.#take('nil')) return { js: 'undefined' }
    if (this.#take('true')) return { js: 'true', bool: true }
    if (this.#take('false')) return { js: 'false', bool: true }
    if (this.#take('...')) return { js: `R.multi(...${this.#lookup('...')})`, multi: true }
    if (this.#take('function')) return { js: this.#function() }
    if (this.#is('{')) return this.#table()
    return this.#suffixed()
  }

  #lookup(name: string): string | undefined {
    for (let i = this.#scopes.length - 1; i >= 0; i--) {
      const js = this.#scopes[i]!.get(name)
      if (js) return js
    }
    return undefined
  }

  #suffixed(): Code {
    let code: Code
    if (this.#take('(')) {
      code = { js: `(${this.#one(this.#expression())})` }
      this.#expect(')')
    } else {
      const name = this.#name()
      const local = this.#lookup(name)
      code = local
        ? { js: local, assign: (value) => `${local}=${value}` }
        : { js: /^(KEYS|ARGV|redis)$/.test(name) ? name : `R.global(${JSON.stringify(name)})` }
    }
    for (;;) {
      const base = this.#one(code)
      if (this.#take('.')) code = this.#index(base, JSON.stringify(this.#name()))
      else if (this.#take('[')) {
        const key = this.#one(this.#expression())
        this.#expect(']')
        code = this.#index(base, key)
      } else if (this.#take(':')) {
        const method = JSON.stringify(this.#name())
        const self = this.#temp()
        const args = this.#callArguments()
        code = { js: `R.call(R.index(${self}=${base},${method}),${self}${args && `,${args}`})`, multi: true }
      } else if (this.#is('(') || this.#is('{') || this.#peek().kind === 'string') {
        const args = this.#callArguments()
        code = { js: `R.call(${base}${args && `,${args}`})`, multi: true }
      } else return code
    }
  }

  #index(base: string, key: string): Code {
    return {
      js: `R.index(${base},${key})`,
      assign: (value) => `R.setIndex(${base},${key},${value})`,
    }
  }

  #callArguments(): string {
    const token = this.#peek()
    if (token.kind === 'string') {
      this.#at++
      return JSON.stringify(token.text)
    }
    if (this.#is('{')) return this.#table().js
    this.#expect('(')
    if (this.#take(')')) return ''
    const list = this.#expressions()
    this.#expect(')')
    return this.#args(list)
  }

  #table(): Code {
    this.#expect('{')
    const items: Code[] = []
    const fields: string[] = []
    while (!this.#take('}')) {
      const next = this.#tokens[this.#at + 1]!
      if (this.#take('[')) {
        const key = this.#one(this.#expression())
        this.#expect(']')
        this.#expect('=')
        fields.push(`[${key},${this.#one(this.#expression())}]`)
      } else if (this.#peek().kind === 'name' && next.kind === 'op' && next.text === '=') {
        const key = JSON.stringify(this.#name())
        this.#expect('=')
        fields.push(`[${key},${this.#one(this.#expression())}]`)
      } else items.push(this.#expression())
      if (!this.#take(',') && !this.#take(';')) {
        this.#expect('}')
        break
      }
    }
    return { js: `R.table([${this.#args(items)}]${fields.length ? `,[${fields.join(',')}]` : ''})` }
  }
}

/** Compiles a script once. `source` is the text as bytes, one character each. */
export function compileLua(source: string): LuaChunk {
  const js = new Compiler(source).chunk()
  const build = new Function('R', `'use strict';return (KEYS,ARGV,redis)=>{\n${js}}`)
  return build(runtime)
}
