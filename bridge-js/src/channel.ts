// The one websocket: requests and their answers, events, and why it ended.

import { CertSignError, fromWire, isCode } from './errors.js';
import type { Code } from './errors.generated.js';
import { closeCodes, subProtocol, type AgentEvent, type Frame } from './protocol.js';

interface Pending {
  resolve(result: unknown): void;
  reject(reason: unknown): void;
  onEvent?: ((e: AgentEvent) => void) | undefined;
}

export interface CallOptions {
  onEvent?: ((e: AgentEvent) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/** Calls over a websocket. Made by open(). */
export class Channel {
  /** Events that belong to no request, and the end of the connection. */
  onEvent: (e: AgentEvent) => void = () => {};
  onEnd: (error: CertSignError) => void = () => {};
  readonly #socket: WebSocket;
  readonly #pending = new Map<string, Pending>();
  #last = 0;
  #ended: CertSignError | undefined;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener('message', (m: MessageEvent<unknown>) => this.#receive(m.data));
    socket.addEventListener('close', (e) => this.#end(closed(e.code, e.reason)));
    // A content security policy makes Chromium report an error and never a close.
    socket.addEventListener('error', () => setTimeout(() => this.#end(closed(1006, '')), 250));
  }

  get open(): boolean {
    return this.#ended === undefined;
  }

  /** Sends a request and waits for its answer. Aborting the signal gives the request up on both sides. */
  call<T>(method: string, params: unknown, options: CallOptions = {}): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      options.signal?.throwIfAborted();
      if (this.#ended !== undefined) throw this.#ended;
      const id = String(++this.#last);
      const cancel = () => {
        this.#pending.delete(id);
        this.#send({ id: String(++this.#last), method: 'cancel', params: { id } });
        reject(options.signal?.reason);
      };
      const done = () => {
        this.#pending.delete(id);
        options.signal?.removeEventListener('abort', cancel);
      };
      this.#pending.set(id, {
        onEvent: options.onEvent,
        resolve: (result) => (done(), resolve(result as T)),
        reject: (reason) => (done(), reject(reason)),
      });
      options.signal?.addEventListener('abort', cancel, { once: true });
      this.#send({ id, method, ...(params === undefined ? {} : { params }) });
    });
  }

  close(): void {
    this.#end(new CertSignError('agent_unreachable', 'the page closed the connection'));
    this.#socket.close(1000);
  }

  #send(frame: object): void {
    if (this.#socket.readyState === 1) this.#socket.send(JSON.stringify(frame));
  }

  #receive(data: unknown): void {
    let frame: Frame;
    try {
      frame = JSON.parse(String(data)) as Frame;
      if (typeof frame !== 'object' || frame === null) throw new TypeError('not an object');
    } catch {
      this.#end(new CertSignError('version_unsupported', 'the agent sent something that is not a frame'));
      this.#socket.close(4400);
      return;
    }
    const pending = frame.id === undefined ? undefined : this.#pending.get(frame.id);
    if (typeof frame.event === 'string') {
      const event: AgentEvent = frame.data === undefined ? { event: frame.event } : { event: frame.event, data: frame.data };
      (pending?.onEvent ?? this.onEvent)(event);
    } else if (frame.error !== undefined) pending?.reject(fromWire(frame.error));
    else pending?.resolve(frame.result);
  }

  #end(error: CertSignError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    for (const p of [...this.#pending.values()]) p.reject(error);
    this.onEnd(error);
  }
}

/** What a close code says. The agent gives the problem's code as the reason; a browser's own codes say nothing. */
function closed(code: number, reason: string): CertSignError {
  const named = reason.split(':', 1)[0]?.trim();
  const known: Code | undefined = isCode(named) ? named : closeCodes[code];
  return new CertSignError(known ?? 'agent_unreachable', reason === named ? `closed with ${code}` : reason || `closed with ${code}`);
}

/** Opens the socket and waits until it is open. */
export async function open(port: number, signal: AbortSignal): Promise<Channel> {
  let socket: WebSocket;
  try {
    socket = new WebSocket(`ws://127.0.0.1:${port}/certsign/v1/socket`, subProtocol);
  } catch (cause) {
    throw new CertSignError('mixed_content_blocked', 'the browser does not open a websocket to this computer', { cause });
  }
  const channel = new Channel(socket);
  await new Promise<void>((resolve, reject) => {
    const abort = () => {
      reject(signal.reason);
      socket.close();
    };
    signal.addEventListener('abort', abort, { once: true });
    channel.onEnd = reject;
    socket.addEventListener('open', () => {
      signal.removeEventListener('abort', abort);
      // Firefox opens a socket whose server chose no sub-protocol.
      if (socket.protocol === subProtocol) resolve();
      else {
        reject(new CertSignError('version_unsupported', `the agent does not speak ${subProtocol}`));
        socket.close();
      }
    });
  });
  return channel;
}
