// Somebody looks at where he is signed in, and ends what should not be: without a script, by mouse and by keyboard.

import assert from "node:assert/strict";
import { checkOwnAnswer, story, words } from "./house.mjs";

await story(async (house) => {
  const { alice } = house.told;
  const open = async (consent) => {
    const visitor = await house.visitor({ javaScriptEnabled: true });
    const page = await visitor.tab();
    await page.goto(house.at("/"));
    await visitor.signInAtForge(page, alice);
    if (consent) await page.getByRole("button", { name: "Authorize application" }).click();
    await page.waitForURL(house.at("/"));
    return { visitor, page };
  };
  const here = await open(true);
  const second = await open(false);
  const third = await open(false);

  const list = here.page;
  const response = await list.goto(house.at("/_hero/auth/sessions"));
  assert.equal(response.status(), 200);
  await checkOwnAnswer(response);
  assert.equal(await words(list, "#title"), "Your sessions");
  assert.equal(await words(list, "#who"), "alice");
  assert.equal(await list.getByRole("listitem").count(), 3);
  assert.equal(await list.getByText("this one").count(), 1);
  assert.match(await list.getByRole("list").innerText(), /Chrom\w* on Linux/);
  await here.visitor.look(list, "sessions");

  // One of the others, by keyboard.
  await list.getByRole("button", { name: "End", exact: true }).first().focus();
  await Promise.all([list.waitForEvent("load"), list.keyboard.press("Enter")]);
  assert.equal(list.url(), house.at("/_hero/auth/sessions"));
  assert.equal(await list.getByRole("listitem").count(), 2);

  // All others.
  await Promise.all([list.waitForEvent("load"), list.getByRole("button", { name: "End all others" }).click()]);
  assert.equal(await list.getByRole("listitem").count(), 1);
  assert.equal(await list.getByRole("button", { name: "End all others" }).count(), 0);
  for (const other of [second, third]) {
    await other.page.goto(house.at("/_hero/auth/sessions"));
    assert.equal(await words(other.page, "#reason"), "sign_in_required");
    other.visitor.expectRefusals("401 proxy /_hero/auth/sessions");
  }

  // And this one.
  await list.getByRole("button", { name: "Sign out", exact: true }).click();
  await list.waitForURL(house.at("/"));
  assert.equal(await words(list, "#reason"), "signed_out");
  here.visitor.expectRefusals("401 proxy /");
});
