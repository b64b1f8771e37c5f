// The three programs on this computer: CA and portal, agent, and the card. Everything lives below one folder.

import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { randomInt } from 'node:crypto';
import { assert } from './steps.mjs';
import { root } from './require.mjs';
import { freePort, ready, run, start, which } from './processes.mjs';

/** Our own programs: those of `make build`, or those below CERTSIGN_BIN. */
export const bin = (name) => `${process.env.CERTSIGN_BIN ?? `${root}/build/bin`}/${name}`;

/** A password that fits the portal's rules, of characters that lie on one key of every keyboard. */
export function password() {
  const pick = (s) => s[randomInt(s.length)];
  const parts = ['abcdefghjkmnpqrstuvwxyz', 'ABCDEFGHJKMNPQRSTUVWXYZ', '23456789', '-_.='];
  return parts.map(pick).join('') + Array.from({ length: 14 }, () => pick(parts.join(''))).join('');
}

/** A SoftHSM2 token as the card. */
export class Card {
  constructor(dir) {
    this.module = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so', '/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so']
      .find((f) => { try { return readFileSync(f).length > 0; } catch { return false; } });
    assert.ok(this.module, 'libsofthsm2.so is not there');
    this.label = 'Karta celna';
    this.pin = String(randomInt(1e7, 1e8));
    mkdirSync(`${dir}/card/tokens`, { recursive: true });
    writeFileSync(`${dir}/card/softhsm.conf`, readFileSync(`${root}/softhsm.conf`, 'utf8').replace(/^directories\.tokendir = .*$/m, `directories.tokendir = ${dir}/card/tokens`));
    this.env = { ...process.env, SOFTHSM2_CONF: `${dir}/card/softhsm.conf` };
  }

  async initialise() {
    await run('softhsm2-util', ['--init-token', '--free', '--label', this.label, '--pin', this.pin, '--so-pin', String(randomInt(1e7, 1e8))], { env: this.env });
  }
}

/** Puts a key and a certificate that nobody vouches for on the card, with the card's own tools. */
export async function selfSigned(card, dir, name) {
  const key = `${dir}/self.key`;
  const certificate = `${dir}/self.cer`;
  await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-outform', 'DER', '-out', certificate,
    '-subj', `/CN=${name}`, '-days', '30', '-addext', 'keyUsage=critical,digitalSignature,nonRepudiation']);
  await run('openssl', ['pkey', '-in', key, '-outform', 'DER', '-out', `${key}.der`]);
  const onto = ['--module', card.module, '--token-label', card.label, '--login', '--pin', card.pin, '--id', '01', '--label', name];
  await run('pkcs11-tool', [...onto, '--write-object', `${key}.der`, '--type', 'privkey', '--usage-sign'], { env: card.env });
  await run('openssl', ['pkey', '-in', key, '-pubout', '-outform', 'DER', '-out', `${key}.pub`]);
  await run('pkcs11-tool', [...onto, '--write-object', `${key}.pub`, '--type', 'pubkey'], { env: card.env });
  await run('pkcs11-tool', [...onto, '--write-object', certificate, '--type', 'cert'], { env: card.env });
  return certificate;
}

/** customs-ca with an empty SQLite database. */
export class Authority {
  constructor(dir) {
    this.dir = `${dir}/ca`;
    this.log = `${dir}/customs-ca.log`;
  }

  /** Runs customs-ca on this CA. An account's password goes by the environment: {password} as the last argument. */
  customsCA(...args) {
    const { password } = typeof args.at(-1) === 'object' ? args.pop() : {};
    const env = password ? { ...process.env, CUSTOMS_CA_ACCOUNT_PASSWORD: password } : process.env;
    return run(bin('customs-ca'), [...args, ...(args[0] === 'init' ? [] : ['--config', this.config])], { env });
  }

  /** The key ceremony. With ports.recorder agents reach the CA there, and whoever stands there passes on to ports.ca. */
  async init(ports) {
    this.config = `${this.dir}/customs-ca.yaml`;
    this.url = `http://localhost:${ports.web}`;
    this.ca = `https://localhost:${ports.recorder ?? ports.ca}`;
    await this.customsCA('init', '--dir', this.dir, '--test', '--public-url', this.url, '--status-url', `http://localhost:${ports.status}`, '--ca-url', this.ca);
    if (ports.recorder) {
      const settings = readFileSync(this.config, 'utf8');
      const moved = settings.replace(/^( {2}ca: "[^"]*:)\d+"/m, `$1${ports.ca}"`);
      assert.notEqual(moved, settings);
      writeFileSync(this.config, moved);
    }
  }

  async serve() {
    this.program = start('customs-ca', bin('customs-ca'), ['serve', '--config', this.config], { log: this.log });
    await ready(this.program, 'the portal', async () => (await fetch(`${this.url}/`)).ok, { timeout: 60_000 });
  }
}

/** The agent, with a home of its own. Without a port it takes the first free one of the range where pages look. */
export class Agent {
  constructor(dir, { windows, display, card, port, lang = 'pl' }) {
    Object.assign(this, { home: `${dir}/agent`, log: `${dir}/certsign.log`, wished: port });
    this.env = { ...(card?.env ?? process.env), PATH: `${root}/build/bin:${process.env.PATH}` };
    if (display) this.env.DISPLAY = display;
    mkdirSync(this.home, { recursive: true, mode: 0o700 });
    chmodSync(this.home, 0o700);
    const settings = { language: lang };
    if (windows) settings['window-command'] = windows.command;
    this.ui = windows ? 'window' : 'auto';
    if (windows && display) settings['pinentry-program'] = which('pinentry-gtk-2');
    if (card) Object.assign(settings, { 'pkcs11-modules': [card.module], 'pkcs11-only-modules': true });
    writeFileSync(`${this.home}/config.yaml`, Object.entries(settings).map(([k, v]) => `${k}: ${JSON.stringify(v)}\n`).join(''), { mode: 0o600 });
  }

  /** A file's name as the agent says it. */
  path(file) {
    return file;
  }

  certsign(...args) {
    return run(bin('certsign'), ['--home', this.home, ...args], { env: this.env });
  }

  /** Puts a site on the list that may not enrol. */
  async allow(name, origin) {
    const known = (await this.certsign('sites', 'list')).stdout;
    if (!known.includes(origin)) await this.certsign('sites', 'add', '--name', name, '--origin', origin);
  }

  async run() {
    const port = this.wished ? ['--port', String(this.wished)] : [];
    this.program = start('certsign', bin('certsign'), ['--home', this.home, '-v', 'run', '--ui', this.ui, ...port], { log: this.log, env: this.env });
    this.port = await ready(this.program, 'an agent', async () => {
      const { pid, port } = JSON.parse(readFileSync(`${this.home}/agent.json`, 'utf8'));
      return pid === this.program.child.pid && (await answers(port)) && port;
    });
  }
}

/** Whether an agent answers at a port. */
export async function answers(port) {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/certsign/v1/hello`, { headers: { Origin: 'https://portal.example' }, signal: AbortSignal.timeout(800) });
    return (await response.json()).agent === 'certsign';
  } catch {
    return false;
  }
}

/** Ports for the CA's listeners: those of the contract where they are wanted and free. */
export async function ports(wanted) {
  const all = {};
  for (const [name, port] of Object.entries({ web: 18080, ca: 18443, status: 18081 })) {
    do all[name] = await freePort(wanted ? port : 0);
    while (new Set(Object.values(all)).size !== Object.keys(all).length);
  }
  return all;
}

/** An empty folder below build/. */
export function emptyFolder(path) {
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path, { recursive: true });
  return path;
}
