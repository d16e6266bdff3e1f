// A real browser, told what to do a line at a time: JSON in, JSON out. Rust tests write the stories; this only acts.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [modules, base, scheme, width, height] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { chromium } = require("playwright-core");
const axe = require("axe-core").source;

const browser = await chromium.launch({
  executablePath: process.env.CROSSDOCK_CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const context = await browser.newContext({ colorScheme: scheme, viewport: { width: Number(width), height: Number(height) } });
const page = await context.newPage();
page.setDefaultTimeout(20_000);

// What must never happen on any page.
const wrong = [];
page.on("console", (message) => { if (message.type() === "error" && !/status of (401|403|404|422|429)/.test(message.text())) wrong.push(`console: ${message.text()}`); });
page.on("pageerror", (error) => wrong.push(`script: ${error.message}`));
page.on("dialog", (dialog) => { wrong.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
page.on("request", (request) => { if (!request.url().startsWith(base) && !request.url().startsWith("data:")) wrong.push(`another host: ${request.url()}`); });

const acts = {
  goto: async ({ path }) => { const answer = await page.goto(base + path, { waitUntil: "load" }); return answer.status(); },
  fill: async ({ label, value }) => page.getByLabel(label, { exact: true }).first().fill(value),
  choose: async ({ label, value }) => page.getByLabel(label, { exact: true }).selectOption(value),
  press: async ({ button }) => { await page.getByRole("button", { name: button, exact: true }).first().click(); await page.waitForLoadState("load"); },
  follow: async ({ link }) => { await page.getByRole("link", { name: link, exact: true }).first().click(); await page.waitForLoadState("load"); },
  open: async ({ text }) => page.locator("summary", { hasText: text }).first().click(),
  tick: async ({ label }) => page.getByLabel(label, { exact: true }).first().check(),
  key: async ({ key }) => page.keyboard.press(key),
  see: async ({ text }) => { await page.getByText(text).first().waitFor({ state: "visible" }); },
  count: async ({ role, name }) => page.getByRole(role, name ? { name, exact: true } : {}).count(),
  text: async () => page.locator("main").innerText(),
  html: async () => page.content(),
  where: async () => page.url().slice(base.length),
  forget: async () => context.clearCookies(),
  focused: async () => page.evaluate(() => document.activeElement?.id ?? ""),
  shot: async ({ file }) => { await page.screenshot({ path: file, fullPage: true }); },
  wide: async () => page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth + 1),
  access: async () => {
    // The page's own policy forbids what was not in it; the checker comes in by the debugger.
    await page.evaluate(axe);
    const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    return found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(" ")).slice(0, 4).join(", ")}`);
  },
  wrong: async () => wrong.splice(0),
};

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  let told;
  try {
    told = { done: (await acts[asked.do](asked)) ?? null };
  } catch (error) {
    const text = await page.locator("body").innerText().catch(() => "");
    told = { failed: `${error.message}\n--- ${page.url()}\n${text.slice(0, 1500)}` };
  }
  process.stdout.write(`${JSON.stringify(told)}\n`);
}
await browser.close();
