import type { Code, Text } from './errors.generated.js';
import { texts } from './texts.generated.js';

export type { Code, Text };

/** What a person should read about a code, in Polish or English. A code that is not known is described as internal_error. */
export function describe(code: Code | (string & {}), lang: 'pl' | 'en' | (string & {}) = 'en'): Text {
  const entry = Object.hasOwn(texts, code) ? texts[code as Code] : texts.internal_error;
  return lang.toLowerCase().startsWith('pl') ? entry.pl : entry.en;
}
