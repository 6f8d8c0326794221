// What a script makes handier; everything works without it.
"use strict";

for (const button of document.querySelectorAll("[data-copies]")) {
  const source = document.getElementById(button.dataset.copies);
  const said = document.querySelector("[role=status]");
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent);
      said.textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(source);
      said.textContent = "It is selected: copy it with your keyboard.";
    }
  });
  // Who comes back by the browser's memory finds it gone too.
  addEventListener("pagehide", () => {
    source.textContent = "";
  });
}

for (const form of document.querySelectorAll("form[data-busy]")) {
  const said = form.querySelector("[role=status]");
  let later;
  const busy = (is) => {
    form.setAttribute("aria-busy", String(is));
    said.textContent = is ? form.dataset.busy : "";
    clearTimeout(later);
    // Whoever has stopped the browser meanwhile may press again.
    if (is) later = setTimeout(busy, 15_000, false);
  };
  form.addEventListener("submit", (event) => {
    // Pressed twice is meant once.
    if (form.getAttribute("aria-busy") === "true") event.preventDefault();
    else busy(true);
  });
  addEventListener("pageshow", () => busy(false));
}
