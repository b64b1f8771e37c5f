// The portal's page that generates a certificate, in a tab that is loaded again: whatever breaks between the two legs, the
// enrolment is finished with the key that was made, and no second one is made.

import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CertSignError, describe as read } from '../src/index.js';

const page = fileURLToPath(new URL('../../ca/portal/static/generate.js', import.meta.url));

class Element extends EventTarget {
  hidden = true;
  disabled = false;
  textContent = '';
  readonly dataset: Record<string, string> = {};
  readonly classes = new Set<string>();
  readonly classList = { toggle: (name: string, on: boolean) => void (on ? this.classes.add(name) : this.classes.delete(name)) };
  focus(): void {
    focused = this;
  }
}

const ceremony = { ceremony: 'c1', csr: 'AA==', csrSHA256: 'FF', evidence: {} };
const agentFails = (code: string) => new CertSignError(code as never, `it was ${code}`);

let focused: Element | undefined;
let kept: Map<string, string>;
let account: string;
let elements: Map<string, Element>;
let went: string[];
let said: string[];
/** What the agent and the portal do; each test changes it. */
let enroll: () => Promise<typeof ceremony>;
let finish: (ceremony: string, token: string) => Promise<unknown>;
let portal: () => Response;

beforeEach(() => {
  kept = new Map();
  account = '7';
  said = [];
  enroll = async () => ceremony;
  finish = async () => ({});
  portal = () => Response.json({ csrSHA256: 'ff', token: 'jwt' }, { status: 201 });
  vi.stubGlobal('sessionStorage', {
    getItem: (k: string) => kept.get(k) ?? null, setItem: (k: string, v: string) => void kept.set(k, v), removeItem: (k: string) => void kept.delete(k),
  });
  vi.stubGlobal('addEventListener', () => {});
  vi.stubGlobal('fetch', async (path: string, init: RequestInit) => (said.push(`portal ${path} ${init.body as string}`), portal()));
  const tell = (code: string, f: () => Promise<unknown>) => (said.push(code), f());
  const client = {
    connected: true,
    close() {},
    finish: (id: string, token: string) => tell(`finish ${id} ${token || 'without a token'}`, () => finish(id, token)),
    enroll: async (_: object, obtain: (c: typeof ceremony) => Promise<string>) => {
      const made = (await tell('enroll', enroll)) as typeof ceremony;
      return client.finish(made.ceremony, await obtain(made));
    },
  };
  vi.stubGlobal('CertSign', { connect: async () => client, describe: read });
});
afterEach(() => vi.unstubAllGlobals());

/** Loads the page, as at first and after each reload. */
async function load(): Promise<void> {
  elements = new Map();
  went = [];
  const byId = (id: string) => {
    if (!elements.has(id)) elements.set(id, new Element());
    return elements.get(id)!;
  };
  byId('page-texts').textContent = '{}';
  Object.assign(byId('start').dataset, { issued: '/issued', account });
  vi.stubGlobal('document', { documentElement: { lang: 'en' }, getElementById: byId });
  vi.stubGlobal('location', { assign: (to: string) => went.push(to) });
  vi.resetModules();
  await import(/* @vite-ignore */ page);
}

const shown = (id: string) => !elements.get(id)!.hidden;

async function press(id: string): Promise<void> {
  expect(shown(id), `${id} can be seen`).toBe(true);
  elements.get(id)!.dispatchEvent(new Event('click'));
  await vi.waitFor(() => expect(went.length > 0 || !elements.get('start')!.disabled).toBe(true));
}

test('an enrolment that nothing interrupts leaves nothing behind in the tab', async () => {
  await load();
  expect(shown('resume')).toBe(false);
  await press('start');
  expect(said).toEqual(['enroll', 'portal /api/v1/enrolments {"csr":"AA=="}', 'finish c1 jwt']);
  expect(went).toEqual(['/issued?csr=FF']);
  expect(kept.size).toBe(0);
});

test('one that ended before there was a key is begun again', async () => {
  enroll = async () => { throw agentFails('user_cancelled'); };
  await load();
  await press('start');
  expect(shown('resume')).toBe(false);
  expect(focused).toBe(elements.get('start'));
  expect(kept.size).toBe(0);
});

describe('an enrolment that lost its connection after the key was made', () => {
  beforeEach(async () => {
    finish = async () => { throw agentFails('agent_unreachable'); };
    await load();
    await press('start');
    expect(focused).toBe(elements.get('resume'));
    said = [];
    // An agent that never saw the token.
    finish = async (_, token) => { if (token === '') throw agentFails('token_invalid'); };
  });

  test('says what happened, why, and what to do', () => {
    const { message, reason, remedy } = read('agent_unreachable', 'en');
    expect(['title', 'cause', 'remedy'].map((part) => elements.get(`agent-problem-${part}`)!.textContent)).toEqual([message, reason, remedy]);
  });

  test('keeps no token in the tab', () => {
    expect([...kept.values()].join()).toBe('{"account":"7","ceremony":"c1","csr":"AA==","csrSHA256":"FF"}');
  });

  test('is finished on the same page, with another token for the same request', async () => {
    await press('resume');
    expect(said).toEqual(['finish c1 without a token', 'portal /api/v1/enrolments {"csr":"AA=="}', 'finish c1 jwt']);
    expect(went).toEqual(['/issued?csr=FF']);
    expect(kept.size).toBe(0);
  });

  test('is finished after a reload, and starting again is the lesser choice', async () => {
    await load();
    expect([shown('resume'), shown('interrupted'), shown('start')]).toEqual([true, true, true]);
    expect([...elements.get('start')!.classes]).toEqual(['secondary']);
    await press('resume');
    expect(said).not.toContain('enroll');
    expect(went).toEqual(['/issued?csr=FF']);
  });

  test('asks the portal for nothing when the agent has the token already', async () => {
    finish = async () => ({});
    await load();
    await press('resume');
    expect(said).toEqual(['finish c1 without a token']);
    expect(went).toEqual(['/issued?csr=FF']);
  });

  test('leads to the certificate when it was issued and the agent cannot fetch it', async () => {
    portal = () => Response.json({ title: 'x', code: 'key_already_certified' }, { status: 409, headers: { 'Content-Type': 'application/problem+json' } });
    await load();
    await press('resume');
    expect(went).toEqual(['/issued?csr=FF']);
    expect(kept.size).toBe(0);
  });

  test('stays when the portal wants a second factor first', async () => {
    portal = () => Response.json({ title: 'x', code: 'second_factor_required' }, { status: 403, headers: { 'Content-Type': 'application/problem+json' } });
    await load();
    await press('resume');
    expect(went).toEqual(['/my/certificates/generate']);
    await load();
    expect(shown('resume')).toBe(true);
  });

  test('is forgotten when the agent does not know it any more', async () => {
    finish = async () => { throw agentFails('ceremony_unknown'); };
    await load();
    await press('resume');
    expect(shown('resume')).toBe(false);
    expect(kept.size).toBe(0);
  });

  test('is not offered to another account', async () => {
    account = '8';
    await load();
    expect(shown('resume')).toBe(false);
  });

  test('is not replaced before a new key is there', async () => {
    enroll = async () => { throw agentFails('user_cancelled'); };
    await load();
    await press('start');
    expect(shown('resume')).toBe(true);
  });
});

test('a tab that keeps nothing still finishes on the same page', async () => {
  vi.stubGlobal('sessionStorage', undefined);
  finish = async () => { throw agentFails('agent_unreachable'); };
  await load();
  await press('start');
  finish = async () => ({});
  await press('resume');
  expect(went).toEqual(['/issued?csr=FF']);
});
