import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CertSignError, connect, type Client } from '../src/index.js';
import { World } from './world.js';

let world: World;
let client: Client;
const hash = (s: string | Uint8Array) => createHash('sha256').update(s).digest('hex');

beforeEach(async () => {
  world = new World();
  world.install();
  client = await connect();
});
afterEach(() => vi.unstubAllGlobals());

const fail = (code: string) => ({ code, message: `it was ${code}`, remedy: code, retryable: true });

describe('calls', () => {
  test('many at once get their own answers', async () => {
    const held: any[] = [];
    world.answer = (f, p) => {
      held.push(f);
      if (held.length === 2) for (const h of held.reverse()) p.say({ id: h.id, result: h.method === 'status' ? { version: '1' } : { certificates: [{ serial: 'ab' }] } });
    };
    const [status, certificates] = await Promise.all([client.status(), client.certificates()]);
    expect(status.version).toBe('1');
    expect(certificates).toEqual([{ serial: 'ab' }]);
  });

  test('an error arrives typed, with the agent’s words', async () => {
    world.answer = (f, p) => p.say({ id: f.id, error: fail('pin_locked') });
    const error = await client.status().catch((e) => e);
    expect(error).toBeInstanceOf(CertSignError);
    expect(error).toMatchObject({ name: 'CertSignError', code: 'pin_locked', detail: 'it was pin_locked', remedy: 'pin_locked', retryable: true });
  });

  test('a code that is newer than the library keeps its name', async () => {
    world.answer = (f, p) => p.say({ id: f.id, error: fail('moon_phase') });
    expect(await client.status().catch((e) => e)).toMatchObject({ code: 'internal_error', detail: 'moon_phase: it was moon_phase' });
  });

  test('a lost connection ends every call, and later ones at once', async () => {
    const p = client.status().catch((e) => e.code);
    world.sockets[0]!.end(1006, '');
    expect(await p).toBe('agent_unreachable');
    expect(await client.status().catch((e) => e.code)).toBe('agent_unreachable');
  });

  test('closing ends them too', async () => {
    const p = client.status().catch((e) => e.code);
    client.close();
    expect(await p).toBe('agent_unreachable');
    expect(client.connected).toBe(false);
  });

  test('aborting cancels on the agent’s side', async () => {
    const c = new AbortController();
    const p = client.certificates({ signal: c.signal }).catch((e) => e);
    c.abort(new Error('enough'));
    expect((await p).message).toBe('enough');
    const [asked, cancel] = world.sockets[0]!.sent;
    expect(cancel).toMatchObject({ method: 'cancel', params: { id: asked!.id } });
  });

  test.each(['not json', '[1', 'null', '"text"'])('a frame that is none (%s) ends the connection', async (text) => {
    const p = client.status().catch((e) => e.code);
    world.sockets[0]!.say(text);
    expect(await p).toBe('version_unsupported');
  });

  test('frames that nobody waits for are passed over', async () => {
    const p = world.sockets[0]!;
    for (const f of [{ id: '99', result: 1 }, { id: '99', error: fail('busy') }, {}, { id: '99', event: 'progress' }]) p.say(f);
    expect(client.connected).toBe(true);
  });

  test('events without a request reach the listeners, until they are removed', () => {
    const seen: string[] = [];
    const remove = client.onEvent((e) => seen.push(e.event));
    world.sockets[0]!.say({ event: 'awaiting-user' });
    remove();
    world.sockets[0]!.say({ event: 'awaiting-user' });
    expect(seen).toEqual(['awaiting-user']);
  });
});

describe('save', () => {
  test('hands over the certificates as they are, and tells what became of each', async () => {
    const events: unknown[] = [];
    world.answer = (f, p) => {
      expect(f).toMatchObject({ method: 'certificate.save', params: { certificates: ['AA==', 'AQ=='] } });
      p.say({ id: f.id, event: 'awaiting-user', data: { for: 'pin' } });
      p.say({ id: f.id, result: { saved: [{ serial: '0a', store: 'pkcs11', state: 'stored' }, { serial: '0a', store: 'keyfile', state: 'present' }] } });
    };
    const saved = await client.save(['AA==', 'AQ=='], { onEvent: (e) => events.push(e) });
    expect(saved.map((s) => [s.store, s.state])).toEqual([['pkcs11', 'stored'], ['keyfile', 'present']]);
    expect(events).toEqual([{ event: 'awaiting-user', data: { for: 'pin' } }]);
  });

  test('a key that is not on this computer is key_absent', async () => {
    world.answer = (f, p) => p.say({ id: f.id, error: fail('key_absent') });
    expect(await client.save(['AA==']).catch((e) => e.code)).toBe('key_absent');
  });

  test('aborting closes the question for the PIN', async () => {
    const stop = new AbortController();
    world.answer = (f, p) => p.say({ id: f.id, event: 'awaiting-user', data: { for: 'pin' } });
    const saving = client.save(['AA=='], { signal: stop.signal, onEvent: () => stop.abort(new Error('enough')) });
    await expect(saving).rejects.toThrow('enough');
    const [asked, cancel] = world.sockets[0]!.sent;
    expect(cancel).toMatchObject({ method: 'cancel', params: { id: asked!.id } });
  });
});

