// What the stories share: a browser with nothing in it, people who use it, and what holds on every page that they see.
// `tests/it/browser.rs` starts the house, tells a story what it needs as JSON on standard input, and looks afterwards.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";
import { CspEvaluator } from "csp_evaluator/dist/evaluator.js";
import { Severity } from "csp_evaluator/dist/finding.js";
import { CspParser } from "csp_evaluator/dist/parser.js";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const FLAGS = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
// A signed token, whoever carries it.
const JWT = /eyJ[\w-]+\.eyJ/;
// How long a page may take, in milliseconds; the machine may be busy.
const PATIENCE = 30_000;

/** Runs one story, and fails on whatever goes wrong in the browser on the way. */
export async function story(tell) {
  const told = JSON.parse(await text(process.stdin));
  const browser = await chromium.launch({ executablePath: told.chromium, args: FLAGS, chromiumSandbox: false });
  try {
    const house = new House(browser, told);
    await tell(house);
    for (const visitor of house.visitors) visitor.checkEnd();
  } finally {
    await browser.close();
  }
}

class House {
  constructor(browser, told) {
    this.browser = browser;
    this.told = told;
    this.url = told.url;
    this.admin = told.admin;
    this.forge = told.forge;
    this.visitors = [];
  }

  /** The proxy's address with this path. */
  at(path) {
    return new URL(path, this.url).href;
  }

  /** The operator's part's address with this path. */
  adminAt(path) {
    return new URL(path, this.admin).href;
  }

  /** From now on this is in no address and on no page. */
  keepSecret(text) {
    this.told.canaries = [...(this.told.canaries ?? []), text];
  }

  /** Pictures of pages beside each other, for the papers. */
  async picture(name, pages) {
    const folder = this.told.screenshots;
    if (!folder) return;
    const images = pages.map((page) => {
      const bytes = readFileSync(`${folder}/${page}.png`).toString("base64");
      return `<img src="data:image/png;base64,${bytes}" alt="">`;
    });
    const page = await this.browser.newPage({ viewport: { width: 1984, height: 458 } });
    const style = "body{margin:0;display:flex;gap:32px;background:#d8dde5;padding:16px;width:max-content}img{height:426px}";
    await page.setContent(`<!doctype html><style>${style}</style>${images.join("")}`);
    await page.locator("body").screenshot({ path: `${folder}/${name}.png` });
    await page.close();
  }

  /** Somebody with a browser of their own: no cookie is shared. */
  async visitor(options = {}) {
    const context = await this.browser.newContext({ viewport: { width: 960, height: 640 }, ...options });
    context.setDefaultTimeout(PATIENCE);
    const visitor = new Visitor(this, context);
    this.visitors.push(visitor);
    return visitor;
  }
}

/** One person's browser, and what went on in it. */
class Visitor {
  constructor(house, context) {
    this.house = house;
    this.context = context;
    this.troubles = [];
    this.refusals = [];
    this.authorizations = [];
    context.on("request", (request) => this.#watch(request));
    context.on("response", (response) => {
      this.#judgePolicy(response);
      if (response.status() < 400) return;
      const { host, pathname } = new URL(response.url());
      const places = { [new URL(house.forge).host]: "forge", [new URL(house.admin).host]: "admin" };
      const where = places[host] ?? "proxy";
      this.refusals.push(`${response.status()} ${where} ${pathname}`);
    });
    context.on("requestfailed", (request) => {
      const why = request.failure()?.errorText;
      // The browser's own doing: it was sent on to another page before this one had come.
      if (why !== "net::ERR_ABORTED") this.troubles.push(`failed: ${bare(request.url())} ${why}`);
    });
    context.on("weberror", (error) => this.troubles.push(`script: ${error.error()}`));
    context.on("console", (message) => {
      const known = message.text().startsWith("Failed to load resource: the server responded with a status");
      // Those are counted by their answers.
      if (message.type() === "error" && !known) this.troubles.push(`console: ${message.text()}`);
    });
  }

  /** What Google's checker finds in the policy of a page that is not the forge's. */
  #judgePolicy(response) {
    const policy = response.headers()["content-security-policy"];
    const type = response.headers()["content-type"] ?? "";
    const places = [this.house.url, this.house.admin].map((url) => new URL(url).origin);
    if (!type.startsWith("text/html") || !places.includes(new URL(response.url()).origin)) return;
    if (!policy) this.troubles.push(`no policy: ${bare(response.url())}`);
    // Judged as at an operator's: no page is on plain http there.
    const { csp } = new CspParser((policy ?? "").replaceAll("http://", "https://"));
    for (const { description, directive, severity } of new CspEvaluator(csp).evaluate()) {
      // It says so of any script that has an address, however exactly that is written.
      const isKnown = severity === Severity.MEDIUM_MAYBE && description.startsWith("No bypass found");
      if (severity < Severity.INFO && !isKnown) this.troubles.push(`policy of ${bare(response.url())}: ${directive}: ${description}`);
    }
  }

