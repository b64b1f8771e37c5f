// The transcripts of testdata/protocol, from the page's side: the library says what stands there, and makes of the agent's
// words what they mean. What a page could only say without this library is left to the agent's own replay.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, expect, test, vi } from 'vitest';
import { connect, type Client, type DocumentToSign } from '../src/index.js';
import { type Peer, World } from './world.js';

interface Frame { id?: string; method?: string; params?: any; result?: any; error?: any; event?: string; data?: any }
interface Step {
  agent?: Frame; unordered?: Frame[]; page?: Frame;
  post?: { ticket: string; body: string; status: number; code?: string };
  get?: { ticket: string; status: number; sha256?: string; code?: string };
  close?: { code: number; reason: string };
}
interface Transcript { about: string; origin: string; subprotocols: string[]; steps: Step[] }

const folder = new URL('../../testdata/protocol/', import.meta.url);
const hash = (s: string) => createHash('sha256').update(s).digest('hex');

/** Why this library cannot be brought to say what stands in a transcript. */
const unsayable: Record<string, string> = {
  'not-a-request': 'every request has an id',
  'unknown-method': 'there is no such call',
  'version-newer': 'it offers its own version',
  'version-none': 'it offers its own version',
  'origin-null': 'it tells a page without an origin so before it connects',
  'origin-insecure': 'it tells an insecure page so before it connects',
  'enroll-ca-mismatch': 'a page has no say in where an agent enrols',
  'sign-integrity': 'it hands in what it declared',
  'sign-ticket-twice': 'it uses a ticket once',
};

afterEach(() => vi.unstubAllGlobals());

for (const file of readdirSync(folder).filter((f) => f.endsWith('.json'))) {
  const name = file.replace('.json', '');
  const t = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Transcript;
  if (!(name in unsayable)) test(`${name}: ${t.about}`, () => replay(t));
}

test('what is left out is still there', () => {
  for (const name of Object.keys(unsayable)) expect(readdirSync(folder)).toContain(`${name}.json`);
});

/** Gives names their values: a result's digest is that of what will be fetched, everything else is made up. */
function values(t: Transcript) {
  const bound: Record<string, any> = {};
  for (const { get } of t.steps) if (get?.sha256) bound[get.sha256] = hash(`signed ${get.ticket}`);
  return function fill(v: any, key = ''): any {
    if (v === '$*') return key === 'size' ? 1 : key === 'retryable' ? true : 'made up';
    if (typeof v === 'string' && v.startsWith('$')) return (bound[v] ??= `value of ${v.slice(1)}`);
    if (Array.isArray(v)) return v.map((e) => fill(e));
    if (typeof v === 'object' && v !== null) return Object.fromEntries(Object.entries(v).map(([k, e]) => [k, fill(e, k)]));
    return v;
  };
}

async function replay(t: Transcript): Promise<void> {
  const world = new World();
  world.install();
  const fill = values(t);
  const steps = [...t.steps];
  let peer!: Peer;
  /** The agent goes on until it is the page's turn. */
  const go = () => {
    for (let s = steps[0]; s && (s.agent || s.unordered || s.close); s = steps[0]) {
      steps.shift();
      for (const f of s.unordered ?? (s.agent ? [s.agent] : [])) peer.say(fill(f));
      if (s.close) peer.end(s.close.code, s.close.reason);
    }
  };
  world.greet = (p) => ((peer = p), go());
  world.answer = (frame) => {
    const { page } = steps.shift() ?? {};
    const { params = {}, ...rest } = frame;
    const { params: wanted = {}, ...restWanted } = fill(page ?? {});
    expect({ ...rest, params }).toEqual({ ...restWanted, params: wanted });
    go();
  };
  const cancelled = t.steps.some((s) => s.page?.method === 'cancel');
  world.post = (ticket, body) => {
    if (cancelled) return new Response(null, { status: 404 });
    const post = steps.shift()?.post;
    expect(ticket).toBe(encodeURIComponent(fill(post?.ticket)));
    void body.text().then((text) => (expect(text).toBe(post?.body), go()));
    return new Response(null, { status: post!.status });
  };
  for (const { get } of t.steps) if (get?.status === 200) world.documents.set(encodeURIComponent(fill(get.ticket)), new Blob([`signed ${get.ticket}`]));

  const end = t.steps.at(-1)?.close;
  const outcome = await connect({ ports: [18733] }).catch((e: { code: string }) => e.code);
  if (end) return void expect(outcome).toBe(end.reason);
  const client = outcome as Client;
  const answer = (id: string | undefined) => t.steps.flatMap((s) => [s.agent, ...(s.unordered ?? [])]).find((f) => f?.id === id && (f?.result || f?.error));
  const pages = t.steps.flatMap((s) => (s.page ? [s.page] : []));
  for (let page = pages.shift(); page; page = pages.shift()) {
    let result: Promise<any>;
    let last = page;
    if (page.method === 'status') result = client.status();
    else if (page.method === 'certificates') result = client.certificates().then((certificates) => ({ certificates }));
    else if (page.method === 'certificate.save') result = client.save(fill(page.params.certificates)).then((saved) => ({ saved }));
    else if (page.method === 'enroll.finish') result = client.finish(fill(page.params.ceremony), page.params.token);
    else if (page.method === 'enroll') {
      const finish = pages[0]?.method === 'enroll.finish' ? pages.shift() : undefined;
      last = finish ?? page;
      result = client.enroll(page.params ?? {}, async () => finish?.params.token);
    } else {
      expect(page.method).toBe('sign');
      result = sign(client, t, page.params.documents, cancelled);
      if (cancelled) pages.shift();
    }
    const wanted = fill(answer(last.id));
    if (cancelled) await expect(result).rejects.toThrow('enough');
    else if (wanted.error) await expect(result).rejects.toMatchObject({ code: wanted.error.code, retryable: wanted.error.retryable, remedy: wanted.error.remedy });
    else if (page.method === 'sign') await compare(await result, wanted.result, t);
    else expect(await result).toEqual(wanted.result);
  }
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(steps.filter((s) => !s.get), 'everything was said').toEqual([]);
}

function sign(client: Client, t: Transcript, declared: { name: string; mime: string }[], cancelled: boolean): Promise<unknown> {
  const bodies = t.steps.flatMap((s) => (s.post ? [s.post.body] : []));
  const documents: DocumentToSign[] = declared.map((d, i) => ({ name: d.name, mime: d.mime, data: new Blob([bodies[i] ?? `<${d.name[0]}/>`]) }));
  const stop = new AbortController();
  return client.sign(documents, { signal: stop.signal, onEvent: (e) => cancelled && e.event === 'tickets' && stop.abort(new Error('enough')) });
}

async function compare(got: any, wanted: any, t: Transcript): Promise<void> {
  expect(got.certificate).toBe(wanted.certificate);
  expect(got.results).toHaveLength(wanted.results.length);
  const fetched = t.steps.flatMap((s) => (s.get?.status === 200 ? [s.get.ticket] : []));
  for (const [i, r] of got.results.entries()) {
    if (wanted.results[i].error) expect(r.error.code).toBe(wanted.results[i].error.code);
    else expect(await r.data.text()).toBe(`signed ${fetched.shift()}`);
  }
}
