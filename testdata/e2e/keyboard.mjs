// The journey with the keyboard alone, the help desk's part too: Tab, Shift+Tab, Enter, Space, Escape, arrow keys and typing. Files are
// chosen in the browser's own dialog, which opens by keyboard too; there the driver names the file.

import { readFileSync } from 'node:fs';
import { assert, part, step } from './lib/steps.mjs';
import { openPortal, raise } from './lib/stage.mjs';
import { until } from './lib/processes.mjs';
import { pdfText, verifyXML } from './lib/judges.mjs';
import { declaration } from './tasks.mjs';

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

/** Downloads with a key. */
async function download(page, selector, file) {
  await tabTo(page, selector);
  const [download] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('Enter')]);
  await download.saveAs(file);
  assert.ok(readFileSync(file).length > 500);
  return file;
}

/** Opens the browser's dialog for a file, and presses again when it does not come. */
async function choose(page) {
  const opened = page.waitForEvent('filechooser');
  for (;;) {
    await page.keyboard.press('Space');
    const chooser = await Promise.race([opened, new Promise((resolve) => setTimeout(resolve, 10_000))]);
    if (chooser) return chooser;
  }
}

async function logIn(visitor) {
  await visitor.go('/login');
  await type(visitor.page, '#email', visitor.email);
  await type(visitor.page, '#password', visitor.password);
  await visitor.page.keyboard.press('Enter');
  await visitor.arrive(/^\/(my|helpdesk)$/);
}

async function secondFactor(visitor) {
  const { page } = visitor;
  await press(page, '#send-code');
  await page.waitForSelector('#code');
  const { text } = await visitor.mail(/Kod jednorazowy: \d{6}/);
  await type(page, '#code', /: (\d{6})/.exec(text)[1]);
  await page.keyboard.press('Enter');
}