  #watch(request) {
    const url = request.url();
    if (new URL(url).pathname === "/login/oauth/authorize") this.authorizations.push(url);
    if (this.#isSecret(url)) this.troubles.push(`a token in an address: ${bare(url)}`);
    const referer = request.headers().referer || url;
    const elsewhere = new URL(referer).origin !== new URL(url).origin;
    if (elsewhere && /[?&](code|state)=/.test(referer)) this.troubles.push(`a code or state in a referrer to ${bare(url)}`);
    const ours = [this.house.url, this.house.admin, this.house.forge].some((place) => url.startsWith(place));
    if (!ours && !url.startsWith("chrome-error:")) this.troubles.push(`a request elsewhere: ${bare(url)}`);
  }

  #isSecret(string) {
    return JWT.test(string) || (this.house.told.canaries ?? []).some((canary) => string.includes(canary));
  }

  /** A new tab. */
  async tab() {
    return this.context.newPage();
  }

  /** Says that these answers were meant: `401 proxy /`. */
  expectRefusals(...expected) {
    assert.deepEqual(this.refusals, expected, "answers of 400 and above");
    this.refusals = [];
  }

  checkEnd() {
    assert.deepEqual(this.troubles, [], "what the browser complained of");
    this.expectRefusals();
  }

  /** The cookies that the proxy set here: name and what it may do. */
  async proxyCookies() {
    const cookies = await this.context.cookies(this.house.url);
    for (const cookie of cookies) {
      assert.match(cookie.name, /^hero_(session|signed_out|flow)_[0-9a-f]{8}/, "a cookie's name");
      assert.equal(cookie.httpOnly, true, `${cookie.name} is out of reach for scripts`);
      assert.equal(cookie.sameSite, "Lax", `${cookie.name} does not go out with other sites' forms`);
      assert.equal(cookie.domain, "localhost", `${cookie.name} goes to this host alone`);
      assert.equal(cookie.path, "/");
      assert.ok(!this.#isSecret(cookie.value), `${cookie.name} holds no token`);
    }
    return cookies.map((cookie) => cookie.name.replace(/_[0-9a-f]{8}(_.*)?$/, "")).sort();
  }

  /** What holds on every page: nothing secret, nothing that axe finds in light or dark, nothing cut off on a phone. */
  async look(page, name) {
    await page.waitForLoadState();
    assert.ok((await page.title()) !== "", `${name}: a title`);
    const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
    const own = [this.house.url, this.house.admin].map((url) => new URL(url).origin);
    if (own.includes(new URL(page.url()).origin)) assert.equal(kept, '[{},{},""]', `${name}: scripts see nothing`);
    assert.ok(!this.#isSecret(await page.content()), `${name}: no token in the page`);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      await this.#axe(page, `${name} (${colorScheme})`);
      await this.#picture(page, `${name}-${colorScheme}`);
    }
    const size = page.viewportSize();
    await page.setViewportSize({ width: 320, height: 640 });
    await noSidewaysScroll(page, `${name} on a phone`);
    await this.#picture(page, `${name}-phone`);
    // Text alone twice as large, on a window of half the width: what 200 % zoom does, and more.
    await page.setViewportSize({ width: 640, height: 480 });
    await page.evaluate(() => document.documentElement.style.setProperty("font-size", "200%"));
    await noSidewaysScroll(page, `${name} at 200 %`);
    await page.evaluate(() => document.documentElement.style.removeProperty("font-size"));
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme: null });
  }

  async #axe(page, name) {
    await page.evaluate(AXE);
    // Of WCAG 2.2 axe leaves its rule out unless asked.
    const rules = { "target-size": { enabled: true } };
    const { violations } = await page.evaluate((rules) => globalThis.axe.run(document, { resultTypes: ["violations"], rules }), rules);
    const found = violations.map((rule) => `${rule.id}: ${rule.help} at ${rule.nodes.map((node) => node.html).join(" | ")}`);
    assert.deepEqual(found, [], `${name}: what axe finds`);
  }

  async #picture(page, name) {
    const folder = this.house.told.screenshots;
    if (!folder) return;
    mkdirSync(folder, { recursive: true });
    await page.screenshot({ path: `${folder}/${name}.png` });
  }

  /** Signs in on the forge's page, where the browser is now. */
  async signInAtForge(page, account) {
    await page.getByLabel("Username or email address").fill(account.login);
    await page.getByLabel("Password").fill(account.password);
    await page.getByRole("button", { name: "Sign in" }).click();
  }

  /** Opens the operator's page and goes all the way. */
  async operate(page, account) {
    await page.goto(this.house.admin);
    await this.signInAtForge(page, account);
    await allow(page);
    await page.waitForURL(this.house.adminAt("/_hero/admin/users"));
  }

  /** Opens a path and goes all the way: sign-in, consent. */
  async enter(page, path, account) {
    await page.goto(this.house.at(path));
    await this.signInAtForge(page, account);
    await allow(page);
    await page.waitForURL(this.house.at(path));
  }
}

