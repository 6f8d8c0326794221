// What a visitor sees when something is refused: why, and a way out.

import assert from "node:assert/strict";
import { checkOwnAnswer, story, words } from "./house.mjs";

await story(async (house) => {
  const { alice, mallory } = house.told;
  const id = (page) => words(page, "#request-id");

  // A callback that nobody began here.
  const visitor = await house.visitor();
  const page = await visitor.tab();
  const stray = await page.goto(house.at("/_hero/auth/callback?code=x&state=y"));
  assert.equal(stray.status(), 400);
  await checkOwnAnswer(stray);
  assert.equal(await words(page, "#reason"), "flow_unknown");
  assert.equal(await id(page), (await stray.allHeaders())["x-request-id"]);
  visitor.expectRefusals("400 proxy /_hero/auth/callback");
  assert.deepEqual(await visitor.proxyCookies(), []);

  // "Cancel" on the forge's consent page. Nobody is sent back to the forge by itself: that would go round in circles.
  await page.getByRole("link", { name: "Sign in" }).click();
  await visitor.signInAtForge(page, alice);
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.locator("#reason").waitFor();
  assert.equal(await words(page, "#reason"), "forge_refused");
  assert.match(await page.locator("main").innerText(), /access_denied/);
  assert.ok(!(await page.content()).includes("the request is denied"), "the forge's words are not shown as ours");
  await visitor.look(page, "forge-refused");
  visitor.expectRefusals("403 proxy /_hero/auth/callback");
  assert.deepEqual(await visitor.proxyCookies(), []);
  await page.getByRole("link", { name: "Sign in" }).click();
  await page.getByRole("button", { name: "Authorize application" }).click();
  await page.waitForURL(house.at("/"));

  // Signed in; but the app is gone. The same page can be tried once more.
  assert.equal(await words(page, "#reason"), "upstream_unreachable");
  await visitor.look(page, "app-is-gone");
  await Promise.all([page.waitForEvent("load"), page.getByRole("link", { name: "Try again" }).click()]);
  assert.equal(page.url(), house.at("/"));
  visitor.expectRefusals("502 proxy /", "502 proxy /");

  // Signed in, and not on the list.
  const other = await house.visitor();
  const theirs = await other.tab();
  await theirs.goto(house.at("/app/view"));
  await other.signInAtForge(theirs, mallory);
  await theirs.getByRole("button", { name: "Authorize application" }).click();
  await theirs.locator("#reason").waitFor();
  assert.equal(await words(theirs, "#reason"), "not_allowed");
  assert.equal(await words(theirs, "#who"), "mallory");
  await other.look(theirs, "not-allowed");
  await theirs.getByRole("button", { name: "Sign out" }).click();
  await theirs.waitForURL(house.at("/"));
  assert.equal(await words(theirs, "#reason"), "signed_out");
  other.expectRefusals("403 proxy /app/view", "401 proxy /");

  // In somebody else's frame no page of ours shows.
  await page.goto(house.forge);
  const refused = page.waitForResponse((response) => response.url().startsWith(house.at("/_hero/auth/callback")));
  await page.evaluate((url) => {
    document.body.append(Object.assign(document.createElement("iframe"), { src: url }));
  }, house.at("/_hero/auth/callback?code=x&state=y"));
  await refused;
  await page.waitForFunction(() => frames.length === 1);
  const frame = page.frames()[1];
  await frame.waitForLoadState();
  assert.equal(await frame.locator("#reason").count(), 0, "the frame stays empty");
  visitor.expectRefusals("400 proxy /_hero/auth/callback");
  visitor.troubles = visitor.troubles.filter((trouble) => !/frame-ancestors|ERR_BLOCKED_BY_RESPONSE/.test(trouble));
});
