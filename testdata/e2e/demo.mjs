// The main job, as a person does it: a customs certificate in a Keystore file and on a card, a signed declaration, its
// receipt, and the certificate's suspension, resumption and revocation. Each step is checked, by tools that nobody here wrote
// wherever there is one.
//
//   node testdata/e2e/demo.mjs              the walk; exit status 0 only when every step was checked
//   node testdata/e2e/demo.mjs --keep       the same three programs kept running, with seeded accounts
//   node testdata/e2e/demo.mjs --keyboard   one journey with Tab, Enter, Space and typing only
//   node testdata/e2e/demo.mjs --windows    a certificate in each key store of the Windows build, and a declaration signed with it, under Wine
//   node testdata/e2e/demo.mjs --screens    pictures of every page and window, Polish and English

import { root } from './lib/require.mjs';
import { visitors } from './lib/portal.mjs';
import { stopAll, tail } from './lib/processes.mjs';
import { summary } from './lib/steps.mjs';
import { journey } from './journey.mjs';
import { keep } from './keep.mjs';
import { keyboard } from './keyboard.mjs';
import { screens } from './screens.mjs';
import { windows } from './windows.mjs';

const modes = { '--keep': keep, '--keyboard': keyboard, '--screens': screens, '--windows': windows };
const [option, ...rest] = process.argv.slice(2);
if (rest.length > 0 || (option !== undefined && !(option in modes))) {
  console.error(`usage: node testdata/e2e/demo.mjs [${Object.keys(modes).join('|')}]`);
  process.exit(2);
}
const mode = modes[option] ?? journey;
const dir = `${root}/build/${{ '--keep': 'run', '--keyboard': 'keyboard', '--screens': 'screens', '--windows': 'windows-journey' }[option] ?? 'demo'}`;

let ended = false;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => {
    ended = true;
    void stopAll().then(() => process.exit(mode === keep ? 0 : 130));
  });
}

/** What each visitor has before them at the failing step. */
async function lookAt(all) {
  const seen = [];
  for (const v of all) {
    await v.picture(`failed-${v.email}`).catch(() => {});
    const state = await v.page.locator('#agent-status').getAttribute('data-state', { timeout: 500 }).catch(() => undefined);
    seen.push(`${v.email} at ${v.page.url()}${state ? `, agent ${state}` : ''}: ${await v.said().catch(() => '')}`);
  }
  return seen;
}

try {
  await mode(dir);
  await stopAll();
  if (mode !== keep) console.log(`\n${summary()}; results in ${dir.replace(`${root}/`, '')}`);
} catch (error) {
  if (ended) await new Promise(() => {}); // somebody ended it; what fails then is no failure
  const pages = await lookAt([...visitors]);
  await stopAll();
  console.error(`\n${error.step ? `failed at: ${error.step}\n` : ''}${error.message}`);
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause) console.error(`because: ${cause.message}`);
  for (const page of pages) console.error(page);
  for (const log of ['customs-ca.log', 'certsign.log']) {
    const lines = tail(`${dir}/${log}`);
    if (lines) console.error(`\n${log}:\n${lines}`);
  }
  process.exit(1); // which also ends the browsers that are still open
}
