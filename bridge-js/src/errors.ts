import { codes, retryable, type Code } from './errors.generated.js';
import type { WireError } from './protocol.js';

/**
 * Everything that this library throws, except for the reason of an AbortSignal that the caller gave.
 *
 * `message` is a technical sentence in English; what a person should read comes from `describe(error.code, lang)`.
 */
export class CertSignError extends Error {
  override readonly name: string = 'CertSignError';
  readonly code: Code;
  /** A stable id for the cure: equal to the code, or a closer one that the agent gave. */
  readonly remedy: string;
  /** Doing the same thing again can succeed once the remedy was followed. */
  readonly retryable: boolean;
  /** What exactly happened, where more is known than the code says. May be empty. */
  readonly detail: string;

  constructor(code: Code, detail = '', options: { cause?: unknown; remedy?: string; retryable?: boolean } = {}) {
    super(detail === '' ? code : `${code}: ${detail}`, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.detail = detail;
    this.remedy = options.remedy ?? code;
    this.retryable = options.retryable ?? retryable.has(code);
  }
}

/** Tells whether s is a code of this library's list. */
export function isCode(s: unknown): s is Code {
  return typeof s === 'string' && codes.has(s as Code);
}

/** An agent's error as ours. A code that is newer than this library becomes internal_error and keeps its name in the detail. */
export function fromWire(e: Partial<WireError> | undefined): CertSignError {
  const known = isCode(e?.code);
  const message = typeof e?.message === 'string' ? e.message : '';
  return new CertSignError(known ? (e as WireError).code : 'internal_error', known ? message : `${String(e?.code)}: ${message}`, {
    ...(typeof e?.remedy === 'string' && e.remedy !== '' ? { remedy: e.remedy } : {}),
    ...(typeof e?.retryable === 'boolean' ? { retryable: e.retryable } : {}),
  });
}
