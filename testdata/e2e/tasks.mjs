// The two things that people come for: a certificate, and a declaration that was signed with it and sent.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { assert, step } from './lib/steps.mjs';
import { run, stop } from './lib/processes.mjs';
import { certificateText, crlOf, ocsp, pdfText, serialOf, toPEM, tokenObjects, verifyCertificate, verifyXML } from './lib/judges.mjs';
import { root } from './lib/require.mjs';

export const declaration = `${root}/testdata/messages/import-declaration.xml`;
export const exported = `${root}/testdata/messages/export-declaration.xml`;
export const sha256 = (file) => createHash('sha256').update(readFileSync(file)).digest('hex');

/** Whom the judges trust. */
export const judgeOf = (world) => ({ root: world.rootFile, issuer: world.issuerFile });

const places = { keyfile: 'a Keystore file', pkcs11: 'the card', csp: 'the Windows certificate store' };

/**
 * Generates a certificate, saves it, downloads the confirmation, and has each judged. With interrupted, the agent ends when the
 * key has been made; it is started again, the page is loaded again, and the person finishes what was begun.
 */
export async function obtain(world, person, { store, algorithm, interrupted = false }) {
  const { accounts, agent, authority, card, dir, hands, keyboard } = world;
  const judge = judgeOf(world);
  const secret = { keyfile: world.newSecret, pkcs11: () => card.pin, csp: () => undefined }[store]();
  await step(`generate a certificate into ${places[store]}: second factor, terms, and CertSign\u2019s window`, async () => {
    await person.go('/my/certificates');
    await person.picture(`certificates-before-${store}`);
    await person.page.click('#generate');
    await person.arrive(/\/generate\/(code|terms)$/);
    if (/code$/.test(person.path())) {
      await person.picture('second-factor');
      await person.secondFactor({ wrongFirst: true });
    }
    await person.arrive(/\/generate\/terms$/);
    await person.picture('terms');
    await person.readAndAcceptTerms();
    if (interrupted) {
      await person.page.route('**/api/v1/enrolments', async (route) => {
        await stop(agent.program);
        await route.continue();
      }, { times: 1 });
    }
    await person.page.click('#start');
    await person.agentState('connected');
    await hands.chooseStore({ store, algorithm, place: store === 'pkcs11' ? card.label : undefined, site: authority.url });
    if (store === 'keyfile') await keyboard.newPassword(secret, { picture: hands.picture('pin-new-password') });
    if (store === 'pkcs11') {
      await keyboard.pin(secret, { picture: hands.picture('pin-card') });
      await world.answerFurtherPINs(person, secret);
    }
    if (interrupted) return;
    await person.arrive(/\/certificates\/[0-9a-f]+\/issued$/);
    await person.picture(`issued-${store}`);
  });
  if (interrupted) await resume(world, person, { store, secret });
  const serial = person.path().split('/').at(-2);
  const pem = `${dir}/${store}.pem`;
  await step('save the certificate; openssl verify -crl_check and openssl ocsp say good', async () => {
    const saved = await person.download('#download-certificate', `${store}.cer`);
    toPEM(readFileSync(saved), pem);
    assert.equal(serialOf(pem).replace(/^0+/, ''), serial.replace(/^0+/, ''));
    const text = await certificateText(pem);
    writeFileSync(`${dir}/${store}.txt`, text);
    assert.match(text, new RegExp(`CN = ${accounts.person.name}|CN=${accounts.person.name}`));
    assert.match(text, /Digital Signature, Non Repudiation/);
    assert.equal(await verifyCertificate({ ...judge, pem, dir }), 'good');
    assert.equal(await ocsp({ ...judge, pem }), 'good');
    await crlOf(pem, `${dir}/crl.pem`);
  });
  await step('“Save certificate”: CertSign has it beside its key already, and asks nothing', async () => {
    assert.equal(await save(person), 'present');
    await person.picture(`saved-${store}`);
  });
  const code = await step('download the confirmation; pdftotext reads the name with its Polish letters and the verification code', async () => {
    const pdf = await person.download('#download-pdf', `${store}-confirmation.pdf`);
    const text = await pdfText(pdf);
    assert.ok(text.includes(accounts.person.name), text);
    assert.ok(text.replace(/[\s:]/g, '').toLowerCase().includes(serial.replace(/^0+/, '')), 'the serial number is missing');
    const found = /\b[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z*~$=]/.exec(text)?.[0];
    assert.ok(found, 'no verification code');
    return found;
  });
  await step('it stands in the list of customs certificates as active', async () => {
    assert.equal(await person.certificateState(serial), 'active');
    await person.go('/my/certificates');
    await person.picture(`certificates-after-${store}`);
  });
  return { store, algorithm, serial, pem, code, secret };
}

/** Finishes an enrolment whose agent ended after the key was made. */
async function resume(world, person, { store, secret }) {
  const { agent, hands, keyboard } = world;
  await step('the agent ends between the key and the certificate: the page says so, and offers to finish', async () => {
    await person.page.locator('#agent-problem:not([hidden])').waitFor();
    assert.equal(await person.page.innerText('#agent-problem-code'), 'agent_unreachable');
    await person.page.locator('#resume:enabled').waitFor();
    await person.picture('interrupted');
  });
  await step('the agent is started and the page loaded again: the enrolment is finished with the same key, and the password once more', async () => {
    await agent.run();
    await person.page.reload();
    await person.page.click('#resume');
    await keyboard.pin(secret, { picture: hands.picture('pin-resume') });
    await person.arrive(/\/certificates\/[0-9a-f]+\/issued$/);
    await person.picture(`issued-${store}`);
    const { certificates, keys, ceremonies } = JSON.parse((await agent.certsign('--json', 'list')).stdout);
    assert.deepEqual([certificates.length, keys, ceremonies], [1, [], []], 'another key, or something unfinished, was left');
  });
}

