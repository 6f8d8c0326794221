// The whole story without a mouse: everything that is needed is reached by Tab, and one sees where one is.

import assert from "node:assert/strict";
import { story, words } from "./house.mjs";

/** Presses Tab until that element has the focus; at each stop the focus must show. */
async function tabTo(page, selector) {
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

async function press(page, selector, key = "Enter") {
  await tabTo(page, selector);
  await page.keyboard.press(key);
}

await story(async (house) => {
  const { alice, title } = house.told;
  const visitor = await house.visitor();
  const page = await visitor.tab();

  await page.goto(house.at("/"));
  await page.locator("input[name=user_name]:focus").waitFor();
  await page.keyboard.type(alice.login);
  await page.keyboard.press("Tab");
  await page.keyboard.type(alice.password);
  await page.keyboard.press("Enter");
  await press(page, "#authorize-app");
  await page.waitForURL(house.at("/"));

  // The first stop skips what is on every page.
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
  await page.keyboard.press("Enter");
  await tabTo(page, "#feedback-title");
  await page.keyboard.type(title);
  await tabTo(page, "#feedback-body");
  await page.keyboard.type("Typed, not clicked.");
  await press(page, "#feedback-submit", "Space");
  assert.equal(await page.locator("#message").getAttribute("data-code"), "filed");
  assert.equal(await page.locator("#message").getAttribute("role"), "status");

  await press(page, "#signout", "Space");
  await page.locator("#reason").waitFor();
  visitor.expectRefusals("401 proxy /");
  await press(page, "#sign-in");
  await page.waitForURL(house.at("/"));
  assert.match(await words(page, "#who"), /alice/);
});
