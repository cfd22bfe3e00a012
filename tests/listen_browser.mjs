// Takes a blind listening test in a real browser by keys alone: node listen_browser.mjs ADDRESS CHROMIUM; prints JSON
import { chromium } from 'playwright-core';
const [address, executablePath] = process.argv.slice(2), shots = process.env.SCREENSHOT || '';
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--autoplay-policy=no-user-gesture-required'] });
const page = await browser.newPage({ viewport: { width: 1000, height: 760 } }), errors = [], asked = [], seen = [];
page.on('pageerror', e => errors.push(e.message)); page.on('console', m => m.type() == 'error' && errors.push(m.text())); page.on('request', r => asked.push(r.url()));
const shot = async name => { if (shots) await page.screenshot({ path: `${shots}${name}.png`, fullPage: true }); };
await page.goto(address); await page.waitForSelector('#name'); await page.waitForLoadState('networkidle');   // the token's page leads on to the first one
await shot('start'); await page.fill('#name', 'Ann'); await page.press('#name', 'Enter');
const origin = new URL(address).origin;
let screens = 0, early = true, sliders = [];
for (; screens < 50; screens++) {
  await page.waitForSelector('[data-clip]', { state: 'attached' }); if (!await page.locator('#next').count()) break;
  const n = await page.locator('.clip').count(), next = page.locator('#next'), title = await page.title();
  await page.waitForFunction(() => [...document.querySelectorAll('.clip button')].every(b => !b.disabled)); seen.push(await page.content());
  for (let k = 1; k <= n; k++) {
    early &&= await next.isDisabled() && await page.locator('.clip input').first().isDisabled();
    await page.keyboard.press(String(k)); await page.waitForFunction(k => document.querySelectorAll('.clip button')[k - 1].textContent.includes('\u2713'), k, { timeout: 30000 });
    if (k == 1 && screens == 0) await shot('hearing');
  }
  for (let k = 1; k <= n; k++) {
    early &&= await next.isDisabled();
    await page.locator('.clip input').nth(k - 1).focus(); for (let i = 0; i < k; i++) await page.keyboard.press('PageUp'); await page.keyboard.press('ArrowLeft');
    sliders.push(+await page.locator('.clip input').nth(k - 1).inputValue());
  }
  await page.keyboard.press('1'); await page.keyboard.press(' ');                                   // hear the first again, and stop it
  await page.waitForTimeout(100); early &&= await page.locator('#say').textContent() == 'All rated.';
  if (screens == 0) {
    await shot('rated'); await page.emulateMedia({ colorScheme: 'dark' }); await shot('dark');
    await page.setViewportSize({ width: 360, height: 720 }); await shot('phone'); early &&= await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
    await page.setViewportSize({ width: 1000, height: 760 }); await page.emulateMedia({ colorScheme: 'light' });
  }
  await next.click(); await page.waitForFunction(t => document.title != t, title);
  if (screens == 0) await page.goto(origin + '/?listener=ann');                                     // a page that was closed goes on
}
const result = await page.content(); await page.locator('summary').first().click(); await page.locator('td button').first().click(); await page.waitForFunction(() => document.querySelector('td button').textContent.includes('\u25a0'));
await shot('result'); await page.setViewportSize({ width: 360, height: 720 }); await shot('result-phone');
console.log(JSON.stringify({ screens, early, sliders, seen: seen.join(''), result, errors, foreign: asked.filter(u => !u.startsWith(origin + '/') && !u.startsWith('blob:') && !u.startsWith('data:')) }));
await browser.close();
