export async function screens(dir) {
  throw new Error(`not written: ${dir}`);
}
