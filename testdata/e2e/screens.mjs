// Pictures of every page and window, in Polish and in English, below build/screens/LANG/screenshots.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { assert, part, step } from './lib/steps.mjs';
import { stopAll, until } from './lib/processes.mjs';
import { pdfText } from './lib/judges.mjs';
import { root } from './lib/require.mjs';
import { openPortal, raise } from './lib/stage.mjs';

const source = `${root}/testdata/messages/import-declaration.xml`;
const digest = createHash('sha256').update(readFileSync(source)).digest('hex');

export async function screens(dir) {
  for (const lang of ['pl', 'en']) {
    await walk(`${dir}/${lang}`, lang);
    await stopAll();
  }
}

async function walk(dir, lang) {
  part(`Pages and windows: ${lang}`);
  const world = await raise(dir, { lang });
  const { authority, accounts, hands, keyboard, card } = world;
  const pictures = `${dir}/screenshots`;
  mkdirSync(pictures, { recursive: true });
  const portal = await openPortal(world);
  const person = await portal.visitor(accounts.person);
  const { page } = person;
  const show = async (path, name) => {
    await person.go(path);
    await person.picture(name);
  };

  await step('pages for everybody', async () => {
    await person.go('/login');
    if ((await page.getAttribute('html', 'lang')) !== lang) await page.click('#language');
    for (const [path, name] of Object.entries({ '/': 'home', '/login': 'login', '/download': 'download', '/docs/terms': 'docs-terms', '/docs/cp': 'docs-cp', '/docs/cps': 'docs-cps', '/verify': 'verify', '/mailbox': 'mailbox-empty' })) {
      await show(path, name);
    }
    await page.goto(`${authority.url}/nowhere`);
    await person.picture('not-found');
    await person.go('/login');
    await page.click('#login');
    await page.locator('#problem').waitFor();
    await person.picture('login-problem');
  });
  await step('not eligible', async () => {
    const other = await portal.visitor(accounts.basic);
    await other.logIn();
    for (const [path, name] of [['/my', 'desktop-basic'], ['/my/data', 'data-basic'], ['/my/certificates/generate', 'not-eligible']]) {
      await other.go(path);
      await other.picture(name);
    }
    await other.page.context().close();
  });
  await step('generating', async () => {
    await person.logIn();
    await person.picture('desktop-new');
    await show('/my/data', 'data');
    await show('/my/certificates', 'certificates-none');
    await page.click('#generate');
    await person.picture('generate-code');
    await page.click('#send-code');
    await page.waitForSelector('#code');
    await person.picture('generate-code-sent');
    const { text } = await person.mail(/\d{6}/);
    await page.fill('#code', /: (\d{6})/.exec(text)[1]);
    await page.click('#confirm-code');
    await person.arrive(/terms$/);
    await person.picture('generate-terms');
    await page.check('#accept');
    await page.click('#accept-terms');
    await person.arrive(/agent$/);
    await person.picture('generate-agent');
    await page.click('#start');
    await person.agentState('connected');
    await person.picture('generate-agent-waiting');
    await hands.chooseStore({ store: 'keyfile', site: authority.url, name: 'window-store' });
    await keyboard.dialog();
    await keyboard.picture(`${pictures}/pin-new-password.png`);
    await keyboard.newPassword((world.secret = world.newSecret()));
    await person.arrive(/issued$/);
    await person.picture('issued');
    const notice = await world.windows.next('notice');
    await hands.snap(notice, 'window-enrolled');
    await notice.click('#ok');
  });
  const serial = person.path().split('/').at(-2);
  await step('the certificate and its confirmation', async () => {
    await show('/my/certificates', 'certificates');
    await show(`/my/certificates/${serial}`, 'certificate');
    const answer = await page.request.get(`${authority.url}/my/certificates/${serial}/confirmation.pdf`);
    writeFileSync(`${pictures}/confirmation.pdf`, await answer.body());
    world.code = /\b[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z*~$=]/.exec(await pdfText(`${pictures}/confirmation.pdf`))[0];
  });
  await step('signing, sending, the receipt', async () => {
    await show('/my/documents', 'documents-none');
    await person.addDocument(source);
    await person.picture('document');
    await page.click('#sign');
    await hands.approve({ origin: authority.url, documentName: 'import-declaration.xml', sha256: digest, serial, name: 'window-sign' });
    await keyboard.dialog();
    await keyboard.picture(`${pictures}/pin-sign.png`);
    await keyboard.pin(world.secret);
    await page.locator('#send:enabled').waitFor();
    await person.picture('document-signed');
    const signed = await person.download('#save-signed', 'signed.xml');
    assert.equal(await person.send(), 'sent');
    await person.picture('document-sent');
    await show('/my/documents', 'documents');
    await person.go('/verify');
    await page.setInputFiles('#document', signed);
    await page.click('#check');
    await page.locator('#verdict').waitFor();
    await person.picture('verify-result');
    await person.addDocument(source);
    await page.click('#sign');
    await hands.approve({ origin: authority.url, documentName: 'import-declaration.xml', sha256: digest, serial, refuse: true });
    await page.locator('#agent-problem:not([hidden])').waitFor();
    await person.picture('document-cancelled');
  });
  await step('a new site in the agent\u2019s window', async () => {
    // The same portal by another name is another origin, which the agent does not know.
    const elsewhere = await portal.visitor(accounts.person, { url: authority.url.replace('localhost', '127.0.0.1') });
    Object.assign(elsewhere, { url: authority.url.replace('localhost', '127.0.0.1') });
    await elsewhere.logIn();
    await elsewhere.addDocument(source);
    await elsewhere.page.click('#sign');
    await hands.answerOrigin(elsewhere.url, 'refuse');
    await elsewhere.page.locator('#agent-problem:not([hidden])').waitFor();
    await elsewhere.picture('document-origin-rejected');
    await elsewhere.page.context().close();
  });
  await step('requests and the help desk', async () => {
    await show(`/my/certificates/${serial}/suspend`, 'suspend');
    await person.wish('suspend', serial, world.code, 'on-request');
    await person.picture('request-resolved');
    await show(`/my/certificates/${serial}`, 'certificate-suspended');
    await person.go(`/my/certificates/${serial}/resume`);
    await person.picture('resume-code');
    const { ticket } = await person.wish('resume', serial, world.code);
    await person.picture('request-waiting');
    const clerk = await portal.visitor(accounts.helpdesk);
    await clerk.logIn();
    await clerk.go('/helpdesk');
    await clerk.picture('helpdesk');
    await clerk.decide(ticket, 'approve');
    await show(`/my/certificates/${serial}/revoke`, 'revoke');
    const revocation = await person.wish('revoke', serial, world.code, 'replaced');
    await clerk.decide(revocation.ticket, 'approve');
    await clerk.picture('helpdesk-empty');
    await show(`/my/certificates/${serial}`, 'certificate-revoked');
    await show('/my/requests', 'requests');
    await show('/my', 'desktop');
    await show(`/mailbox?address=${encodeURIComponent(person.email)}`, 'mailbox');
  });
  await step('a narrow screen', async () => {
    await page.setViewportSize({ width: 390, height: 800 });
    for (const [path, name] of [['/', 'home'], ['/my/certificates', 'certificates'], ['/my/documents', 'documents'], [`/my/certificates/${serial}`, 'certificate']]) {
      await person.go(path);
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wider <= 0, `${path} is ${wider} pixels wider than a narrow screen`);
      await person.picture(`narrow-${name}`);
    }
  });
  await step('no page had a script error', async () => assert.deepEqual(person.trouble, []));
  assert.ok(card.label);
  await until('the browser to close', () => portal.close().then(() => true));
}
