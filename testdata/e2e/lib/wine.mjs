// The Windows build, run by Wine in a prefix of its own: a computer with Windows' key stores, dialogs, jobs and table of
// connections, as far as Wine has them. Its browser runs on Linux; what a browser does as a Windows program, testdata/wine/browser
// does in its stead.

import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { get } from 'node:http';
import { assert } from './steps.mjs';
import { root } from './require.mjs';
import { Windows } from './desktop.mjs';
import { finish, ready, run, start, until } from './processes.mjs';

const wine = `${root}/.ci/wine`;
const programs = `${root}/build/windows`;

/** A computer with Wine, below dir. */
export class Computer {
  constructor(dir, display) {
    Object.assign(this, { dir, prefix: `${dir}/prefix` });
    this.env = { ...process.env, WINEPREFIX: this.prefix, DISPLAY: display };
    for (const program of ['certsign.exe', 'certsign-pkcs11.exe']) {
      assert.ok(existsSync(`${programs}/${program}`), `build/windows/${program} is not there: make windows`);
    }
    this.browser = `${dir}/browser.exe`;
    finish(() => spawnSync(wine, ['--end'], { env: this.env }));
  }

  /** Makes the prefix, and the test's own Windows program. */
  async install() {
    await run('go', ['build', '-o', this.browser, './testdata/wine/browser'], { cwd: root, env: { ...process.env, CGO_ENABLED: '0', GOOS: 'windows', GOARCH: 'amd64' } });
    const { stdout } = await this.run('cmd', '/c', 'echo %LOCALAPPDATA%');
    this.local = stdout.trim();
    assert.match(this.local, /^C:\\users\\.+\\AppData\\Local$/);
  }

  run(program, ...args) {
    return run(wine, [program, ...args], { env: this.env });
  }

  start(name, log, program, ...args) {
    return start(name, wine, [program, ...args], { log, env: this.env });
  }

  /** A file's name as Windows programs say it. */
  path(file) {
    return file.startsWith(`${this.prefix}/drive_c/`) ? `C:${file.slice(`${this.prefix}/drive_c`.length)}`.replaceAll('/', '\\') : `Z:${file}`.replaceAll('/', '\\');
  }

  /** Where a file of Windows lies: a path with backslashes, or a file: address. */
  file(path) {
    const [, drive, rest] = /^(?:file:\/\/\/)?([CZ]):[\\/](.*)$/i.exec(path);
    return `${drive.toUpperCase() === 'C' ? `${this.prefix}/drive_c` : ''}/${rest.replaceAll('\\', '/')}`;
  }
}

/** A token of testdata/pkcs11/token.c: a folder, with its keys in containers of CAPI's own provider. */
export class WineCard {
  constructor(dir, computer) {
    Object.assign(this, { computer, folder: `${dir}/card`, label: 'Karta celna', pin: String(randomInt(1e7, 1e8)) });
    computer.env.TOKEN_DIR = computer.path(this.folder);
  }

  async initialise() {
    const dll = `${programs}/token.dll`;
    if (!existsSync(dll) || statSync(dll).mtimeMs < statSync(`${root}/testdata/pkcs11/token.c`).mtimeMs) {
      await run(`${root}/testdata/pkcs11/build`, [programs], { timeout: 300_000 });
    }
    this.module = this.computer.path(dll);
    mkdirSync(this.folder);
    writeFileSync(`${this.folder}/token`, [this.label, '0123456789abcdef', this.pin, '3', String(randomInt(1e7, 1e8)), ''].join('\n'));
  }
}

/** The agent's windows: a Windows process for each, and the page itself in a Chromium of Linux. */
export class WineWindows extends Windows {
  constructor(dir, computer, options) {
    super(dir, options);
    Object.assign(this, { computer, ended: 0 }); // how many the agent ended
    this.server = createServer((stub) => this.#show(stub));
    finish(() => this.server.close());
  }

  async listen() {
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.server.unref();
    this.command = [this.computer.path(this.computer.browser), 'window', `127.0.0.1:${this.server.address().port}`, '{url}'];
  }

  /** Shows what a window's process asks for, until one of the two is gone. */
  #show(stub) {
    let line = '';
    stub.on('error', () => {}); // the agent ended it
    stub.setEncoding('utf8').on('data', (text) => {
      if (line.includes('\n')) return;
      line += text;
      if (!line.includes('\n')) return;
      const shown = start('a window', this.script, [`file://${this.computer.file(decodeURI(line.trim()))}`], { log: `${this.dir}/windows.log` });
      shown.child.on('exit', () => stub.destroy());
      stub.on('close', () => {
        if (shown.ended === undefined) this.ended++;
        shown.child.kill('SIGTERM');
      });
    });
  }
}

/** The agent as Windows has it: in the folder where it looks by itself. */
export class WineAgent {
  constructor(dir, computer, { windows, card, lang = 'pl' }) {
    Object.assign(this, { computer, log: `${dir}/certsign.log`, relayLog: `${dir}/relay.log`, home: computer.file(`${computer.local}\\CertSign`) });
    this.program = `${programs}/certsign.exe`;
    mkdirSync(this.home, { recursive: true });
    const settings = { language: lang, 'window-command': windows.command, 'pkcs11-modules': [card.module], 'pkcs11-only-modules': true };
    writeFileSync(`${this.home}/config.yaml`, Object.entries(settings).map(([k, v]) => `${k}: ${JSON.stringify(v)}\n`).join(''));
  }

  path(file) {
    return this.computer.path(file);
  }

  certsign(...args) {
    return this.computer.run(this.program, ...args);
  }

  async run() {
    rmSync(`${this.home}/agent.json`, { force: true });
    const agent = this.computer.start('certsign', this.log, this.program, '-v', 'run', '--ui', 'window');
    this.port = await ready(agent, 'an agent', () => this.state().port);
    const relay = this.computer.start('the browser', this.relayLog, this.computer.browser, 'relay', `127.0.0.1:${this.port}`);
    this.relay = Number(await ready(relay, 'its port', () => /^(\d+)\r?\n/.exec(readFileSync(this.relayLog, 'utf8'))?.[1]));
  }

  /** Its process and port, as it wrote them down. */
  state() {
    return JSON.parse(readFileSync(`${this.home}/agent.json`, 'utf8'));
  }

  /** What the system does for a certsign: address. The agent that it starts is nobody's child. */
  async open() {
    const opening = this.computer.start('certsign open', this.log, this.program, 'open', 'certsign://start');
    await until('certsign open to end', () => opening.ended, { timeout: 30_000 });
    assert.equal(opening.ended, 'status 0');
  }

  /** Ends it without a word, as Task Manager does. */
  async kill() {
    await this.computer.run('taskkill', '/f', '/pid', String(this.state().pid));
  }

  /** What a browser needs to be told so that it reaches the agent as a Windows process does. Addresses and headers stay as they are. */
  get flags() {
    return [`--host-resolver-rules=MAP 127.0.0.1:${this.port} 127.0.0.1:${this.relay}`];
  }

  /** What the agent answers to a page's search, from a program that comes by that port. */
  hello(port, origin) {
    return new Promise((resolve, reject) => {
      get({ host: '127.0.0.1', port, path: '/certsign/v1/hello', headers: { Host: `127.0.0.1:${port === this.relay ? this.port : port}`, Origin: origin } }, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text) => (body += text)).on('end', () => resolve({ status: response.statusCode, ...JSON.parse(body) }));
      }).on('error', reject);
    });
  }
}
