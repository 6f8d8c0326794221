// An operator presses a button and stops the browser before the answer has come: the page cannot hear of that, so it
// lets them press again after a while. Its clock is turned by hand.

import assert from "node:assert/strict";
import { story, words } from "./house.mjs";

// How long a form stays shut, in milliseconds.
const SHUT = 15_000;

await story(async (house) => {
  const create = house.adminAt("/_hero/admin/users/new");
  const operator = await house.visitor();
  const page = await operator.tab();
  await operator.operate(page, house.told.olga);
  await page.clock.install();
  await page.goto(create);
  await page.clock.pauseAt(Date.now() + 3_600_000);

  // A post stays under way until somebody stops it.
  const posts = [];
  await page.route(create, (route) => {
    if (route.request().method() === "POST") posts.push(route);
    else return route.continue();
  });
  const press = () => page.getByRole("button", { name: "Create user" }).click({ noWaitAfter: true });
  const isShut = async () => {
    assert.match(await words(page, "form[aria-busy=true] [role=status]"), /^Asking the forge/);
    await press();
    assert.equal(posts.length, 1, "one post, however often one presses");
  };

  await page.getByLabel("Forge username").fill("nora");
  await Promise.all([page.waitForRequest((request) => request.method() === "POST"), press()]);
  // What the browser's own button does.
  const browser = await operator.context.newCDPSession(page);
  const [stopped] = await Promise.all([page.waitForEvent("requestfailed"), browser.send("Page.stopLoading")]);
  assert.equal(stopped.method(), "POST");
  await isShut();
  await page.clock.runFor(SHUT - 1);
  await isShut();
  await page.clock.runFor(1);
  assert.equal(await words(page, "form[aria-busy=false] [role=status]"), "");

  // What was typed is there, and goes out.
  await page.unroute(create);
  await Promise.all([page.waitForEvent("load"), press()]);
  assert.equal(await words(page, "#title"), "nora was created");
});
