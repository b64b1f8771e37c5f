import { defineConfig } from 'tsdown';

// Two builds of the same source: ES modules for bundlers, where the texts for people are a file of their own, and one
// plain script with everything for portals without a bundler.
export default defineConfig([
  { entry: ['src/index.ts', 'src/describe.ts'], format: 'esm', platform: 'browser', target: 'es2022', dts: true, clean: true, fixedExtension: false },
  {
    entry: { certsign: 'src/index.ts' }, format: 'iife', globalName: 'CertSign', platform: 'browser', target: 'es2022', dts: false, clean: false, minify: false,
    outputOptions: { entryFileNames: 'certsign.js' },
  },
]);
