import type { CallOptions, Channel } from './channel.js';
import { CertSignError, fromWire } from './errors.js';
import type { AgentEvent, Ceremony, Certificate, SavedCertificate, SignAnswer, Status, WireError } from './protocol.js';
import { sha256 } from './sha256.js';

export interface EnrollOptions extends CallOptions {
  /** Wishes: the person decides in the agent's window. */
  store?: 'keyfile' | 'pkcs11' | 'csp';
  key?: 'rsa2048' | 'rsa3072' | 'p256' | 'p384';
  label?: string;
  /** The portal's own signed request, if it makes one; handed on as it is. */
  request?: unknown;
}

export interface DocumentToSign {
  name: string;
  mime: string;
  data: Blob | Uint8Array<ArrayBuffer>;
}

export interface SignOptions extends CallOptions {
  format?: 'xades' | 'cades' | 'pades' | 'asic-e' | 'asic-s';
  packaging?: 'enveloped' | 'enveloping' | 'detached';
  level?: 'B-B' | 'B-T' | 'B-LT' | 'B-LTA';
  request?: unknown;
}

/** One document's outcome, in the order in which the documents were given. */
export type SignedDocument =
  | { name: string; data: Blob; sha256: string; error?: never }
  | { name: string; error: CertSignError; data?: never };

export interface SignResult {
  /** The signer's certificate, DER in base64. */
  certificate: string;
  results: SignedDocument[];
}

/** A connection to the agent of the person at this computer. Made by connect(). */
export class Client {
  readonly #channel: Channel;
  readonly #documents: string;
  readonly #listeners = new Set<(e: AgentEvent) => void>();

  /** @internal */
  constructor(channel: Channel, port: number) {
    this.#channel = channel;
    this.#documents = `http://127.0.0.1:${port}/certsign/v1/documents/`;
    channel.onEvent = (e) => this.#listeners.forEach((l) => l(e));
  }

  /** Whether the connection still stands. */
  get connected(): boolean {
    return this.#channel.open;
  }

  status(options?: CallOptions): Promise<Status> {
    return this.#channel.call('status', undefined, options);
  }

  /** The certificates that this site may know of: those that its own certification authority issued. */
  async certificates(options?: CallOptions): Promise<Certificate[]> {
    return (await this.#channel.call<{ certificates: Certificate[] }>('certificates', undefined, options)).certificates;
  }

  /**
   * Has a key made where the person chooses, hands its certificate request to `obtain`, which returns the portal's one-time
   * token for exactly that request, and returns the certificate, which the agent has fetched and stored beside its key.
   *
   * When `obtain` throws, no certificate is asked for and its error is passed on.
   */
  async enroll(options: EnrollOptions, obtain: (csr: Ceremony) => Promise<string>): Promise<Certificate> {
    const { onEvent, signal, ...wishes } = options;
    const ceremony = await this.#channel.call<Ceremony>('enroll', wishes, { onEvent, signal });
    const token = await obtain(ceremony);
    signal?.throwIfAborted();
    return this.finish(ceremony.ceremony, token, { onEvent, signal });
  }

  /**
   * The second leg of an enrolment alone, for one that was interrupted. An empty token takes up what the agent has: a token that
   * it was given before, or the certificate itself; token_invalid when it has neither.
   */
  finish(ceremony: string, token: string, options?: CallOptions): Promise<Certificate> {
    return this.#channel.call('enroll.finish', { ceremony, token }, options);
  }

  /**
   * Has a certificate of this site's own CA put beside its key, wherever on this computer that is. `certificates` are DER in
   * base64: the certificate, and after it those above it, as far as they are at hand. The agent asks for a password or PIN where
   * the key's store wants one, and for nothing when the certificate is there already. The answer has an entry for each copy of
   * the key; `key_absent` when there is none, or when another authority's certificate lies beside it.
   */
  async save(certificates: readonly string[], options?: CallOptions): Promise<SavedCertificate[]> {
    return (await this.#channel.call<{ saved: SavedCertificate[] }>('certificate.save', { certificates }, options)).saved;
  }

  /**
   * Has documents signed by the person, who sees them in the agent's window. Each document has its own result or error; the
   * promise fails only when nothing could be signed at all.
   */
  async sign(documents: readonly DocumentToSign[], options: SignOptions = {}): Promise<SignResult> {
    const { onEvent, signal, ...wishes } = options;
    // Without a type of its own a blob is posted without Content-Type, which needs no preflight.
    const blobs = documents.map((d) => new Blob([d.data]));
    const declared: object[] = [];
    for (const [i, d] of documents.entries()) {
      signal?.throwIfAborted();
      declared.push({ name: d.name, mime: d.mime, size: blobs[i]!.size, sha256: await sha256(blobs[i]!) });
    }
    const stop = new AbortController();
    const abort = () => stop.abort(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      const answer = await this.#channel.call<SignAnswer>('sign', { documents: declared, ...wishes }, {
        signal: stop.signal,
        onEvent: (e) => {
          if (e.event === 'tickets') {
            this.#upload((e.data as { uploads: string[] }).uploads, blobs, stop.signal).catch((error: unknown) => stop.abort(error));
          }
          onEvent?.(e);
        },
      });
      const results: SignedDocument[] = [];
      for (const [i, d] of documents.entries()) results.push(await this.#result(d.name, answer.results[i], stop.signal));
      return { certificate: answer.certificate, results };
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Adds a listener for events that belong to no request; returns what removes it. */
  onEvent(listener: (e: AgentEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  close(): void {
    this.#channel.close();
  }

  async #upload(tickets: string[], blobs: Blob[], signal: AbortSignal): Promise<void> {
    if (tickets.length !== blobs.length) throw new CertSignError('bad_request', 'as many tickets as documents were expected');
    for (const [i, blob] of blobs.entries()) await this.#fetch(tickets[i]!, { method: 'POST', body: blob, signal });
  }

  async #result(asked: string, answer: SignAnswer['results'][number] | undefined, signal: AbortSignal): Promise<SignedDocument> {
    const name = answer?.name ?? asked;
    try {
      if (answer?.ticket === undefined) throw fromWire(answer?.error ?? { code: 'internal_error', message: 'no result' });
      const data = await (await this.#fetch(answer.ticket, { signal })).blob();
      const digest = await sha256(data);
      if (digest !== answer.sha256) throw new CertSignError('integrity_failed', `${name} was changed on its way to the page`);
      return { name, data, sha256: digest };
    } catch (error) {
      if (error instanceof CertSignError) return { name: asked, error };
      throw error;
    }
  }

  async #fetch(ticket: string, init: RequestInit): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(this.#documents + encodeURIComponent(ticket), {
        ...init, mode: 'cors', credentials: 'omit', cache: 'no-store', redirect: 'error', referrerPolicy: 'no-referrer',
      });
    } catch (cause) {
      init.signal?.throwIfAborted();
      if (init.body instanceof Blob) await init.body.slice(0, 1).arrayBuffer().catch((c: unknown) => {
        throw new CertSignError('document_unreadable', 'the browser cannot read the document', { cause: c });
      });
      throw new CertSignError('agent_unreachable', 'the document could not be handed over', { cause });
    }
    if (!response.ok) {
      const body = (await response.json().catch(() => ({}))) as { error?: Partial<WireError> };
      throw fromWire(body.error ?? { code: 'internal_error', message: `HTTP status ${response.status}` });
    }
    return response;
  }
}
