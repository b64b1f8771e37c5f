// What a person does on the portal's pages. Each function is a short way that somebody goes, and ends where it should have led.

import { readFileSync } from 'node:fs';
import { assert } from './steps.mjs';
import { until } from './processes.mjs';

/** Everybody at the portal, for a look at their pages when a step fails. */
export const visitors = new Set();

/** A person at the portal, in a browser context of their own. */
export class Visitor {
  constructor(page, url, { email, password, lang = 'pl', files, pictures }) {
    Object.assign(this, { page, url, email, password, lang, files, pictures });
    page.setDefaultTimeout(60_000);
    this.trouble = [];
    visitors.add(this);
    this.page.on('close', () => visitors.delete(this));
    page.on('pageerror', (e) => this.trouble.push(`script error on ${page.url()}: ${e.message}`));
    page.on('console', (m) => {
      // Ports without an agent are refused, and the browser says so for each.
      if (m.type() === 'error' && !/net::ERR_CONNECTION_REFUSED|status of 4\d\d/.test(m.text())) this.trouble.push(`${page.url()}: ${m.text()}`);
    });
  }

  path() {
    return new URL(this.page.url()).pathname;
  }

  async go(path) {
    const response = await this.page.goto(this.url + path);
    assert.ok(response.ok(), `${path}: HTTP status ${response.status()}`);
  }

  /** A picture of the whole page. */
  async picture(name) {
    if (this.pictures) await this.page.screenshot({ path: `${this.pictures}/${name}.png`, fullPage: true, animations: 'allow', caret: 'initial' });
  }

  /** What the page says is wrong, if anything. */
  async said() {
    const problem = this.page.locator('#problem, #refusal, #agent-problem:not([hidden]), #problem-code');
    return (await problem.count()) > 0 ? (await problem.first().innerText()).replaceAll('\n', ' ') : '';
  }

  /** Waits until the page is at a path. */
  async arrive(pattern) {
    await this.page.waitForURL((u) => pattern.test(u.pathname)).catch(async (cause) => {
      throw new Error(`still at ${this.page.url()}, not at ${pattern}: ${await this.said()}`, { cause });
    });
  }

  async logIn() {
    await this.go('/login');
    if ((await this.page.locator('html').getAttribute('lang')) !== this.lang) await this.page.click('#language');
    await this.page.fill('[name=email]', this.email);
    await this.page.fill('[name=password]', this.password);
    await this.page.click('#login');
    await this.arrive(/^\/(my|helpdesk)/);
    assert.equal(await this.page.locator('html').getAttribute('lang'), this.lang);
  }

  /** The newest message in the mailbox whose subject or text matches, in a tab of its own. */
  async mail(pattern, { after } = {}) {
    const tab = await this.page.context().newPage();
    try {
      return await until(`a message ${pattern}`, async () => {
        await tab.goto(`${this.url}/mailbox?address=${encodeURIComponent(this.email)}`);
        for (const mail of await tab.locator('[data-mail]').all()) {
          const id = Number(await mail.getAttribute('data-mail'));
          const text = await mail.innerText();
          if ((after === undefined || id > after) && pattern.test(text)) return { id, text };
        }
        return undefined;
      }, { every: 200 });
    } finally {
      await tab.close();
    }
  }

  /** Has a one-time code sent, reads it in the mailbox and enters it. */
  async secondFactor({ wrongFirst = false } = {}) {
    await this.page.click('#send-code');
    const code = this.page.locator('[name=code]');
    await code.waitFor();
    if (wrongFirst) {
      await code.fill('000000');
      await this.page.click('#confirm-code');
      await this.page.locator('#problem').waitFor();
      assert.match(await this.said(), /kod|code/i);
    }
    const { text } = await this.mail(/Kod jednorazowy: \d{6}|One-time code: \d{6}/);
    await code.fill(/: (\d{6})/.exec(text)[1]);
    await this.page.click('#confirm-code');
  }

