// This machine's Chromium, headless.
import { chromium } from 'playwright-core';
import { programOf } from './server.mjs';

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

/** Screens that the page must fit. */
export const screens = {
  desktop: { viewport: { width: 1280, height: 800 } },
  phone: { viewport: { width: 360, height: 720 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true },
};

export function launch() {
  return chromium.launch({ executablePath: programOf('chromium', 'chromium'), args: FLAGS });
}
