// The browsers' drivers. The demo needs Chromium's alone, the tests Firefox's too.

import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../../', import.meta.url)).replace(/\/$/, '');
const require = createRequire(import.meta.url);

export const { chromium } = require('playwright-core');
export const loadPuppeteer = () => require('puppeteer-core');
