// SHA-256 (FIPS 180-4, 6.2). The browser's own digest wants all octets in memory at once; documents may be larger than that.

import { CertSignError } from './errors.js';

/** Up to this size the browser computes the digest itself. */
const inMemory = 32 << 20;
const slice = 4 << 20;

/** Returns the SHA-256 of a blob in hexadecimal. */
export async function sha256(blob: Blob): Promise<string> {
  if (blob.size <= inMemory) {
    return hex(new Uint8Array(await crypto.subtle.digest('SHA-256', await read(blob))));
  }
  const digest = new SHA256();
  for (let at = 0; at < blob.size; at += slice) digest.update(new Uint8Array(await read(blob.slice(at, at + slice))));
  return hex(digest.finish());
}

/** Reads a blob. A file that was moved or changed after it was chosen fails only here. */
async function read(blob: Blob): Promise<ArrayBuffer> {
  try {
    return await blob.arrayBuffer();
  } catch (cause) {
    throw new CertSignError('document_unreadable', 'the browser cannot read the document', { cause });
  }
}

function hex(octets: Uint8Array): string {
  return Array.from(octets, (o) => o.toString(16).padStart(2, '0')).join('');
}

/** The first 32 bits of the fractional parts of the nth root of the first primes (FIPS 180-4, 4.2.2 and 5.3.3). */
function constants(count: number, power: number): Uint32Array {
  const out = new Uint32Array(count);
  for (let n = 2, i = 0; i < count; n++) {
    let prime = true;
    for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false;
    if (prime) out[i++] = ((n ** power) % 1) * 2 ** 32;
  }
  return out;
}

const K = constants(64, 1 / 3);

/** An incremental digest. */
export class SHA256 {
  readonly #h: Uint32Array = constants(8, 1 / 2);
  readonly #w = new Uint32Array(64);
  readonly #block = new Uint8Array(64);
  #used = 0;
  #length = 0;

  update(data: Uint8Array): void {
    this.#length += data.length;
    let at = 0;
    while (at < data.length) {
      const n = Math.min(64 - this.#used, data.length - at);
      this.#block.set(data.subarray(at, at + n), this.#used);
      this.#used += n;
      at += n;
      if (this.#used === 64) this.#compress();
    }
  }

  /** Returns the digest; the object must not be used afterwards. */
  finish(): Uint8Array {
    const bits = this.#length * 8;
    const padding = new Uint8Array(((this.#length % 64 < 56 ? 56 : 120) - (this.#length % 64)) + 8);
    padding[0] = 0x80;
    const view = new DataView(padding.buffer);
    view.setUint32(padding.length - 8, Math.floor(bits / 2 ** 32));
    view.setUint32(padding.length - 4, bits >>> 0);
    this.update(padding);
    const out = new DataView(new ArrayBuffer(32));
    this.#h.forEach((word, i) => out.setUint32(4 * i, word));
    return new Uint8Array(out.buffer);
  }

  #compress(): void {
    const w = this.#w;
    const h = this.#h;
    const view = new DataView(this.#block.buffer);
    for (let i = 0; i < 16; i++) w[i] = view.getUint32(4 * i);
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15]!;
      const y = w[i - 2]!;
      const s0 = rotate(x, 7) ^ rotate(x, 18) ^ (x >>> 3);
      const s1 = rotate(y, 17) ^ rotate(y, 19) ^ (y >>> 10);
      w[i] = w[i - 16]! + s0 + w[i - 7]! + s1;
    }
    let [a, b, c, d, e, f, g, z] = h as unknown as [number, number, number, number, number, number, number, number];
    for (let i = 0; i < 64; i++) {
      const t1 = (z + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + K[i]! + w[i]!) | 0;
      const t2 = ((rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      z = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    [a, b, c, d, e, f, g, z].forEach((v, i) => (h[i] = h[i]! + v));
    this.#used = 0;
  }
}

function rotate(x: number, n: number): number {
  return (x >>> n) | (x << (32 - n));
}