  async readAndAcceptTerms() {
    await this.arrive(/\/generate\/terms$/);
    for (const document of ['terms', 'cp', 'cps']) {
      const link = this.page.locator(`main a[href="/docs/${document}"]`);
      const [tab] = await Promise.all([this.page.context().waitForEvent('page'), link.click()]);
      await tab.waitForLoadState();
      assert.ok((await tab.locator('main').innerText()).length > 300, `/docs/${document} says too little`);
      await tab.close();
    }
    await this.page.click('#accept-terms');
    await this.page.locator('#problem').waitFor();
    await this.page.check('#accept');
    await this.page.click('#accept-terms');
    await this.arrive(/\/generate\/agent$/);
  }

  /** Waits for a state of the connection with the agent. */
  async agentState(...states) {
    const status = this.page.locator('#agent-status');
    await until(`the connection to be ${states.join(' or ')}`, async () => {
      if (await this.page.locator('#agent-problem:not([hidden])').count()) throw new Error(await this.said());
      return states.includes(await status.getAttribute('data-state'));
    }, { timeout: 60_000 });
    return status.innerText();
  }

  /** Follows a link or button that downloads, and returns the file's path. */
  async download(selector, name) {
    const downloadBy = async (press) => (await Promise.all([this.page.waitForEvent('download', { timeout: 20_000 }), press()]))[0];
    // On a very busy computer the headless browser sometimes does nothing at a click. A person then tries the key, and the page anew.
    const download = await downloadBy(() => this.page.click(selector))
      .catch(() => downloadBy(() => this.page.press(selector, 'Enter')))
      .catch(async () => {
        if (!/^\/my\/documents\//.test(this.path())) await this.page.reload(); // what was signed would be gone
        return downloadBy(() => this.page.click(selector));
      });
    const file = `${this.files}/${name ?? download.suggestedFilename()}`;
    await download.saveAs(file);
    assert.ok(readFileSync(file).length > 0, `${file} is empty`);
    return file;
  }

  /** Puts a document on the desk; ends on its page. */
  async addDocument(file) {
    await this.go('/my/documents');
    await this.page.setInputFiles('#document', file);
    await this.page.click('#add-document');
    await this.arrive(/^\/my\/documents\/[^/]+$/);
    assert.equal(await this.documentState(), 'draft');
    return this.path().split('/').at(-1);
  }

  documentState() {
    return this.page.locator('#document-state').getAttribute('data-state');
  }

  /** Sends what was signed on this page, and returns the document's state. */
  async send() {
    await this.page.click('#send:enabled');
    // The page is loaded anew with the answer; in between there is no page to ask.
    return until('a decision on the document', async () => {
      const state = await this.documentState();
      if (state === 'draft' && (await this.page.locator('#agent-problem:not([hidden])').count())) throw new Error(await this.said());
      return state !== 'draft' && state;
    });
  }

  async certificateState(serial) {
    await this.go(`/my/certificates/${serial}`);
    return this.page.locator('#certificate-state').getAttribute('data-state');
  }

  /** Files a request about a certificate; ends on the request's page and returns its ticket and state, or the problem's code. */
  async wish(kind, serial, code, reason) {
    await this.go('/my/certificates');
    await this.page.click(`[data-serial="${serial}"] a[href$="/${kind}"]`);
    if (kind === 'resume') {
      await this.arrive(/\/resume/);
      await this.secondFactor();
    }
    await this.page.locator('[name=verification]').waitFor();
    if (reason) await this.page.selectOption('[name=reason]', reason);
    await this.page.fill('[name=verification]', code);
    await this.page.click('#next');
    await this.page.locator('#submit-request').waitFor();
    await this.picture(`${kind}-summary`);
    await this.page.click('#submit-request');
    await this.page.locator('#ticket, #problem').first().waitFor();
    if (await this.page.locator('#problem').count()) return { problem: await this.page.getAttribute('#problem', 'data-code') };
    const ticket = this.page.locator('#ticket');
    return { ticket: await ticket.innerText(), state: await ticket.getAttribute('data-state') };
  }

  /** The help desk's clerk decides. */
  async decide(ticket, decision, comment) {
    await this.go('/helpdesk');
    const request = this.page.locator(`[data-ticket="${ticket}"]`);
    if (comment) await request.locator('textarea').fill(comment);
    await request.locator(`button[value=${decision}]`).click();
    await until('the request to leave the list', async () => (await this.page.locator(`[data-ticket="${ticket}"]`).count()) === 0);
  }
}
