// Writes down all that the agent says to pages and to the CA, so that it can be searched for what must never be said. Between
// agent and CA it stands in the middle, with a certificate that the agent was told to accept for this walk.

import https from 'node:https';
import { readFileSync, writeFileSync } from 'node:fs';
import { assert } from './steps.mjs';
import { run } from './processes.mjs';

export class Recorder {
  constructor(dir) {
    this.key = `${dir}/recorder.key`;
    this.certificate = `${dir}/recorder.pem`;
    this.said = { 'agent to CA': [], 'CA to agent': [], 'page to agent': [], 'agent to page': [] };
    this.waiting = [];
  }

  /** Listens at a port and passes everything on to the CA at another one. */
  async between(port, caPort, root) {
    await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', this.key, '-out', this.certificate, '-days', '2',
      '-subj', '/CN=TEST recorder', '-addext', 'subjectAltName=DNS:localhost', '-addext', 'keyUsage=critical,digitalSignature,keyCertSign']);
    this.server = https.createServer({ key: readFileSync(this.key), cert: readFileSync(this.certificate) }, (request, response) => {
      this.#add('agent to CA', `${request.method} ${request.url}\n${request.rawHeaders.join('\n')}`);
      const onward = https.request({ host: 'localhost', port: caPort, method: request.method, path: request.url, headers: request.headers, ca: readFileSync(root) }, (answer) => {
        this.#add('CA to agent', `${answer.statusCode}\n${answer.rawHeaders.join('\n')}`);
        response.writeHead(answer.statusCode, answer.rawHeaders);
        answer.on('data', (chunk) => this.#add('CA to agent', chunk));
        answer.pipe(response);
      });
      onward.on('error', () => response.destroy());
      request.on('data', (chunk) => this.#add('agent to CA', chunk));
      request.pipe(onward);
    });
    await new Promise((resolve, reject) => this.server.once('error', reject).listen(port, '127.0.0.1', resolve));
    this.server.unref();
  }

  /** Listens to what a page and the agent say to each other. */
  follow(page) {
    const agent = (url) => new URL(url).pathname.startsWith('/certsign/');
    page.on('websocket', (socket) => {
      if (!agent(socket.url())) return;
      socket.on('framesent', ({ payload }) => this.#add('page to agent', payload));
      socket.on('framereceived', ({ payload }) => this.#add('agent to page', payload));
    });
    page.on('response', (response) => {
      const request = response.request();
      if (!agent(request.url())) return;
      this.#add('page to agent', `${request.method()} ${request.url()}`);
      this.waiting.push(response.allHeaders().then((headers) => this.#add('agent to page', JSON.stringify(headers)), () => {}));
      this.waiting.push(response.body().then((body) => this.#add('agent to page', body), () => {}));
    });
  }

  /** Adds octets that the browser does not tell its driver about: the blobs in which documents travel. */
  heard(where, octets) {
    this.#add(where, octets);
  }

  #add(where, what) {
    this.said[where].push(Buffer.from(what));
  }

  /** Fails when a secret was said in any of the forms in which octets travel. Returns how many octets were searched. */
  async holdsNone(secrets) {
    await Promise.all(this.waiting);
    let octets = 0;
    for (const [where, parts] of Object.entries(this.said)) {
      assert.ok(parts.length > 0, `nothing was recorded from ${where}`);
      const heard = Buffer.concat(parts);
      octets += heard.length;
      for (const [name, secret] of Object.entries(secrets)) {
        for (const form of forms(Buffer.from(secret))) assert.ok(!heard.includes(form), `${name} was said, ${where}`);
      }
    }
    return octets;
  }

  /** Writes the recording to a folder's files. */
  save(dir) {
    for (const [where, parts] of Object.entries(this.said)) writeFileSync(`${dir}/capture-${where.replaceAll(' ', '-')}.bin`, Buffer.concat(parts));
  }
}

/** A secret as it stands, in hex, in base64 wherever it begins in a text, and as JSON and addresses write it. */
export function forms(secret) {
  const all = [secret, ...[secret.toString('hex'), secret.toString('hex').toUpperCase(), encodeURIComponent(secret.toString('latin1')), JSON.stringify(secret.toString('utf8')).slice(1, -1)].map((s) => Buffer.from(s))];
  for (const before of [0, 1, 2]) {
    const text = Buffer.concat([Buffer.alloc(before), secret]).toString('base64');
    // The letters at both ends mix with what stands beside the secret.
    const inner = text.slice(before === 0 ? 0 : 4, Math.floor((before + secret.length) / 3) * 4);
    if (inner.length >= 8) all.push(Buffer.from(inner), Buffer.from(inner.replaceAll('+', '-').replaceAll('/', '_')));
  }
  return all;
}

/** The secret numbers of a private key in PEM, RSA or EC: each must stay where it is. */
export async function numbersOf(key) {
  const text = (await run('openssl', ['pkey', '-noout', '-text'], { input: key })).stdout;
  const numbers = [...text.matchAll(/^(privateExponent|prime1|prime2|priv):\n((?:\s+[0-9a-f:]+\n)+)/gm)]
    .map(([, name, digits]) => [`${name} of the key`, Buffer.from(digits.replace(/[\s:]/g, '').replace(/^(00)+/, ''), 'hex')]);
  assert.ok(numbers.length === 1 || numbers.length === 3, text.replace(/[0-9a-f:]{8,}/g, '…'));
  return Object.fromEntries(numbers);
}
