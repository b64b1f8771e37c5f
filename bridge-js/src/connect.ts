import { open, type Channel } from './channel.js';
import { Client } from './client.js';
import { discover } from './discover.js';
import { CertSignError } from './errors.js';
import { denied, permission, watchPolicy } from './permission.js';
import { firstPort, lastPort } from './protocol.js';

/**
 * Where a connection stands. The three awaiting states are what a page should tell the person about: the browser is asking, the
 * system is asking whether to start CertSign, CertSign is asking whether this site may use it.
 */
export type ConnectionState = 'searching' | 'awaiting-permission' | 'awaiting-launch' | 'awaiting-approval' | 'connected' | 'disconnected';

export interface ConnectOptions {
  onState?: (state: ConnectionState) => void;
  signal?: AbortSignal;
  /** When no agent answers: ask the system to start one by its URL scheme. Only in answer to a person's click. */
  launch?: boolean;
  /** Where to look; the range that agents use when absent. */
  ports?: readonly number[];
}

const pollEvery = 250;
const launchPatience = 30_000;

/**
 * Finds the agent of the person at this computer and connects to it, which includes the browser's question and, for a new
 * site, the agent's own. Each ends in an error of its own when it is refused; see the table of codes in the README.
 */
export async function connect(options: ConnectOptions = {}): Promise<Client> {
  const signal = options.signal ?? new AbortController().signal;
  signal.throwIfAborted();
  if (!isSecureContext) throw new CertSignError('insecure_context', 'this page is not a secure context');
  // A sandboxed page: no agent would let it read why.
  if (globalThis.origin === 'null') throw new CertSignError('origin_rejected', 'this page has no origin of its own');
  let last: ConnectionState | undefined;
  const tell = (state: ConnectionState) => {
    if (state !== last) options.onState?.((last = state));
  };
  const policy = watchPolicy();
  try {
    tell('searching');
    const port = await find(options, signal, tell);
    const channel = await dial(port, signal);
    await ready(channel, signal, tell);
    const client = new Client(channel, port);
    channel.onEnd = () => tell('disconnected');
    tell('connected');
    return client;
  } catch (error) {
    // Violations are reported in a task of their own, which may come after the failed request.
    await new Promise((resolve) => setTimeout(resolve, 0));
    tell('disconnected');
    if (policy.blocked && error instanceof CertSignError) {
      throw new CertSignError('csp_blocked', "the page's content security policy has no connect-src for 127.0.0.1", { cause: error });
    }
    throw error;
  } finally {
    policy.stop();
  }
}

async function find(options: ConnectOptions, signal: AbortSignal, tell: (s: ConnectionState) => void): Promise<number> {
  const ports = options.ports ?? Array.from({ length: lastPort - firstPort + 1 }, (_, i) => firstPort + i);
  const search = { ports, signal, onPermission: () => tell('awaiting-permission') };
  try {
    return await discover(search);
  } catch (error) {
    if (options.launch !== true || !(error instanceof CertSignError) || error.code !== 'agent_not_running') throw error;
  }
  tell('awaiting-launch');
  launch();
  for (const end = performance.now() + launchPatience; performance.now() < end; ) {
    await pause(pollEvery, signal);
    try {
      return await discover(search);
    } catch (error) {
      if (!(error instanceof CertSignError) || error.code !== 'agent_not_running') throw error;
    }
  }
  throw new CertSignError('launch_unconfirmed', 'no agent answered after the system was asked to start one');
}

/** Follows the URL scheme by a link: unlike a frame it needs no frame-src, and it leaves the page where it is. */
function launch(): void {
  const link = document.createElement('a');
  link.href = 'certsign://start';
  link.hidden = true;
  document.body.append(link);
  link.click();
  link.remove();
}

/** Opens the one websocket, and once more when the permission was granted while it was being opened. */
async function dial(port: number, signal: AbortSignal): Promise<Channel> {
  const before = await permission();
  try {
    return await open(port, signal);
  } catch (error) {
    if (!(error instanceof CertSignError) || error.code !== 'agent_unreachable') throw error;
    const after = await permission();
    if (after === 'denied') throw denied();
    if (before === 'prompt' && after === 'granted') return open(port, signal);
    throw error;
  }
}

/** Waits until the agent has accepted this page's origin, which can mean that the person is asked. */
function ready(channel: Channel, signal: AbortSignal, tell: (s: ConnectionState) => void): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const abort = () => {
      reject(signal.reason);
      channel.close();
    };
    signal.addEventListener('abort', abort, { once: true });
    channel.onEnd = (error) => {
      signal.removeEventListener('abort', abort);
      reject(error);
    };
    channel.onEvent = (e) => {
      if (e.event === 'awaiting-approval') tell('awaiting-approval');
      if (e.event === 'ready') {
        signal.removeEventListener('abort', abort);
        resolve();
      }
    };
  });
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort);
      resolve();
    }, ms);
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
  });
}
