(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  const label = () => { button.textContent = dark() ? "Light" : "Dark"; button.setAttribute("aria-label", "Switch to " + button.textContent.toLowerCase() + " colours"); };
  button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; label(); });
  system.addEventListener("change", label);
  button.hidden = false;
  label();
  const reveal = () => { const one = document.getElementById(location.hash.slice(1)); if (one && one.tagName === "DETAILS") { for (let up = one; up; up = up.parentElement.closest("details")) up.open = true; one.scrollIntoView(); const head = one.querySelector(":scope > summary"); if (head) head.focus({ preventScroll: true }); } };
  addEventListener("hashchange", reveal);
  reveal();
  // A region that does not scroll needs no stop for the keyboard; folds and resizing change which do.
  const regions = [...document.querySelectorAll("[role=region][tabindex='0'], .keys[tabindex='0']")];
  const stops = () => regions.forEach((one) => { if (one.scrollWidth > one.clientWidth) one.tabIndex = 0; else if (one !== document.activeElement) one.removeAttribute("tabindex"); });
  let waiting;
  const soon = () => { clearTimeout(waiting); waiting = setTimeout(stops, 100); };
  addEventListener("resize", soon);
  document.addEventListener("toggle", soon, true);
  new MutationObserver(soon).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["hidden"] });
  stops();
  const opened = [];
  addEventListener("beforeprint", () => document.querySelectorAll("details:not([open]):not(.reveal)").forEach((one) => { one.open = true; opened.push(one); }));
  addEventListener("afterprint", () => { opened.splice(0).forEach((one) => { one.open = false; }); });
})();
