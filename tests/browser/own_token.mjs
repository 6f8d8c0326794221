// The flag is off: the app falls back to the token that a visitor pasted, and that one is theirs alone.

import assert from "node:assert/strict";
import { story, words } from "./house.mjs";

await story(async (house) => {
  const { alice, bob, token, title } = house.told;
  const visitor = await house.visitor();
  const page = await visitor.tab();
  const source = async (of) => of.locator("#token-source").getAttribute("data-source");
  const file = async (text) => {
    await page.getByLabel("Title").fill(text);
    await page.getByRole("button", { name: "File it" }).click();
    await page.locator("#message").waitFor();
    return page.locator("#message").getAttribute("data-code");
  };

  await visitor.enter(page, "/", alice);
  assert.equal(await source(page), "none");
  assert.match(await words(page, "#token-source"), /To file feedback, paste one under Settings/);
  await visitor.look(page, "cockpit-without-token");

  // Without a token: what to do in plain words, and nothing that was written is lost.
  assert.equal(await file(title), "no-token");
  assert.match(await words(page, "#message"), /write:issue.*Settings/s);
  assert.equal(await page.getByLabel("Title").inputValue(), title);
  assert.match(await page.locator("#token-link").getAttribute("href"), /\/user\/settings\/applications$/);
  await visitor.look(page, "no-token");
  visitor.expectRefusals("422 proxy /feedback");

  await page.getByRole("link", { name: "Settings" }).click();
  assert.equal(await page.locator("#byo-state").getAttribute("data-state"), "empty");
  await visitor.look(page, "settings-empty");
  await page.getByLabel("Paste a token").fill(token);
  await page.getByRole("button", { name: "Save" }).click();
  assert.equal(await page.locator("#byo-state").getAttribute("data-state"), "yours");
  assert.match(await words(page, "#byo-state"), new RegExp(`its last letters are ${token.slice(-4)}$`));
  await visitor.look(page, "settings-set");

  await page.getByRole("link", { name: "Feedback" }).click();
  assert.equal(await source(page), "pasted");
  assert.equal(await file(title), "filed");
  assert.match(await words(page, "#message"), /the token that you pasted/);

  // Somebody else neither sees nor uses it, nor can take it away.
  const other = await house.visitor();
  const theirs = await other.tab();
  await other.enter(theirs, "/", bob);
  assert.equal(await source(theirs), "none");
  assert.match(await words(theirs, "#token-source"), /holds somebody else's/);
  await other.look(theirs, "cockpit-slot-taken");
  await theirs.getByRole("link", { name: "Settings" }).click();
  assert.equal(await theirs.locator("#byo-state").getAttribute("data-state"), "not-yours");
  assert.ok(!(await theirs.content()).includes(token.slice(-4)), "not even its end");
  assert.equal(await theirs.getByRole("button", { name: "Remove it" }).count(), 0);
  await other.look(theirs, "settings-not-yours");

  await page.getByRole("link", { name: "Settings" }).click();
  await page.getByRole("button", { name: "Remove it" }).click();
  assert.equal(await page.locator("#byo-state").getAttribute("data-state"), "empty");
  await page.getByRole("link", { name: "Feedback" }).click();
  assert.equal(await source(page), "none");
  await theirs.reload();
  assert.equal(await theirs.locator("#byo-state").getAttribute("data-state"), "empty");
  await theirs.getByRole("link", { name: "Feedback" }).click();
  assert.match(await words(theirs, "#token-source"), /paste one under Settings/);
});
