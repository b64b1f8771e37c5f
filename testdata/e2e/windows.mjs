// What the Windows build shows under Wine: a page's whole journey with each key store, from Chromium on Linux.
//
// Seen here: CertSign's own processes, windows, dialogs, files, locks, ports and jobs as Windows programs, with CAPI's own
// provider and a PKCS#11 module that was built for Windows. Not seen here: Edge or Chrome for Windows, whose part as a
// Windows process is played by testdata/wine/browser; CNG keys that stay; cards and their PIN dialogs; the desktop around it.

import { copyFileSync, readFileSync, readdirSync } from 'node:fs';
import { assert, part, step } from './lib/steps.mjs';
import { openKeystore, serialOf } from './lib/judges.mjs';
import { forms, numbersOf } from './lib/recorder.mjs';
import { openPortal, raise } from './lib/stage.mjs';
import { declaration, declare, exported, obtain } from './tasks.mjs';

const stores = [
  { store: 'keyfile', algorithm: 'p256', source: declaration },
  { store: 'pkcs11', algorithm: 'rsa2048', source: exported },
  { store: 'csp', algorithm: 'rsa2048', source: declaration },
];

export async function windows(dir) {
  part('CA and portal on Linux, the agent on Windows');
  const world = await raise(dir, { record: true, wine: true });
  const { accounts, agent, authority, card } = world;
  await step('the agent answers a process of its own Windows user, and none that it cannot tell', async () => {
    assert.equal((await agent.hello(agent.relay, authority.url)).agent, 'certsign');
    const { status, error } = await agent.hello(agent.port, authority.url);
    assert.deepEqual([status, error.code], [403, 'not_yours']);
  });
  const portal = await openPortal(world);
  const person = await portal.visitor(accounts.person);
  await step('logs in', () => person.logIn());

  const all = [];
  for (const { store, algorithm, source } of stores) {
    part({ keyfile: 'Keystore', pkcs11: 'PKCS#11', csp: 'CSP' }[store]);
    const certificate = await obtain(world, person, { store, algorithm });
    all.push(certificate);
    await step('certsign list shows it, in a process of its own', async () => {
      const { stdout } = await agent.certsign('--json', 'list');
      const listed = JSON.parse(stdout).certificates.find((c) => c.serial.replace(/^0+/, '') === certificate.serial.replace(/^0+/, ''));
      assert.equal(listed?.store, store, stdout);
    });
    await declare(world, person, { source, certificate, expect: 'sent', name: store });
  }

  part('An agent that is killed');
  await step('takes its window with it, and the page says that the agent is gone', async () => {
    await person.addDocument(declaration);
    await person.page.click('#sign');
    const window = await world.windows.next('sign');
    const { ended } = world.windows;
    await agent.kill();
    await world.windows.gone(window);
    assert.equal(world.windows.ended, ended + 1, 'the window\u2019s process outlived the agent');
    await person.page.locator('#agent-problem:not([hidden])').waitFor();
    assert.equal(await person.page.innerText('#agent-problem-code'), 'agent_unreachable');
  });
  await step('comes back by certsign open, as a process of its own, with the three certificates', async () => {
    await agent.open();
    const { stdout } = await agent.certsign('--json', 'list');
    const listed = JSON.parse(stdout).certificates.map((c) => `${c.store} ${c.serial.replace(/^0+/, '')}`);
    assert.deepEqual(listed.sort(), all.map((c) => `${c.store} ${c.serial.replace(/^0+/, '')}`).sort());
    assert.equal((await agent.hello(agent.state().port, authority.url)).error.code, 'not_yours');
    await agent.kill();
  });

  part('What is left behind');
  const key = await step('openssl opens the Keystore file with the password, and key and certificate belong together', async () => {
    const [keystore, ...more] = readdirSync(agent.home, { recursive: true }).filter((f) => /\.(p12|pfx)$/.test(f));
    assert.ok(keystore && more.length === 0, `one Keystore file expected: ${[keystore, ...more]}`);
    copyFileSync(`${agent.home}/${keystore}`, `${dir}/keystore.p12`);
    const { certificate, key } = await openKeystore(`${dir}/keystore.p12`, all[0].secret, dir);
    assert.equal(serialOf(certificate), all[0].serial);
    return key;
  });
  await step('the journal is whole', () => agent.certsign('journal', '--verify'));
  const secrets = { 'the password of the Keystore file': all[0].secret, 'the PIN of the card': card.pin, 'the password of the account': accounts.person.password };
  await step('no log holds a PIN or password', async () => {
    for (const log of [authority.log, agent.log]) {
      const text = readFileSync(log);
      for (const [name, secret] of Object.entries(secrets)) assert.ok(!forms(Buffer.from(secret)).some((form) => text.includes(form)), `${log} holds ${name}`);
    }
  });
  await step('all that agent, pages and CA said to each other holds no key, PIN or password', async () => {
    await world.recorder.holdsNone({ ...secrets, ...(await numbersOf(key)) });
  });
  await step('no page had a script error', async () => {
    assert.deepEqual(person.trouble, []);
  });
  await portal.close();
}
