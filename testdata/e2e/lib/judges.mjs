// Tools that nobody here wrote, as judges of what was made here.

import { readFileSync, writeFileSync } from 'node:fs';
import { X509Certificate } from 'node:crypto';
import { assert } from './steps.mjs';
import { run } from './processes.mjs';

/** DER or PEM to PEM, in a file. */
export function toPEM(der, file) {
  const text = der.toString('latin1').includes('-----BEGIN') ? der.toString('latin1')
    : `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replace(/.{64}/g, '$&\n').trim()}\n-----END CERTIFICATE-----\n`;
  writeFileSync(file, text);
  return file;
}

/** What openssl reads in a certificate. */
export async function certificateText(pem) {
  return (await run('openssl', ['x509', '-in', pem, '-noout', '-text', '-nameopt', 'utf8,sep_comma_plus_space', '-certopt', 'no_pubkey,no_sigdump'])).stdout;
}

export const serialOf = (pem) => new X509Certificate(readFileSync(pem)).serialNumber.toLowerCase();

/** Fetches the CRL that the certificate names, as PEM. */
export async function crlOf(pem, file) {
  const text = await certificateText(pem);
  const url = /URI:(http:\S+\.crl)/.exec(text)?.[1];
  assert.ok(url, 'the certificate names no CRL');
  const response = await fetch(url);
  assert.equal(response.status, 200, url);
  const der = `${file}.der`;
  writeFileSync(der, Buffer.from(await response.arrayBuffer()));
  await run('openssl', ['crl', '-inform', 'DER', '-in', der, '-out', file]);
  return file;
}

/** openssl verify with the CRL of the moment: "good", "revoked", or what else it said. */
export async function verifyCertificate({ root, issuer, pem, dir }) {
  const crl = await crlOf(pem, `${dir}/crl.pem`);
  const { status, stdout, stderr } = await run('openssl', ['verify', '-crl_check', '-CAfile', root, '-untrusted', issuer, '-CRLfile', crl, pem], { ok: 'any' });
  if (status === 0) return 'good';
  return /certificate revoked/.test(stdout + stderr) ? 'revoked' : stdout + stderr;
}

/** openssl ocsp: "good", "revoked certificateHold", "revoked keyCompromise"… The response's signature is checked. */
export async function ocsp({ root, issuer, pem }) {
  const url = (await run('openssl', ['x509', '-in', pem, '-noout', '-ocsp_uri'])).stdout.trim();
  const { stdout, stderr } = await run('openssl', ['ocsp', '-issuer', issuer, '-cert', pem, '-url', url, '-CAfile', root, '-no_nonce']);
  assert.match(stderr + stdout, /Response verify OK/, stderr + stdout);
  const status = new RegExp(`${pem.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}: (\\w+)`).exec(stdout)?.[1];
  const reason = /Reason: (\w+)/.exec(stdout)?.[1];
  return reason ? `${status} ${reason}` : status;
}

/** xmlsec1 on an enveloped XAdES signature: the digests, the value, and the chain to the root. */
export async function verifyXML({ root, issuer, file }) {
  const { stdout, stderr } = await run('xmlsec1', ['--verify', '--enabled-key-data', 'x509', '--trusted-pem', root, '--untrusted-pem', issuer,
    '--id-attr:Id', 'http://uri.etsi.org/01903/v1.3.2#:SignedProperties', file], { ok: [0] });
  assert.match(stdout + stderr, /^OK$|Verification status: OK/m);
  const references = /SignedInfo References \(ok\/all\): (\d+)\/(\d+)/.exec(stdout + stderr);
  if (references) assert.deepEqual([references[1], references[2]], ['2', '2'], 'document and SignedProperties');
}

/** xmlsec1 refuses it. */
export async function refuseXML(options) {
  await assert.rejects(verifyXML(options), 'xmlsec1 accepted a changed document');
}

/** The text of a PDF. */
export async function pdfText(file) {
  return (await run('pdftotext', ['-layout', '-enc', 'UTF-8', file, '-'])).stdout;
}

/** What is in a PKCS#12 file: it opens with the password, and its key belongs to its certificate. Each opening costs what the file's key derivation costs. */
export async function openKeystore(file, password, dir) {
  const { stdout, stderr } = await run('openssl', ['pkcs12', '-in', file, '-passin', 'stdin', '-info', '-noenc'], { input: password + '\n' });
  const [key] = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/.exec(stdout);
  const certificates = stdout.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  const pub = (await run('openssl', ['pkey', '-pubout'], { input: key })).stdout;
  for (const certificate of certificates) {
    if ((await run('openssl', ['x509', '-noout', '-pubkey'], { input: certificate })).stdout !== pub) continue;
    const pem = `${dir}/from-keystore.pem`;
    writeFileSync(pem, certificate + '\n');
    return { certificate: pem, key, about: stderr };
  }
  throw new Error(`no certificate in ${file} belongs to its key`);
}

/** Objects on a token, as pkcs11-tool lists them. */
export async function tokenObjects(module, { label, pin, env }) {
  return (await run('pkcs11-tool', ['--module', module, '--token-label', label, '--login', '--pin', pin, '--list-objects'], { env })).stdout;
}
