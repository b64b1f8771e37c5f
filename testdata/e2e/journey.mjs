// The walk of demo.mjs.

import { copyFileSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { assert, part, step } from './lib/steps.mjs';
import { until } from './lib/processes.mjs';
import { ocsp, openKeystore, refuseXML, serialOf, tokenObjects, verifyCertificate } from './lib/judges.mjs';
import { numbersOf } from './lib/recorder.mjs';
import { openPortal, raise } from './lib/stage.mjs';
import { declaration, declare, exported, judgeOf, obtain, putBack, sha256 } from './tasks.mjs';

export async function journey(dir) {
  part('Three programs on this computer');
  const world = await raise(dir, { record: true });
  const { authority, agent, card, hands, accounts } = world;
  const portal = await openPortal(world);
  const judge = judgeOf(world);

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

  const file = await obtain(world, person, { store: 'keyfile', algorithm: 'rsa3072', interrupted: true });
  const key = await step('openssl opens the Keystore file with the password, and key and certificate belong together', async () => {
    const [keystore, ...more] = readdirSync(`${agent.home}`, { recursive: true }).filter((f) => /\.(p12|pfx)$/.test(f));
    assert.ok(keystore && more.length === 0, `one Keystore file expected: ${[keystore, ...more]}`);
    const [{ certificate, key, about }] = await Promise.all([ // each opening costs what deriving a key from a password costs
      openKeystore(`${agent.home}/${keystore}`, file.secret, dir),
      assert.rejects(openKeystore(`${agent.home}/${keystore}`, `${file.secret}x`, dir), 'a wrong password opened it'),
    ]);
    assert.equal(serialOf(certificate), file.serial);
    assert.match(about, /AES-256/, about);
    copyFileSync(`${agent.home}/${keystore}`, `${dir}/keystore.p12`);
    return key;
  });
  const signed = await declare(world, person, { source: declaration, certificate: file, expect: 'sent', name: 'import' });
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
  const onCard = await obtain(world, person, { store: 'pkcs11', algorithm: 'p256' });
  await step('pkcs11-tool lists key and certificate on the token; the key cannot be taken out', async () => {
    const text = await tokenObjects(card.module, card);
    writeFileSync(`${dir}/token-objects.txt`, text);
    assert.match(text, /Private Key Object; EC/);
    assert.match(text, /Certificate Object/);
    assert.match(text, /never extractable/);
    assert.ok(text.replace(/\s/g, '').toLowerCase().includes(onCard.serial.replace(/^0+/, '')) || /subject:.*CN/i.test(text), text);
  });
  await putBack(world, person, onCard);
  await declare(world, person, { source: exported, certificate: onCard, expect: 'sent', name: 'export' });

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
  await declare(world, person, { source: declaration, certificate: file, expect: 'refused', name: 'import-while-suspended' });
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
  await declare(world, person, { source: declaration, certificate: file, expect: 'sent', name: 'import-after-resumption' });
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
      ...(await numbersOf(key)),
    });
    assert.ok(octets > 100_000, `only ${octets} octets were recorded`);
    world.recorder.save(dir);
  });
  await step('no page had a script error', async () => {
    assert.deepEqual([...person.trouble, ...clerk.trouble], []);
  });
  await portal.close();
}
