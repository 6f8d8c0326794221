// An operator without a mouse: everything is reached by Tab, one sees where one is, and what happens is said aloud.

import assert from "node:assert/strict";
import { press, story, tabTo, words } from "./house.mjs";

await story(async (house) => {
  const { olga } = house.told;
  const operator = await house.visitor();
  await operator.context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: new URL(house.admin).origin });
  const page = await operator.tab();
  await operator.operate(page, olga);

  await press(page, "#new");
  await page.locator("#username:focus").waitFor();
  await page.keyboard.type("kim--");
  await page.keyboard.press("Enter");
  // The cursor stands in the field that is wrong.
  await page.locator("#username[aria-invalid=true]:focus").waitFor();
  operator.expectRefusals("422 admin /_hero/admin/users/new");
  assert.equal(await page.locator("#notice").getAttribute("role"), "alert");
  await page.keyboard.press("Control+A");
  await page.keyboard.type("kim");
  await tabTo(page, "#display_name");
  await page.keyboard.type("Kim Keys");
  await press(page, "#create", "Space");

  await page.locator("#password").waitFor();
  const password = await words(page, "#password");
  await press(page, "#copy", "Space");
  await page.getByRole("status").getByText("Copied.").waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), password);
  await press(page, "#back");

  await tabTo(page, "#search");
  await page.keyboard.type("keys");
  await page.keyboard.press("Enter");
  await page.getByText("1 to 1 of 1").waitFor();
  await press(page, "#users tbody th a");
  await press(page, "#to-reset");
  await press(page, "#reset", "Space");
  await page.locator("#password").waitFor();
  assert.notEqual(await words(page, "#password"), password);
  await press(page, "#sign-out");
  await page.locator("#reason").waitFor();
  operator.refusals = [];
});
