// One test. `skipOnReference` says why the reference server cannot pass it (a rule of a protocol document or an RFC that
// the reference breaks); such a test judges only our server.
import test from 'node:test';

export const onReference = (process.env.SIO_SERVER ?? 'ours') === 'reference';

/** check(name, [options], fn): node:test's test(), with a deadline and `skipOnReference: 'why'`. */
export function check(name, options, fn) {
  if (typeof options === 'function') [options, fn] = [{}, options];
  const { skipOnReference, ...rest } = options;
  const skip = onReference && skipOnReference ? `reference: ${skipOnReference}` : rest.skip;
  return test(name, { timeout: 60_000, ...rest, skip }, fn);
}
