// Many tabs sign in at once, and each lands on the page that it wanted.

import assert from "node:assert/strict";
import { checkOwnAnswer, story, words } from "./house.mjs";

// An order that is neither the one in which they began nor its reverse.
const ORDER = [6, 2, 9, 4, 1, 8, 5, 10, 3, 7];

await story(async (house) => {
  const { alice } = house.told;
  const target = (number) => `/app/tab?number=${number}&of=eleven`;
  const shows = async (tab, number) => {
    await tab.waitForURL(house.at(target(number)));
    assert.equal(await words(tab, "#view-path"), target(number));
  };

  // So that a grant exists; then everybody forgets this browser.
  const visitor = await house.visitor();
  const first = await visitor.tab();
  await visitor.enter(first, "/", alice);
  await visitor.context.clearCookies();
  await first.close();

  // Eleven begin and wait at the forge's sign-in page. The forge remembers one of them; each tab knows its own.
  const tabs = [];
  for (let number = 0; number < 11; number += 1) {
    const tab = await visitor.tab();
    await tab.goto(house.at(target(number)));
    tabs.push({ tab, authorize: visitor.authorizations.at(-1) });
  }
  assert.equal(new Set(tabs.map(({ authorize }) => authorize)).size, 11);
  const flows = await visitor.proxyCookies();
  assert.deepEqual(flows, Array(10).fill("hero_flow"), "ten at most: the oldest gave way");

  // The first one that signs in at the forge goes all the way.
  await visitor.signInAtForge(tabs[10].tab, alice);
  await shows(tabs[10].tab, 10);

  // The one that gave way, in a browser without a session: a page with a button, and that one works.
  const [session] = (await visitor.context.cookies(house.url)).filter(({ name }) => name.startsWith("hero_session"));
  await visitor.context.clearCookies({ name: session.name });
  const stray = await tabs[0].tab.goto(tabs[0].authorize);
  assert.equal(stray.status(), 400);
  await checkOwnAnswer(stray);
  assert.equal(await words(tabs[0].tab, "#reason"), "flow_unknown");
  visitor.expectRefusals("400 proxy /_hero/auth/callback");
  await visitor.look(tabs[0].tab, "flow-unknown");
  await tabs[0].tab.getByRole("link", { name: "Sign in" }).click();
  await tabs[0].tab.waitForURL(house.at("/"));

  // The others end in another order than they began. Each sign-in ends the session of the one before.
  for (const number of ORDER.filter((number) => number !== 10)) {
    const { tab, authorize } = tabs[number];
    await tab.goto(authorize);
    await shows(tab, number);
  }
  assert.deepEqual(await visitor.proxyCookies(), ["hero_session"], "no flow is left");

  // A browser that restarts opens all its tabs at the same moment, and the forge knows who it is.
  await visitor.context.clearCookies({ name: session.name });
  const ten = tabs.slice(0, 10);
  await Promise.all(ten.map(({ tab }, number) => tab.goto(house.at(target(number)))));
  for (const [number, { tab }] of ten.entries()) {
    // The forge keeps one nonce for all of them. Where that cannot be told apart, a button is the way out.
    await tab.locator("#view-path, #reason").waitFor();
    if ((await tab.locator("#reason").count()) === 1) {
      assert.equal(await words(tab, "#reason"), "sign_in_crossed");
      visitor.expectRefusals("409 proxy /_hero/auth/callback");
      await tab.getByRole("link", { name: "Sign in" }).click();
    }
    await shows(tab, number);
  }
});
