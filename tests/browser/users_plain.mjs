// An operator whose browser runs no script: the list with search, order and pages, and the whole of making an account.

import assert from "node:assert/strict";
import { story, words } from "./house.mjs";

await story(async (house) => {
  const { olga, count } = house.told;
  const operator = await house.visitor({ javaScriptEnabled: false });
  const page = await operator.tab();
  const find = (name) => page.getByRole("button", { name, exact: true });
  const names = () => page.locator("#users tbody th").allInnerTexts();
  const follow = (target) => Promise.all([page.waitForEvent("load"), target.click()]);

  await operator.operate(page, olga);
  const all = Array.from({ length: count }, (_, at) => `guest${String(at + 1).padStart(3, "0")}`);

  // By pages.
  assert.equal(await words(page, "#count"), `1 to 25 of ${count}`);
  assert.deepEqual(await names(), all.slice(0, 25));
  assert.equal(await page.locator("#earlier").count(), 0);
  await follow(page.getByRole("link", { name: "Next" }));
  assert.equal(await words(page, "#count"), `26 to ${count} of ${count}`);
  assert.deepEqual(await names(), all.slice(25));
  assert.equal(await page.locator("#later").count(), 0);
  await follow(page.getByRole("link", { name: "Previous" }));
  assert.deepEqual(await names(), all.slice(0, 25));

  // By columns, one way and the other; the number of VMs is real.
  await follow(page.getByRole("link", { name: "VMs" }));
  await follow(page.getByRole("link", { name: "VMs" }));
  const vms = page.getByRole("columnheader", { name: "VMs" });
  assert.equal(await vms.getAttribute("aria-sort"), "descending");
  assert.equal((await names())[0], "guest007");
  assert.match(await page.getByRole("row").filter({ hasText: "guest007" }).innerText(), /Guest 7\s+2\s/);

  // By the form, which says what it did.
  await page.getByLabel("Name or e-mail address").fill("guest01");
  await page.getByLabel("Sort by").selectOption({ label: "Forge username" });
  await page.getByLabel("Order").selectOption({ label: "Descending" });
  await follow(find("Search"));
  assert.deepEqual(await names(), all.slice(9, 19).reverse());
  assert.match(await words(page, "#count"), /^1 to 10 of 10 found by “guest01”/);
  assert.equal(await page.getByLabel("Name or e-mail address").inputValue(), "guest01");
  await follow(page.getByRole("link", { name: "Show all" }));
  assert.equal((await names()).length, 25);
  const markup = `"><img src=x onerror=alert(1)>`;
  await page.getByLabel("Name or e-mail address").fill(markup);
  await follow(find("Search"));
  assert.ok((await words(page, "#empty")).includes(markup));
  assert.equal(await page.locator("img").count(), 0);
  await page.goto(house.adminAt("/_hero/admin/users?page=9"));
  assert.match(await words(page, "#empty"), /nothing on this page/);
  await follow(page.getByRole("link", { name: "Previous" }));
  assert.equal((await names()).length, count - 25);

  // A new user: complaints first, then a forge that does not answer, then the password.
  await follow(page.getByRole("link", { name: "Create user" }));
  await page.getByLabel("Forge username").fill("admin");
  await page.getByLabel("Display name").fill("Paula Plain");
  await follow(find("Create user"));
  operator.expectRefusals("422 admin /_hero/admin/users/new");
  assert.equal(await page.locator("#username").getAttribute("aria-invalid"), "true");
  assert.equal(await page.locator("#display_name").inputValue(), "Paula Plain");
  await page.getByLabel("Forge username").fill("paula");
  await follow(find("Create user"));
  operator.expectRefusals("502 admin /_hero/admin/users/new");
  assert.match(await words(page, "#notice"), /The forge did not say whether it did this/);
  assert.equal(await page.getByLabel("Forge username").inputValue(), "paula");
  await follow(find("Create user"));
  assert.equal(await words(page, "#title"), "paula was created");
  const password = await words(page, "#password");
  assert.match(password, /^[A-Za-z0-9]{32}$/);
  assert.equal(await page.locator("#copy").isVisible(), false, "nothing that would do nothing");
  assert.match(await page.locator("main").innerText(), /Share this out of band; it is not stored\./);
  house.keepSecret(password);

  // Loaded again it is gone.
  await page.reload();
  assert.equal(await words(page, "#title"), "paula was there already");
  assert.ok(!(await page.content()).includes(password));

  // Pressed twice, with nothing to hold the second back: one account, and a way to a password in either case.
  await page.goto(house.adminAt("/_hero/admin/users/new"));
  await page.getByLabel("Forge username").fill("pat");
  await find("Create user").dblclick();
  await page.getByRole("heading", { name: /^pat was/ }).waitFor();
  assert.equal(await page.locator("#password, a#to-reset").count(), 1);
  await page.goto(house.adminAt("/_hero/admin/users?search=pat"));
  assert.deepEqual(await names(), ["pat"]);
  await follow(page.getByRole("link", { name: "Reset password of pat" }));
  await follow(page.getByRole("link", { name: "Cancel" }));
  const made = (await page.locator("#trail tbody").innerText()).match(/create user\s+created/g);
  assert.equal(made.length, 1);
  await page.goto(house.adminAt("/_hero/admin/users?search=paula"));
  await follow(page.getByRole("link", { name: "Reset password of paula" }));

  // A reset, and the trail of both.
  await follow(find("Reset password"));
  const second = await words(page, "#password");
  assert.match(second, /^[A-Za-z0-9]{32}$/);
  house.keepSecret(second);
  await follow(page.getByRole("link", { name: "back to the users" }));
  await page.getByLabel("Name or e-mail address").fill("paula");
  await follow(find("Search"));
  await follow(page.getByRole("link", { name: "paula", exact: true }));
  const trail = await page.locator("#trail tbody").innerText();
  assert.match(trail, /reset password\s+done/);
  assert.match(trail, /create user\s+created/);

  // Whom the forge suspends, or has lost, shows as such; what the pages look like with people on them.
  const watching = await house.visitor();
  const tab = await watching.tab();
  await tab.goto(house.admin);
  await watching.signInAtForge(tab, olga);
  await tab.waitForURL(house.adminAt("/_hero/admin/users"));
  await watching.look(tab, "users-list");
  await tab.getByRole("link", { name: "guest007", exact: true }).click();
  await tab.locator("#trail").waitFor();
  await watching.look(tab, "users-one");
  await tab.getByRole("link", { name: "Reset password" }).click();
  await Promise.all([tab.waitForEvent("load"), tab.getByRole("button", { name: "Reset password" }).click()]);
  await watching.look(tab, "users-handed");
  await house.picture("users", ["users-list-light", "users-handed-light", "users-one-dark"]);
});
