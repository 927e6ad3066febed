/// <reference lib="esnext.disposable" />

/** Flags in camelCase: `failFirst: 2` is `--fail-first 2`, an array repeats a flag, and `set: { leg: 'b' }` is `--set leg=b`. */
export type Flags = Record<string, Flag | Flag[] | Record<string, unknown>>
type Flag = string | number | boolean | null | undefined

export type Cdr = Record<string, any>

export interface Message {
  headers: [string, string][]
  body: { text?: string, base64?: string }
  size: number
  complete: boolean
}

export interface Request extends Message {
  method: string
  target: string
  version: string
}

/** What was received: the record `exchange` of `listen --format ndjson`. */
export interface Exchange {
  n: number
  received_at: string
  request: Request
  verdict: { kind: string, generation?: string, leg?: string, remarks: { code: string, field?: string, text: string }[] }
  cdr?: Cdr
  related?: { n: number, how: string, text: string }[]
  answer: { status?: number, fault?: string }
  [field: string]: any
}

/** What was sent: the record `delivery` of `send --format ndjson`. */
export interface Delivery {
  n: number
  scenario: string
  method: string
  cdr?: Cdr
  attempts: { at: string, latency_ms: number, status?: number, failure?: { text: string }, response?: Message }[]
  ok: boolean
  why?: string
  [field: string]: any
}

/** The record `case` of `send --suite --format ndjson`. */
export interface Case {
  name: string
  ok: boolean
  expected: string
  got: string
  sent?: Request
  reply?: Partial<Message> & { status?: number, failure?: { text: string } }
  [field: string]: any
}

export interface Listener extends AsyncDisposable {
  readonly url: string
  /** All requests so far. */
  readonly exchanges: readonly Exchange[]
  /** Waits at most `timeout` milliseconds (4000) for `count` CDRs (1) with these field values since the start. */
  wait (expected?: { count?: number, timeout?: number, [field: string]: unknown }): Promise<Exchange[]>
  /** Ends the process; requests under way are still answered and recorded. */
  close (): Promise<void>
}

/** Starts `telecmi-cdr listen` on a free port. */
export function listen (flags?: Flags): Promise<Listener>

/** Delivers CDRs; rejects if one did not meet its expectation. */
export function send (url: string, flags?: { scenario?: string | string[] } & Flags): Promise<Delivery[]>

/** Tests the handler at a URL, or the one that a list of words starts; rejects if a case failed. */
export function suite (handler: string | string[], flags?: Flags): Promise<Case[]>
