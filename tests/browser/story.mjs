// The whole story, with the flag on.

import assert from "node:assert/strict";
import { allow, checkOwnAnswer, story, words } from "./house.mjs";

await story(async (house) => {
  const { alice, title } = house.told;
  const wanted = house.at("/app/view?x=1&y=%2Fz");
  const visitor = await house.visitor();
  const page = await visitor.tab();

  await page.goto(wanted);
  assert.equal(new URL(page.url()).origin, new URL(house.forge).origin, "the forge asks who I am");
  await visitor.look(page, "forge-sign-in");
  await visitor.signInAtForge(page, alice);

  await visitor.look(page, "consent");
  assert.match(await page.locator("main").innerText(), /openid profile email groups read:user write:issue/);
  assert.deepEqual(await visitor.proxyCookies(), ["hero_flow"]);
  await allow(page);

  await page.waitForURL(wanted);
  assert.equal(await words(page, "#view-path"), "/app/view?x=1&y=%2Fz");
  assert.deepEqual(await visitor.proxyCookies(), ["hero_session"], "the flow is over");
  await visitor.look(page, "view");

  await page.goto(house.at("/"));
  assert.match(await words(page, "#who"), /alice/);
  assert.equal(await page.locator("#token-source").getAttribute("data-source"), "pass-through");
  assert.match(await words(page, "#token-scopes"), /write:issue/);
  await visitor.look(page, "cockpit");

  await page.getByLabel("Title").fill(title);
  await page.getByLabel("What happened").fill("The lamp stays dark.\nI expected light.");
  await page.getByRole("button", { name: "File it" }).click();
  assert.equal(await page.locator("#message").getAttribute("data-code"), "filed");
  await visitor.look(page, "filed");
  await page.locator("#issue-link").click();
  await page.locator("#author").waitFor();
  assert.match(page.url(), /\/acme-dev\/feedback\/issues\/1$/);
  assert.match(await page.locator("main").innerText(), /@alice/);
  assert.match(await page.locator("h1").innerText(), new RegExp(title));
  await visitor.look(page, "issue");

  await page.goto(house.at("/nowhere"));
  await page.getByRole("heading", { name: "There is no such page" }).waitFor();
  await visitor.look(page, "no-such-page");
  visitor.expectRefusals("404 proxy /nowhere");

  // Whoami says who, and never a token.
  const whoami = await page.goto(house.at("/_hero/auth/whoami"));
  await checkOwnAnswer(whoami);
  assert.equal((await whoami.json()).user.login, "alice");
  assert.equal((await whoami.json()).forge_token.state, "passed");

  await page.goto(wanted);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL(house.at("/"));
  assert.equal(await words(page, "#reason"), "signed_out");
  assert.deepEqual(await visitor.proxyCookies(), ["hero_signed_out"]);
  await visitor.look(page, "signed-out");

  // Signed out stays signed out, though the forge would say yes at once; and "back" shows nothing of before.
  const before = visitor.authorizations.length;
  await page.goBack();
  assert.equal(await words(page, "#reason"), "signed_out");
  const again = await page.goto(wanted);
  await checkOwnAnswer(again);
  assert.equal(await words(page, "#reason"), "signed_out");
  assert.equal(visitor.authorizations.length, before, "nobody was sent to the forge");
  visitor.expectRefusals("401 proxy /", "401 proxy /app/view", "401 proxy /app/view");

  await page.getByRole("link", { name: "Sign in" }).click();
  await page.waitForURL(wanted);
  assert.equal(await words(page, "#view-path"), "/app/view?x=1&y=%2Fz");
  assert.equal(visitor.authorizations.length, before + 1);
  assert.deepEqual(await visitor.proxyCookies(), ["hero_session"]);
});
