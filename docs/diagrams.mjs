// Draws the mermaid diagrams of the notebooks, so that the site needs no script for them: node docs/diagrams.mjs [CHROMIUM]
// Needs `npm install mermaid playwright-core` and a Chromium; writes docs/diagrams/HASH.svg, where HASH is that of the diagram's text.
import { chromium } from 'playwright-core';
import { createHash } from 'node:crypto';
import fs from 'node:fs'; import { createRequire } from 'node:module'; import path from 'node:path';

const root = path.dirname(import.meta.dirname), folder = path.join(root, 'docs/diagrams'); fs.mkdirSync(folder, { recursive: true });
const books = fs.readdirSync(path.join(root, 'nbs'), { recursive: true }).filter(f => f.endsWith('.ipynb')).map(f => JSON.parse(fs.readFileSync(path.join(root, 'nbs', f))));
const texts = books.flatMap(b => b.cells).filter(c => c.cell_type == 'markdown').flatMap(c => [...[c.source].flat().join('').matchAll(/^```mermaid\n(.*?)^```/gms)].map(m => m[1]));
const browser = await chromium.launch({ executablePath: process.argv[2] || '/usr/bin/chromium', args: ['--no-sandbox'] }), page = await browser.newPage();
await page.addScriptTag({ path: path.join(path.dirname(createRequire(import.meta.url).resolve('mermaid')), 'mermaid.min.js') });
for (const text of texts) {
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 12);
  const svg = await page.evaluate(async ([id, text]) => {
    mermaid.initialize({ startOnLoad: false, theme: 'neutral', htmlLabels: false, flowchart: { htmlLabels: false } });
    return (await mermaid.render(id, text)).svg.replace(/ data-[\w-]+="[^"]*"/g, '').replace(/(\d+\.\d)\d+/g, '$1'); }, ['d' + hash, text]);
  fs.writeFileSync(path.join(folder, hash + '.svg'), svg + '\n'); console.log(hash);
}
await browser.close();
