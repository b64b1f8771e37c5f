// Puts the three programs up, step by step, and opens the portal.

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { assert, step } from './steps.mjs';
import { freePort, run } from './processes.mjs';
import { chromium } from './require.mjs';
import { headless, Keyboard, startDisplay, Windows } from './desktop.mjs';
import { Hands } from './agent.mjs';
import { Visitor } from './portal.mjs';
import { Recorder } from './recorder.mjs';
import { Computer, WineAgent, WineCard, WineWindows } from './wine.mjs';
import { Agent, answers, Authority, Card, emptyFolder, password, ports } from './world.mjs';

const firstPort = 18731;
const lastPort = 18794;

/** The accounts that every mode starts with. */
export function cast() {
  return {
    person: { email: 'grazyna.zolc@example.test', name: 'Grażyna Żółć-Świętosławska', given: 'Grażyna', surname: 'Żółć-Świętosławska', kind: 'extended', identity: 'PNOPL-44051401359', idsisc: 'PL440514013590000', password: password() },
    basic: { email: 'jozef.pliszka@example.test', name: 'Józef Pliszka', given: 'Józef', surname: 'Pliszka', kind: 'basic', identity: 'PNOPL-02070803628', password: password() },
    helpdesk: { email: 'helpdesk@example.test', role: 'helpdesk', kind: 'basic', password: password() },
  };
}

/**
 * Starts everything below dir. With own, the agent's windows and PIN program come up on this computer's display, as it finds
 * them itself; else where the driver is the person. With wine, the agent is the Windows build.
 */
export async function raise(dir, { wantedPorts = false, lang = 'pl', own = false, record = false, wine = false } = {}) {
  emptyFolder(dir);
  mkdirSync(`${dir}/screenshots`, { recursive: true });
  const accounts = cast();
  const authority = new Authority(dir);
  const rootFile = `${dir}/root.pem`;
  const issuerFile = `${dir}/issuing.pem`;
  let recorder;

  await step('key ceremony of a test authority: root, issuing CA, OCSP and seals, on an empty SQLite database', async () => {
    const all = await ports(wantedPorts);
    if (record) all.recorder = await freePort();
    await authority.init(all);
    if (record) {
      recorder = new Recorder(dir);
      await recorder.between(all.recorder, all.ca, `${authority.dir}/root.crt`);
    }
  });
  await step('accounts are seeded', () => seed(authority, accounts, lang));
  await step('portal, CA and status answer', async () => {
    await authority.serve();
    copyFileSync(`${authority.dir}/root.crt`, rootFile);
    copyFileSync(`${authority.dir}/external.crt`, issuerFile);
    const { stdout } = await run('openssl', ['verify', '-CAfile', rootFile, issuerFile]);
    assert.match(stdout, /OK/);
    for (const file of [rootFile, issuerFile]) {
      assert.match((await run('openssl', ['x509', '-in', file, '-noout', '-subject'])).stdout, /TEST/, 'a test authority must say so in its name');
    }
  });

  const display = own ? process.env.DISPLAY : await startDisplay(dir);
  const { card, windows, keyboard, agent } = await (wine ? onWine(dir, { display, lang }) : onLinux(dir, { display, lang, own }));
  const others = await foreignAgents();
  await step('certsign knows the portal, its CA and that CA\u2019s root, and runs', async () => {
    let roots = rootFile;
    if (recorder) {
      roots = `${dir}/agent-roots.pem`;
      writeFileSync(roots, readFileSync(rootFile, 'utf8') + readFileSync(recorder.certificate, 'utf8'));
    }
    await agent.certsign('sites', 'add', '--name', 'PUESC test', '--origin', authority.url, '--ca', authority.ca, '--root', agent.path(roots));
    await agent.run();
  });
  const hands = new Hands(windows, keyboard, { pictures: `${dir}/screenshots` });
  return {
    dir, recorder, accounts, authority, agent, card, display, windows, keyboard, hands, rootFile, issuerFile, others, lang,
    newSecret: password,
    /** A card may want its PIN again, to write the certificate beside the key. */
    async answerFurtherPINs(visitor, pin) {
      for (let i = 0; i < 3; i++) {
        const there = await Promise.race([
          visitor.page.waitForURL(/\/issued$/, { timeout: 20_000 }).then(() => true),
          keyboard.dialog({ timeout: 20_000 }).then(() => false),
        ]);
        if (there) return;
        await keyboard.pin(pin);
      }
    },
  };
}

/** A person's things on this computer. */
async function onLinux(dir, { display, lang, own }) {
  const card = new Card(dir);
  await step('a card is there: SoftHSM2 with a PIN', () => card.initialise());
  const windows = own ? undefined : new Windows(dir, { lang });
  return { card, windows, keyboard: new Keyboard(display), agent: new Agent(dir, { windows, display, card, lang }) };
}

/** The same things on a computer with Wine. */
async function onWine(dir, { display, lang }) {
  const computer = new Computer(dir, display);
  await step('Wine makes a Windows computer', () => computer.install());
  const card = new WineCard(dir, computer);
  await step('a card is there: the module of testdata/pkcs11 with a PIN', () => card.initialise());
  const windows = new WineWindows(dir, computer, { lang });
  await windows.listen();
  const keyboard = new Keyboard(display, { program: 'certsign.exe', toRepetition: ['Tab'] });
  return { card, windows, keyboard, agent: new WineAgent(dir, computer, { windows, card, lang }) };
}

/** Enters the cast in the register and gives each an account. */
async function seed(authority, accounts, lang) {
  for (const a of Object.values(accounts)) {
    let person = [];
    if (a.given) {
      const { stdout } = await authority.customsCA('person', 'add', '--given-name', a.given, '--surname', a.surname, '--identity', a.identity,
        ...(a.idsisc ? ['--id-sisc', a.idsisc] : []));
      person = ['--person', /^person (\d+)/.exec(stdout)[1]];
    }
    await authority.customsCA('account', 'add', a.email, '--kind', a.kind, '--role', a.role ?? 'user', '--language', lang, ...person, { password: a.password });
  }
}

/** Agents that run already on this computer, in ports where pages look. */
async function foreignAgents() {
  const range = Array.from({ length: lastPort - firstPort + 1 }, (_, i) => firstPort + i);
  const found = await Promise.all(range.map(answers));
  return range.filter((_, i) => found[i]);
}

/** A browser for the portal. Each visitor has a context of their own. */
export async function openPortal(world, { lang = world.lang, ...more } = {}) {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', headless: true, args: [...headless.filter((f) => f !== '--no-sandbox'), ...(world.agent.flags ?? [])], ...more });
  return {
    browser,
    async visitor(account, options = {}) {
      const context = await browser.newContext({ locale: lang === 'pl' ? 'pl-PL' : 'en-GB', viewport: { width: 1180, height: 900 }, acceptDownloads: true });
      if (world.others.length > 0) {
        // Pages take the first agent that answers. The walk must not ask one that somebody else runs on this computer.
        await context.route((u) => u.pathname === '/certsign/v1/hello' && Number(u.port) !== world.agent.port, (r) => r.abort('connectionrefused'));
      }
      const page = await context.newPage();
      world.recorder?.follow(page);
      return new Visitor(page, world.authority.url, { lang, files: world.dir, pictures: `${world.dir}/screenshots`, ...account, ...options });
    },
    close: () => browser.close(),
  };
}
