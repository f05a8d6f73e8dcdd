// Waiting for things to happen: every wait has one generous deadline, there only so that a lost event fails with a
// sentence instead of hanging. No test asserts a duration.
export const WAIT_MS = 15_000;

/** The promise, or a failure that names `what` when it has not settled by the deadline. */
export function within(promise, what, ms = WAIT_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms in vain for ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The arguments of the emitter's next `event`. */
export function once(emitter, event, ms) {
  return within(new Promise((resolve) => emitter.once(event, (...args) => resolve(args))), `event ${event}`, ms);
}

/** The arguments of whichever of these events comes first. */
export function firstOf(emitter, ...events) {
  const heard = new Promise((resolve) => { for (const event of events) emitter.once(event, (...args) => resolve(args)); });
  return within(heard, `one of the events ${events.join(', ')}`);
}

/** Polls `predicate` until it gives something truthy, and gives that. */
export async function until(predicate, what, ms = WAIT_MS) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await predicate();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain until ${what}`);
    await pause(10);
  }
}

/** Lets others run. Only ever used to pace, never to decide that something will not happen. */
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
