// A browser and an agent in memory: what the library sees of them, and nothing more.

import { vi } from 'vitest';

/** The agent's end of a websocket. */
export class Peer extends EventTarget {
  static offered: string[] = [];
  readyState = 0;
  protocol: string;
  readonly sent: { id: string; method: string; params?: any }[] = [];

  constructor(readonly url: string, protocol: string, readonly world: World) {
    super();
    Peer.offered.push(protocol);
    this.protocol = world.echo ?? protocol;
    world.sockets.push(this);
    queueMicrotask(() => {
      if (world.refuse !== undefined) return this.end(world.refuse, '');
      this.readyState = 1;
      this.dispatchEvent(new Event('open'));
      setTimeout(() => world.greet(this), 0);
    });
  }

  send(text: string): void {
    const frame = JSON.parse(text);
    this.sent.push(frame);
    setTimeout(() => this.world.answer(frame, this), 0);
  }

  /** The agent says something. */
  say(frame: object | string): void {
    const event = new Event('message') as Event & { data: string };
    event.data = typeof frame === 'string' ? frame : JSON.stringify(frame);
    this.dispatchEvent(event);
  }

  close(): void {
    this.end(1000, '');
  }

  end(code: number, reason: string): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    if (code === 1006) this.dispatchEvent(new Event('error'));
    if (this.world.silentClose) return;
    const event = new Event('close') as Event & { code: number; reason: string };
    Object.assign(event, { code, reason });
    this.dispatchEvent(event);
  }
}

export class World {
  agents = new Map<number, () => Response | Promise<Response>>([[18733, () => Response.json({ agent: 'certsign', protocol: 1 })]]);
  state: PermissionState | 'unsupported' = 'unsupported';
  hostname = 'portal.test';
  echo: string | undefined;
  refuse: number | undefined;
  silentClose = false;
  sockets: Peer[] = [];
  fetched: string[] = [];
  permissionStatus = new EventTarget() as EventTarget & { state: PermissionState };
  clicked: string[] = [];
  document = new EventTarget();
  documents = new Map<string, Blob>();
  greet: (p: Peer) => void = (p) => p.say({ event: 'ready', data: {} });
  answer: (frame: any, p: Peer) => void = () => {};
  post: (ticket: string, body: Blob) => Response = (ticket, body) => (this.documents.set(ticket, body), new Response(null, { status: 204 }));

  setState(state: PermissionState): void {
    this.state = state;
    this.permissionStatus.state = state;
    this.permissionStatus.dispatchEvent(new Event('change'));
  }

  install(): void {
    const world = this;
    vi.stubGlobal('isSecureContext', true);
    vi.stubGlobal('location', { get hostname() { return world.hostname; } });
    vi.stubGlobal('window', globalThis);
    vi.stubGlobal('top', globalThis);
    Object.assign(this.document, {
      createElement: () => ({ remove() {}, click(this: { href: string }) { world.clicked.push(this.href); } }),
      body: { append() {} },
    });
    vi.stubGlobal('document', this.document);
    vi.stubGlobal('navigator', {
      permissions: {
        query: async ({ name }: { name: string }) => {
          if (world.state === 'unsupported' || name !== 'loopback-network') throw new TypeError(name);
          world.permissionStatus.state = world.state;
          return world.permissionStatus;
        },
      },
    });
    vi.stubGlobal('WebSocket', function (url: string, protocol: string) { return new Peer(url, protocol, world); });
    vi.stubGlobal('fetch', (url: string, init: RequestInit) => this.fetch(url, init));
  }

  async fetch(url: string, init: RequestInit): Promise<Response> {
    this.fetched.push(url);
    const { port, pathname } = new URL(url);
    const ticket = /^\/certsign\/v1\/documents\/(.+)$/.exec(pathname)?.[1];
    if (ticket !== undefined) {
      if (init.method === 'POST') return this.post(ticket, init.body as Blob);
      const blob = this.documents.get(ticket);
      this.documents.delete(ticket);
      return blob ? new Response(blob) : Response.json({ error: { code: 'ticket_invalid', message: 'x', remedy: 'ticket_invalid', retryable: false } }, { status: 404 });
    }
    const agent = this.agents.get(Number(port));
    if (agent === undefined) throw new TypeError('Failed to fetch');
    return new Promise((resolve, reject) => {
      init.signal?.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')));
      Promise.resolve().then(agent).then(resolve, reject);
    });
  }
}

/** An answer that never comes. */
export const never = (): Promise<Response> => new Promise(() => {});
