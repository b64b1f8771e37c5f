export async function keyboard(dir) {
  throw new Error(`not written: ${dir}`);
}
