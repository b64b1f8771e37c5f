// The page's library in real browsers, against a real agent whose windows are answered as a person would.
//
//   cd testdata/e2e && node --test

import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { chromium, loadPuppeteer, root } from './lib/require.mjs';
import { freePort, start, stop, stopAll, until } from './lib/processes.mjs';
import { headless, Windows } from './lib/desktop.mjs';
import { Hands } from './lib/agent.mjs';
import { Agent, Card, emptyFolder, selfSigned } from './lib/world.mjs';

const script = readFileSync(`${root}/ca/portal/static/certsign.js`);
const inCI = process.env.CI !== undefined && process.env.CI !== '';

/** A web site of nothing but the library. The page's headers and its frame come in the query. */
async function site() {
  const server = createServer((request, response) => {
    const url = new URL(request.url, 'http://page');
    if (url.pathname === '/certsign.js') return response.setHeader('Content-Type', 'text/javascript').end(script);
    const csp = url.searchParams.get('csp');
    if (csp) response.setHeader('Content-Security-Policy', csp);
    response.setHeader('Content-Type', 'text/html; charset=utf-8');
    const frame = url.searchParams.get('frame');
    const attributes = url.searchParams.get('attributes') ?? '';
    response.end(`<!doctype html><html lang="en"><title>page</title><script src="/certsign.js"></script>${frame ? `<iframe src="${frame.replaceAll('"', '&quot;')}" ${attributes}></iframe>` : ''}`);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: server.address().port, close: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))) };
}

/** Runs in the page: connects and tells how it ended, and through which states. */
const connect = async (options) => {
  const states = [];
  try {
    window.client = await CertSign.connect({ ...options, onState: (s) => states.push(s) });
    return { states, status: await window.client.status() };
  } catch (error) {
    return { states, code: error.code ?? error.name, detail: error.detail ?? error.message };
  }
};

let dir, web, windows, hands, agent, port, card;

before(async () => {
  dir = emptyFolder(`${root}/build/bridge`);
  web = await site();
  windows = new Windows(dir, { lang: 'en' });
  hands = new Hands(windows, undefined);
  port = await freePort();
  card = new Card(dir);
  await card.initialise();
  await selfSigned(card, dir, 'Barbara Test');
  await startAgent();
});

after(async () => {
  await web?.close();
  await stopAll();
});

async function startAgent() {
  agent = new Agent(dir, { windows, card, lang: 'en', port });
  for (const host of ['listed-chromium', 'listed-firefox']) await agent.allow(host, `http://${host}.localhost:${web.port}`);
  await agent.run();
}

const browsers = {
  Chromium: {
    installed: () => existsSync('/usr/bin/chromium'),
    async open() {
      const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', headless: true, args: headless.filter((f) => f !== '--no-sandbox') });
      const context = await browser.newContext();
      return {
        page: async (url) => { const page = await context.newPage(); await page.goto(url); return page; },
        frame: (page) => page.frames().at(-1),
        cdp: () => browser.newBrowserCDPSession(),
        close: () => browser.close(),
      };
    },
  },
  Firefox: {
    installed: () => existsSync('/usr/bin/firefox-esr'),
    async open() {
      const browser = await loadPuppeteer().launch({ browser: 'firefox', executablePath: '/usr/bin/firefox-esr', headless: true });
      return {
        page: async (url) => { const page = await browser.newPage(); await page.goto(url); return page; },
        frame: (page) => page.frames().at(-1),
        close: () => browser.close(),
      };
    },
  },
};

for (const [name, { installed, open }] of Object.entries(browsers)) {
  describe(name, { skip: !installed() && !inCI && `${name} is not installed` }, () => {
    let browser, page;
    const listed = `listed-${name.toLowerCase()}`;
    const url = (host, query = {}) => `http://${host}.localhost:${web.port}/?${new URLSearchParams(query)}`;
    before(async () => { browser = await open(); });
    after(() => browser?.close());
    afterEach(() => page?.close());

    test('a site on the list connects without a question, and the agent sees its origin', async () => {
      page = await browser.page(url(listed));
      const { states, status, code, detail } = await page.evaluate(connect, { ports: [port] });
      assert.equal(code, undefined, `${code}: ${detail}`);
      assert.deepEqual(states, ['searching', 'connected']);
      assert.equal(status.origin, `http://${listed}.localhost:${web.port}`);
      assert.equal(status.site, listed);
      assert.equal(status.protocol, 1);
    });

    test('a new site waits for the person, who lets it in; it is not asked about again', async () => {
      const host = `new-${name.toLowerCase()}`;
      page = await browser.page(url(host));
      const connecting = page.evaluate(connect, { ports: [port] });
      await hands.answerOrigin(`http://${host}.localhost:${web.port}`, 'allow');
      const { states, status, detail } = await connecting;
      assert.deepEqual(states, ['searching', 'awaiting-approval', 'connected'], detail);
      assert.equal(status.connected, true);
      await page.close();
      page = await browser.page(url(host));
      assert.deepEqual((await page.evaluate(connect, { ports: [port] })).states, ['searching', 'connected']);
    });

    test('a new site that the person refuses is origin_rejected, and stays so without another window', async () => {
      const host = `refused-${name.toLowerCase()}`;
      page = await browser.page(url(host));
      const connecting = page.evaluate(connect, { ports: [port] });
      await hands.answerOrigin(`http://${host}.localhost:${web.port}`, 'refuse');
      const { states, code } = await connecting;
      assert.equal(code, 'origin_rejected');
      assert.deepEqual(states, ['searching', 'awaiting-approval', 'disconnected']);
      const windowsBefore = windows.unexpected();
      assert.equal((await page.evaluate(connect, { ports: [port] })).code, 'origin_rejected');
      assert.equal(windows.unexpected(), windowsBefore);
    });

    test('where no agent runs it is agent_not_running, within a second', async () => {
      page = await browser.page(url(listed));
      const ports = [await freePort(), await freePort()];
      const { code, states } = await page.evaluate(connect, { ports });
      assert.equal(code, 'agent_not_running');
      assert.deepEqual(states, ['searching', 'disconnected']);
    });

    test('a program that accepts and says nothing does not hide the agent', async () => {
      const silent = createServer(() => {});
      await new Promise((resolve) => silent.listen(0, '127.0.0.1', resolve));
      try {
        page = await browser.page(url(listed));
        const { code, detail } = await page.evaluate(connect, { ports: [silent.address().port, port] });
        assert.equal(code, undefined, detail);
        assert.equal((await page.evaluate(connect, { ports: [silent.address().port] })).code, 'agent_not_running');
      } finally {
        silent.closeAllConnections();
        silent.close();
      }
    });

    test('a page whose own policy forbids it is csp_blocked', async () => {
      page = await browser.page(url(listed, { csp: "connect-src 'self'" }));
      assert.equal((await page.evaluate(connect, { ports: [port] })).code, 'csp_blocked');
      await page.close();
      // The policy lets it search and not connect: Chromium then reports an error and never a close.
      page = await browser.page(url(listed, { csp: 'connect-src http://127.0.0.1:*' }));
      assert.equal((await page.evaluate(connect, { ports: [port] })).code, 'csp_blocked');
    });

    test('the policy that the README names is enough', async () => {
      page = await browser.page(url(listed, { csp: "default-src 'self'; connect-src http://127.0.0.1:* ws://127.0.0.1:*" }));
      assert.equal((await page.evaluate(connect, { ports: [port] })).code, undefined);
    });

    test('a sandboxed frame without an origin is origin_rejected', async () => {
      page = await browser.page(url(listed, { frame: '/', attributes: 'sandbox="allow-scripts"' }));
      const frame = await until('the frame', () => browser.frame(page) !== page.mainFrame() && browser.frame(page));
      await frame.waitForFunction(() => typeof CertSign === 'object');
      assert.equal((await frame.evaluate(connect, { ports: [port] })).code, 'origin_rejected');
    });

    test('a frame of another site speaks for itself and not for the page around it', async () => {
      const framed = `framed-${name.toLowerCase()}`;
      page = await browser.page(url(listed, { frame: url(framed) }));
      const frame = await until('the frame', () => browser.frame(page) !== page.mainFrame() && browser.frame(page));
      await frame.waitForFunction(() => typeof CertSign === 'object');
      const connecting = frame.evaluate(connect, { ports: [port] });
      await hands.answerOrigin(`http://${framed}.localhost:${web.port}`, 'refuse');
      assert.equal((await connecting).code, 'origin_rejected');
    });

    test('documents go up and the person’s refusal comes back', async () => {
      page = await browser.page(url(listed));
      await page.evaluate(connect, { ports: [port] });
      const signing = page.evaluate(async () => {
        const events = [];
        const data = new Blob(['<zgłoszenie xmlns="urn:x">' + '<pozycja>ąęśćżźółń</pozycja>'.repeat(2000) + '</zgłoszenie>']);
        try {
          await client.sign([{ name: 'zgłoszenie.xml', mime: 'application/xml', data }], { onEvent: (e) => events.push(e.event) });
          return { events };
        } catch (error) {
          return { events, code: error.code, detail: error.detail };
        }
      });
      const window = await Promise.race([windows.next('sign'), signing.then((r) => assert.fail(`no window: ${JSON.stringify(r)}`))]);
      assert.ok((await window.innerText('main')).includes('zgłoszenie.xml'));
      await window.click('#refuse');
      const { code, events, detail } = await signing;
      assert.equal(code, 'user_cancelled', detail);
      assert.ok(events.includes('tickets') && events.includes('progress'), `${events}`);
    });

    test('a page that leaves in the middle leaves no window behind', async () => {
      page = await browser.page(url(listed));
      await page.evaluate(connect, { ports: [port] });
      await page.evaluate(() => void client.sign([{ name: 'a.xml', mime: 'application/xml', data: new Blob(['<a/>']) }]).catch(() => {}));
      const window = await windows.next('sign');
      await page.close();
      page = undefined;
      await windows.gone(window);
    });

    test('an agent that stops ends what was asked of it, and the next search finds the next one', async () => {
      page = await browser.page(url(listed));
      await page.evaluate(connect, { ports: [port] });
      const lost = page.evaluate(() => new Promise((resolve) => {
        client.sign([{ name: 'a.xml', mime: 'application/xml', data: new Blob(['<a/>']) }]).then(resolve, (e) => resolve(e.code));
      }));
      await windows.next('sign');
      await stop(agent.program);
      assert.equal(await lost, 'agent_unreachable');
      assert.equal(await page.evaluate(() => client.connected), false);
      assert.equal((await page.evaluate(connect, { ports: [port] })).code, 'agent_not_running');
      await startAgent();
      assert.equal((await page.evaluate(connect, { ports: [port] })).code, undefined);
    });

    test('an agent that is started while the page waits is found', async () => {
      await stop(agent.program);
      page = await browser.page(url(listed));
      const connecting = page.evaluate(connect, { ports: [port], launch: true });
      setTimeout(startAgent, 1500);
      const { states, code } = await connecting;
      assert.equal(code, undefined);
      assert.deepEqual(states, ['searching', 'awaiting-launch', 'connected']);
    });

    if (name === 'Chromium') {
      describe('Local Network Access', () => {
        // The page asks to be treated as one from the public Internet, for which the browser checks.
        const isPublic = { csp: 'treat-as-public-address' };
        let cdp, browserContextId;
        before(async () => {
          cdp = await browser.cdp();
          page = await browser.page(url(listed));
          const { targetInfos } = await cdp.send('Target.getTargets');
          browserContextId = targetInfos.find((t) => t.type === 'page' && t.url.includes(`${listed}.localhost:${web.port}`)).browserContextId;
          await page.close();
        });
        const permit = (setting) => cdp.send('Browser.setPermission', {
          permission: { name: 'loopback-network' }, setting, origin: `http://${listed}.localhost:${web.port}`, browserContextId,
        });

        test('granted: connects', async () => {
          await permit('granted');
          page = await browser.page(url(listed, isPublic));
          const { code, detail } = await page.evaluate(connect, { ports: [port] });
          assert.equal(code, undefined, detail);
        });

        test('denied: permission_denied', async () => {
          await permit('denied');
          page = await browser.page(url(listed, isPublic));
          assert.equal((await page.evaluate(connect, { ports: [port] })).code, 'permission_denied');
        });

        test('denied in a frame of another site: frame_not_delegated, unless the page around it delegates', async () => {
          await permit('denied');
          for (const [attributes, code] of [['', 'frame_not_delegated'], ['allow="loopback-network"', 'permission_denied']]) {
            page = await browser.page(url(listed, { frame: url('framed', isPublic), attributes }));
            const frame = await until('the frame', () => page.frames().length > 1 && page.frames().at(-1));
            await frame.waitForFunction(() => typeof CertSign === 'object');
            const result = await frame.evaluate(connect, { ports: [port] });
            assert.equal(result.code, code, result.detail);
            await page.close();
          }
          page = undefined;
        });
      });
    }
  });
}
