// Programs: run to their end, or kept running until this process ends. Only what was started here is ever stopped, by its id.

import { execFile, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createServer } from 'node:net';

// Browsers leave folders behind when they are killed; they get a place that is removed at the end, or by the next run.
const lives = (pid) => existsSync(`/proc/${pid}`);
for (const name of readdirSync(tmpdir())) {
  const pid = /^certsign-e2e-(\d+)-/.exec(name)?.[1];
  if (pid && !lives(pid)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
}
process.env.TMPDIR = mkdtempSync(join(tmpdir(), `certsign-e2e-${process.pid}-`));

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until f returns something true, and returns it. */
export async function until(what, f, { timeout = 60_000, every = 50 } = {}) {
  const end = Date.now() + timeout;
  let last;
  for (;;) {
    try {
      const value = await f();
      if (value) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`waited ${timeout / 1000} s in vain for ${what}`, { cause: last });
    await pause(every);
  }
}

/** Runs a program to its end. Returns {status, stdout, stderr}; a status that is not among `ok` is an error with what it said. */
export function run(program, args, { ok = [0], input, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = execFile(program, args, { maxBuffer: 64 << 20, timeout: 120_000, ...options }, (error, stdout, stderr) => {
      const status = error === null ? 0 : error.code;
      if (typeof status !== 'number') return reject(new Error(`${program}: ${error.message}`));
      if (ok !== 'any' && !ok.includes(status)) {
        return reject(new Error(`${program} ${args.join(' ')}\nended with status ${status}\n${stdout}${stderr}`.trim()));
      }
      resolve({ status, stdout, stderr });
    });
    child.stdin?.on('error', () => {}); // it may end without reading
    child.stdin?.end(input ?? '');
  });
}

const running = [];
const last = [() => rmSync(process.env.TMPDIR, { recursive: true, force: true, maxRetries: 5 })];

/** Has f done when this process ends, however that comes about; the last that was asked for is done first. */
export function finish(f) {
  last.unshift(f);
}

// A program that is started here does not outlive this process, even when that is killed (prctl(2), PR_SET_PDEATHSIG).
const tied = existsSync('/usr/bin/setpriv') ? ['/usr/bin/setpriv', '--pdeathsig', 'TERM'] : [];

/** Starts a program that stays. Its output goes to the log file. */
export function start(name, program, args, { log, env = process.env, cwd, stdio = [] } = {}) {
  const out = openSync(log, 'a');
  const [command, ...rest] = [...tied, program, ...args];
  const child = spawn(command, rest, { env, cwd, stdio: ['ignore', out, out, ...stdio] });
  closeSync(out);
  const started = { name, child, log, ended: undefined };
  child.on('error', (error) => (started.ended = error.message));
  child.on('exit', (code, signal) => (started.ended = signal ?? `status ${code}`));
  running.push(started);
  return started;
}

/** Asks a program that start() started to leave, and ends it when it does not. */
export async function stop(started, { grace = 8000 } = {}) {
  const at = running.indexOf(started);
  if (at >= 0) running.splice(at, 1);
  if (started.ended !== undefined) return;
  started.child.kill('SIGTERM');
  const end = Date.now() + grace;
  while (started.ended === undefined && Date.now() < end) await pause(20);
  if (started.ended === undefined) started.child.kill('SIGKILL');
}

/** Stops everything that is still running, the last first. */
export async function stopAll() {
  while (running.length > 0) await stop(running.at(-1));
}

process.on('exit', () => {
  running.forEach((s) => s.ended === undefined && s.child.kill('SIGKILL'));
  for (const f of last) {
    try {
      f();
    } catch (error) {
      console.error(`cleaning up: ${error.message}`);
    }
  }
});

/** Waits until check() is true, and fails at once when the program ends before. */
export function ready(started, what, check, options) {
  return until(`${started.name}: ${what}`, async () => {
    if (started.ended !== undefined) {
      const error = new Error(`${started.name} ended with ${started.ended}\n${tail(started.log)}`);
      throw Object.assign(error, { fatal: true });
    }
    return check();
  }, options).catch((error) => {
    throw error.cause?.fatal ? error.cause : error;
  });
}

/** The last lines of a log. */
export function tail(file, lines = 20) {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  } catch {
    return '';
  }
}

/** A port of 127.0.0.1 that nobody listens on now; a wish is taken when it is one. */
export async function freePort(wish = 0) {
  const listen = (port) => new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => {
      const got = server.address().port;
      server.close(() => resolve(got));
    });
  });
  return (wish !== 0 && (await listen(wish))) || listen(0);
}

/** The path of a program, or undefined. */
export function which(name) {
  return process.env.PATH.split(delimiter).map((dir) => join(dir, name)).find(existsSync);
}
