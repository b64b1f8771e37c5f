// Puts the built script where the portal embeds it. The portal's build needs no Node; a test sees to it that the copy is current.
import { readFileSync, writeFileSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const built = fileURLToPath(new URL('../dist/certsign.js', import.meta.url));
const copy = fileURLToPath(new URL('../../ca/portal/static/certsign.js', import.meta.url));

export const portalScript = () =>
  '// Code generated from bridge-js by `npm run build`; DO NOT EDIT.\n' + readFileSync(built, 'utf8').replace(/^\/\/# sourceMappingURL=.*\n?/m, '');

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(new URL('../../ca/portal/static/', import.meta.url), { recursive: true });
  writeFileSync(copy, portalScript());
}
