// Drives a lab in a real browser: node lab_browser.mjs ADDRESS CHROMIUM KIND; prints JSON. KIND: voila, or jupyterlab (runs all cells first)
import { chromium } from 'playwright-core';
const [address, executablePath, kind] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--autoplay-policy=no-user-gesture-required'] });
const page = await browser.newPage({ viewport: { width: 1280, height: 1400 } }); const errors = [];
page.on('pageerror', e => errors.push(e.message));
await page.goto(address, { timeout: 90000 });
const picture = page.locator('.widget-image img, img.widget-image').first();
if (kind == 'jupyterlab') {
  await page.waitForSelector('.jp-Notebook .jp-CodeCell .cm-content', { timeout: 90000 });
  for (let k = 0; k < 8 && !await picture.isVisible(); k++) {                                      // the kernel may not be there yet
    await page.click('.jp-Notebook .jp-CodeCell .cm-content'); await page.keyboard.press('Control+Enter');
    await picture.waitFor({ timeout: 12000 }).catch(() => {});
  }
}
await picture.waitFor({ timeout: 60000 });
const drawn = () => picture.evaluate(i => i.complete && i.naturalWidth > 100 ? i.src.length + i.src.slice(-200) : '');
const changed = async was => { for (let k = 0; k < 100; k++) { const is = await drawn(); if (is && is != was) return is; await page.waitForTimeout(100); } return was; };
const first = await changed('');
const slider = page.locator('.noUi-handle').first(), before = await page.locator('.widget-readout').first().textContent();
await slider.focus(); await page.keyboard.press('ArrowRight');                                    // by keyboard, as without a mouse
const second = await changed(first), after = await page.locator('.widget-readout').first().textContent();
const t = Date.now(); await page.getByRole('button', { name: 'Denoise and play' }).click();
await page.locator('audio').nth(1).waitFor({ state: 'attached', timeout: 60000 }); const pressed = Date.now() - t;
const sounds = await page.locator('audio').evaluateAll(all => Promise.all(all.map(a => new Promise(done => {
  if (a.duration) return done(a.duration); a.addEventListener('loadedmetadata', () => done(a.duration)); a.addEventListener('error', () => done(0)); a.preload = 'auto'; a.load(); }))));
const played = await page.locator('audio').first().evaluate(a => a.play().then(() => new Promise(r => setTimeout(() => r(a.currentTime), 800))));
await page.waitForTimeout(500); await page.screenshot({ path: process.env.SCREENSHOT || 'lab.png' });
console.log(JSON.stringify({ moved: before != after, redrawn: first != second, pressed, sounds, played, errors }));
await browser.close();
