// A new account: the forge wants its password changed first, and then it is straight on to the page asked for.

import assert from "node:assert/strict";
import { allow, story, words } from "./house.mjs";

await story(async (house) => {
  const { nina } = house.told;
  const wanted = house.at("/app/welcome?first=yes");
  const visitor = await house.visitor();
  const page = await visitor.tab();

  await page.goto(wanted);
  await visitor.signInAtForge(page, nina);
  await page.getByRole("heading", { name: "Update your password" }).waitFor();
  await visitor.look(page, "change-password");
  await page.getByLabel("New password", { exact: true }).fill("twelve-green-lamps");
  await page.getByLabel("Confirm new password").fill("twelve-green-lamps");
  await page.getByRole("button", { name: "Update password" }).click();

  await allow(page);
  await page.waitForURL(wanted);
  assert.match(await words(page, "#who"), /nina/);
  assert.deepEqual(await visitor.proxyCookies(), ["hero_session"]);
});
