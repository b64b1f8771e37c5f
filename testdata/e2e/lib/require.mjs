// The browsers' drivers are development dependencies of bridge-js: one `npm ci` serves both.

import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../../', import.meta.url)).replace(/\/$/, '');
const require = createRequire(`${root}/bridge-js/package.json`);

export const { chromium } = require('playwright-core');
export const loadPuppeteer = () => require('puppeteer-core');
