// `make run`: CA, portal and agent kept running, with the agent's windows and PIN program on this computer's own display.

import { writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { assert, part, step } from './lib/steps.mjs';
import { which } from './lib/processes.mjs';
import { raise } from './lib/stage.mjs';

export async function keep(dir) {
  const display = process.env.DISPLAY || process.env.WAYLAND_DISPLAY;
  part('CA, portal and agent');
  const { authority, agent, card, accounts } = await raise(dir, { wantedPorts: true, own: true });
  assert.ok(agent.port);
  const lines = [
    '', `Portal            ${authority.url}`, `Mailbox           ${authority.url}/mailbox (one-time codes and messages arrive here)`, '',
    ...Object.values(accounts).map((a) => `${(a.role ?? `${a.kind} account`).padEnd(18)}${a.email.padEnd(30)} password ${a.password}`),
    '', `Card              "${card.label}" (SoftHSM2), PIN ${card.pin}`, `Agent             127.0.0.1:${agent.port}, its folder ${agent.home}`,
  ];
  if (!display) lines.push('', 'There is no display here: pages can be read, but CertSign cannot ask you anything. On a desktop it would.');
  lines.push('', 'Everything is in build/run and made for trying out. Ctrl-C ends it.');
  console.log(lines.join('\n'));
  writeFileSync(`${dir}/accounts.txt`, lines.join('\n').trimStart() + '\n', { mode: 0o600 });
  const opener = display && ['xdg-open', 'chromium', 'firefox-esr'].find(which);
  if (opener) {
    await step(`the portal is opened with ${opener}`, async () => {
      spawn(opener, opener === 'chromium' && process.getuid() === 0 ? ['--no-sandbox', authority.url] : [authority.url], { stdio: 'ignore', detached: true }).on('error', () => {}).unref();
    });
  }
  await Promise.race([once(authority.program.child, 'exit'), once(agent.program.child, 'exit')]);
  throw new Error('a program has ended');
}