/** Presses “Save certificate” on a certificate's page, does what the person does then, and returns what the page says of it. */
async function save(person, answer = async () => {}) {
  await person.page.click('#save-certificate');
  await answer();
  await person.page.locator('#save-certificate[data-saved], #agent-problem:not([hidden])').first().waitFor();
  assert.equal(await person.said(), '');
  return person.page.getAttribute('#save-certificate', 'data-saved');
}

/** Loses a certificate from the card, with the card's own tool, and has the portal's “Save certificate” put it back. */
export async function putBack(world, person, { serial, secret }) {
  const { agent, card, hands, keyboard } = world;
  const listed = async () => {
    const { certificates, keys } = JSON.parse((await agent.certsign('--json', 'list')).stdout);
    return { certificate: certificates.find((c) => c.serial.replace(/^0+/, '') === serial.replace(/^0+/, '')), keys };
  };
  await step('pkcs11-tool deletes the certificate from the card; certsign list has its key without one', async () => {
    const { certificate } = await listed();
    const id = /Private Key Object[\s\S]*?ID: +([0-9a-f]+)/.exec(await tokenObjects(card.module, card))[1];
    await run('pkcs11-tool', ['--module', card.module, '--token-label', card.label, '--login', '--pin', card.pin, '--delete-object', '--type', 'cert', '--id', id], { env: card.env });
    const { certificate: gone, keys } = await listed();
    assert.equal(gone, undefined);
    assert.deepEqual(keys.map((k) => k.key), [certificate.key]);
  });
  await step('“Save certificate” asks for the PIN; when the person cancels, nothing is changed', async () => {
    await person.go(`/my/certificates/${serial}`);
    await person.page.click('#save-certificate');
    await keyboard.cancel();
    await person.page.locator('#agent-problem:not([hidden])').waitFor();
    assert.equal(await person.page.innerText('#agent-problem-code'), 'user_cancelled');
    assert.equal((await listed()).certificate, undefined);
  });
  await step('“Save certificate” and the PIN: CertSign finds the key on the card and puts the certificate beside it; certsign list shows it', async () => {
    assert.equal(await save(person, () => keyboard.pin(secret, { picture: hands.picture('pin-save') })), 'stored');
    await person.picture('saved-again');
    assert.match(await person.page.innerText('#agent-hint'), /PKCS#11/);
    const { certificate, keys } = await listed();
    assert.equal(certificate?.store, 'pkcs11');
    assert.deepEqual(keys, []);
    assert.match(await tokenObjects(card.module, card), new RegExp(serial.replace(/^0+/, ''), 'i'));
  });
}

/** Signs a declaration with a certificate and submits it. Returns the signed file. */
export async function declare(world, person, { source, certificate, expect, name }) {
  const { agent, authority, dir, hands, keyboard } = world;
  const judge = judgeOf(world);
  const documentName = source.split('/').at(-1);
  const saved = `${dir}/${name}-signed.xml`;
  await step(`sign ${documentName} (${name}): the window shows the document, its SHA-256 and the certificate${certificate.secret ? `; then the ${certificate.store === 'keyfile' ? 'password' : 'PIN'}` : ''}`, async () => {
    await person.addDocument(source);
    await person.picture(`document-${name}`);
    await person.page.click('#sign');
    await hands.approve({
      origin: authority.url, documentName, sha256: sha256(source), serial: certificate.serial,
      contains: [source === declaration ? 'Zażółć Gęślą & Jaźń Sp. z o.o.' : 'Wytwórnia Łożysk „Śruba” S.A.'], name: `window-sign-${name}`,
    });
    if (certificate.secret) await keyboard.pin(certificate.secret, { picture: hands.picture(`pin-sign-${certificate.store}`) });
    await person.page.locator('#send:enabled').waitFor();
    await person.picture(`signed-${name}`);
    await person.download('#save-signed', `${name}-signed.xml`);
    world.recorder?.heard('page to agent', readFileSync(source));
    world.recorder?.heard('agent to page', readFileSync(saved));
  });
  await step(`xmlsec1 --verify accepts the signature (${certificate.algorithm.startsWith('rsa') ? 'RSA' : 'ECDSA'})`, async () => {
    await verifyXML({ ...judge, file: saved });
  });
  if (expect === 'sent') {
    await step('submit it, and fetch the sealed receipt; xmlsec1 --verify accepts the seal', async () => {
      assert.equal(await person.send(), 'sent', await person.said());
      assert.ok((await person.page.innerText('#reference')).length > 5);
      await person.picture(`sent-${name}`);
      const receipt = await person.download('#download-receipt', `${name}-receipt.xml`);
      await verifyXML({ ...judge, file: receipt });
      assert.ok(readFileSync(receipt, 'utf8').includes(await person.page.innerText('#reference')), 'the receipt does not name the submission');
    });
    await step('certsign verify says TOTAL-PASSED', async () => {
      const { stdout } = await agent.certsign('--json', 'verify', '--trust', agent.path(world.rootFile), agent.path(saved));
      assert.equal(JSON.parse(stdout).signatures[0].indication, 'TOTAL-PASSED', stdout);
    });
  } else {
    await step('submit it: refused with the reason, and no receipt', async () => {
      assert.equal(await person.send(), 'refused');
      const why = await person.said();
      assert.match(why, /zawiesz/i, why);
      assert.equal(await person.page.locator('#download-receipt').count(), 0);
      await person.picture(`refused-${name}`);
    });
  }
  assert.ok(existsSync(saved));
  return saved;
}
