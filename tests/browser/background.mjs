// A page that stays open while its session ends: its scripts are told so, and begin nothing.

import assert from "node:assert/strict";
import { story, words } from "./house.mjs";

const ask = (path) =>
  fetch(path, { headers: { accept: "application/json" } }).then(async (answer) => ({
    status: answer.status,
    kind: answer.headers.get("content-type"),
    redirected: answer.redirected,
    body: await answer.json(),
  }));

await story(async (house) => {
  const { alice } = house.told;
  const cookies = async (visitor) => JSON.stringify(await visitor.context.cookies());
  const isTold = async (visitor, page) => {
    const [before, begun] = [await cookies(visitor), visitor.authorizations.length];
    const { status, kind, redirected, body } = await page.evaluate(ask, "/app/data");
    assert.equal(status, 401);
    assert.equal(kind, "application/problem+json");
    assert.equal(redirected, false);
    assert.equal(body.reason, "sign_in_required");
    assert.equal(body.status, 401);
    assert.equal(body.login_url, house.at("/_hero/auth/login"));
    assert.equal(await cookies(visitor), before, "no cookie is set or cleared");
    assert.equal(visitor.authorizations.length, begun, "no sign-in is begun");
    visitor.expectRefusals("401 proxy /app/data");
  };

  // The app's own policy lets no script of its pages fetch anything; an app of that kind would not have one.
  const visitor = await house.visitor({ bypassCSP: true });
  const open = await visitor.tab();
  await visitor.enter(open, "/app/view?open=yes", alice);
  const second = await house.visitor({ bypassCSP: true });
  const elsewhere = await second.tab();
  await elsewhere.goto(house.at("/app/view"));
  await second.signInAtForge(elsewhere, alice);
  await elsewhere.waitForURL(house.at("/app/view"));

  // Ended in another tab of this browser.
  const tab = await visitor.tab();
  await tab.goto(house.at("/"));
  await tab.getByRole("button", { name: "Sign out" }).click();
  await tab.locator("#reason").waitFor();
  visitor.expectRefusals("401 proxy /");
  await isTold(visitor, open);

  // Ended from another browser, the cookie still there: the other browser signs out everywhere.
  await open.goto(house.at("/_hero/auth/login?return_to=%2Fapp%2Fview%3Fopen%3Dyes"));
  await open.waitForURL(house.at("/app/view?open=yes"));
  const ended = await elsewhere.evaluate(() =>
    fetch("/_hero/auth/logout?everywhere=true", { method: "POST" }).then((answer) => answer.json()),
  );
  assert.deepEqual(ended, { signed_out: true });
  assert.deepEqual(await visitor.proxyCookies(), ["hero_session"]);
  await isTold(visitor, open);
  await isTold(second, elsewhere);

  // The person who looks at the page and reloads it is signed in again, where they were.
  await open.reload();
  await open.waitForURL(house.at("/app/view?open=yes"));
  assert.match(await words(open, "#who"), /alice/);
});