/** Presses "authorize" on the forge's consent page. */
export async function allow(page) {
  await page.getByRole("button", { name: "Authorize application" }).click();
}

/** An address without what may be secret in it. */
function bare(url) {
  return url.split("?")[0];
}

async function noSidewaysScroll(page, name) {
  const [content, window] = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.scrollingElement;
    return [scrollWidth, clientWidth];
  });
  assert.ok(content <= window, `${name}: ${content} pixels of content in ${window}`);
}

/** The headers that each answer of the proxy's own has. */
export async function checkOwnAnswer(response) {
  const headers = await response.allHeaders();
  const policy = headers["content-security-policy"] ?? "";
  assert.equal(headers["cache-control"], "no-store");
  assert.equal(headers["referrer-policy"], "no-referrer");
  assert.equal(headers["x-content-type-options"], "nosniff");
  assert.equal(headers["cross-origin-opener-policy"], "same-origin");
  assert.equal(headers["cross-origin-resource-policy"], "same-origin");
  for (const part of ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"]) {
    assert.ok(policy.includes(part), `${policy} says ${part}`);
  }
  assert.ok(!/unsafe|\*/.test(policy), policy);
}

/** Presses Tab until that element has the focus; at each stop the focus must show. */
export async function tabTo(page, selector) {
  const wanted = page.locator(selector).first();
  await wanted.waitFor();
  for (let stop = 0; stop < 20; stop += 1) {
    await page.keyboard.press("Tab");
    const { tag, shown } = await page.evaluate(() => {
      const style = getComputedStyle(document.activeElement);
      const shown = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
      return { tag: document.activeElement.outerHTML.slice(0, 80), shown };
    });
    assert.ok(shown || tag.startsWith("<body"), `the focus shows on ${tag}`);
    if (await wanted.evaluate((element) => element === document.activeElement)) return;
  }
  assert.fail(`${selector} is out of reach`);
}

/** Goes to an element by Tab, and presses a key there. */
export async function press(page, selector, key = "Enter") {
  await tabTo(page, selector);
  await page.keyboard.press(key);
}

/** What stands in an element. */
export async function words(page, selector) {
  return (await page.locator(selector).innerText()).trim();
}
