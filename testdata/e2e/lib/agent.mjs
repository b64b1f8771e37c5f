// What a person does in CertSign's own windows.

import { assert } from './steps.mjs';

/** A person before the agent: its windows, and the keyboard for PINs. */
export class Hands {
  constructor(windows, keyboard, { pictures } = {}) {
    Object.assign(this, { windows, keyboard, pictures });
  }

  picture(name) {
    return this.pictures ? `${this.pictures}/${name}.png` : undefined;
  }

  /** A window as it is seen: its top and, where not all of it fits, its end. */
  async snap(page, name) {
    if (!this.pictures) return;
    await page.evaluate(() => scrollTo(0, 0));
    await page.screenshot({ path: this.picture(name) });
    if (!(await page.evaluate(() => (scrollTo(0, document.body.scrollHeight), scrollY > 0)))) return;
    await page.screenshot({ path: this.picture(`${name}-end`) });
  }

  /** Presses a button that is armed only after it could be read. */
  async #press(page, selector) {
    await page.waitForSelector(`${selector}:not([aria-disabled=true])`);
    await page.click(selector);
  }

  /** A new site wants to talk. */
  async answerOrigin(origin, answer) {
    const page = await this.windows.next('origin');
    assert.ok((await page.locator('dl.asks').innerText()).includes(origin), `the window does not name ${origin}`);
    assert.equal(await page.evaluate(() => document.activeElement?.id), 'refuse', 'the safe answer has the focus');
    await this.snap(page, 'window-origin');
    await this.#press(page, answer === 'allow' ? '#allow' : '#refuse');
    await this.windows.gone(page);
  }

  /** "Cryptographic service configuration": where shall the key live? */
  async chooseStore({ store, place, algorithm, site, name }) {
    const page = await this.windows.next('store');
    const text = await page.locator('main').innerText();
    assert.ok(text.includes(site), `the window does not name ${site}`);
    const offered = await page.locator('[name=store]').evaluateAll((all) => all.map((r) => r.value));
    assert.ok(offered.includes(store), `${store} is not offered: ${offered}`);
    const usable = await page.locator('[name=store]:enabled').evaluateAll((all) => all.map((r) => r.value));
    if (usable.includes('pkcs11')) assert.equal(usable[0], 'pkcs11', 'a card stands first');
    assert.ok(usable.includes(store), `${store} cannot be used: ${text}`);
    await page.click(`label[for=store-${store}]`);
    assert.ok(await page.isChecked(`[name=store][value=${store}]`));
    const places = page.locator(`input[data-store=${store}]`);
    if (place && (await places.count()) > 0) await places.and(page.getByLabel(place)).check();
    else if (place) assert.ok(text.includes(place), `${place} is not offered`);
    await page.locator('details.advanced').evaluate((d) => (d.open = true));
    if (algorithm) await page.selectOption(`[name=algorithm-${store}]`, algorithm);
    if (store === 'keyfile') assert.match(await page.locator('#about-keyfile').innerText(), /odzyska|recover/i, 'nobody said that the password cannot be recovered');
    await this.snap(page, name ?? `window-store-${store}`);
    await page.click('#ok');
    return { offered, text };
  }

  /** The consent window: the document, the certificate, and the signature. */
  async approve({ origin, documentName, sha256, serial, contains = [], name = 'window-sign', refuse = false }) {
    const page = await this.windows.next('sign');
    const text = await page.locator('main').innerText();
    const squeezed = text.replace(/[\s:]/g, '').toLowerCase();
    assert.ok(text.includes(origin), `the window does not name ${origin}`);
    assert.ok(text.includes(documentName), `the window does not name ${documentName}`);
    assert.ok(squeezed.includes(sha256), 'the window does not show the document\u2019s SHA-256');
    for (const part of contains) assert.ok(text.includes(part), `the window does not show ${part}`);
    assert.equal(await page.evaluate(() => document.activeElement?.id), 'refuse', 'the safe answer has the focus');
    assert.equal(await page.locator('#sign[data-armed]').count(), 1, 'the button can be pressed before anything could be read');
    if (refuse) {
      await page.click('#refuse');
      return;
    }
    await this.#choose(page, serial);
    await this.snap(page, name);
    await this.#press(page, '#sign');
  }

  async #choose(page, serial) {
    for (const choice of await page.locator('.certificates .choice').all()) {
      if ((await choice.innerText()).replace(/[\s:]/g, '').toLowerCase().includes(serial.replace(/^0+/, ''))) {
        assert.match(await choice.innerText(), /\d+ (dni|dzień|days|day)/, 'days left are not shown');
        await choice.locator('label').click();
        assert.ok(await choice.locator('input').isChecked());
        return;
      }
    }
    throw new Error(`the certificate ${serial} is not offered`);
  }
}
