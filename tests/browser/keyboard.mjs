// The whole story without a mouse: everything that is needed is reached by Tab, and one sees where one is.

import assert from "node:assert/strict";
import { press, story, tabTo, words } from "./house.mjs";

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
