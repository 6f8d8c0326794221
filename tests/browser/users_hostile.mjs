// Who may not, and who would like to: somebody who is no operator, and pages of other places in an operator's browser.

import assert from "node:assert/strict";
import { allow, checkOwnAnswer, story, words } from "./house.mjs";

await story(async (house) => {
  const { alice, olga } = house.told;
  const list = house.adminAt("/_hero/admin/users");
  const create = house.adminAt("/_hero/admin/users/new");

  // Signed in, and no operator.
  const other = await house.visitor();
  const theirs = await other.tab();
  await theirs.goto(house.admin);
  await other.signInAtForge(theirs, alice);
  await allow(theirs);
  await theirs.locator("#reason").waitFor();
  assert.equal(await words(theirs, "#reason"), "admin_not_allowed");
  assert.equal(await words(theirs, "#who"), "alice");
  assert.match(await theirs.locator("main").innerText(), /site admins of the forge/);
  await other.look(theirs, "users-not-allowed");
  for (const path of ["/_hero/admin/users/new", "/_hero/admin/users?search=a", "/_hero/admin/users/u00"]) {
    const refused = await theirs.goto(house.adminAt(path));
    assert.equal(refused.status(), 403, path);
    await checkOwnAnswer(refused);
  }
  assert.ok(!(await theirs.content()).includes("olga"));
  await theirs.getByRole("button", { name: "Sign out" }).click();
  await theirs.locator("#sign-in").waitFor();
  other.refusals = [];

  const operator = await house.visitor();
  const page = await operator.tab();
  await operator.operate(page, olga);
  const call = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "deployer.create_user", params: ["mallory"] });
  const token = await page.goto(create).then(() => page.locator("input[name=form]").inputValue());

  // The forge's pages stand for those of others. They are at our host and another port, so the browser takes them for the
  // same site and sends our cookies along; by another name of this machine they are another site's.
  const sibling = new URL("/", house.forge).href;
  const stranger = sibling.replace("127.0.0.1", "localhost");
  for (const place of [sibling, stranger]) {
    const tab = await operator.tab();
    // A form, even with a token of our own page.
    await tab.goto(place);
    const answer = tab.waitForResponse((response) => response.url() === create);
    await tab.evaluate(
      ([action, form]) => {
        const fields = { form, username: "mallory" };
        const made = Object.assign(document.createElement("form"), { method: "post", action });
        for (const [name, value] of Object.entries(fields)) {
          made.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
        }
        document.body.append(made);
        made.submit();
      },
      [create, token],
    );
    // The cookie stays at home, or it comes along and the page asks where the form is from.
    const status = (await answer).status();
    assert.ok([401, 403].includes(status), `${place}: ${status}`);
    await tab.locator("#reason").waitFor();

    // Scripts, with whatever they may send without asking.
    await tab.goto(place);
    const urls = [list, create, house.adminAt("/_hero/admin/rpc")];
    const fetched = await tab.evaluate(
      async ([urls, body]) => {
        const said = [];
        for (const url of urls) {
          for (const init of [{ mode: "no-cors" }, { mode: "no-cors", method: "POST", body }, { mode: "cors" }]) {
            const answer = await fetch(url, { credentials: "include", ...init }).catch(() => null);
            said.push(answer ? await answer.text() : "");
          }
        }
        return said.join("");
      },
      [urls, call],
    );
    assert.equal(fetched, "", `${place} reads nothing`);

    // A frame stays empty.
    const isOurs = (request) => request.url().startsWith(house.admin);
    const framed = Promise.race([tab.waitForResponse(isOurs), tab.waitForEvent("requestfailed", isOurs)]);
    await tab.evaluate((src) => document.body.append(Object.assign(document.createElement("iframe"), { src })), list);
    await framed;
    await tab.waitForFunction(() => frames.length === 1);
    const frame = tab.frames()[1];
    await frame.waitForLoadState();
    assert.equal(await frame.locator("#title, #reason").count(), 0, `${place}: nothing in the frame`);

    // Who opens us keeps no hold of our window.
    const [opened] = await Promise.all([
      tab.waitForEvent("popup"),
      tab.evaluate((url) => {
        globalThis.opened = open(url);
      }, list),
    ]);
    await opened.waitForLoadState();
    await tab.waitForFunction(() => globalThis.opened.closed);
    await opened.close();
    await tab.close();
  }
  operator.troubles = operator.troubles.filter((trouble) => !/elsewhere|frame-ancestors|CORS|ERR_BLOCKED|ERR_FAILED/.test(trouble));
  operator.refusals = [];

  // Nothing came of any of it; and our own page still works with the token that the others had.
  await page.goto(list);
  assert.match(await words(page, "#empty"), /Nobody is on record yet/);

  // A form of somebody else's, or none, does nothing.
  await page.goto(create);
  await page.locator("input[name=form]").evaluate((input) => {
    input.value = "1.f0.AAAA";
  });
  await page.getByLabel("Forge username").fill("mallory");
  await Promise.all([page.waitForEvent("load"), page.getByRole("button", { name: "Create user" }).click()]);
  operator.expectRefusals("403 admin /_hero/admin/users/new");
  assert.match(await words(page, "#notice"), /lain open for too long/);
  assert.equal(await page.locator("#username").inputValue(), "mallory");
  await operator.look(page, "users-stale-form");

  // Whatever is served is served like this.
  for (const path of ["users", "users/new", "users?search=a", "page.css", "page.js"]) {
    await checkOwnAnswer(await page.goto(house.adminAt(`/_hero/admin/${path}`)));
  }

  // An address that leads nowhere.
  await page.goto(house.adminAt("/_hero/admin/users/u00"));
  operator.expectRefusals("404 admin /_hero/admin/users/u00");
  await operator.look(page, "users-nobody");
});
