// The visitor takes the app's access back at the forge. Nothing is filed then, nothing that was written is lost, and a
// sign-in in another tab helps.

import assert from "node:assert/strict";
import { allow, story, words } from "./house.mjs";

await story(async (house) => {
  const { alice, title, second } = house.told;
  const visitor = await house.visitor();
  const page = await visitor.tab();
  await visitor.enter(page, "/", alice);

  const forge = await visitor.tab();
  await forge.goto(new URL("/user/settings/applications", house.forge).href);
  await forge.getByRole("button", { name: "Revoke" }).click();
  await forge.close();

  await page.getByLabel("Title").fill(title);
  await page.getByLabel("What happened").fill("A long story.");
  await page.getByRole("button", { name: "File it" }).click();
  assert.equal(await page.locator("#message").getAttribute("data-code"), "passed-token-refused");
  assert.match(await words(page, "#message"), /Nothing was filed/);
  await visitor.look(page, "token-revoked");

  // The proxy has asked the forge by now, or does so in a moment: without a session nothing reaches the app.
  const other = await visitor.tab();
  const opened = async () => {
    await other.goto(house.at("/"));
    return new URL(other.url()).origin;
  };
  while ((await opened()) !== new URL(house.forge).origin);
  await other.close();

  // In a tab beside what was written.
  const [anew] = await Promise.all([visitor.context.waitForEvent("page"), page.locator("#sign-in-link").click()]);
  await allow(anew);
  await anew.waitForURL(house.at("/"));
  await anew.close();
  assert.equal(await page.getByLabel("Title").inputValue(), title);
  assert.equal(await page.getByLabel("What happened").inputValue(), "A long story.");
  await page.getByRole("button", { name: "File it" }).click();
  assert.equal(await page.locator("#message").getAttribute("data-code"), "filed");
  visitor.expectRefusals("401 proxy /feedback");

  // Who presses without a session reads that it went nowhere, and what is said there to send it after all works.
  await page.getByLabel("Title").fill(second);
  await visitor.context.clearCookies({ domain: "localhost" });
  await page.getByRole("button", { name: "File it" }).click();
  assert.equal(await words(page, "#reason"), "sign_in_required");
  assert.match(await page.locator("main").innerText(), /has not reached the app/);
  await visitor.look(page, "form-without-session");
  visitor.expectRefusals("401 proxy /feedback");
  const beside = await visitor.tab();
  await beside.goto(house.at("/"));
  await beside.close();
  await page.reload();
  assert.equal(await page.locator("#message").getAttribute("data-code"), "filed");
});
