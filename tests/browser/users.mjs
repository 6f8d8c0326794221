// An operator makes somebody an account; its owner signs in at once in a browser of their own, is made to change the
// password, lands in the app and files an issue. Then the operator looks what was done, and resets the password.

import assert from "node:assert/strict";
import { allow, checkOwnAnswer, story, words } from "./house.mjs";

const PASSWORD = /^[A-Za-z0-9]{32}$/;
const MARKUP = `<img src=x onerror="document.title='run'">Nora`;

await story(async (house) => {
  const { olga, title } = house.told;
  const list = house.adminAt("/_hero/admin/users");
  const operator = await house.visitor();
  await operator.context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: new URL(list).origin });
  const page = await operator.tab();
  const button = (name) => page.getByRole("button", { name, exact: true });

  // Signed in at the forge, and straight to the list, which is empty.
  await operator.operate(page, olga);
  assert.equal(await words(page, "#who"), "olga");
  assert.match(await words(page, "#empty"), /Nobody is on record yet/);
  assert.deepEqual(await operator.proxyCookies(), [], "nothing of an operator's goes to the app");
  await operator.look(page, "users-empty");

  // What is wrong stands beside the fields, all of it, and what was typed stays.
  await page.getByRole("link", { name: "Create user" }).click();
  await page.locator("#username:focus").waitFor();
  await operator.look(page, "users-new");
  await page.getByLabel("Forge username").fill("nora--new");
  await page.getByLabel("Display name").fill(MARKUP);
  await page.getByLabel("E-mail address").fill("nowhere");
  await button("Create user").click();
  await page.locator("#notice").waitFor();
  operator.expectRefusals("422 admin /_hero/admin/users/new");
  for (const [field, complaint] of [["username", /^The forge username/], ["email", /^The e-mail address/]]) {
    const input = page.locator(`#${field}`);
    assert.equal(await input.getAttribute("aria-invalid"), "true");
    assert.ok((await input.getAttribute("aria-describedby")).includes(`${field}-wrong`));
    assert.match(await words(page, `#${field}-wrong`), complaint);
  }
  assert.equal(await page.locator("#display_name").getAttribute("aria-invalid"), null);
  assert.equal(await page.locator("#display_name").inputValue(), MARKUP);
  assert.equal(await page.locator("#email").inputValue(), "nowhere");
  await page.locator("#username:focus").waitFor();
  assert.match(await page.title(), /^Not done/);
  await operator.look(page, "users-complaints");

  // While the forge is asked one is told so. Here the form is held back, for there to be time to look.
  await page.getByLabel("Forge username").fill("nora");
  await page.getByLabel("E-mail address").fill("nora@example.org");
  await page.evaluate(() => addEventListener("submit", (event) => event.preventDefault(), { once: true }));
  await button("Create user").click();
  assert.match(await words(page, "form[aria-busy=true] [role=status]"), /^Asking the forge/);
  await page.evaluate(() => dispatchEvent(new Event("pageshow")));
  assert.equal(await words(page, "form[aria-busy=false] [role=status]"), "");

  // Pressed twice is sent once.
  const posts = [];
  page.on("request", (request) => {
    if (request.method() === "POST") posts.push(request);
  });
  await button("Create user").dblclick();
  await page.locator("#password").waitFor();
  assert.equal(posts.length, 1);
  const handed = await posts[0].response();

  // The password, this once.
  await checkOwnAnswer(handed);
  assert.equal(handed.status(), 200);
  assert.equal(await words(page, "#title"), "nora was created");
  const first = await words(page, "#password");
  assert.match(first, PASSWORD);
  assert.match(await page.locator("main").innerText(), /Share this out of band; it is not stored\./);
  await button("Copy password").click();
  await page.getByText("Copied.").waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), first);
  await operator.look(page, "users-password");
  house.keepSecret(first);

  // Loaded again it is gone, and nothing was made twice; nor does "back" bring it.
  await page.reload();
  assert.equal(await words(page, "#title"), "nora was there already");
  assert.equal(await page.locator("#password").count(), 0);
  await operator.look(page, "users-again");
  await page.getByRole("link", { name: "Back to the users" }).click();
  await page.waitForURL(list);
  await page.goBack().catch((error) => assert.match(error.message, /ERR_CACHE_MISS/));
  await page.waitForLoadState();
  assert.ok(!(await page.locator("html").innerText()).includes(first), "back shows no password");
  operator.troubles = operator.troubles.filter((trouble) => !trouble.includes("ERR_CACHE_MISS"));

  // On record, and a name is text, whatever stands in it.
  await page.goto(list);
  const row = page.getByRole("row").filter({ hasText: "nora" });
  assert.match(await row.innerText(), /never/);
  assert.ok((await row.innerText()).includes(MARKUP), "the name as it was typed");
  assert.equal(await page.locator("img").count(), 0);
  await row.getByRole("link", { name: "nora", exact: true }).click();
  assert.equal(await words(page, "#display-name"), MARKUP);
  assert.doesNotMatch(await page.title(), /run/);

  // Its owner, elsewhere and at once.
  const wanted = house.at("/app/welcome?first=yes");
  const newcomer = await house.visitor();
  const theirs = await newcomer.tab();
  await theirs.goto(wanted);
  await newcomer.signInAtForge(theirs, { login: "nora", password: first });
  await theirs.getByRole("heading", { name: "Update your password" }).waitFor();
  await theirs.getByLabel("New password", { exact: true }).fill("eleven-blue-lamps");
  await theirs.getByLabel("Confirm new password").fill("eleven-blue-lamps");
  await theirs.getByRole("button", { name: "Update password" }).click();
  await allow(theirs);
  await theirs.waitForURL(wanted);
  assert.match(await words(theirs, "#who"), /nora/);
  await theirs.goto(house.at("/"));
  assert.equal(await theirs.locator("#token-source").getAttribute("data-source"), "pass-through");
  await theirs.getByLabel("Title").fill(title);
  await theirs.getByRole("button", { name: "File it" }).click();
  assert.equal(await theirs.locator("#message").getAttribute("data-code"), "filed");

  // The operator sees them come, and what was done to the account.
  await page.getByText("never", { exact: true }).waitFor();
  await seenOn(page);
  const trail = page.getByRole("table", { name: "What was done" });
  assert.match(await trail.innerText(), /create user\s+created\s+user:olga \(\d+\)/);
  assert.ok(!(await page.content()).includes("eleven-blue-lamps"));
  await operator.look(page, "users-user");

  // A reset asks first.
  await page.getByRole("link", { name: "Reset password" }).click();
  assert.equal(await words(page, "#title"), "Reset the password of nora?");
  await operator.look(page, "users-reset");
  await page.getByRole("link", { name: "Cancel" }).click();
  await page.getByRole("link", { name: "Reset password" }).click();
  await Promise.all([page.waitForEvent("load"), button("Reset password").click()]);
  assert.equal(await words(page, "#title"), "nora has a new password");
  const second = await words(page, "#password");
  assert.match(second, PASSWORD);
  assert.notEqual(second, first);
  house.keepSecret(second);

  // Loaded again it resets nothing, and says so.
  await page.reload();
  operator.expectRefusals("409 admin " + new URL(page.url()).pathname);
  assert.equal(await words(page, "#notice strong"), "This form was sent before.");
  assert.equal(await page.locator("#password").count(), 0);
  await operator.look(page, "users-reset-again");

  // The password of before is none any more; the new one is, once more to be changed.
  const later = await house.visitor();
  const tab = await later.tab();
  await tab.goto(wanted);
  await later.signInAtForge(tab, { login: "nora", password: "eleven-blue-lamps" });
  assert.equal(new URL(tab.url()).origin, new URL(house.forge).origin);
  await later.signInAtForge(tab, { login: "nora", password: second });
  await tab.getByRole("heading", { name: "Update your password" }).waitFor();
  later.refusals = [];

  // Whose password is not reset here, in plain words.
  await page.goto(house.adminAt("/_hero/admin/users/new"));
  await page.getByLabel("Forge username").fill("olga");
  await button("Create user").click();
  await page.getByRole("link", { name: "Reset password" }).click();
  await Promise.all([page.waitForEvent("load"), button("Reset password").click()]);
  operator.expectRefusals("409 admin " + new URL(page.url()).pathname);
  assert.match(await words(page, "#notice"), /site admin/);

  // And out.
  await button("Sign out").click();
  await page.locator("#reason").waitFor();
  assert.equal(await words(page, "#reason"), "signed_out");
  assert.equal(new URL(page.url()).origin, new URL(list).origin);
  operator.refusals = [];
  await page.goto(list);
  assert.equal(await words(page, "#reason"), "signed_out");
  operator.expectRefusals("401 admin /_hero/admin/users");
});

/** Loads the page again until the account was seen: that is written down behind the answers. */
async function seenOn(page) {
  for (let attempt = 0; attempt < 40; attempt += 1) {
    await page.reload();
    if ((await page.getByText("never", { exact: true }).count()) === 0) return;
  }
  assert.fail("the account was never seen");
}