describe('enroll', () => {
  const ceremony = { ceremony: 'c1', csr: 'AA==', csrSHA256: 'ff', evidence: { store: 'keyfile', hardware: false, algorithm: 'p256' } };

  test('goes in two legs, with the token between them', async () => {
    const events: unknown[] = [];
    world.answer = (f, p) => {
      if (f.method === 'enroll') {
        expect(f.params).toEqual({ store: 'keyfile', key: 'p256' });
        p.say({ id: f.id, event: 'awaiting-user', data: { for: 'store' } });
        p.say({ id: f.id, result: ceremony });
      } else {
        expect(f).toMatchObject({ method: 'enroll.finish', params: { ceremony: 'c1', token: 'jwt' } });
        p.say({ id: f.id, result: { serial: '0a' } });
      }
    };
    const certificate = await client.enroll({ store: 'keyfile', key: 'p256', onEvent: (e) => events.push(e) }, async (csr) => {
      expect(csr).toEqual(ceremony);
      return 'jwt';
    });
    expect(certificate.serial).toBe('0a');
    expect(events).toEqual([{ event: 'awaiting-user', data: { for: 'store' } }]);
  });

  test('stops between them when the portal refuses', async () => {
    world.answer = (f, p) => p.say({ id: f.id, result: ceremony });
    await expect(client.enroll({}, () => Promise.reject(new Error('not eligible')))).rejects.toThrow('not eligible');
    expect(world.sockets[0]!.sent.map((f) => f.method)).toEqual(['enroll']);
  });
});

describe('sign', () => {
  const documents = [
    { name: 'zgłoszenie.xml', mime: 'application/xml', data: new TextEncoder().encode('<zgłoszenie/>') },
    { name: 'b.xml', mime: 'application/xml', data: new Blob(['<b/>'], { type: 'application/xml' }) },
  ];

  /** An agent that signs by appending a word, once it has every upload. */
  function signer(change: (i: number, r: any) => any = (_, r) => r): void {
    world.answer = (f, p) => {
      if (f.method !== 'sign') return;
      const uploads = f.params.documents.map((_: unknown, i: number) => `up${i}`);
      let waiting = uploads.length;
      world.post = (ticket, body) => {
        world.documents.set(ticket, body);
        if (--waiting === 0) void finish();
        return new Response(null, { status: 204 });
      };
      const finish = async () => {
        const results = await Promise.all(f.params.documents.map(async (d: any, i: number) => {
          const text = await world.documents.get(`up${i}`)!.text();
          expect(hash(text)).toBe(d.sha256);
          world.documents.set(`down${i}`, new Blob([text, 'signed']));
          return change(i, { ticket: `down${i}`, name: d.name, sha256: hash(text + 'signed') });
        }));
        p.say({ id: f.id, result: { certificate: 'AA==', results } });
      };
      p.say({ id: f.id, event: 'tickets', data: { uploads } });
    };
  }

  test('declares digests, hands the documents over and checks what comes back', async () => {
    signer();
    const { certificate, results } = await client.sign(documents, { format: 'xades', level: 'B-B' });
    expect(certificate).toBe('AA==');
    expect(results.map((r) => r.name)).toEqual(['zgłoszenie.xml', 'b.xml']);
    expect(await results[0]!.data!.text()).toBe('<zgłoszenie/>signed');
    expect(world.sockets[0]!.sent[0]!.params).toEqual({
      format: 'xades', level: 'B-B',
      documents: [
        { name: 'zgłoszenie.xml', mime: 'application/xml', size: 14, sha256: hash('<zgłoszenie/>') },
        { name: 'b.xml', mime: 'application/xml', size: 4, sha256: hash('<b/>') },
      ],
    });
  });

  test('each document has its own error', async () => {
    signer((i, r) => (i === 0 ? { error: fail('xml_doctype') } : r));
    const { results } = await client.sign(documents);
    expect(results[0]!.error!.code).toBe('xml_doctype');
    expect(results[0]!.name).toBe('zgłoszenie.xml');
    expect(results[1]!.data).toBeInstanceOf(Blob);
  });

  test('a result that was changed on its way is integrity_failed', async () => {
    signer((_, r) => ({ ...r, sha256: hash('something else') }));
    const { results } = await client.sign(documents);
    expect(results.map((r) => r.error!.code)).toEqual(['integrity_failed', 'integrity_failed']);
  });

  test('an upload that is refused gives up the request and tells why', async () => {
    signer();
    const answer = world.answer;
    world.answer = (f, p) => {
      answer(f, p);
      world.post = () => Response.json({ error: fail('too_large') }, { status: 413 });
    };
    expect(await client.sign(documents).catch((e) => e.code)).toBe('too_large');
    expect(world.sockets[0]!.sent.at(-1)!.method).toBe('cancel');
  });

  test('the person’s refusal is user_cancelled', async () => {
    world.answer = (f, p) => p.say({ id: f.id, error: fail('user_cancelled') });
    expect(await client.sign(documents).catch((e) => e.code)).toBe('user_cancelled');
  });

  test('a document that can no longer be read is document_unreadable, before anything is sent', async () => {
    const gone = new Blob(['x']);
    vi.spyOn(Blob.prototype, 'arrayBuffer').mockRejectedValueOnce(new DOMException('gone', 'NotReadableError'));
    expect(await client.sign([{ name: 'x', mime: 'a/b', data: gone }]).catch((e) => e.code)).toBe('document_unreadable');
    expect(world.sockets[0]!.sent).toEqual([]);
    vi.restoreAllMocks();
  });

  test('a result whose ticket is not valid any more has that error', async () => {
    signer((_, r) => ({ ...r, ticket: 'other' }));
    const { results } = await client.sign(documents);
    expect(results[0]!.error!.code).toBe('ticket_invalid');
  });
});
