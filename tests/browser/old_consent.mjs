// An old consent that allows more than is asked for today: the token is withheld, and the visitor is told so once.

import assert from "node:assert/strict";
import { allow, story, words } from "./house.mjs";

await story(async (house) => {
  const { alice, old } = house.told;
  const wanted = house.at("/app/view?from=an+old+consent");
  const visitor = await house.visitor();
  const page = await visitor.tab();
  const source = async () => {
    await page.goto(house.at("/"));
    assert.match(await words(page, "#who"), /alice/, "identity arrives whatever the consent says");
    return page.locator("#token-source").getAttribute("data-source");
  };
  const signInAgain = async () => {
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.locator("#reason").waitFor();
    visitor.expectRefusals("401 proxy /");
    await page.getByRole("link", { name: "Sign in" }).click();
  };

  await page.goto(wanted);
  await visitor.signInAtForge(page, alice);
  assert.equal(await words(page, "#reason"), "consent_wider");
  const notice = await page.locator("main").innerText();
  assert.ok(notice.includes(old), "what the old consent allows");
  assert.match(notice, /openid profile email groups read:user write:issue/, "what is asked for today");
  assert.match(notice, /revoke/i);
  const revoke = await page.locator("#revoke").getAttribute("href");
  assert.equal(revoke, new URL("/user/settings/applications", house.forge).href);
  await visitor.look(page, "old-consent");
  // It is told once, so its last step is still there for whoever has been to the forge.
  const [forge] = await Promise.all([page.waitForEvent("popup"), page.locator("#revoke").click()]);
  await forge.waitForURL(revoke);
  await forge.close();
  assert.match(await words(page, "#sign-in-again"), /after revoking/);
  await page.getByRole("link", { name: "Go on" }).click();
  await page.waitForURL(wanted);
  assert.equal(await source(), "none");

  // Once is enough.
  await signInAgain();
  await page.waitForURL(house.at("/"));
  assert.equal(await source(), "none");

  // What the notice advises works.
  await page.goto(revoke);
  await visitor.look(page, "applications");
  await page.getByRole("button", { name: "Revoke" }).click();
  await page.goto(house.at("/"));
  await signInAgain();
  await allow(page);
  await page.waitForURL(house.at("/"));
  assert.equal(await source(), "pass-through");
  assert.equal(await words(page, "#token-scopes"), "openid profile email groups read:user write:issue");
});
