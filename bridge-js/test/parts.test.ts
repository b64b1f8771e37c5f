import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { execFileSync } from 'node:child_process';
import { describe as suite, expect, test } from 'vitest';
import { describe } from '../src/index.js';
import { SHA256, sha256 } from '../src/sha256.js';
import { codes } from '../src/errors.generated.js';

const here = (path: string) => new URL(path, import.meta.url);
const hex = (u: Uint8Array) => Buffer.from(u).toString('hex');

suite('sha256', () => {
  test('agrees with another implementation at every length around a block, in any pieces', () => {
    for (let n = 0; n < 200; n++) {
      const data = randomBytes(n);
      const d = new SHA256();
      for (let at = 0; at < n; at += 1 + (n % 7)) d.update(data.subarray(at, at + 1 + (n % 7)));
      expect(hex(d.finish()), `${n} octets`).toBe(createHash('sha256').update(data).digest('hex'));
    }
  });

  test('reads a large blob in slices', async () => {
    const data = Buffer.alloc((32 << 20) + 12345, 'zażółć');
    expect(await sha256(new Blob([data]))).toBe(createHash('sha256').update(data).digest('hex'));
  });
});

suite('describe', () => {
  test('has words for every code in both languages, and internal_error’s for any other', () => {
    for (const c of codes) for (const lang of ['pl', 'en']) expect(Object.values(describe(c, lang)).every((s) => s.length > 5)).toBe(true);
    expect(describe('toString', 'pl')).toEqual(describe('internal_error', 'pl'));
    expect(describe('busy', 'pl-PL')).not.toEqual(describe('busy', 'de'));
  });
});

suite('what is built', () => {
  execFileSync('npx', ['tsdown', '--logLevel', 'error'], { cwd: here('..'), stdio: 'pipe' });

  test('the library without the texts for people is at most 8 kB, compressed', () => {
    const index = readFileSync(here('../dist/index.js'), 'utf8');
    expect(index).not.toContain('zabezpieczający');
    const withoutComments = index.replace(/^\s*\/\/.*$|\/\*[\s\S]*?\*\//gm, '');
    expect(gzipSync(withoutComments).length).toBeLessThan(8 * 1024);
  });

  test('the portal’s copy is current', async () => {
    const { portalScript } = await import('../scripts/portal.mjs');
    expect(readFileSync(here('../../ca/portal/static/certsign.js'), 'utf8'), 'run npm run build').toBe(portalScript());
  });

  test('the plain script defines CertSign and touches nothing else', () => {
    const script = readFileSync(here('../dist/certsign.js'), 'utf8');
    const CertSign = new Function(`${script}; return CertSign;`)();
    expect(Object.keys(CertSign).sort()).toEqual(['CertSignError', 'Client', 'connect', 'describe']);
  });

  test('the lock file names no registry', () => {
    expect(existsSync(here('../package-lock.json'))).toBe(true);
    expect(readFileSync(here('../package-lock.json'), 'utf8')).not.toContain('"resolved"');
  });
});
