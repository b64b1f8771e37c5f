// Finding the agent: which port of the range answers GET /certsign/v1/hello.

import { CertSignError, fromWire } from './errors.js';
import { denied, pageIsLocal, permission, permissionStatus, type Permission } from './permission.js';
import { protocolVersion } from './protocol.js';

/** How long the ports may take. Refused ports answer within milliseconds; a foreign program may accept and say nothing. */
const patience = 800;
/** How long the browser's question may stay open. */
const patienceForPerson = 120_000;

export interface Search {
  ports: readonly number[];
  signal: AbortSignal;
  /** Told once, when the browser seems to be asking the person. */
  onPermission(): void;
}

type Outcome =
  | { kind: 'agent'; protocol: number }
  | { kind: 'error'; error: CertSignError }
  | { kind: 'silent'; after: number; aborted: boolean };

/**
 * Asks all ports at once and returns the first one where an agent answers. Ports are asked by fetch only: browsers slow down
 * websockets that are refused, and one that hangs can hold up all others.
 *
 * Fails with agent_not_running, permission_denied, permission_dismissed, frame_not_delegated, not_yours or version_unsupported.
 */
export async function discover(search: Search): Promise<number> {
  const before = await permission();
  const first = await probeAll(search, before);
  if (typeof first === 'number') return first;
  const after = await permission();
  if (before === 'prompt' && after === 'granted' && first.code === 'agent_not_running') {
    // The connection that carried the question may be gone by the time the person answers it.
    const second = await probeAll(search, after);
    if (typeof second === 'number') return second;
    throw second;
  }
  throw first.code === 'agent_not_running' && after === 'denied' ? denied() : first;
}

async function probeAll(search: Search, state: Permission): Promise<number | CertSignError> {
  const asking = state === 'prompt' && !pageIsLocal();
  const stop = new AbortController();
  const abort = () => stop.abort();
  let limit = setTimeout(abort, asking ? patienceForPerson : patience);
  const hint = setTimeout(() => asking && search.onPermission(), patience);
  const status = asking ? await permissionStatus() : undefined;
  const answered = () => {
    clearTimeout(limit);
    if (status?.state === 'denied') stop.abort();
    else limit = setTimeout(abort, patience);
  };
  status?.addEventListener('change', answered);
  search.signal.addEventListener('abort', abort);
  const outcomes: Outcome[] = [];
  try {
    return await new Promise<number | CertSignError>((resolve) => {
      for (const port of search.ports) {
        void probe(port, stop.signal).then((outcome) => {
          outcomes.push(outcome);
          // A port that is still silent is not waited for: it may be another person's, or no agent at all.
          if (outcome.kind === 'agent' && outcome.protocol === protocolVersion) resolve(port);
          else if (outcomes.length === search.ports.length) resolve(verdict(outcomes, asking));
        });
      }
    });
  } finally {
    clearTimeout(hint);
    clearTimeout(limit);
    status?.removeEventListener('change', answered);
    search.signal.removeEventListener('abort', abort);
    stop.abort();
    search.signal.throwIfAborted();
  }
}

/** Says why no port gave an agent that we can talk to. */
function verdict(outcomes: Outcome[], asking: boolean): CertSignError {
  for (const o of outcomes) {
    if (o.kind === 'agent') {
      const old = o.protocol > protocolVersion ? 'this page' : 'CertSign';
      return new CertSignError('version_unsupported', `CertSign speaks version ${o.protocol}, this page ${protocolVersion}: ${old} is out of date`);
    }
  }
  for (const o of outcomes) if (o.kind === 'error') return o.error;
  if (asking && outcomes.some((o) => o.kind === 'silent' && !o.aborted && o.after > patience)) {
    return new CertSignError('permission_dismissed', "the browser's question was closed without an answer");
  }
  return new CertSignError('agent_not_running', 'no agent answered');
}

async function probe(port: number, signal: AbortSignal): Promise<Outcome> {
  const started = performance.now();
  try {
    const response = await fetch(`http://127.0.0.1:${port}/certsign/v1/hello`, {
      signal, mode: 'cors', credentials: 'omit', cache: 'no-store', redirect: 'error', referrerPolicy: 'no-referrer',
    });
    const body: unknown = await response.json();
    if (typeof body === 'object' && body !== null) {
      const hello = body as { agent?: unknown; protocol?: unknown; error?: { code?: never } };
      if (hello.agent === 'certsign' && typeof hello.protocol === 'number') return { kind: 'agent', protocol: hello.protocol };
      if (!response.ok && hello.error !== undefined) {
        const error = fromWire(hello.error);
        if (error.code !== 'internal_error') return { kind: 'error', error };
      }
    }
  } catch {
    // Refused, blocked, silent or not an agent: fetch tells no more.
  }
  return { kind: 'silent', after: performance.now() - started, aborted: signal.aborted };
}
