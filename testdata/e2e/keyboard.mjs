// One journey from login to receipt with the keyboard alone: Tab, Shift+Tab, Enter, Space, Escape, arrow keys and typing. Files are
// chosen in the browser's own dialog, which opens by keyboard too; there the driver names the file.

import { readFileSync, writeFileSync } from 'node:fs';
import { assert, part, step } from './lib/steps.mjs';
import { openPortal, raise } from './lib/stage.mjs';
import { until } from './lib/processes.mjs';
import { pdfText, verifyXML } from './lib/judges.mjs';
import { root } from './lib/require.mjs';

/** Presses Tab until the element has the focus, as somebody does who cannot use a mouse. */
async function tabTo(page, selector, { most = 80 } = {}) {
  await page.waitForSelector(selector);
  for (let i = 0; i <= most; i++) {
    const there = await page.evaluate((s) => {
      const e = document.activeElement;
      if (!e?.matches(s)) return false;
      const box = e.getBoundingClientRect();
      // The ring may be drawn around the label, or around the row that holds both.
      const drawn = [e, e.labels?.[0], e.parentElement, e.firstElementChild].filter(Boolean).map((x) => getComputedStyle(x));
      const ring = drawn.some((c) => c.outlineStyle !== 'none' && parseFloat(c.outlineWidth) > 0);
      return { visible: box.width > 0 && box.height > 0, ring };
    }, selector);
    if (there) {
      assert.ok(there.visible, `${selector} has the focus and cannot be seen`);
      assert.ok(there.ring, `${selector} has the focus and nothing shows it`);
      return;
    }
    await page.keyboard.press('Tab');
  }
  throw new Error(`${selector} cannot be reached with ${most} presses of Tab on ${page.url()}`);
}

async function press(page, selector, key = 'Enter') {
  await tabTo(page, selector);
  // An answered window may be gone before the key is up again.
  await page.keyboard.press(key).catch((error) => {
    if (!page.isClosed()) throw error;
  });
}

async function type(page, selector, text) {
  await tabTo(page, selector);
  await page.keyboard.type(text);
}

export async function keyboard(dir) {
  part('Three programs on this computer');
  const world = await raise(dir);
  const { authority, accounts, windows, keyboard: keys } = world;
  const portal = await openPortal(world);
  const person = await portal.visitor(accounts.person);
  const { page } = person;
  const source = `${root}/testdata/messages/import-declaration.xml`;
  const secret = world.newSecret();

  part('With the keyboard alone');
  await step('log in', async () => {
    await person.go('/login');
    await type(page, '#email', person.email);
    await type(page, '#password', person.password);
    await page.keyboard.press('Enter');
    await person.arrive(/^\/my$/);
  });
  await step('to the list of certificates, second factor, terms', async () => {
    await press(page, 'nav a[href="/my/certificates"]');
    await press(page, '#generate');
    await press(page, '#send-code');
    await page.waitForSelector('#code');
    const { text } = await person.mail(/Kod jednorazowy: \d{6}/);
    await type(page, '#code', /: (\d{6})/.exec(text)[1]);
    await page.keyboard.press('Enter');
    await press(page, '#accept', 'Space');
    await press(page, '#accept-terms');
    await person.arrive(/\/generate\/agent$/);
  });
  await step('choose the Keystore in CertSign\u2019s window and a password in the PIN program', async () => {
    await press(page, '#start');
    const window = await windows.next('store');
    for (let i = 0; i < 4 && !(await window.isChecked('#store-keyfile')); i++) {
      await tabTo(window, '[name=store]');
      await window.keyboard.press('ArrowDown');
    }
    assert.ok(await window.isChecked('#store-keyfile'));
    await press(window, '#ok');
    await keys.newPassword(secret);
    await person.arrive(/\/issued$/);
  });
  const serial = person.path().split('/').at(-2);
  await step('save the certificate and the confirmation', async () => {
    for (const selector of ['#download-pdf', '#save-certificate']) {
      await tabTo(page, selector);
      const [download] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('Enter')]);
      assert.ok(readFileSync(await download.path()).length > 500);
    }
  });
  await step('put a declaration on the desk, and sign it in CertSign\u2019s window', async () => {
    await press(page, 'nav a[href="/my/documents"]');
    await person.arrive(/^\/my\/documents$/);
    await page.waitForLoadState('networkidle');
    await tabTo(page, '#document');
    const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.keyboard.press('Space')]);
    await chooser.setFiles(source);
    await press(page, '#add-document');
    await person.arrive(/^\/my\/documents\/./);
    await press(page, '#sign');
    const window = await windows.next('sign');
    assert.equal(await window.evaluate(() => document.activeElement.id), 'refuse');
    await tabTo(window, '[role=treeitem]');
    const before = await window.evaluate(() => document.activeElement.innerText);
    await window.keyboard.press('ArrowDown');
    assert.notEqual(await window.evaluate(() => document.activeElement.innerText), before, 'the document cannot be read by keyboard');
    await tabTo(window, '[name=certificate]');
    await window.waitForSelector('#sign:not([aria-disabled=true])');
    await press(window, '#sign');
    await keys.pin(secret);
    await page.locator('#send:enabled').waitFor();
  });
  await step('send it, and fetch the receipt', async () => {
    await press(page, '#send:enabled');
    await until('the answer', async () => (await person.documentState()) === 'sent');
    await tabTo(page, '#download-receipt');
    const [download] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('Enter')]);
    const file = `${dir}/receipt.xml`;
    await download.saveAs(file);
    await verifyXML({ root: world.rootFile, issuer: world.issuerFile, file });
  });
  await step('suspend the certificate', async () => {
    const code = await verificationCode();
    await press(page, 'nav a[href="/my/certificates"]');
    await press(page, `[data-serial="${serial}"] a[href$="/suspend"]`);
    await tabTo(page, '#reason');
    await page.keyboard.press('ArrowDown');
    assert.notEqual(await page.inputValue('#reason'), '');
    await type(page, '#verification', code);
    await page.keyboard.press('Enter');
    await press(page, '#submit-request');
    await person.arrive(/^\/my\/requests\//);
    assert.equal(await page.getAttribute('#ticket', 'data-state'), 'resolved');
  });
  await step('log out', async () => {
    await press(page, '#logout');
    await until('the session to end', async () => (await page.locator('#logout').count()) === 0);
    assert.equal((await page.request.get(`${authority.url}/my`, { maxRedirects: 0 })).status(), 303);
  });
  await portal.close();

  async function verificationCode() {
    const answer = await page.request.get(`${authority.url}/my/certificates/${serial}/confirmation.pdf`);
    writeFileSync(`${dir}/confirmation.pdf`, await answer.body());
    return /\b[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z*~$=]/.exec(await pdfText(`${dir}/confirmation.pdf`))[0];
  }
}
