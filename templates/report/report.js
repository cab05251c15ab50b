(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const label = () => { button.textContent = dark() ? "Light" : "Dark"; button.setAttribute("aria-label", "Switch to " + button.textContent.toLowerCase() + " colours"); };
  button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; label(); });
  button.hidden = false;
  label();
  const reveal = () => { const one = document.getElementById(location.hash.slice(1)); if (one && one.tagName === "DETAILS") { for (let up = one; up; up = up.parentElement.closest("details")) up.open = true; one.scrollIntoView(); } };
  addEventListener("hashchange", reveal);
  reveal();
  const opened = [];
  addEventListener("beforeprint", () => document.querySelectorAll("details:not([open]):not(.reveal)").forEach((one) => { one.open = true; opened.push(one); }));
  addEventListener("afterprint", () => { opened.splice(0).forEach((one) => { one.open = false; }); });
})();