export async function keyboard(dir) {
  part('Three programs on this computer');
  const world = await raise(dir);
  const { authority, accounts, card, windows, keyboard: keys } = world;
  const judge = { root: world.rootFile, issuer: world.issuerFile };
  const portal = await openPortal(world);
  const person = await portal.visitor(accounts.person);
  const clerk = await portal.visitor(accounts.helpdesk);
  const { page } = person;
  page.on('filechooser', () => {}); // while somebody listens, the driver takes each dialog for a file; else the first could escape it

  part('With the keyboard alone');
  await step('log in', () => logIn(person));
  await step('to the list of certificates, second factor', async () => {
    await press(page, 'nav a[href="/my/certificates"]');
    await press(page, '#generate');
    await secondFactor(person);
  });
  await step('open the terms, the certificate policy and the practice statement, and accept them', async () => {
    for (const document of ['terms', 'cp', 'cps']) {
      await tabTo(page, `main a[href="/docs/${document}"]`);
      const [tab] = await Promise.all([page.context().waitForEvent('page'), page.keyboard.press('Enter')]);
      await tab.waitForLoadState();
      assert.ok((await tab.locator('main').innerText()).length > 300);
      await tab.close();
    }
    await press(page, '#accept', 'Space');
    await press(page, '#accept-terms');
    await person.arrive(/\/generate\/agent$/);
  });
  const file = await obtain('keyfile', world.newSecret(), 'choose the Keystore in CertSign\u2019s window and a password in the PIN program');
  await sign(file, 'sent');

  await step('a second certificate: no second factor so soon, but the terms again', async () => {
    await press(page, 'nav a[href="/my/certificates"]');
    await press(page, '#generate');
    await page.waitForSelector('#accept, #send-code');
    if (await page.locator('#send-code').count()) await secondFactor(person);
    await press(page, '#accept', 'Space');
    await press(page, '#accept-terms');
    await person.arrive(/\/generate\/agent$/);
  });
  await sign(await obtain('pkcs11', card.pin, 'choose the card in CertSign\u2019s window and type its PIN'), 'sent');

  await step('suspend the first certificate', async () => {
    assert.equal((await wish('suspend')).state, 'resolved');
  });
  await sign(file, 'refused');
  await step('resume it: second factor and code; the help desk\u2019s clerk decides by keyboard too', async () => {
    const { ticket, state } = await wish('resume');
    assert.equal(state, 'submitted');
    await logIn(clerk);
    await decide(ticket, 'Tożsamość potwierdzona telefonicznie.');
    assert.equal(await person.certificateState(file.serial), 'active');
  });
  await step('revoke it; the clerk decides', async () => {
    const { ticket, state } = await wish('revoke');
    assert.equal(state, 'submitted');
    await decide(ticket, 'Zgłoszone ujawnienie klucza.');
    assert.equal(await person.certificateState(file.serial), 'revoked');
  });
  await step('log out', async () => {
    await press(page, '#logout');
    await until('the session to end', async () => (await page.locator('#logout').count()) === 0);
    assert.equal((await page.request.get(`${authority.url}/my`, { maxRedirects: 0 })).status(), 303);
  });
  await portal.close();

  /** From the page that reaches the agent to the files in hand. */
  async function obtain(store, secret, what) {
    await step(what, async () => {
      await press(page, '#start');
      const window = await windows.next('store');
      const chosen = () => window.isChecked(`[id^="store-${store}"]`);
      for (let i = 0; i < 4 && !(await chosen()); i++) {
        await tabTo(window, '[name=store]');
        await window.keyboard.press('ArrowDown');
      }
      assert.ok(await chosen());
      await press(window, '#ok');
      if (store === 'keyfile') await keys.newPassword(secret);
      else {
        await keys.pin(secret);
        await world.answerFurtherPINs(person, secret);
      }
      await person.arrive(/\/issued$/);
    });
    const serial = person.path().split('/').at(-2);
    const code = await step('save the certificate and the confirmation', async () => {
      await download(page, '#download-certificate', `${dir}/${store}.cer`);
      const text = await pdfText(await download(page, '#download-pdf', `${dir}/${store}-confirmation.pdf`));
      return /\b[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z*~$=]/.exec(text)[0];
    });
    return { store, secret, serial, code };
  }

  async function sign({ store, secret, serial }, expect) {
    await step(`put a declaration on the desk, and sign it in CertSign\u2019s window with the key ${store === 'keyfile' ? 'in the Keystore' : 'on the card'}`, async () => {
      await press(page, 'nav a[href="/my/documents"]');
      await person.arrive(/^\/my\/documents$/);
      await page.waitForLoadState('networkidle');
      await tabTo(page, '#document');
      const chooser = await choose(page);
      await chooser.setFiles(declaration);
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
      const chosen = async () => (await window.locator('.certificates .choice:has(:checked) dd.mono').allInnerTexts()).join();
      for (let i = 0; i < 4 && trimmed(await chosen()) !== trimmed(serial); i++) await window.keyboard.press('ArrowDown');
      assert.equal(trimmed(await chosen()), trimmed(serial));
      await window.waitForSelector('#sign:not([aria-disabled=true])');
      await press(window, '#sign');
      await keys.pin(secret);
      await page.locator('#send:enabled').waitFor();
    });
    await step(expect === 'sent' ? 'send it, and fetch the receipt; xmlsec1 --verify accepts the seal' : 'send it: refused, and the reason is said', async () => {
      await press(page, '#send:enabled');
      await until('the answer', async () => !['draft', null].includes(await person.documentState()));
      assert.equal(await person.documentState(), expect, await person.said());
      if (expect === 'sent') await verifyXML({ ...judge, file: await download(page, '#download-receipt', `${dir}/receipt.xml`) });
      else assert.match(await person.said(), /zawiesz/i);
    });
  }

  async function wish(kind) {
    await press(page, 'nav a[href="/my/certificates"]');
    await press(page, `[data-serial="${file.serial}"] a[href$="/${kind}"]`);
    if (kind === 'resume') {
      await person.arrive(/\/resume/);
      await secondFactor(person);
    } else {
      await tabTo(page, '#reason');
      await page.keyboard.press('ArrowDown');
      assert.notEqual(await page.inputValue('#reason'), '');
    }
    await type(page, '#verification', file.code);
    await page.keyboard.press('Enter');
    await press(page, '#submit-request');
    await person.arrive(/^\/my\/requests\//);
    const ticket = page.locator('#ticket');
    return { ticket: await ticket.innerText(), state: await ticket.getAttribute('data-state') };
  }

  async function decide(ticket, comment) {
    await clerk.go('/helpdesk');
    await type(clerk.page, `[data-ticket="${ticket}"] textarea`, comment);
    await press(clerk.page, `[data-ticket="${ticket}"] button[value=approve]`);
    await until('the request to leave the list', async () => (await clerk.page.locator(`[data-ticket="${ticket}"]`).count()) === 0);
  }
}

const trimmed = (serial) => serial.toLowerCase().replace(/^0+/, '');
