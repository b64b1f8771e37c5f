// The walk of demo.mjs.

import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { assert, part, step } from './lib/steps.mjs';
import { until } from './lib/processes.mjs';
import { crlOf, certificateText, ocsp, openKeystore, pdfText, refuseXML, serialOf, toPEM, tokenObjects, verifyCertificate, verifyXML } from './lib/judges.mjs';
import { numbersOf } from './lib/recorder.mjs';
import { root } from './lib/require.mjs';
import { openPortal, raise } from './lib/stage.mjs';

const declaration = `${root}/testdata/messages/import-declaration.xml`;
const exported = `${root}/testdata/messages/export-declaration.xml`;
const sha256 = (file) => createHash('sha256').update(readFileSync(file)).digest('hex');

export async function journey(dir) {
  part('Three programs on this computer');
  const world = await raise(dir, { record: true });
  const { authority, agent, card, hands, keyboard, accounts } = world;
  const pictures = `${dir}/screenshots`;
  const portal = await openPortal(world);
  const judge = { root: world.rootFile, issuer: world.issuerFile };

  const clerk = await portal.visitor(accounts.helpdesk);
  const person = await portal.visitor(accounts.person);

  part('Before a certificate');
  await step('a person without an extended account is told why there is no certificate, and what to do', async () => {
    const other = await portal.visitor(accounts.basic);
    await other.logIn();
    await other.go('/my/certificates');
    await other.page.click('#generate');
    await other.page.locator('#needs-extended').waitFor();
    await other.picture('not-eligible');
    await other.page.context().close();
  });
  await step('logs in with a password; a wrong one is refused', async () => {
    await person.go('/login');
    await person.page.fill('[name=email]', accounts.person.email);
    await person.page.fill('[name=password]', 'to nie to hasło');
    await person.page.click('#login');
    await person.page.locator('#problem').waitFor();
    await person.logIn();
    await person.picture('desktop');
  });

  const file = await obtain({ store: 'keyfile', algorithm: 'rsa3072' });
  await step('openssl opens the Keystore file with the password, and key and certificate belong together', async () => {
    const [keystore, ...more] = readdirSync(`${agent.home}`, { recursive: true }).filter((f) => /\.(p12|pfx)$/.test(f));
    assert.ok(keystore && more.length === 0, `one Keystore file expected: ${[keystore, ...more]}`);
    const { certificate, about } = await openKeystore(`${agent.home}/${keystore}`, file.secret, dir);
    assert.equal(serialOf(certificate), file.serial);
    assert.match(about, /AES-256/, about);
    await assert.rejects(openKeystore(`${agent.home}/${keystore}`, `${file.secret}x`, dir), 'a wrong password opened it');
    copyFileSync(`${agent.home}/${keystore}`, `${dir}/keystore.p12`);
  });
  const signed = await declare({ source: declaration, certificate: file, expect: 'sent', name: 'import' });
  await step('a changed document is refused by xmlsec1 and by the portal', async () => {
    const changed = `${dir}/import-changed.xml`;
    writeFileSync(changed, readFileSync(signed, 'utf8').replace('currency="EUR">187500.00<', 'currency="EUR">17500.00<'));
    assert.notEqual(sha256(changed), sha256(signed));
    await refuseXML({ ...judge, file: changed });
    await person.addDocument(declaration);
    await person.page.click('details summary');
    await person.page.setInputFiles('#signed', changed);
    await person.page.click('#send-file');
    await until('the refusal', async () => (await person.documentState()) === 'refused');
    await person.picture('refused-changed');
  });

  await step('the person may refuse to sign; nothing is signed and nothing is sent', async () => {
    const id = await person.addDocument(declaration);
    await person.page.click('#sign');
    await hands.approve({ origin: authority.url, documentName: 'import-declaration.xml', sha256: sha256(declaration), serial: file.serial, refuse: true });
    await person.page.locator('#agent-problem:not([hidden])').waitFor();
    assert.equal(await person.page.innerText('#agent-problem-code'), 'user_cancelled');
    assert.equal(await person.documentState(), 'draft', id);
  });

  part('The same with a card');
  const onCard = await obtain({ store: 'pkcs11', algorithm: 'p256' });
  await step('pkcs11-tool lists key and certificate on the token; the key cannot be taken out', async () => {
    const text = await tokenObjects(card.module, card);
    writeFileSync(`${dir}/token-objects.txt`, text);
    assert.match(text, /Private Key Object; EC/);
    assert.match(text, /Certificate Object/);
    assert.match(text, /never extractable/);
    assert.ok(text.replace(/\s/g, '').toLowerCase().includes(onCard.serial.replace(/^0+/, '')) || /subject:.*CN/i.test(text), text);
  });
  await declare({ source: exported, certificate: onCard, expect: 'sent', name: 'export' });

  part('Suspension, resumption, revocation');
  const { serial, code, pem } = file;
  const status = () => ocsp({ ...judge, pem });
  await step('a wrong verification code changes nothing', async () => {
    const { problem } = await person.wish('suspend', serial, onCard.code, 'carrier-lost'); // the other certificate's
    assert.equal(problem, 'code_incorrect');
    await person.picture('wrong-code');
    assert.equal(await person.certificateState(serial), 'active');
    assert.equal(await status(), 'good');
  });
  await step('suspend: with the right code it acts at once; openssl ocsp says revoked, certificateHold', async () => {
    const { state } = await person.wish('suspend', serial, code, 'carrier-lost');
    assert.equal(state, 'resolved');
    assert.equal(await status(), 'revoked certificateHold');
    assert.equal(await verifyCertificate({ ...judge, pem, dir }), 'revoked');
    assert.equal(await person.certificateState(serial), 'suspended');
    await person.picture('suspended');
    await person.mail(/zawiesz/i);
  });
  await declare({ source: declaration, certificate: file, expect: 'refused', name: 'import-while-suspended' });
  await step('resume: a second factor, the code, and the help desk\u2019s decision; openssl ocsp says good', async () => {
    const { ticket, state } = await person.wish('resume', serial, code);
    assert.equal(state, 'submitted');
    assert.equal(await status(), 'revoked certificateHold');
    await clerk.logIn();
    await clerk.go('/helpdesk');
    await clerk.picture('helpdesk');
    await clerk.decide(ticket, 'approve', 'Tożsamość potwierdzona telefonicznie.');
    assert.equal(await status(), 'good');
    assert.equal(await verifyCertificate({ ...judge, pem, dir }), 'good');
    assert.equal(await person.certificateState(serial), 'active');
    await person.mail(/wznow/i);
  });
  await declare({ source: declaration, certificate: file, expect: 'sent', name: 'import-after-resumption' });
  await step('revoke: held at once, then the help desk decides; openssl ocsp says revoked, keyCompromise', async () => {
    const { ticket, state } = await person.wish('revoke', serial, code, 'key-disclosed');
    assert.equal(state, 'submitted');
    assert.equal(await status(), 'revoked certificateHold');
    await clerk.decide(ticket, 'approve', 'Zgłoszone ujawnienie klucza.');
    assert.equal(await status(), 'revoked keyCompromise');
    assert.equal(await verifyCertificate({ ...judge, pem, dir }), 'revoked');
    assert.equal(await person.certificateState(serial), 'revoked');
    await person.picture('revoked');
  });
  await step('the other certificate is untouched', async () => {
    assert.equal(await ocsp({ ...judge, pem: onCard.pem }), 'good');
  });

  part('What is left behind');
  await step('journal and audit trail are whole', async () => {
    await agent.certsign('journal', '--verify');
    await authority.customsCA('audit', 'verify');
  });
  await step('no log holds a PIN, a password or a verification code', async () => {
    for (const log of [authority.log, agent.log]) {
      const text = readFileSync(log, 'utf8');
      for (const secret of [file.secret, card.pin, accounts.person.password, accounts.helpdesk.password, code, onCard.code]) {
        assert.ok(!text.includes(secret), `${log} holds a secret`);
      }
    }
  });
  await step('all that agent, pages and CA said to each other holds no key, PIN or password', async () => {
    const octets = await world.recorder.holdsNone({
      'the password of the Keystore file': file.secret, 'the PIN of the card': card.pin, 'the password of the account': accounts.person.password,
      ...(await numbersOf(`${dir}/keystore.p12`, file.secret)),
    });
    assert.ok(octets > 100_000, `only ${octets} octets were recorded`);
    world.recorder.save(dir);
  });
  await step('no page had a script error', async () => {
    assert.deepEqual([...person.trouble, ...clerk.trouble], []);
  });
  await portal.close();

  /** Generates a certificate, saves it, downloads the confirmation, and has each judged. */
  async function obtain({ store, algorithm }) {
    const where = store === 'keyfile' ? 'a Keystore file' : 'the card';
    const secret = store === 'keyfile' ? world.newSecret() : card.pin;
    await step(`generate a certificate into ${where}: second factor, terms, and CertSign\u2019s window`, async () => {
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
      await person.page.click('#start');
      await person.agentState('connected');
      await hands.chooseStore({ store, algorithm, place: store === 'pkcs11' ? card.label : undefined, site: authority.url });
      if (store === 'keyfile') await keyboard.newPassword(secret, { picture: `${pictures}/pin-new-password.png` });
      else await keyboard.pin(secret, { picture: `${pictures}/pin-card.png` });
      if (store === 'pkcs11') await world.answerFurtherPINs(person, secret);
      await person.arrive(/\/certificates\/[0-9a-f]+\/issued$/);
      await person.picture(`issued-${store}`);
    });
    const serial = person.path().split('/').at(-2);
    const pem = `${dir}/${store}.pem`;
    await step('save the certificate; openssl verify -crl_check and openssl ocsp say good', async () => {
      const saved = await person.download('#save-certificate', `${store}.cer`);
      toPEM(readFileSync(saved), pem);
      assert.equal(serialOf(pem).replace(/^0+/, ''), serial.replace(/^0+/, ''));
      const text = await certificateText(pem);
      writeFileSync(`${dir}/${store}.txt`, text);
      assert.match(text, new RegExp(`CN = ${accounts.person.name}|CN=${accounts.person.name}`));
      assert.match(text, /Digital Signature, Non Repudiation/);
      assert.match(text, store === 'keyfile' ? /sha256WithRSAEncryption|ecdsa-with-SHA/ : /Signature Algorithm/);
      assert.equal(await verifyCertificate({ ...judge, pem, dir }), 'good');
      assert.equal(await ocsp({ ...judge, pem }), 'good');
      await crlOf(pem, `${dir}/crl.pem`);
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
    return { store, serial, pem, code, secret };
  }

  /** Signs a declaration with a certificate and submits it. Returns the signed file. */
  async function declare({ source, certificate, expect, name }) {
    const documentName = source.split('/').at(-1);
    const saved = `${dir}/${name}-signed.xml`;
    await step(`sign ${documentName} (${name}): the window shows the document, its SHA-256 and the certificate; then the ${certificate.store === 'keyfile' ? 'password' : 'PIN'}`, async () => {
      await person.addDocument(source);
      await person.picture(`document-${name}`);
      await person.page.click('#sign');
      await hands.approve({
        origin: authority.url, documentName, sha256: sha256(source), serial: certificate.serial,
        contains: [source === declaration ? 'Zażółć Gęślą & Jaźń Sp. z o.o.' : 'Wytwórnia Łożysk „Śruba” S.A.'], name: `window-sign-${name}`,
      });
      await keyboard.pin(certificate.secret, { picture: `${pictures}/pin-sign-${certificate.store}.png` });
      await person.page.locator('#send:enabled').waitFor();
      await person.picture(`signed-${name}`);
      await person.download('#save-signed', `${name}-signed.xml`);
      world.recorder?.heard('page to agent', readFileSync(source));
      world.recorder?.heard('agent to page', readFileSync(saved));
    });
    await step(`xmlsec1 --verify accepts the signature (${certificate.store === 'keyfile' ? 'RSA' : 'ECDSA'})`, async () => {
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
        const { stdout } = await agent.certsign('--json', 'verify', '--trust', world.rootFile, saved);
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
}
