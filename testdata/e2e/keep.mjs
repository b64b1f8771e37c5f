export async function keep(dir) {
  throw new Error(`not written: ${dir}`);
}
