// One printed line per checked step. A step is done when its function returns; what it throws ends the walk.

import assert from 'node:assert/strict';

export { assert };

const began = Date.now();
let count = 0;
let depth;

/** Opens a part of the walk. */
export function part(title) {
  console.log(`\n${title}`);
}

/** Does one step, and prints it with the time it took. What f returns is returned. */
export async function step(title, f) {
  assert.equal(depth, undefined, `steps do not nest: ${title} in ${depth}`);
  depth = title;
  const start = Date.now();
  try {
    const result = await f();
    count++;
    console.log(`  \u2713 ${title} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
    return result;
  } catch (error) {
    console.log(`  \u2717 ${title}`);
    error.step = title;
    throw error;
  } finally {
    depth = undefined;
  }
}

/** The last line. */
export function summary() {
  return `${count} steps checked in ${((Date.now() - began) / 1000).toFixed(0)} s`;
}
