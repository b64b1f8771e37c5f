import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { connect, type ConnectionState } from '../src/index.js';
import { never, Peer, World } from './world.js';

let world: World;
let states: ConnectionState[];
const onState = (s: ConnectionState) => states.push(s);

beforeEach(() => {
  vi.useFakeTimers();
  world = new World();
  world.install();
  states = [];
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Runs connect while time passes, and returns the client or the error's code. */
async function outcome(options: Parameters<typeof connect>[0] = {}, ms = 200_000) {
  const p = connect({ onState, ...options }).catch((e: unknown) => e as Error & { code?: string });
  await vi.advanceTimersByTimeAsync(ms);
  const result = await p;
  return result instanceof Error ? (result as { code?: string }).code ?? result.name : result;
}

describe('discovery', () => {
  test('asks every port of the range at once and opens one websocket', async () => {
    const client = await outcome();
    expect(client).toHaveProperty('connected', true);
    expect(world.fetched).toHaveLength(64);
    expect(world.fetched[0]).toBe('http://127.0.0.1:18731/certsign/v1/hello');
    expect(world.fetched[63]).toBe('http://127.0.0.1:18794/certsign/v1/hello');
    expect(world.sockets.map((s) => s.url)).toEqual(['ws://127.0.0.1:18733/certsign/v1/socket']);
    expect(Peer.offered.at(-1)).toBe('certsign.v1');
    expect(states).toEqual(['searching', 'connected']);
  });

  test('passes over a foreign program that says something else, and one that says nothing', async () => {
    world.agents.set(18731, () => Response.json({ hello: 'world' }));
    world.agents.set(18732, never);
    await outcome();
    expect(world.sockets[0]!.url).toContain(':18733/');
  });

  test('no agent at all is agent_not_running, after at most 800 ms for a silent port', async () => {
    world.agents.clear();
    expect(await outcome({}, 10)).toBe('agent_not_running');
    world.agents.set(18740, never);
    expect(await outcome({}, 900)).toBe('agent_not_running');
    expect(states.at(-1)).toBe('disconnected');
  });

  test("another person's agent is not_yours, and our own beside it is taken", async () => {
    const theirs = () => Response.json({ error: { code: 'not_yours', message: 'x', remedy: 'not_yours', retryable: false } }, { status: 403 });
    world.agents.set(18731, theirs);
    expect(await outcome()).toHaveProperty('connected', true);
    world.agents.delete(18733);
    expect(await outcome()).toBe('not_yours');
  });

  test('another version is version_unsupported and names the older side', async () => {
    world.agents.set(18733, () => Response.json({ agent: 'certsign', protocol: 2 }));
    const p = connect().catch((e) => e);
    await vi.advanceTimersByTimeAsync(1000);
    expect(await p).toMatchObject({ code: 'version_unsupported', detail: expect.stringContaining('this page is out of date') });
  });

  test('an insecure page is told so before anything is sent', async () => {
    vi.stubGlobal('isSecureContext', false);
    expect(await outcome()).toBe('insecure_context');
    expect(world.fetched).toHaveLength(0);
  });

  test('a sandboxed page is told so before anything is sent', async () => {
    vi.stubGlobal('origin', 'null');
    expect(await outcome()).toBe('origin_rejected');
    expect(world.fetched).toHaveLength(0);
  });

  test("the page's own policy is csp_blocked", async () => {
    world.agents.clear();
    const p = outcome();
    const event = Object.assign(new Event('securitypolicyviolation'), { disposition: 'enforce', blockedURI: 'http://127.0.0.1:18731' });
    setTimeout(() => world.document.dispatchEvent(event), 0);
    world.agents.set(18731, never);
    expect(await p).toBe('csp_blocked');
  });

  test('a report-only policy and a foreign address are no csp_blocked', async () => {
    const p = outcome();
    for (const e of [{ disposition: 'report', blockedURI: 'http://127.0.0.1:18731' }, { disposition: 'enforce', blockedURI: 'http://127.0.0.1.evil.test' }]) {
      world.document.dispatchEvent(Object.assign(new Event('securitypolicyviolation'), e));
    }
    expect(await p).toHaveProperty('connected', true);
  });
});

describe('the browser’s permission', () => {
  test('is waited for, and told to the page', async () => {
    world.state = 'prompt';
    world.agents.set(18733, async () => {
      await new Promise((r) => setTimeout(r, 30_000));
      world.setState('granted');
      return Response.json({ agent: 'certsign', protocol: 1 });
    });
    expect(await outcome()).toHaveProperty('connected', true);
    expect(states).toEqual(['searching', 'awaiting-permission', 'connected']);
  });

  test('refused while it was asked is permission_denied at once', async () => {
    world.state = 'prompt';
    world.agents.set(18733, never);
    setTimeout(() => world.setState('denied'), 5000);
    expect(await outcome({}, 5100)).toBe('permission_denied');
  });

  test('granted, with a program that says nothing in the range, waits no longer than else', async () => {
    world.state = 'prompt';
    world.agents = new Map([[18733, never]]);
    setTimeout(() => world.setState('granted'), 5000);
    expect(await outcome({}, 5000 + 2 * 900)).toBe('agent_not_running');
  });

  test('refused earlier is permission_denied', async () => {
    world.state = 'denied';
    world.agents.clear();
    expect(await outcome()).toBe('permission_denied');
  });

  test('refused, in a frame that got no delegation, is frame_not_delegated', async () => {
    world.state = 'denied';
    world.agents.clear();
    vi.stubGlobal('top', {});
    Object.assign(world.document, { featurePolicy: { allowsFeature: () => false } });
    expect(await outcome()).toBe('frame_not_delegated');
  });

  test('closed without an answer is permission_dismissed', async () => {
    world.state = 'prompt';
    world.agents.set(18733, async () => {
      await new Promise((r) => setTimeout(r, 4000));
      throw new TypeError('Failed to fetch');
    });
    expect(await outcome()).toBe('permission_dismissed');
  });

  test('granted after the connection that carried the question was gone: one more try', async () => {
    world.state = 'prompt';
    let tries = 0;
    world.agents.set(18733, async () => {
      if (++tries === 1) {
        world.setState('granted');
        throw new TypeError('Failed to fetch');
      }
      return Response.json({ agent: 'certsign', protocol: 1 });
    });
    expect(await outcome()).toHaveProperty('connected', true);
    expect(tries).toBe(2);
  });

  test('does not matter to a page of this computer, which waits for a silent port no longer than else', async () => {
    world.state = 'prompt';
    world.agents.set(18733, never);
    for (world.hostname of ['127.0.0.1', 'localhost', 'portal.localhost', '[::1]']) expect(await outcome({}, 1000)).toBe('agent_not_running');
    expect(states).not.toContain('awaiting-permission');
  });

  test('granted while the websocket was opened: one more websocket, and no third', async () => {
    world.state = 'prompt';
    world.refuse = 1006;
    vi.stubGlobal('WebSocket', function (url: string, protocol: string) {
      world.setState('granted');
      return new Peer(url, protocol, world);
    });
    expect(await outcome()).toBe('agent_unreachable');
    expect(world.sockets).toHaveLength(2);
  });
});

describe('the websocket', () => {
  test.each([
    [4401, '', 'pairing_required'], [4403, '', 'origin_rejected'], [4409, '', 'busy'], [4413, '', 'too_large'], [4426, '', 'version_unsupported'],
    [4403, 'rate_limited', 'rate_limited'], [4403, 'not_yours: another user', 'not_yours'], [1006, '', 'agent_unreachable'], [4999, '', 'agent_unreachable'],
  ])('closed with %i %j before it was ready is %s', async (code, reason, expected) => {
    world.greet = (p) => p.end(code, reason);
    expect(await outcome()).toBe(expected);
    expect(states.at(-1)).toBe('disconnected');
  });

  test('an error that no close follows is settled too', async () => {
    world.refuse = 1006;
    world.silentClose = true;
    expect(await outcome()).toBe('agent_unreachable');
  });

  test('a server that did not choose our sub-protocol is no agent', async () => {
    world.echo = '';
    expect(await outcome()).toBe('version_unsupported');
  });

  test('a constructor that throws is mixed_content_blocked', async () => {
    vi.stubGlobal('WebSocket', function () { throw new DOMException('insecure', 'SecurityError'); });
    expect(await outcome()).toBe('mixed_content_blocked');
  });

  test('a new site waits for the person, and is told', async () => {
    world.greet = (p) => {
      p.say({ event: 'awaiting-approval' });
      setTimeout(() => p.say({ event: 'ready', data: {} }), 20_000);
    };
    await outcome();
    expect(states).toEqual(['searching', 'awaiting-approval', 'connected']);
  });

  test('lost later is told as disconnected', async () => {
    const client = await outcome();
    world.sockets[0]!.end(1001, '');
    expect(states.at(-1)).toBe('disconnected');
    expect(client).toHaveProperty('connected', false);
  });
});

describe('giving up', () => {
  test('rejects with the signal’s own reason, in every phase', async () => {
    const reason = new Error('enough');
    const before = AbortSignal.abort(reason);
    await expect(connect({ signal: before })).rejects.toBe(reason);

    world.state = 'prompt';
    world.agents.set(18733, never);
    let c = new AbortController();
    let p = connect({ signal: c.signal }).catch((e) => e);
    await vi.advanceTimersByTimeAsync(2000);
    c.abort(reason);
    await vi.advanceTimersByTimeAsync(10);
    expect(await p).toBe(reason);

    world = new World();
    world.install();
    world.greet = (peer) => peer.say({ event: 'awaiting-approval' });
    c = new AbortController();
    p = connect({ signal: c.signal, onState }).catch((e) => e);
    await vi.advanceTimersByTimeAsync(1000);
    c.abort(reason);
    await vi.advanceTimersByTimeAsync(10);
    expect(await p).toBe(reason);
    expect(world.sockets[0]!.readyState).toBe(3);
  });
});

describe('launching', () => {
  test('asks the system once and then looks every 250 ms', async () => {
    world.agents.clear();
    setTimeout(() => world.agents.set(18731, () => Response.json({ agent: 'certsign', protocol: 1 })), 3000);
    expect(await outcome({ launch: true, ports: [18731, 18732] }, 4000)).toHaveProperty('connected', true);
    expect(world.clicked).toEqual(['certsign://start']);
    expect(states).toEqual(['searching', 'awaiting-launch', 'connected']);
    expect(world.fetched.length).toBeGreaterThan(20);
    expect(world.fetched.length).toBeLessThan(30);
  });

  test('unconfirmed for 30 s is launch_unconfirmed', async () => {
    world.agents.clear();
    expect(await outcome({ launch: true, ports: [18731] }, 31_000)).toBe('launch_unconfirmed');
  });

  test('happens only when it was asked for', async () => {
    world.agents.clear();
    expect(await outcome()).toBe('agent_not_running');
    expect(world.clicked).toEqual([]);
  });
});
