// A person's screen and hands: an X server without a monitor, the agent's windows in a headless Chromium, driven over its
// debugging port, and the PIN program, which is the real one, driven by key strokes.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { chromium } from './require.mjs';
import { pause, ready, run, start, until } from './processes.mjs';

/** Starts an X server on a display of its own choice and returns DISPLAY. */
export async function startDisplay(dir) {
  const file = `${dir}/display`;
  rmSync(file, { force: true });
  const server = start('Xvfb', 'sh', ['-c', `exec Xvfb -displayfd 3 -screen 0 1280x960x24 -nolisten tcp -noreset 3>"${file}"`], { log: `${dir}/xvfb.log` });
  const number = await ready(server, 'a display', () => existsSync(file) && readFileSync(file, 'utf8').trim());
  return `:${number}`;
}

/** Flags for a Chromium that nobody sees. The sandbox needs a user that is not root. */
export const headless = [
  '--headless=new', '--no-first-run', '--no-default-browser-check', '--disable-sync', '--disable-background-networking', '--disable-component-update',
  '--password-store=basic', '--disable-features=Translate,OptimizationHints,MediaRouter',
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
];

/** The agent's windows. `command` is what the agent's setting window-command says. */
export class Windows {
  constructor(dir, { lang = 'pl' } = {}) {
    this.dir = `${dir}/windows`;
    this.seen = new Set();
    rmSync(this.dir, { recursive: true, force: true });
    mkdirSync(this.dir, { recursive: true });
    this.script = `${this.dir}/window.sh`;
    // Each window has a profile of its own, named by its process, where Chromium writes its debugging port.
    writeFileSync(this.script, `#!/bin/sh\nmkdir -p "${this.dir}/$$"\nexec chromium ${headless.join(' ')} --lang=${lang} --window-size=780,920 --remote-debugging-port=0 ` +
      `--user-data-dir="${this.dir}/$$" --app="$1" >"${this.dir}/$$.log" 2>&1\n`, { mode: 0o700 });
    this.command = [this.script, '{url}'];
  }

  /** Waits for the next window of a kind ("origin", "store", "sign", "notice") and returns its page. Notices that come first are closed. */
  async next(kind, { timeout = 60_000 } = {}) {
    const end = Date.now() + timeout;
    for (;;) {
      const page = await this.#open(kind, Math.max(1, end - Date.now()));
      if (page === undefined) continue; // gone again: a notice gives way to a question
      const is = await page.evaluate(() => (document.querySelector('#allow') ? 'origin' : document.querySelector('[name=store]') ? 'store'
        : document.querySelector('[name=certificate], .certificates') ? 'sign' : document.querySelector('[data-done]') ? 'done' : 'notice')).catch(() => undefined);
      if (is === kind) return page;
      if (is === 'notice') await page.click('#ok').catch(() => {});
      else if (is !== undefined && is !== 'done') throw new Error(`a window of the kind ${is} came up instead of ${kind}`);
    }
  }

  async #open(kind, timeout) {
    const port = await until(`the agent's window (${kind})`, () => {
      for (const name of readdirSync(this.dir)) {
        const file = `${this.dir}/${name}/DevToolsActivePort`;
        if (this.seen.has(name) || !existsSync(file)) continue;
        const port = readFileSync(file, 'utf8').split('\n')[0];
        if (port === '') continue;
        this.seen.add(name);
        return port;
      }
      return undefined;
    }, { timeout });
    try {
      const browser = await chromium.connectOverCDP(`http://127.0.0.1:${port}`);
      const shown = () => browser.contexts()[0]?.pages().find((p) => p.url().startsWith('http://127.0.0.1') && !p.url().includes('#'));
      const page = await until('a page in the window', shown, { timeout: 30_000 });
      page.setDefaultTimeout(60_000);
      await page.waitForSelector('form, [data-done]');
      return page;
    } catch (error) {
      if (kind === 'notice') throw error;
      return undefined;
    }
  }

  /** Waits until a window has gone. */
  async gone(page) {
    await until('the window to close', () => page.isClosed() || !page.context().browser().isConnected(), { timeout: 30_000 });
  }

  /** How many windows were never asked for. */
  unexpected() {
    return readdirSync(this.dir).filter((n) => /^\d+$/.test(n) && !this.seen.has(n)).length;
  }
}

/** The keyboard of a display, before a PIN program: its windows' class, and the keys that lead from a new password to its repetition. */
export class Keyboard {
  constructor(display, { program = 'pinentry', toRepetition = ['Tab', 'Tab'] } = {}) { // between the two lies the button that shows what was typed
    Object.assign(this, { program, toRepetition });
    this.env = { ...process.env, DISPLAY: display };
  }

  /** The PIN program's windows, the newest last. */
  async #dialogs() {
    const { stdout } = await run('xdotool', ['search', '--onlyvisible', '--class', this.program], { env: this.env, ok: 'any' });
    return stdout.trim().split('\n').filter(Boolean);
  }

  async xdotool(...args) {
    return (await run('xdotool', args, { env: this.env })).stdout.trim();
  }

  /** Waits for the PIN program's dialog and returns its window. */
  async dialog({ timeout = 60_000 } = {}) {
    const id = await until('the PIN dialog', async () => (await this.#dialogs()).at(-1), { timeout, every: 100 });
    await this.xdotool('windowfocus', '--sync', id);
    await pause(150);
    return id;
  }

  async gone(id) {
    await until('the PIN dialog to close', async () => !(await this.#dialogs()).includes(id), { every: 50 });
  }

  type(text) {
    return this.xdotool('type', '--delay', '12', text);
  }

  key(...keys) {
    return this.xdotool('key', '--delay', '40', ...keys);
  }

  /** A picture of the whole screen. */
  async picture(file) {
    await run('import', ['-window', 'root', file], { env: this.env, ok: 'any' }).catch(() => {});
  }

  /** Answers a question for a PIN or password. */
  async pin(secret, { picture, wait } = {}) {
    const id = await this.dialog({ timeout: wait });
    await this.type(secret);
    if (picture) await this.picture(picture);
    await this.key('Return');
    await this.gone(id);
  }

  /** Answers a question for a new password, which is typed twice. */
  async newPassword(secret, { picture, wait } = {}) {
    const id = await this.dialog({ timeout: wait });
    await this.type(secret);
    await this.key(...this.toRepetition);
    await this.type(secret);
    if (picture) await this.picture(picture);
    await this.key('Return');
    await this.gone(id);
  }

  async cancel({ wait } = {}) {
    const id = await this.dialog({ timeout: wait });
    await this.key('Escape');
    await this.gone(id);
  }
}
